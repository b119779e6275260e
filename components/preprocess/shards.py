"""Every shard of every split becomes one TFRecord file, independently of all others.

The main process has read and checked the raw files and written their examples as JSON lines. A shard is a run of
those lines, fixed by their number alone; so the files are the same however many workers there are, and a shard that a
runner tries twice writes the same bytes.
"""

from __future__ import annotations

import contextlib
import json
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from bigbird.records import features
from bigbird.support.commands import explained
from bigbird.support.errors import InputError
from bigbird.support.integrity import Facts, HashingFile
from bigbird.tasks.preprocessing import LineRange, Preprocessing
from bigbird.tasks.registry import family_of_task
from bigbird.tasks.statistics import Statistics
from bigbird.text.vocabulary import Vocabulary
from bigbird_components.preprocess import storage
from bigbird_components.preprocess.worker_pool import WorkerError

PARSED_BYTES = 1 << 17  # of JSON lines that are parsed at once


class Shard(NamedTuple):
    """One output file and the lines it is made of.

    Attributes:
        split: its split.
        lines: the file of JSON lines.
        start: its first byte there.
        size: its bytes.
        examples: in it.
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
        task: its name.
        vocabulary: path of its file.
        lower_case: as in `Vocabulary`.
        settings: the task family's; lengths in tokens.
        labels: names of the classes in the order of their ids, where the input said them.
        labelled: the splits with labels.
        evaluation: the splits that are not trained on.
    """

    task: str
    vocabulary: str
    lower_case: bool
    settings: Mapping[str, Any]
    labelled: frozenset[str]
    evaluation: frozenset[str]
    labels: tuple[str, ...] | None = None


class ShardEncoder:
    """Reads a shard's lines, encodes them, writes its TFRecord file and its statistics."""

    def __init__(self, encoding: Encoding):
        self.encoding = encoding
        self._vocabulary: Vocabulary | None = None

    def encode(self, shard: Shard) -> str:
        """Writes one shard; gives its path.

        What goes wrong is written to the `done` file, which the main process reads (see `read_outcome`). Raised, it would
        arrive wrapped in the runner's own errors. Where the output is remote, all but the user's mistakes are raised: that
        runner tries again.
        """
        statistics = Statistics()
        outcome: dict[str, Any]
        try:
            with (
                storage.open_range(shard.lines, shard.start, shard.size) as lines,
                storage.create(shard.output) as file,
            ):
                out = HashingFile(file)
                for record in self._records(shard, lines, statistics):
                    out.write(features.frame(record))
            outcome = {"statistics": statistics.to_json(), "facts": out.facts()}
        except Exception as error:
            told = explained(error)
            if storage.is_remote(shard.output) and not isinstance(error, InputError):
                raise
            outcome = {"error": told[0]} if told else {"traceback": traceback.format_exc()}
            with contextlib.suppress(OSError):  # where the disk is full, this makes room for the reason
                storage.delete([shard.output])
        try:
            storage.write_text(shard.done, json.dumps(outcome))
        except OSError:
            if storage.is_remote(shard.done):
                raise
        return shard.output

    def vocabulary(self) -> Vocabulary:
        """The vocabulary, which is loaded once per worker."""
        if self._vocabulary is None:
            with storage.open_raw(self.encoding.vocabulary) as file:
                self._vocabulary = Vocabulary(file.read(), self.encoding.lower_case)
        return self._vocabulary

    def _records(self, shard: Shard, lines: Iterable[bytes], statistics: Statistics) -> Iterator[bytes]:
        encoding, split = self.encoding, shard.split
        place = LineRange(split, shard.first, shard.start, split in encoding.labelled, split in encoding.evaluation)
        preprocessing = Preprocessing(
            encoding.task, encoding.settings["max_length"], encoding.settings, encoding.labels
        )
        return family_of_task(encoding.task).encode(_parsed(lines), place, preprocessing, self.vocabulary(), statistics)


def _parsed(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The objects of JSON lines. Parsed together, short ones take a third of the time."""
    held, size = [], 0
    for line in lines:
        held.append(line)
        size += len(line)
        if size >= PARSED_BYTES:
            yield from json.loads(b"[%b]" % b",".join(held))
            held, size = [], 0
    yield from json.loads(b"[%b]" % b",".join(held))


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
