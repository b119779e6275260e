"""The Beam part: every shard of every split becomes one TFRecord file, independently of all others.

The main process has read and checked the raw files and written their examples as JSON lines. A shard is a run of
those lines, fixed by their number alone; so the files are the same however many workers there are, and a shard that a
runner tries twice writes the same bytes.
"""

from __future__ import annotations

import contextlib
import json
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import apache_beam as beam

from bigbird import features
from bigbird.console import explained
from bigbird.errors import InputError
from bigbird.integrity import Facts, HashingFile
from bigbird.tasks import families, glue, pretraining, squad, triviaqa
from bigbird.vocabulary import Vocabulary
from components.preprocess import storage
from components.preprocess.processes import WorkerError
from components.preprocess.statistics import Statistics

# Lines per call of SentencePiece: enough to amortise the call, few enough to keep little in memory.
_GLUE_BATCH = 2048
_SQUAD_BATCH = 64
_DOCUMENT_BATCH = 64
_EVIDENCE_BATCH = 32


class Shard(NamedTuple):
    """One output file and the lines it is made of.

    Attributes:
        split: its split.
        lines: the file of JSON lines.
        start: its first byte there.
        size: its bytes.
        examples: GLUE rows or SQuAD questions in it.
        first: number of its first example in the split.
        output: the TFRecord file to write.
        done: the file to write last, holding the shard's statistics and the output's facts.
    """

    split: str
    lines: str
    start: int
    size: int
    examples: int
    first: int
    output: str
    done: str


@dataclass(frozen=True)
class Encoding:
    """How examples become records; what a worker must know besides its shard.

    Attributes:
        task: a name of `families.TASKS`.
        vocabulary: path of the `.model` file.
        lower_case: as in `Vocabulary`.
        max_length, doc_stride, query_length: tokens.
        labelled: the splits with labels.
        evaluation: the splits that are not trained on.
    """

    task: str
    vocabulary: str
    lower_case: bool
    max_length: int
    doc_stride: int
    query_length: int
    labelled: frozenset[str]
    evaluation: frozenset[str]


def encode_shards(shards: beam.PCollection[Shard], encoding: Encoding) -> beam.PCollection[str]:
    """Writes every shard's file; gives the paths written."""
    return shards | "Spread" >> beam.Reshuffle() | "Encode" >> beam.ParDo(EncodeShard(encoding))


class EncodeShard(beam.DoFn):
    """Reads a shard's lines, encodes them, writes its TFRecord file and its statistics."""

    def __init__(self, encoding: Encoding):
        self.encoding = encoding
        self._vocabulary: Vocabulary | None = None

    def process(self, element: Shard) -> Iterator[str]:
        """Writes one shard; yields its path.

        What goes wrong is written to the `done` file, which the main process reads (see `read_outcome`). Raised, it would
        arrive wrapped in the runner's own errors. Where the output is remote, all but the user's mistakes are raised: that
        runner tries again.
        """
        statistics = Statistics()
        outcome: dict[str, Any]
        try:
            with (
                storage.open_range(element.lines, element.start, element.size) as lines,
                storage.create(element.output) as file,
            ):
                out = HashingFile(file)
                for record in self._records(element, lines, statistics):
                    out.write(features.frame(record))
            outcome = {"statistics": statistics.to_json(), "facts": out.facts()}
        except Exception as error:
            told = explained(error)
            if storage.is_remote(element.output) and not isinstance(error, InputError):
                raise
            outcome = {"error": told[0]} if told else {"traceback": traceback.format_exc()}
            with contextlib.suppress(OSError):  # where the disk is full, this makes room for the reason
                storage.delete([element.output])
        try:
            storage.write_text(element.done, json.dumps(outcome))
        except OSError:
            if storage.is_remote(element.done):
                raise
        yield element.output

    def vocabulary(self) -> Vocabulary:
        """The vocabulary, which is loaded once per worker."""
        if self._vocabulary is None:
            model = storage.read_bytes(self.encoding.vocabulary, "vocabulary")
            self._vocabulary = Vocabulary(model, self.encoding.lower_case)
        return self._vocabulary

    def _records(self, shard: Shard, lines: Iterable[bytes], statistics: Statistics) -> Iterator[bytes]:
        vocabulary = self.vocabulary()
        kind = families.family(self.encoding.task)
        if kind == "glue":
            return glue_records(lines, self.encoding, vocabulary, statistics)
        if kind == "triviaqa":
            return triviaqa_records(lines, shard, self.encoding, vocabulary, statistics)
        if kind == "pretraining":
            return pretraining_records(lines, shard, self.encoding, vocabulary, statistics)
        return squad_records(lines, shard, self.encoding, vocabulary, statistics)


