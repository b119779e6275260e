"""A table's records for `bigbird check`: read leniently, with the labels and splits that training would give them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from bigbird.support.errors import InputError
from bigbird.tasks.classification.data_section import TableData
from bigbird.tasks.classification.dataset import label_order, text_hash, value_hash
from bigbird.tasks.classification.labels import BadLabelError, LabelColumn
from bigbird.tasks.raw_input import Inputs, Storage
from bigbird.tasks.records import has_text
from bigbird.tasks.table_rows import NO_SPLIT, SPLITS, Outcome, TableRow, TableRows
from bigbird.tasks.tables import splits as cutting
from bigbird.tasks.tables.checking import FileRows, name_of, splits_as_cut, text_of
from bigbird.tasks.tables.columns import Columns
from bigbird.tasks.tables.files import Table
from bigbird.tasks.tables.reading import read_records
from bigbird.tasks.tables.section import section_of


def rows_to_check(inputs: Inputs, storage: Storage) -> TableRows:
    """As `TaskFamily.rows_to_check`."""
    return _Rows(section_of(inputs, TableData), storage)


class _Rows(FileRows):
    def __init__(self, section: TableData, storage: Storage):
        columns = {
            "text": section.text,
            **{key: [name] for key in ("text_b", "label", "id", "group") if (name := getattr(section, key))},
        }
        super().__init__(section, storage, columns)
        self._section = section
        self._column: LabelColumn | None = LabelColumn(section, self.found)
        self._refusal = ""
        self._usable = bytearray()
        self._splits = bytearray()
        self._hashes = bytearray()
        self._groups = bytearray()
        self._test_has: set[bool] = set()  # whether test records have labels

    def read(self, unreadable: Callable[[str, str], None]) -> Iterator[TableRow]:
        section = self._section
        keys = [(name, key) for key, names in self.columns.items() for name in names]
        named: dict[str, str] = {}
        for name, key in keys:
            named.setdefault(name, key)
        for name in self.other_columns:
            named.setdefault(name, "")
        label = {section.label}
        for number, (split, table) in enumerate(self.tables):
            bad = self.unreadable(number, unreadable)
            optional = frozenset(self.other_columns) | (label if split == "test" else set())
            columns = Columns(named, optional=optional, lists=frozenset(label), objects=frozenset(self.other_columns))
            place = {name: at for at, name in enumerate(named)}
            others = slice(len(named) - len(self.other_columns), None)
            for line, values in read_records(table, section, columns, bad, self.storage):
                yield self._row(number, split, table, line, values, place, values[others] if self.other_columns else ())

    def _row(
        self,
        number: int,
        split: str,
        table: Table,
        line: int,
        values: Sequence[Any],
        place: dict[str, int],
        others: Sequence[object],
    ) -> TableRow:
        section = self._section
        faults: list[str] = []

        def text(names: Sequence[str]) -> str:
            return text_of([values[place[name]] for name in names], names, faults)

        def name(column: str | None, fault: str) -> str | None:
            return None if column is None else name_of(values[place[column]], column, fault, faults)

        first = text(section.text)
        second = text([section.text_b]) if section.text_b else None
        identity, group = name(section.id, "missing_id"), name(section.group, "missing_group")
        raw = values[place[section.label]]
        # Training drops a faulty record before its label could say of which kind the labels are.
        parsed = None if faults else self._parsed(raw, split, table, line, faults)
        labels = () if faults else _label_names(raw, section)
        self._splits.append(SPLITS.index(split))
        self._usable.append(not faults)
        if not faults:
            self._hashes += text_hash(first, second)
            if group is not None:
                self._groups += value_hash(group)
            self._keep(split, parsed, table, line)
        return TableRow(number, line, first, second, labels, identity, group, tuple(dict.fromkeys(faults)), others)

    def _parsed(self, raw: Any, split: str, table: Table, line: int, faults: list[str]) -> Any:
        """The label as training reads it; notes in `faults` where it cannot."""
        if self._column is None:
            return None
        try:
            return self._column.parse(raw, table, line, may_lack=split == "test")
        except BadLabelError:
            lacks = raw is None or (isinstance(raw, str) and not has_text(raw))
            faults.append("missing_label" if lacks else "bad_label")
        except InputError as error:
            self._refuse(error)
        return None

    def _keep(self, split: str, parsed: Any, table: Table, line: int) -> None:
        if self._column is None:
            return
        if split == "test":
            self._test_has.add(parsed is not None)
        try:
            self._column.add(split, parsed, table, line)
        except InputError as error:
            self._refuse(error)

    def _refuse(self, error: InputError) -> None:
        """Training ends here; what does not depend on labels is looked at all the same."""
        self._refusal, self._column = str(error), None

    # ------------------------------------------------------------------------------------------ after reading

    def outcome(self) -> Outcome:
        kind = told = ""
        if self._column is not None:
            try:
                told = self._column.resolve()
                kind = self._column.kind
            except InputError as error:
                self._refuse(error)
        if not self._refusal and len(self._test_has) > 1:
            self._refusal = (
                "some test records have a label and others have none; expected a label in all of them or in none"
            )
        splits = splits_as_cut(
            self._section,
            self.named,
            np.frombuffer(self._splits, np.uint8),
            np.frombuffer(self._usable, bool),
            np.frombuffer(self._groups or self._hashes, "<u8"),
            partial(self._codes, kind),
        )
        if self._section.drop_duplicates:  # training leaves them out
            texts, used = np.frombuffer(self._hashes, "<u8"), np.flatnonzero(splits != NO_SPLIT)
            training = splits[used] == cutting.TRAIN
            splits[used[training & np.isin(texts, texts[~training])]] = NO_SPLIT
        return Outcome(kind, splits, self._refusal, told)

    def _codes(self, kind: str, records: int) -> tuple[np.ndarray, np.ndarray]:
        """(code, record) of each label of the training files' records."""
        if self._column is None or not kind:
            return np.zeros(records, np.int64), np.arange(records)
        kept = self._column.splits["train"]
        if kind == "number":
            return cutting.quantile_bins(np.frombuffer(kept.numbers)), np.arange(records)
        names = self._column.names()
        place = np.empty(len(names), np.int64)
        place[label_order(names)] = np.arange(len(names))
        codes = np.frombuffer(kept.codes, np.int32)
        ends = np.frombuffer(kept.ends, np.int64) if kind == "multi" else np.arange(1, records + 1)
        return place[codes], np.repeat(np.arange(records), np.diff(ends, prepend=0))


def _label_names(raw: Any, section: TableData) -> tuple[str, ...]:
    """A label's value as names, whatever it is."""
    if raw is None:
        return ()
    if isinstance(raw, list):
        return tuple(dict.fromkeys(str(value) for value in raw if value is not None))
    if isinstance(raw, str):
        if section.label_separator is not None:
            return tuple(dict.fromkeys(filter(None, map(str.strip, raw.split(section.label_separator)))))
        return (raw,) if has_text(raw) else ()
    if isinstance(raw, float) and raw.is_integer() and abs(raw) < 1e15:
        return (str(int(raw)),)
    return (str(raw).lower() if isinstance(raw, bool) else str(raw),)
