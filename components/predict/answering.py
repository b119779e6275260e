"""Answers shards of rows: batches of texts of like length, answers in the order of the rows."""

from __future__ import annotations

import atexit
import contextlib
import json
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from bigbird import storage
from bigbird.serving.model_facts import read_facts
from bigbird.serving.text_model import CHARACTERS_AT_ONCE, load_model
from bigbird.support.errors import InputError
from bigbird.tasks.registry import answering_family
from bigbird_components.output_files import open_range
from bigbird_components.predict.flattening import flattened
from bigbird_components.predict.model_files import local_model
from bigbird_components.predict.rows import RowRange
from bigbird_components.predict.whole_files import new_file, write_json

ROWS_AT_ONCE = 64

_AT_ONCE = 2  # batches that the model answers at once: one of short texts leaves a core idle while Python hands it over
_OVERLAPPING = CHARACTERS_AT_ONCE // 2
"""Characters that such batches may hold together. A call with longer texts keeps all cores busy, and takes the most memory."""
_AHEAD = _AT_ONCE + 1  # batches that wait for the model or are answered, while another one's answers are written

ID = "id"
"""What the rows' names are called beside the answers."""


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode  # made once: `dumps` makes one for each value


class JobFiles(NamedTuple):
    """The files of a job that answers a table.

    Attributes:
        model: the model's folder.
        digest: of the model.
        work: the folder of the job's own files.
    """

    model: str
    digest: str
    work: str

    @property
    def rows(self) -> str:
        """The file of rows."""
        return storage.join(self.work, "rows.jsonl")

    @property
    def rejected(self) -> str:
        """The file of bad rows."""
        return storage.join(self.work, "rejected.jsonl")

    @property
    def failed(self) -> str:
        """The file in which a worker of Beam says why it could not answer: `message`, and the exit `code` of its kind."""
        return storage.join(self.work, "failed.json")

    def part(self, shard: RowRange) -> str:
        """The file of a shard's answers."""
        return storage.join(self.work, f"part-{shard.number:05d}.jsonl")

    def outcome(self, shard: RowRange) -> str:
        """The file that says that the shard is answered: what was counted, and the checksum of its answers."""
        return storage.join(self.work, outcome_name(shard.number))


def outcome_name(number: int) -> str:
    """The name of a shard's outcome, by the shard's number."""
    return f"part-{number:05d}.json"


def answer_shards(files: JobFiles, shards: Sequence[RowRange], told: Callable[[int], None] = lambda _: None) -> None:
    """Answers shards' rows and writes two files for each, the outcome last.

    While the model answers batches, in threads, the calling thread reads rows and writes answers. Two batches are answered at once
    where their texts are short; others one after the other, so that they take no more memory.

    Args:
        files: of the job.
        shards: the rows.
        told: is given the number of rows of each batch that is answered.

    Raises:
        InputError: the model cannot be loaded, or gives numbers that are not finite.
        ServiceError: a bucket cannot be read or written.
    """
    asked = _asked(files.model, files.digest)
    pool = ThreadPoolExecutor(_AT_ONCE, "answer")
    running: deque[tuple[_ShardRows, list[int], Future[list[dict[str, Any]]]]] = deque()
    held = 0  # characters of those
    ended = time.monotonic()

    def oldest() -> tuple[_ShardRows, list[int], list[dict[str, Any]]]:
        nonlocal held
        rows, batch, answers = running.popleft()
        found = answers.result()
        held -= rows.characters(batch)
        return rows, batch, found

    def keep(rows: _ShardRows, batch: list[int], answers: list[dict[str, Any]]) -> None:
        nonlocal ended
        rows.add(batch, answers, asked)
        told(len(batch))
        if rows.complete:
            rows.write(files, ended)
            ended = time.monotonic()

    try:
        for shard in shards:
            rows = _ShardRows(files, shard)
            for batch in rows.batches():
                fields, answered = rows.fields(batch), []
                held += rows.characters(batch)
                while running and (len(running) > _AHEAD or held > _OVERLAPPING):
                    answered.append(oldest())
                running.append((rows, batch, pool.submit(asked.model.answer, fields)))
                for each in answered:  # while the model has work
                    keep(*each)
        while running:
            keep(*oldest())
    finally:
        pool.shutdown(cancel_futures=True)


