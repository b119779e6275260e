"""Answers as spans of long documents, as a task family."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bigbird.config import Task
from bigbird.manifests import DatasetManifest, ModelManifest
from bigbird.records import features
from bigbird.records.features import TOKENS, Feature
from bigbird.support.errors import InputError
from bigbird.tasks.evaluation import Outputs
from bigbird.tasks.preprocessing import LineRange, Preprocessing, batches
from bigbird.tasks.raw_input import FileNames, Item, Line, Source, Storage
from bigbird.tasks.records import BadRecords
from bigbird.tasks.squad.span_family import SpanFamily, dataset_folder, windows_of
from bigbird.tasks.statistics import Statistics
from bigbird.tasks.triviaqa.config import TriviaQATask
from bigbird.tasks.triviaqa.examples import METRICS, TRIVIAQA_TASKS, Document, encode_documents, file_names, parse

if TYPE_CHECKING:
    from bigbird.layers.types import Tensor
    from bigbird.tasks.triviaqa.scoring import DocumentCollector
    from bigbird.text.vocabulary import Vocabulary

BATCH = 32  # documents that are cut into pieces at once
TITLES = {"triviaqa_wikipedia": "TriviaQA, Wikipedia", "triviaqa_web": "TriviaQA, web"}


class TriviaQAFamily(SpanFamily):
    """TriviaQA, from Wikipedia and from the web."""

    name = "triviaqa"
    tasks = tuple(TRIVIAQA_TASKS)
    config = TriviaQATask
    defaults = {"max_length": 4096, "doc_stride": 3072, "query_length": 256}
    examples_per_file = 1024
    target = "answer_starts"

    # ------------------------------------------------------------------------------------------- configuration

    def metrics(self, task: str) -> tuple[str, ...]:
        return METRICS

    def recipe(self, task: str, *, published: bool) -> str:
        return "triviaqa" if published else "small_triviaqa"

    def title(self, task: str) -> str:
        return TITLES[task]

    # ----------------------------------------------------------------------------------------------- raw files

    def file_names(self, task: str) -> FileNames:
        domain = TRIVIAQA_TASKS[task].lower()
        expected = f"qa/{domain}-train.json, qa/{domain}-dev.json, and the documents in evidence/"
        return FileNames(file_names(task), f"{domain}-", ".json", expected)

    def splits(self, task: str) -> tuple[str, ...]:
        return ("train", "validation", "test")

    def inner_folder(self, task: str, names: Collection[str]) -> str | None:
        return "qa" if "qa" in names else None

    def further_folders(self, paths: Sequence[Path]) -> list[Path]:
        """The documents, in a folder `evidence` among the files or beside their folder."""
        folders = [path if path.is_dir() else path.parent for path in paths]
        documents = [place / "evidence" for folder in folders for place in (folder, folder.parent)]
        return [folder for folder in documents if folder.is_dir()]

    def read(self, task: str, source: Source, storage: Storage, bad: BadRecords) -> Iterator[Item]:
        data = storage.read_bytes(source.path, f"{source.split} file of {task}")
        root = _evidence_folder(source.path, storage)
        inside = None if storage.is_remote(root) else Path(root).resolve()

        def read(name: str) -> bytes | None:
            path = storage.join(root, *name.split("/"))
            if inside is not None and not _is_file_inside(path, inside):
                return None
            try:
                return storage.read_bytes(path, "document")
            except InputError:
                return None

        answers = source.split != "test"
        for document in parse(data, source.path, task, read, bad, answers=answers):
            yield Item(dict(document), 1, answers)

    def texts(self, line: Line) -> Iterable[str]:
        return (line["question"], line["context"])

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
        for documents in batches(lines, BATCH):
            answered = [False] * len(documents)
            for window in encode_documents(
                cast(list[Document], documents),
                vocabulary,
                options,
                first_question=number,
                labelled=place.labelled,
                evaluation=place.evaluation,
            ):
                statistics.add_record(window.length)
                statistics.truncated += window.first and window.question_cut
                statistics.answer_windows += window.answers > 0
                answered[window.document - number] |= window.answers > 0
                yield features.encode(window.features)
            statistics.examples += len(documents)
            if place.labelled:
                statistics.labels.update("answered" if found else "unanswered" for found in answered)
            number += len(documents)

    # ------------------------------------------------------------------------------------- records and training

    def record_features(self, config: Task) -> tuple[Feature, ...]:
        return FEATURES

    def build_model(self, config: Task, *, num_classes: int | None, dtype: str) -> Any:
        from bigbird.models import BigBirdSpanModel

        return BigBirdSpanModel(config.encoder, head="triviaqa", dtype=dtype)

    def loss(self, config: Task, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
        """Minus the log of the probability that falls on any right start, plus the same of the ends.

        Logits float32[B, L] and right places int32[B, L] of each -> float32[B].
        See arXiv:1710.10723, and the Model Garden's `SpanOrCrossEntropyLoss`.
        """
        from bigbird.models import or_cross_entropy

        return sum(or_cross_entropy(outputs[f"{end}_logits"], batch[f"answer_{end}s"]) for end in ("start", "end"))

    # ---------------------------------------------------------------------------------------------- evaluation

    def collector(
        self, config: Task, manifest: DatasetManifest | None, folder: Path | None, split: str
    ) -> DocumentCollector:
        from bigbird.tasks.triviaqa.scoring import DocumentCollector

        assert isinstance(config, TriviaQATask)  # noqa: S101 - this family's
        return DocumentCollector(config, *dataset_folder(manifest, folder), split)

    # ------------------------------------------------------------------------------------------------- serving

    def serving_module(self, model: Any, manifest: ModelManifest, config: Task, vocabulary: Vocabulary) -> Any:
        from bigbird.tasks.squad.serving import DocumentReader

        assert isinstance(config, TriviaQATask)  # noqa: S101 - this family's
        return DocumentReader(
            model,
            vocabulary,
            buckets=config.buckets,
            windows=windows_of(manifest.trained_on()),
            top_k=config.top_k,
            max_width=config.max_answer_width,
        )

    def score_answers(
        self,
        lines: Sequence[Line],
        ask: Callable[[Sequence[Line]], Outputs],
        manifest: DatasetManifest,
        metric_name: str,
    ) -> float:
        from bigbird.tasks.triviaqa.scoring import score_answers

        return score_answers(lines, ask(lines), metric_name)


FEATURES = (
    Feature("unique_ids", "int64"),
    *TOKENS,
    Feature("answer_starts", "int64", many=True, when="labelled"),  # tokens of the record, one for each place
    Feature("answer_ends", "int64", many=True, when="labelled"),  # the last tokens of the same places, inclusive
    Feature("example_id", "bytes", when="evaluation"),  # question--document
    Feature("offset_starts", "int64", sequence=True, when="evaluation"),  # characters of the document; -1 outside it
    Feature("offset_ends", "int64", sequence=True, when="evaluation"),
)


def _is_file_inside(path: str, folder: Path) -> bool:
    """Whether there is a file of this machine at a path.

    Raises:
        InputError: it lies outside of a folder, which is given without links.
    """
    try:
        if not Path(path).is_file():
            return False
        inside = Path(path).resolve().is_relative_to(folder)
    except (OSError, RuntimeError):  # a name that is too long, links in a circle
        return False
    if not inside:
        raise InputError("lies outside of the evidence folder, where a link leads; expected a document inside it")
    return True


def _evidence_folder(path: str, storage: Storage) -> str:
    """The documents: in `evidence` beside the folder that holds the questions, or in it."""
    folder = path.replace("\\", "/").rpartition("/")[0] or "."
    beside, inside = storage.join(folder, "..", "evidence"), storage.join(folder, "evidence")
    if storage.is_remote(path):
        beside = storage.join(folder.rpartition("/")[0], "evidence")
    return inside if storage.list_names(inside, folders=True) else beside


FAMILY = TriviaQAFamily()
