"""What families have in common whose answers are spans of a text that is read in windows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bigbird.config import Task
from bigbird.manifests import DatasetManifest
from bigbird.support.errors import InputError
from bigbird.tasks.family import AnsweringFamily
from bigbird.tasks.squad.examples import WindowOptions

if TYPE_CHECKING:
    from bigbird.reports.report import Html
    from bigbird.tasks.squad.scoring import SquadResults

SETTINGS = ("max_length", "doc_stride", "query_length")


class SpanFamily(AnsweringFamily):
    """Answers as spans of windows."""

    identity = "unique_ids"
    unit = "questions"
    metric_meanings = {
        "f1": "overlap of words with the nearest right answer",
        "exact_match": "answers equal to a right one, but for case, punctuation and articles",
        "HasAns_exact": "exact match on questions that have an answer",
        "HasAns_f1": "F1 on questions that have an answer",
        "NoAns_exact": "unanswerable questions rightly left unanswered",
        "NoAns_f1": "the same, as F1",
        "best_exact": "the most exact match that any null threshold gives",
        "best_exact_thresh": "that threshold, on the null odds",
        "best_f1": "the most F1 that any null threshold gives",
        "best_f1_thresh": "that threshold, on the null odds",
    }
    metric_note = "Fractions of 1; the official SQuAD scripts print 100 times as much."
    made_up_request = {
        "question": ["who built the bridge ?", "what crosses the river ?"],
        "context": ["the bridge over the river was built by anna kern ."] * 2,
    }

    def preprocessing_settings(self, config: Task) -> dict[str, Any]:
        data: Any = config.validation_data
        windows = {"doc_stride": data.doc_stride, "query_length": data.query_length, "lower_case": data.do_lower_case}
        return super().preprocessing_settings(config) | windows

    def check_settings(self, settings: Mapping[str, int], section: Mapping[str, Any]) -> None:
        WindowOptions(**settings)

    def manifest_facts(self, task: str, settings: Mapping[str, int]) -> dict[str, Any]:
        return dict(settings)

    def is_cut(self, pieces: Mapping[str, int], dataset: DatasetManifest) -> bool:
        """Whether a question is cut; contexts are read whole, in windows."""
        return pieces["question"] > dataset["query_length"]

    def count(self, results: SquadResults) -> int:
        return len(results.questions)

    def write_predictions(self, folder: Path, results: SquadResults, task: str, split: str) -> list[str]:
        from bigbird.tasks.squad.predictions import write_predictions

        return write_predictions(folder, results)

    def report_sections(self, results: SquadResults, tokens: Mapping[int, int]) -> list[Html]:
        from bigbird.tasks.squad.report import report_sections

        return report_sections(results)

    def signature_meanings(self) -> Mapping[str, str]:
        from bigbird.tasks.squad.serving import MEANINGS

        return MEANINGS


def dataset_folder(manifest: DatasetManifest | None, folder: Path | None) -> tuple[DatasetManifest, Path]:
    """The dataset that answers are scored against; `InputError` where there is none."""
    if manifest is None or folder is None:
        raise InputError("questions are scored against texts and answers: give a dataset folder, not bare TFRecords")
    return manifest, folder


def windows_of(settings: Mapping[str, Any] | DatasetManifest) -> WindowOptions:
    """The windows that a dataset's manifest, or preprocessing's settings, describe."""
    return WindowOptions(**{name: settings[name] for name in SETTINGS})
