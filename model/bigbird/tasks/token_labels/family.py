"""Labels inside documents, as a task family: spans of a text, such as names, clauses or amounts."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from bigbird.config import Task
from bigbird.manifests import DatasetManifest, ModelManifest
from bigbird.records.features import TOKENS, Feature
from bigbird.support.errors import InputError
from bigbird.support.text_files import shown
from bigbird.tasks.classification.classifiers import resolved_weights
from bigbird.tasks.evaluation import Comparison, Evaluation, Outputs
from bigbird.tasks.preprocessing import LineRange, Preprocessing, batches
from bigbird.tasks.raw_input import Inputs, Line, Reading, Storage
from bigbird.tasks.records import BadRecords
from bigbird.tasks.statistics import Statistics
from bigbird.tasks.table_rows import TableRows
from bigbird.tasks.tables.family import TableFamily
from bigbird.tasks.token_labels.config import TokenLabelsTask
from bigbird.tasks.token_labels.data_section import SpanData
from bigbird.tasks.token_labels.metrics import METRICS
from bigbird.tasks.token_labels.options import OPTIONS

if TYPE_CHECKING:
    from bigbird.reports.report import Html
    from bigbird.tasks.token_labels.scoring import SpanCollector, SpanResults
    from bigbird.text.vocabulary import Vocabulary

BATCH = 64  # documents per call of the vocabulary
# What a dataset says of its records and a configuration must not contradict.
SHARED = ("units", "labels")


class TokenLabelsFamily(TableFamily):
    """Spans with labels in a user's own documents."""

    name = "token_labels"
    tasks = ("token_labels",)
    config = TokenLabelsTask
    defaults = {"max_length": 1024, "window_stride": 0, "units": "words"}
    section = SpanData
    table_options = OPTIONS
    examples_per_file = 512
    target = "tag_ids"
    metric_meanings = {
        "f1": "harmonic mean of precision and recall; a span is right with its start, end and label",
        "precision": "share of the found spans that are right",
        "recall": "share of the right spans that were found",
        "macro_f1": "mean of the labels' F1: rare labels count as much as frequent ones",
        "macro_precision": "mean of the labels' precision",
        "macro_recall": "mean of the labels' recall",
        "partial_f1": "as F1, where a span that overlaps a right one of its label counts half",
        "partial_precision": "as precision, overlaps counting half",
        "partial_recall": "as recall, overlaps counting half",
    }
    metric_note = "The first six are seqeval's on the same tags; partial ones follow SemEval 2013, task 9.1."
    made_up_request = {"text_a": ["Anna Kern built the bridge in 1904.", "It rained."]}

    # ------------------------------------------------------------------------------------------- configuration

    def metrics(self, task: str) -> tuple[str, ...]:
        return METRICS

    def recipe(self, task: str, *, published: bool) -> str:
        return "token_labels" if published else "small_token_labels"

    def title(self, task: str) -> str:
        return "Spans in documents"

    # ----------------------------------------------------------------------------------------------- raw files

    def read_table(
        self,
        inputs: Inputs,
        storage: Storage,
        scratch: BinaryIO,
        bad: BadRecords,
        told: Callable[[str], None],
        progress: Callable[[str, int], None],
    ) -> Reading:
        from bigbird.tasks.token_labels.dataset import read_table

        return read_table(inputs, storage, scratch, bad, told, progress)

    def rows_to_check(self, inputs: Inputs, storage: Storage) -> TableRows:
        from bigbird.tasks.token_labels.checking import rows_to_check

        return rows_to_check(inputs, storage)

    def texts(self, line: Line) -> Iterable[str]:
        yield line["text_a"]

    # ------------------------------------------------------------------------------------------- preprocessing

    def preprocessing_settings(self, config: Task) -> dict[str, Any]:
        config = _own(config)
        return {
            **super().preprocessing_settings(config),
            "window_stride": config.window_stride or 0,
            "units": config.units,
        }

    def encode(
        self,
        lines: Iterator[Line],
        place: LineRange,
        preprocessing: Preprocessing,
        vocabulary: Vocabulary,
        statistics: Statistics,
    ) -> Iterator[bytes]:
        from bigbird.tasks.token_labels.encoding import Layout, encode_documents

        layout = Layout.of(preprocessing.settings)
        label_ids = {label: number for number, label in enumerate(preprocessing.labels or ())}
        for batch in batches(lines, BATCH):
            yield from encode_documents(batch, layout, label_ids, vocabulary, statistics, evaluation=place.evaluation)

    def manifest_facts(self, task: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        from bigbird.tasks.token_labels.encoding import Layout

        layout = Layout.of(settings)
        return {
            "max_length": layout.max_length,
            "long_documents": "windows",
            "window_stride": layout.window_stride,
            "units": layout.units,
        }

    # ------------------------------------------------------------------------------------- records and training

    def record_features(self, config: Task) -> tuple[Feature, ...]:
        return FEATURES

    def from_dataset(self, config: Task, manifest: DatasetManifest, vocabulary: str) -> dict[str, Any]:
        config = _own(config)
        for key in SHARED:
            found = getattr(config, key)
            if key in config.model_fields_set and found and found != manifest[key]:
                raise InputError(
                    f"task.{key} is {shown(found)}, but the dataset's records are made with {shown(manifest[key])}; leave it out, "
                    "or preprocess again"
                )
        return {
            "labels": manifest.labels or [],
            "units": manifest["units"],
            "window_stride": min(manifest["window_stride"], manifest.max_length),
            "class_weights": _weights(config.class_weights, manifest),
            "transitions": config.transitions or _transitions(manifest),
        }

    def check_without_dataset(self, config: Task, splits: Collection[str]) -> None:
        config = _own(config)
        if not config.labels or config.class_weights == "balanced":
            raise InputError(
                "task.labels and task.class_weights are known by the dataset; give it with --dataset, or set the labels in the order of their "
                "numbers, and weights by label"
            )

    def build_model(self, config: Task, *, num_classes: int | None, dtype: str) -> Any:
        from bigbird.tasks.token_labels.model import BigBirdTokenLabeler

        config = _own(config)
        if not config.labels:
            raise ValueError("the labels are not known: set task.labels or give a dataset folder")
        return BigBirdTokenLabeler(config.encoder, 1 + 2 * len(config.labels), dtype=dtype)

    def loss(self, config: Task, outputs: Mapping[str, Any], batch: Mapping[str, Any]) -> Any:
        from bigbird.tasks.token_labels.model import tag_loss

        config = _own(config)
        weights = None
        if isinstance(config.class_weights, Mapping):
            given = config.class_weights
            weights = [1.0, *(given.get(label, 1.0) for label in config.labels for _ in "BI")]
        return tag_loss(outputs["logits"], batch["tag_ids"], weights)

    # ---------------------------------------------------------------------------------------------- evaluation

    def collector(
        self, config: Task, manifest: DatasetManifest | None, folder: Path | None, split: str
    ) -> SpanCollector:
        from bigbird.tasks.token_labels.scoring import SpanCollector

        config = _own(config)
        return SpanCollector(config.labels, config.weighted_transitions, manifest, folder, split)

    def examine(
        self, evaluation: Evaluation, config: Task, decisions: Mapping[str, Any] | None, folder: Path | None, split: str
    ) -> Evaluation:
        """Adds what each label reaches, an interval, and beside the model what the training set's own spans find."""
        from bigbird.scoring import read_examples
        from bigbird.tasks.token_labels.baseline import DESCRIPTION, SpanDictionary
        from bigbird.tasks.token_labels.metrics import all_metrics, count, interval, per_label

        results: SpanResults = evaluation.results
        details: dict[str, Any] = {"labels": list(results.labels)}
        if not results.labelled:
            return replace(evaluation, details=details)
        details |= {"per_label": per_label(results.counts()), "interval": interval(results.pairs()).record()}
        if folder is None:
            return replace(evaluation, details=details)
        started = time.monotonic()
        manifest = DatasetManifest.read(folder)
        manifest.check_files(folder, ["train.examples.jsonl"])
        dictionary = SpanDictionary(read_examples(folder, "train"))
        looked_up = [(document.gold or (), dictionary.find(document.text)) for document in results.documents]
        compared = Comparison("dictionary", DESCRIPTION, all_metrics(count(looked_up)), time.monotonic() - started)
        nothing = dict.fromkeys(METRICS, 0.0)
        return replace(
            evaluation, baseline=nothing, baseline_answer="no span at all", details=details, comparisons=[compared]
        )

    def count(self, results: SpanResults) -> int:
        return len(results.documents)

    def write_predictions(self, folder: Path, results: SpanResults, task: str, split: str) -> list[str]:
        from bigbird.tasks.token_labels.predictions import write_predictions

        return write_predictions(folder, results)

    def report_sections(self, results: SpanResults, tokens: Mapping[int, int]) -> list[Html]:
        from bigbird.tasks.token_labels.report import report_sections

        return report_sections(results, tokens)

    # ------------------------------------------------------------------------------------------------- serving

    def serving_module(self, model: Any, manifest: ModelManifest, config: Task, vocabulary: Vocabulary) -> Any:
        from bigbird.tasks.token_labels.encoding import Layout
        from bigbird.tasks.token_labels.serving import SpanLabeler

        config = _own(config)
        layout = Layout.of(manifest.trained_on())
        return SpanLabeler(
            model,
            vocabulary,
            buckets=config.buckets,
            layout=layout,
            labels=config.labels,
            transitions=config.weighted_transitions,
        )

    def signature_meanings(self) -> Mapping[str, str]:
        from bigbird.tasks.token_labels.serving import MEANINGS

        return MEANINGS

    def is_cut(self, pieces: Mapping[str, int], dataset: DatasetManifest) -> bool:
        """Never: windows read all of a text."""
        return False

    def labels_of(self, answer: Mapping[str, Any]) -> Sequence[str]:
        return list(dict.fromkeys(span["label"] for span in answer["spans"]))

    def score_answers(
        self,
        lines: Sequence[Line],
        ask: Callable[[Sequence[Line]], Outputs],
        manifest: DatasetManifest,
        metric_name: str,
    ) -> float:
        from bigbird.tasks.token_labels.scoring import score_answers

        return score_answers(lines, ask(lines), metric_name)


FEATURES = (
    Feature("record_id", "int64"),
    *TOKENS,
    Feature("tag_ids", "int64", sequence=True, when="labelled"),  # 1 + the tag; 0 where no unit begins
    Feature("unit_starts", "int64", sequence=True, when="evaluation"),  # characters of the text; -1 where none begins
    Feature("unit_ends", "int64", sequence=True, when="evaluation"),
)


def _weights(given: Any, manifest: DatasetManifest) -> dict[str, float] | None:
    """Weights by label; `balanced`: spans / (labels * spans with it), of the training split, as scikit-learn's "balanced"."""
    if given != "balanced":
        return resolved_weights(given, manifest)
    labels = manifest.labels or []
    if "train" not in manifest.splits:
        raise InputError("task.class_weights is balanced, and the dataset has no training split to count labels in")
    counts = {label: max(1, manifest.splits["train"].labels.get(label, 0)) for label in labels}
    return {label: sum(counts.values()) / (len(labels) * counts[label]) for label in labels}


def _transitions(manifest: DatasetManifest) -> dict[str, float]:
    """How tags follow each other in the training split; nothing where there is none."""
    from bigbird.tasks.token_labels.encoding import counted_transitions

    train = manifest.splits.get("train")
    return counted_transitions(train.counts, manifest["units"])._asdict() if train else {}


def _own(config: Task) -> TokenLabelsTask:
    assert isinstance(config, TokenLabelsTask)  # noqa: S101 - this family's
    return config


FAMILY = TokenLabelsFamily()
