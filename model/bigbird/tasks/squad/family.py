"""Answers as spans of a context, as a task family."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bigbird.config import DataConfig, Task
from bigbird.manifests import DatasetManifest, ModelManifest
from bigbird.records import features
from bigbird.records.features import TOKENS, Feature
from bigbird.tasks.evaluation import Outputs
from bigbird.tasks.preprocessing import LineRange, Preprocessing, batches
from bigbird.tasks.raw_input import FileNames, Item, Line, Source, Storage
from bigbird.tasks.records import BadRecords
from bigbird.tasks.squad.config import SquadTask
from bigbird.tasks.squad.examples import (
    METRICS,
    SQUAD_TASKS,
    Paragraph,
    QuestionWindow,
    encode_paragraphs,
    file_names,
    find_files,
    parse,
)
from bigbird.tasks.squad.span_family import SpanFamily, dataset_folder, windows_of
from bigbird.tasks.statistics import Statistics

if TYPE_CHECKING:
    from bigbird.layers.types import Tensor
    from bigbird.tasks.squad.scoring import SpanCollector
    from bigbird.text.vocabulary import Vocabulary

BATCH = 64  # paragraphs that are cut into pieces at once


class SquadFamily(SpanFamily):
    """SQuAD v1.1 and v2.0."""

    name = "squad"
    tasks = tuple(SQUAD_TASKS)
    samples = {"squad": "squad_v1"}
    config = SquadTask
    defaults = {"max_length": 1024, "doc_stride": 128, "query_length": 64}
    examples_per_file = 2048
    target = "start_positions"

    # ------------------------------------------------------------------------------------------- configuration

    def metrics(self, task: str) -> tuple[str, ...]:
        return METRICS

    def task_defaults(self, task: str) -> dict[str, Any]:
        negatives = {"version_2_with_negative": SQUAD_TASKS[task]}
        return {"task": {"train_data": negatives, "validation_data": negatives}}

    def recipe(self, task: str, *, published: bool) -> str:
        return task if published else "small_squad"

    def title(self, task: str) -> str:
        return "SQuAD v2.0" if SQUAD_TASKS[task] else "SQuAD v1.1"

    def write_sample(self, sample: str, folder: Path, seed: int) -> None:
        from bigbird.tasks.squad.sample import write_sample

        write_sample(folder, seed)

    # ----------------------------------------------------------------------------------------------- raw files

    def file_names(self, task: str) -> FileNames:
        splits = file_names(SQUAD_TASKS[task])
        official = f"{splits['train'][0]}, {splits['validation'][0]}"
        return FileNames(splits, "", ".json", f"{official}, or train.json, dev.json, test.json")

    def find_files(self, task: str, names: Collection[str]) -> dict[str, str]:
        return find_files(names, SQUAD_TASKS[task])

    def read(self, task: str, source: Source, storage: Storage, bad: BadRecords) -> Iterator[Item]:
        data = storage.read_bytes(source.path, f"{source.split} file of {task}")
        answers = source.split != "test"
        for paragraph in parse(data, source.path, SQUAD_TASKS[task], bad, answers=answers):
            questions = paragraph["questions"]
            labelled = all(question["answers"] or question["is_impossible"] for question in questions)
            yield Item(dict(paragraph), len(questions), labelled)

    def texts(self, line: Line) -> Iterable[str]:
        yield line["context"]
        yield from (question["question"] for question in line["questions"])

    # ------------------------------------------------------------------------------------------- preprocessing

    def encode(
        self,
        lines: Iterator[Line],
        place: LineRange,
        preprocessing: Preprocessing,
        vocabulary: Vocabulary,
        statistics: Statistics,
    ) -> Iterator[bytes]:
        number, options = place.first_example, windows_of(preprocessing.settings)
        for paragraphs in batches(lines, BATCH):
            windows = encode_paragraphs(
                cast(list[Paragraph], paragraphs),
                vocabulary,
                options,
                first_question=number,
                labelled=place.labelled,
                evaluation=place.evaluation,
            )
            for question in _by_question(windows):
                _count_question(question, place.labelled, statistics)
                for window in question:
                    yield features.encode(window.features)
            number += sum(len(paragraph["questions"]) for paragraph in paragraphs)

    def manifest_facts(self, task: str, settings: Mapping[str, int]) -> dict[str, Any]:
        return super().manifest_facts(task, settings) | {"version_2": SQUAD_TASKS[task]}

    # ------------------------------------------------------------------------------------- records and training

    def record_features(self, config: Task) -> tuple[Feature, ...]:
        return FEATURES

    def target_features(self, config: Task) -> tuple[Feature, ...]:
        # A window without its answer points at [CLS], so is_impossible is not needed.
        return tuple(feature for feature in super().target_features(config) if feature.name != "is_impossible")

    def raw_validation(self, file: str, data: DataConfig, folder: Path) -> DatasetManifest:
        from bigbird.tasks.squad.config import SquadDataConfig
        from bigbird.tasks.squad.raw import encode_raw_squad

        assert isinstance(data, SquadDataConfig)  # noqa: S101 - this family's
        return encode_raw_squad(file, data, folder)

    def build_model(self, config: Task, *, num_classes: int | None, dtype: str) -> Any:
        from bigbird.models import BigBirdSpanModel

        assert isinstance(config, SquadTask)  # noqa: S101 - this family's
        return BigBirdSpanModel(config.encoder, head=config.model.head, dtype=dtype)

    def loss(self, config: Task, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
        """Mean of the start's and the end's cross-entropy over the tokens: float32[B, L] each -> float32[B].

        Padding takes no part, so the loss does not depend on the padded length.
        """
        from keras import ops

        from bigbird.models import cross_entropy

        padding = (1.0 - ops.cast(batch["input_mask"], "float32")) * -1e9
        start = cross_entropy(outputs["start_logits"] + padding, batch["start_positions"])
        end = cross_entropy(outputs["end_logits"] + padding, batch["end_positions"])
        return (start + end) / 2.0

    # ---------------------------------------------------------------------------------------------- evaluation

    def collector(
        self, config: Task, manifest: DatasetManifest | None, folder: Path | None, split: str
    ) -> SpanCollector:
        from bigbird.tasks.squad.scoring import SpanCollector

        assert isinstance(config, SquadTask)  # noqa: S101 - this family's
        return SpanCollector(config, *dataset_folder(manifest, folder), split)

    # ------------------------------------------------------------------------------------------------- serving

    def serving_module(self, model: Any, manifest: ModelManifest, config: Task, vocabulary: Vocabulary) -> Any:
        from bigbird.tasks.squad.serving import Reader

        assert isinstance(config, SquadTask)  # noqa: S101 - this family's
        dataset = manifest.trained_on()
        return Reader(
            model,
            vocabulary,
            buckets=config.buckets,
            windows=windows_of(dataset),
            n_best_size=config.n_best_size,
            max_answer_length=config.max_answer_length,
            null_threshold=config.null_score_diff_threshold if dataset["version_2"] else None,
        )

    def requests(self, line: Line) -> Iterator[dict[str, str]]:
        yield from ({"question": asked["question"], "context": line["context"]} for asked in line["questions"])

    def score_answers(
        self,
        lines: Sequence[Line],
        ask: Callable[[Sequence[Line]], Outputs],
        manifest: DatasetManifest,
        metric_name: str,
    ) -> float:
        from bigbird.tasks.squad.scoring import score_answers

        asked = [{**question, "context": line["context"]} for line in lines for question in line["questions"]]
        return score_answers(asked, ask(asked), metric_name, version_2=manifest["version_2"])


FEATURES = (
    Feature("unique_ids", "int64"),
    *TOKENS,
    Feature("paragraph_mask", "int64", sequence=True),  # 1 on the window's tokens
    Feature("start_positions", "int64", when="labelled"),  # token of the record; 0, the [CLS], without an answer
    Feature("end_positions", "int64", when="labelled"),  # the answer's last token, inclusive
    Feature("is_impossible", "int64", when="labelled"),  # 1 where the window does not hold the answer
    Feature("example_id", "bytes", when="evaluation"),  # the question's id
    Feature("offset_starts", "int64", sequence=True, when="evaluation"),  # characters of the context; -1 outside it
    Feature("offset_ends", "int64", sequence=True, when="evaluation"),
    Feature("max_context", "int64", sequence=True, when="evaluation"),  # 1 where no other window shows more around it
)


def _count_question(windows: list[QuestionWindow], labelled: bool, statistics: Statistics) -> None:
    statistics.examples += 1
    statistics.truncated += windows[0].question_cut
    for window in windows:
        statistics.add_record(window.length)
    if labelled:
        answered = windows[0].answer is not None
        holding = sum(bool(window.answer) for window in windows)
        statistics.labels["answered" if answered else "unanswered"] += 1
        statistics.answer_windows += holding
        statistics.exact_answers += windows[0].exact
        statistics.lost_answers += answered and not holding


def _by_question(windows: Iterable[QuestionWindow]) -> Iterator[list[QuestionWindow]]:
    """Gathers the consecutive windows of one question."""
    group: list[QuestionWindow] = []
    for window in windows:
        if window.first and group:
            yield group
            group = []
        group.append(window)
    if group:
        yield group


FAMILY = SquadFamily()
