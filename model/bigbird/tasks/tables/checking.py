"""Files of a user's own table as `bigbird check` reads them: what is the same whatever their records hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bigbird.tasks.raw_input import Storage
from bigbird.tasks.records import BadRecords, has_text
from bigbird.tasks.table_rows import NO_SPLIT, SPLITS, TableRows
from bigbird.tasks.tables import splits as cutting
from bigbird.tasks.tables.files import Table, find_splits, table_storage
from bigbird.tasks.tables.problems import quoted_name
from bigbird.tasks.tables.reading import plain_column_names
from bigbird.tasks.tables.section import ENDINGS, TableFiles
from bigbird.tasks.tables.values import BadValueError, as_text


class _Unreadable(BadRecords):
    """Hands bad records on, however many there are."""

    def __init__(self, table: Table, told: Callable[[str, str], None]):
        super().__init__()
        self._table, self._told = table, told

    def add(self, file: str, where: str, problem: str, record: str, *, known: bool = False) -> None:
        self._told(f"{quoted_name(self._table.path)}:{where}", problem)


class FileRows(TableRows):
    """The records of files that a data section names.

    Args:
        section: the configuration.
        storage: where the files are.
        columns: what is read for training -> the columns' names.

    Attributes:
        found: the files of each split.
        tables: (split, file), in the order of reading.
        storage: where they are.

    Raises:
        InputError: a path names nothing that can be read.
    """

    def __init__(self, section: TableFiles, storage: Storage, columns: Mapping[str, Sequence[str]]):
        self.storage = table_storage(storage)
        self.found = find_splits(section, self.storage)
        self.named = tuple(self.found)
        self.tables = [(split, table) for split, tables in self.found.items() for table in tables.tables]
        self.files = [(split, table.path) for split, table in self.tables]
        names = [table.path.rpartition("/")[2] for _, table in self.tables]
        unique = len(set(names)) == len(names)  # a name says which file, without its folder
        self._told = [
            Table(name, table.format) if unique else table for name, (_, table) in zip(names, self.tables, strict=True)
        ]
        self.columns = columns
        own = {name for names in columns.values() for name in names}
        every = [
            plain_column_names(table, section, self.storage) for _, table in self.tables if table.format in ENDINGS
        ]
        self.other_columns = list(dict.fromkeys(name for names in every for name in names if name not in own))

    def place(self, file: int, line: int) -> str:
        return self._told[file].place(line)

    def unreadable(self, file: int, told: Callable[[str, str], None]) -> BadRecords:
        """Takes the records of a file that cannot be read, and gives their place and problem on."""
        return _Unreadable(self._told[file], told)


def text_of(values: Sequence[Any], names: Sequence[str], faults: list[str]) -> str:
    """The text in some columns, with a blank line between two; what is wrong with it is added to `faults`."""
    try:
        found = [as_text(value, name) for value, name in zip(values, names, strict=True)]
    except BadValueError:
        faults.append("bad_value")
        return ""
    whole = found[0] if len(found) == 1 else "\n\n".join(filter(has_text, found)) or "".join(found)
    if "\0" in whole:
        faults.append("nul_character")
    elif not has_text(whole):
        faults.append("blank_text" if whole else "empty_text")
    return whole


def name_of(value: Any, column: str, fault: str, faults: list[str]) -> str | None:
    """An id or a group; without one `fault` is added to `faults`."""
    try:
        found = as_text(value, column)
    except BadValueError:
        found = ""
    if not found:
        faults.append(fault)
    return found or None


def splits_as_cut(
    section: TableFiles,
    named: Sequence[str],
    splits: np.ndarray,
    usable: np.ndarray,
    units: np.ndarray,
    label_codes: Callable[[int], tuple[np.ndarray, np.ndarray]],
) -> np.ndarray:
    """The split of each record, as training would cut the training files.

    Args:
        section: fractions and seed.
        named: the splits whose files the user named.
        splits: whose files each record is in: a place in `SPLITS`. uint8 [records].
        usable: whether training could use it. bool [records].
        units: of each usable record the hash of what stays together, uint64.
        label_codes: gives for a number of training records (code, record) of each of their labels, int64.

    Returns:
        A place in `SPLITS`, or `NO_SPLIT` of a record that cannot be used. uint8 [records].
    """
    found = np.where(usable, splits, NO_SPLIT).astype(np.uint8)
    fractions = [0.0 if split in named else float(getattr(section, f"{split}_fraction")) for split in SPLITS[1:]]
    training = np.flatnonzero(found == cutting.TRAIN)
    if len(training) > 1 and any(fractions):
        codes, rows = label_codes(len(training))
        of_training = units[splits[usable] == cutting.TRAIN]
        found[training] = cutting.cut(of_training, codes, rows, (fractions[0], fractions[1]), section.seed)
    return found