def read_outcome(shard: Shard) -> tuple[Statistics, Facts]:
    """What a shard's worker left: the shard's statistics, and its file's facts.

    Raises:
        InputError: what the worker found wrong; or it could not even write that down.
        WorkerError: a bug of ours.
    """
    try:
        outcome = json.loads(
            storage.read_bytes(shard.done, "shard's statistics") if storage.exists(shard.done) else b""
        )
    except ValueError:  # not there, or cut short
        raise InputError(
            f"{shard.done}: could not be written; most likely there is no space left on the device: free some, or write "
            "elsewhere, and start again"
        ) from None
    if "error" in outcome:
        raise InputError(outcome["error"])
    if "traceback" in outcome:
        raise WorkerError(f"{shard.output}: its worker failed\n{outcome['traceback']}")
    return Statistics.from_json(outcome["statistics"]), outcome["facts"]


def glue_records(
    lines: Iterable[bytes], encoding: Encoding, vocabulary: Vocabulary, statistics: Statistics
) -> Iterator[bytes]:
    """Records of GLUE examples given as JSON lines; counts them in `statistics`."""
    spec = glue.TASKS[encoding.task]
    for batch in _batches(lines, _GLUE_BATCH):
        examples = [glue.GlueExample(**line) for line in batch]
        statistics.examples += len(examples)
        if spec.labels is not None:
            statistics.labels.update(str(example.label) for example in examples if example.label is not None)
        for record, length, cut in glue.encode_examples(examples, spec, vocabulary, encoding.max_length):
            statistics.add_record(length)
            statistics.truncated += cut
            yield record


def triviaqa_records(
    lines: Iterable[bytes], shard: Shard, encoding: Encoding, vocabulary: Vocabulary, statistics: Statistics
) -> Iterator[bytes]:
    """Records of TriviaQA's documents given as JSON lines; counts them in `statistics`."""
    options = squad.WindowOptions(encoding.max_length, encoding.doc_stride, encoding.query_length)
    labelled, evaluation = shard.split in encoding.labelled, shard.split in encoding.evaluation
    number = shard.first
    for documents in _batches(lines, _EVIDENCE_BATCH):
        answered = [False] * len(documents)
        for window in triviaqa.encode_documents(
            documents, vocabulary, options, first_question=number, labelled=labelled, evaluation=evaluation
        ):
            statistics.add_record(window.length)
            statistics.truncated += window.first and window.question_cut
            statistics.answer_windows += window.answers > 0
            answered[window.document - number] |= window.answers > 0
            yield features.encode(window.features)
        statistics.examples += len(documents)
        if labelled:
            statistics.labels.update("answered" if found else "unanswered" for found in answered)
        number += len(documents)


def pretraining_records(
    lines: Iterable[bytes], shard: Shard, encoding: Encoding, vocabulary: Vocabulary, statistics: Statistics
) -> Iterator[bytes]:
    """Records packed with a shard's documents, given as JSON lines; counts them in `statistics`."""

    def documents() -> Iterator[list[str]]:
        for batch in _batches(lines, _DOCUMENT_BATCH):
            statistics.examples += len(batch)
            yield [line["text"] for line in batch]

    # Records are numbered from the shard's first byte: there are fewer of them than bytes, so all numbers differ.
    encoded = pretraining.encode_documents(documents(), vocabulary, encoding.max_length, first_record=shard.start)
    for record, length in encoded:
        statistics.add_record(length)
        yield record


def squad_records(
    lines: Iterable[bytes], shard: Shard, encoding: Encoding, vocabulary: Vocabulary, statistics: Statistics
) -> Iterator[bytes]:
    """Records of SQuAD paragraphs given as JSON lines; counts them in `statistics`."""
    options = squad.WindowOptions(encoding.max_length, encoding.doc_stride, encoding.query_length)
    labelled, evaluation = shard.split in encoding.labelled, shard.split in encoding.evaluation
    number = shard.first
    for paragraphs in _batches(lines, _SQUAD_BATCH):
        windows = squad.encode_paragraphs(
            paragraphs, vocabulary, options, first_question=number, labelled=labelled, evaluation=evaluation
        )
        for question in _by_question(windows):
            _count_question(question, labelled, statistics)
            for window in question:
                yield features.encode(window.features)
        number += sum(len(paragraph["questions"]) for paragraph in paragraphs)


def _count_question(windows: list[squad.Window], labelled: bool, statistics: Statistics) -> None:
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


def _by_question(windows: Iterable[squad.Window]) -> Iterator[list[squad.Window]]:
    """Gathers the consecutive windows of one question."""
    group: list[squad.Window] = []
    for window in windows:
        if window.first and group:
            yield group
            group = []
        group.append(window)
    if group:
        yield group


def _batches(lines: Iterable[bytes], size: int) -> Iterator[list[Any]]:
    """Parsed lines, `size` at a time."""
    batch = []
    for line in lines:
        batch.append(json.loads(line))
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