class _ShardRows:
    """A shard's rows while they are answered."""

    def __init__(self, files: JobFiles, shard: RowRange):
        with open_range(files.rows, shard.start, shard.size) as lines:
            self._rows = json.loads(b"[%b]" % b",".join(lines))  # at once: a third of the time that line by line takes
        self._lengths = [sum(map(len, row["fields"].values())) for row in self._rows]
        self._shard = shard
        self._renamed: dict[str, str] | None = None
        self._labels: Counter[str] = Counter()
        self._cut: int | None = 0
        self._written: list[bytes] = [b""] * len(self._rows)
        self._missing = len(self._rows)

    def batches(self) -> Iterator[list[int]]:
        """The numbers of rows that are answered together."""
        return _batches(self._lengths)

    def characters(self, batch: Sequence[int]) -> int:
        """Of the texts of some rows."""
        return sum(self._lengths[i] for i in batch)

    def fields(self, batch: Sequence[int]) -> list[dict[str, str]]:
        """What the model is given of some rows."""
        return [self._rows[i]["fields"] for i in batch]

    def add(self, batch: Sequence[int], answers: Sequence[Mapping[str, Any]], asked: _Asked) -> None:
        """Takes the answers of some rows."""
        if self._renamed is None:
            self._renamed = names_beside(list(self._rows[batch[0]]["kept"]), answers[0])
        for i, answer in zip(batch, answers, strict=True):
            self._written[i] = _line(self._rows[i], self._renamed, answer)
        self._labels.update(chain.from_iterable(map(asked.family.labels_of, answers)))
        cut = asked.count_cut(self.fields(batch))
        self._cut = None if cut is None or self._cut is None else self._cut + cut
        self._missing -= len(batch)

    @property
    def complete(self) -> bool:
        """Whether all rows are answered."""
        return not self._missing

    def write(self, files: JobFiles, since: float) -> None:
        """Writes the two files.

        Args:
            files: of the job.
            since: when the shard before was written, by the monotonic clock.
        """
        with new_file(files.part(self._shard)) as file:
            file.write(b"".join(self._written))
        outcome = {
            "rows": len(self._rows),
            "cut": self._cut,
            "labels": dict(sorted(self._labels.items())),
            "renamed": {name: other for name, other in (self._renamed or {}).items() if name != other},
            "seconds": round(time.monotonic() - since, 3),
            **file.facts(),
        }
        write_json(files.outcome(self._shard), outcome)


def names_beside(kept: Sequence[str], answer: Mapping[str, Any]) -> dict[str, str]:
    """What kept columns are called beside an answer: by their names, or `input.NAME` where something else is called so.

    Args:
        kept: the columns.
        answer: of any row; all have the same names.

    Returns:
        Column -> name, in the order of the columns.
    """
    taken = {ID, *answer, *flattened(answer)}
    found: dict[str, str] = {}
    for name in kept:
        found[name] = name
        while found[name] in taken or (found[name] != name and found[name] in kept):
            found[name] = f"input.{found[name]}"
        taken.add(found[name])
    return found


def _line(row: Mapping[str, Any], renamed: Mapping[str, str], answer: Mapping[str, Any]) -> bytes:
    record = {ID: row["id"], **{renamed[name]: value for name, value in row["kept"].items()}, **answer}
    try:
        return f"{_encode(record)}\n".encode("utf-8", "backslashreplace")
    except ValueError:
        raise InputError(
            f"{row['place']}: the model's answer has numbers that are not finite; train or export the model again"
        ) from None


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Rows of like length together, the longest first: what memory they take is known at once."""
    batch: list[int] = []
    characters = 0
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if batch and (len(batch) == ROWS_AT_ONCE or characters + lengths[i] > CHARACTERS_AT_ONCE):
            yield batch
            batch, characters = [], 0
        batch.append(i)
        characters += lengths[i]
    if batch:
        yield batch


class _Asked:
    """A model, loaded, with what is known of how it reads.

    Args:
        folder: of this machine.
    """

    def __init__(self, folder: Path):
        from bigbird.text.vocabulary import Vocabulary

        facts = read_facts(folder)
        self.model = load_model(facts.folder)
        self.digest, self.dataset, self.family = facts.digest, facts.dataset, answering_family(facts.task)
        self._vocabulary = Vocabulary(facts.vocabulary, facts.lower_case) if facts.vocabulary else None

    def count_cut(self, examples: Sequence[Mapping[str, str]]) -> int | None:
        """How many examples the model does not read all of; None where its files do not say how it reads.

        Texts are cut into pieces once more for it, which takes as long as all else that is done here with a short one. So it is
        done only for those that may be too long: a text has no more pieces than bytes, and one. Where the longest texts of all
        are not, no example is looked at.

        Args:
            examples: of like length.
        """
        vocabulary, dataset = self._vocabulary, self.dataset
        if vocabulary is None or dataset is None:
            return None
        names = self.model.fields
        most = [{name: len(example[name].encode()) + 1 for name in names} for example in examples]
        if not self.family.is_cut({name: max(each[name] for each in most) for name in names}, dataset):
            return 0
        long = [example for example, each in zip(examples, most, strict=True) if self.family.is_cut(each, dataset)]
        counts = {
            name: [len(pieces) for pieces in vocabulary.encode([example[name] for example in long])] for name in names
        }
        rows = zip(*counts.values(), strict=True)
        return sum(self.family.is_cut(dict(zip(names, row, strict=True)), dataset) for row in rows)


_loading = threading.Lock()


def _asked(model: str, digest: str) -> _Asked:
    """The model, loaded once in a process, by whichever of Beam's threads comes first: the cache alone would let each load it."""
    with _loading:
        return _load(model, digest)


@lru_cache(maxsize=1)
def _load(model: str, digest: str) -> _Asked:
    """The model; a copy of a bucket's folder stays as long as the process does."""
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    asked = _Asked(stack.enter_context(local_model(model)))
    if asked.digest != digest:
        raise InputError(
            f"{model}: is no longer the model that this job began with; give that model again, or begin anew with --overwrite"
        )
    return asked
