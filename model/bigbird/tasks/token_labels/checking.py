"""Documents with spans for `bigbird check`: read leniently, with the splits that training would give them."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from bigbird.support.errors import InputError
from bigbird.tasks.raw_input import Inputs, Storage
from bigbird.tasks.table_rows import SPLITS, Outcome, TableRow, TableRows
from bigbird.tasks.tables.checking import FileRows, name_of, splits_as_cut, text_of
from bigbird.tasks.tables.columns import Columns
from bigbird.tasks.tables.files import Table
from bigbird.tasks.tables.reading import read_records
from bigbird.tasks.tables.section import section_of
from bigbird.tasks.tables.values import BadValueError
from bigbird.tasks.token_labels.conll import TagScheme, read_conll
from bigbird.tasks.token_labels.data_section import SpanData
from bigbird.tasks.token_labels.dataset import MOST_LABELS, hash_of, label_places
from bigbird.tasks.token_labels.spans import read_spans


def rows_to_check(inputs: Inputs, storage: Storage) -> TableRows:
    """As `TaskFamily.rows_to_check`."""
    return _Rows(section_of(inputs, SpanData), storage)


class _Rows(FileRows):
    """A record is a document; its labels are those of its spans, each once."""

    def __init__(self, section: SpanData, storage: Storage):
        columns = {"text": [section.text], "label": [section.spans]} | {
            key: [name] for key in ("id", "group") if (name := getattr(section, key))
        }
        super().__init__(section, storage, columns)
        self._section = section
        self._scheme = TagScheme()
        self._codes: dict[str, int] = {}
        self._usable, self._splits, self._units = bytearray(), bytearray(), array("Q")
        self._training = 0  # usable records of the training files
        self._label_codes, self._label_rows = array("q"), array("q")
        self._test_has: set[bool] = set()  # whether test documents have spans

    def read(self, unreadable: Callable[[str, str], None]) -> Iterator[TableRow]:
        for number, (split, table) in enumerate(self.tables):
            for line, values, spans, others in self._records(number, split, table, unreadable):
                faults: list[str] = []
                text = text_of(values[:1], [self._section.text], faults)
                labels = () if faults else self._labels(text, spans, split, faults)
                identity, group = (
                    None if column is None else name_of(value, column, f"missing_{key}", faults)
                    for key, column, value in zip(
                        ("id", "group"), (self._section.id, self._section.group), values[1:], strict=True
                    )
                )
                if split == "test" and not faults:
                    self._test_has.add(spans is not None)
                self._keep(split, text if group is None else group, labels, faults)
                yield TableRow(number, line, text, None, labels, identity, group, tuple(dict.fromkeys(faults)), others)

    def _records(
        self, number: int, split: str, table: Table, unreadable: Callable[[str, str], None]
    ) -> Iterator[tuple[int, tuple[Any, Any, Any], Any, Sequence[object]]]:
        """(line, (text, id, group), spans, values of the other columns) of each record of a file."""
        section, bad = self._section, self.unreadable(number, unreadable)
        if table.format == "conll":
            for line, text, found in read_conll(table, section, self._scheme, bad, self.storage):
                nothing = [None] * len(self.other_columns)
                yield line, (text, f"{table.path}:{line}", text), [tuple(span) for span in found or ()], nothing
            return
        keys = {section.text: "text", section.spans: "spans"}
        for key in ("id", "group"):
            if name := getattr(section, key):
                keys.setdefault(name, key)
        for name in self.other_columns:
            keys.setdefault(name, "")
        place = {name: at for at, name in enumerate(keys)}
        optional = frozenset(self.other_columns) | (frozenset({section.spans}) if split == "test" else frozenset())
        columns = Columns(keys, optional=optional, objects=frozenset({section.spans, *self.other_columns}))
        for line, values in read_records(table, section, columns, bad, self.storage):
            identity, group = (None if name is None else values[place[name]] for name in (section.id, section.group))
            yield (
                line,
                (values[0], identity, group),
                values[1],
                [values[place[name]] for name in self.other_columns],
            )

    def _labels(self, text: str, spans: Any, split: str, faults: list[str]) -> tuple[str, ...]:
        """The labels of a document's spans; what is wrong with them is added to `faults`."""
        if spans is None:
            if split != "test":
                faults.append("missing_label")
            return ()
        try:
            found = read_spans(text, spans, self._section.spans, self._section.fields).spans
        except BadValueError:
            faults.append("bad_label")
            return ()
        return tuple(dict.fromkeys(span.label for span in found))

    def _keep(self, split: str, unit: str, labels: tuple[str, ...], faults: list[str]) -> None:
        """Notes what the splits are cut by."""
        self._splits.append(SPLITS.index(split))
        self._usable.append(not faults)
        if faults:
            return
        self._units.append(hash_of(unit))
        if split == "train":
            for label in labels:
                self._label_codes.append(self._codes.setdefault(label, len(self._codes)))
                self._label_rows.append(self._training)
            self._training += 1

    def outcome(self) -> Outcome:
        refusal = told = ""
        if self._scheme.prefixes:
            try:
                told = self._scheme.told()
            except InputError as error:
                refusal = str(error)
        refusal = refusal or self._refusal()
        splits = splits_as_cut(
            self._section,
            self.named,
            np.frombuffer(self._splits, np.uint8),
            np.frombuffer(self._usable, bool),
            np.frombuffer(self._units, np.uint64),
            self._codes_of_training,
        )
        return Outcome("multi", splits, refusal, told)

    def _refusal(self) -> str:
        """Why training would refuse the documents as a whole; empty where it would not."""
        if self._training and not self._label_rows:
            return f"no document of the training files has a span; expected some. {self._section.where_spans_are(self.tables[0][1].format)}"
        if len(self._codes) > MOST_LABELS:
            return f"there are more than {MOST_LABELS:,} different labels; name the label's field with --span-label"
        if len(self._test_has) > 1:
            return "some test documents have spans and others have none; expected a list in all of them, [] where there is none, or in none"
        return ""

    def _codes_of_training(self, _records: int) -> tuple[np.ndarray, np.ndarray]:
        place = label_places(list(self._codes))
        return place[np.frombuffer(self._label_codes, np.int64)], np.frombuffer(self._label_rows, np.int64)
