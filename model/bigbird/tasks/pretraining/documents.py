"""A user's own tables as documents to pre-train on: the text column of any of them, no label needed."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from typing import BinaryIO

import numpy as np
from pydantic import Field, field_validator

from bigbird.support.errors import InputError
from bigbird.support.text_files import shown
from bigbird.tasks.pretraining.examples import METRICS
from bigbird.tasks.raw_input import Inputs, Reading, Storage
from bigbird.tasks.records import BadRecords
from bigbird.tasks.tables import splits as cutting
from bigbird.tasks.tables.columns import Columns
from bigbird.tasks.tables.files import Table, TableStorage, described, find_splits, table_storage
from bigbird.tasks.tables.problems import Mistakes, quoted_name
from bigbird.tasks.tables.reading import read_records
from bigbird.tasks.tables.section import SPLITS, Names, TableFiles, section_of
from bigbird.tasks.tables.values import BadValueError, joined_text

_TOLD_AFTER = 10_000  # records


class DocumentTable(TableFiles):
    """A table of documents without labels."""

    text: Names = Field(["text"], description="columns of the text; several become one, joined by a blank line")

    @field_validator("text")
    @classmethod
    def _check_text(cls, names: list[str]) -> list[str]:
        if not names:
            raise ValueError("names no column; expected one or more")
        repeated = next((name for number, name in enumerate(names) if name in names[:number]), None)
        if repeated is not None:
            raise ValueError(f"the column {shown(repeated)} is named twice; expected different columns")
        return names


class _Documents:
    """The documents of tables, their texts in a scratch file, and the split of each."""

    def __init__(
        self,
        section: DocumentTable,
        storage: TableStorage,
        scratch: BinaryIO,
        bad: BadRecords,
        told: Callable[[str], None],
        progress: Callable[[str, int], None],
    ):
        self._section, self._storage, self._scratch = section, storage, scratch
        files = find_splits(section, storage)
        for line in described(files, section):
            told(line)
        mistakes = Mistakes(bad.limit - bad.counted)
        assigned = []
        for split, found in files.items():
            hashes = self._read(split, found.tables, mistakes, progress)
            if not len(hashes) and mistakes.counted <= mistakes.limit:
                raise InputError(
                    f"{quoted_name(found.tables[0].path)}: holds no document of the {split} split; expected one or more with text in "
                    f"{' or '.join(section.text)}"
                )
            assigned.append(self._cut(split, hashes, set(files)))
        self._assigned = np.concatenate(assigned)
        mistakes.check(good=len(self._assigned))
        for record in mistakes.rejected:
            bad.add(record["file"], record["where"], record["problem"], record["record"])
        counts = np.bincount(self._assigned, minlength=len(SPLITS))
        for split in SPLITS[1:]:
            fraction = 0.0 if split in files else getattr(section, f"{split}_fraction")
            if fraction and not counts[SPLITS.index(split)]:
                raise InputError(
                    f"{quoted_name(files['train'].tables[0].path)}: has too few documents ({len(self._assigned):,}) to cut {split} from, as "
                    f"equal texts stay together; expected more. Name the {split} split's files (--{split}-file), or set {split}_fraction "
                    f"(--{split}-fraction) to 0"
                )
        self.splits = [split for split, count in zip(SPLITS, counts, strict=True) if count]

    def _read(
        self, split: str, tables: Sequence[Table], mistakes: Mistakes, progress: Callable[[str, int], None]
    ) -> np.ndarray:
        """Writes a split's documents; gives a hash of each, uint64 [documents]."""
        columns = Columns(dict.fromkeys(self._section.text, "text"))
        hashes = array("Q")
        for table in tables:
            for line, values in read_records(table, self._section, columns, mistakes, self._storage):
                try:
                    text = joined_text(values, self._section.text)
                except BadValueError as problem:
                    record = json.dumps(dict(zip(columns.keys, values, strict=True)), default=str)
                    mistakes.add(quoted_name(table.path), table.where(line), str(problem), record)
                    continue
                self._scratch.write(json.dumps({"text": text}, ensure_ascii=False).encode() + b"\n")
                hashes.append(int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little"))
                if not len(hashes) % _TOLD_AFTER:
                    progress(split, len(hashes))
        return np.frombuffer(hashes, np.uint64)

    def _cut(self, split: str, hashes: np.ndarray, named: set[str]) -> np.ndarray:
        """Which split each document of a split's files is in, uint8 [documents]; equal texts stay together."""
        if split != "train":
            return np.full(len(hashes), SPLITS.index(split), np.uint8)
        section = self._section
        validation = 0.0 if "validation" in named else section.validation_fraction
        test = 0.0 if "test" in named else section.test_fraction
        none = np.zeros(0, np.int64)
        return cutting.cut(hashes, none, none, (validation, test), section.seed)

    def lines(self) -> Iterator[tuple[str, bytes, bool]]:
        """(split, JSON line, True) of each document."""
        self._scratch.seek(0)
        for split, line in zip(self._assigned.tobytes(), self._scratch, strict=True):
            yield SPLITS[split], line, True


def read_documents(
    inputs: Inputs,
    storage: Storage,
    scratch: BinaryIO,
    bad: BadRecords,
    told: Callable[[str], None],
    progress: Callable[[str, int], None],
) -> Reading:
    """As `TaskFamily.read_table`."""
    section = section_of(inputs, DocumentTable)
    found = _Documents(section, table_storage(storage), scratch, bad, told, progress)
    return Reading(found.splits, frozenset(found.splits), None, METRICS, {}, [], found.lines)
