"""Answers a shard of rows: batches of texts of like length, answers in the order of the rows."""

from __future__ import annotations

import atexit
import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from bigbird import storage
from bigbird.serving.model_facts import read_facts
from bigbird.serving.text_model import load_model
from bigbird.support.errors import InputError
from bigbird.tasks.registry import answering_family
from bigbird_components.output_files import open_range
from bigbird_components.predict.flattening import flattened
from bigbird_components.predict.model_files import local_model
from bigbird_components.predict.rows import Shard
from bigbird_components.predict.whole_files import new_file, write_json

ROWS_AT_ONCE = 64
CHARACTERS_AT_ONCE = 1 << 18
"""Of a batch, of all its texts: long documents are answered a few at a time."""

ID = "id"
"""What the rows' names are called beside the answers."""


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode  # made once: `dumps` makes one for each value


class Place(NamedTuple):
    """Where a job's files are.

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

    def part(self, shard: Shard) -> str:
        """The file of a shard's answers."""
        return storage.join(self.work, f"part-{shard.number:05d}.jsonl")

    def outcome(self, shard: Shard) -> str:
        """The file that says that the shard is answered: what was counted, and the checksum of its answers."""
        return storage.join(self.work, outcome_name(shard.number))


def outcome_name(number: int) -> str:
    """The name of a shard's outcome, by the shard's number."""
    return f"part-{number:05d}.json"


def answer_shard(place: Place, shard: Shard, told: Callable[[int], None] = lambda _: None) -> None:
    """Answers a shard's rows and writes its two files, the outcome last.

    Args:
        place: of the job.
        shard: the rows.
        told: is given the number of rows of each batch that is answered.

    Raises:
        InputError: the model cannot be loaded, or gives numbers that are not finite.
        ServiceError: a bucket cannot be read or written.
    """
    asked = _asked(place.model, place.digest)
    with open_range(place.rows, shard.start, shard.size) as lines:
        rows = [json.loads(line) for line in lines]
    started = time.monotonic()
    renamed: dict[str, str] = {}
    labels: Counter[str] = Counter()
    written: list[bytes] = [b""] * len(rows)
    for batch in _batches([sum(map(len, row["fields"].values())) for row in rows]):
        answers = asked.model.answer([rows[i]["fields"] for i in batch])
        for i, answer in zip(batch, answers, strict=True):
            if i == batch[0] and not renamed:
                renamed = names_beside(list(rows[i]["kept"]), answer)
            labels.update(asked.family.labels_of(answer))
            written[i] = _line(rows[i], renamed, answer)
        told(len(batch))
    with new_file(place.part(shard)) as file:
        file.write(b"".join(written))
    outcome = {
        "rows": len(rows),
        "cut": asked.count_cut([row["fields"] for row in rows]),
        "labels": dict(sorted(labels.items())),
        "renamed": {name: other for name, other in renamed.items() if name != other},
        "seconds": round(time.monotonic() - started, 3),
        **file.facts(),
    }
    write_json(place.outcome(shard), outcome)


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
        done for those alone that may be too long: a text has no more pieces than bytes, and one.
        """
        vocabulary, dataset = self._vocabulary, self.dataset
        if vocabulary is None or dataset is None:
            return None
        long = []
        for example in examples:
            most = {name: len(text.encode()) + 1 for name, text in example.items()}
            if self.family.is_cut(most, dataset):
                long.append(example)
        counts = {
            name: [len(pieces) for pieces in vocabulary.encode([example[name] for example in long])]
            for name in self.model.fields
        }
        rows = zip(*counts.values(), strict=True)
        return sum(self.family.is_cut(dict(zip(counts, row, strict=True)), dataset) for row in rows)


@lru_cache(maxsize=1)
def _asked(model: str, digest: str) -> _Asked:
    """The model, loaded once in a process; a copy of a bucket's folder stays as long as the process does."""
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    asked = _Asked(stack.enter_context(local_model(model)))
    if asked.digest != digest:
        raise InputError(
            f"{model}: is not the model any more that this job began with; give the old one, or begin anew with --overwrite"
        )
    return asked
