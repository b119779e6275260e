"""What is kept of a table while it is read: hashes, signatures and counts, never the texts.

Of a row some 340 bytes: its signature 256, hashes of its text, its folded text, its beginning, its end and its label 40, hashes of id
and group 16, and numbers 25.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from hashlib import blake2b

import numpy as np

from bigbird.support.text_files import shown
from bigbird.tasks.table_rows import NO_SPLIT, SPLITS, Outcome, TableRow, TableRows
from bigbird_components.check.kinds import Example, Found
from bigbird_components.check.signatures import FEWEST_WORDS, VALUES, signatures, similar_groups
from bigbird_components.check.texts import ROW_CHECKS, Text
from bigbird_components.check.wording import BYTES_PER_TOKEN
from bigbird_components.check.words import folded, words_of

_BATCH = 1 << 19  # bytes of texts whose words are hashed at once
_KNOWN_LABELS = 1_000_000  # sets of labels that are remembered
_EDGE = 8  # words of a beginning or an end
_LABELS = 200  # more labels are not looked for in texts
_SHORTEST_LABEL = 3  # characters of a label that is looked for in texts


_PLAIN_CHECKS = tuple(check for check in ROW_CHECKS if not check.of_odd)
# Faults of rows whose text is none.
_NO_TEXT = frozenset(("empty_text", "blank_text", "bad_value"))


def _hash(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little")


class _Column:
    """A column that training does not read."""

    def __init__(self) -> None:
        self.filled = 0
        self.first: object = None
        self.constant = True
        self.same_as_label = True


class Collected:
    """The table, once all rows were added and `close` was called.

    Attributes:
        rows: how many.
        rows_of_file: of each file.
        row_findings: check's name -> what it found.
        label_names: hash of a row's labels -> their names; none where the label is a number.
        columns: name of each column that training does not read -> what is known of it.
        label_hits: label -> rows that have it, those of them whose text names it, other rows looked at, those whose text names it.
        outcome: what training would make of the table.
    """

    def __init__(
        self, source: TableRows, count_tokens: Callable[[Sequence[str]], Sequence[int]] | None, most_examples: int
    ):
        self.source, self.most_examples = source, most_examples
        self._count_tokens = count_tokens
        self.counted = count_tokens is not None
        self.row_findings = {check.name: Found(0, []) for check in ROW_CHECKS}
        self.faults: dict[str, Found] = {}
        self.rows_of_file = [0] * len(source.files)
        self.label_names: dict[int, tuple[str, ...]] = {}
        self.columns = {name: _Column() for name in source.other_columns}
        self.label_hits: dict[str, list[int]] = {}
        self.outcome = Outcome("", np.zeros(0, np.uint8), "", "")
        self._label_words: dict[str, tuple[str, re.Pattern[str]]] = {}
        self._order: list[str] = []  # of `label_hits`, to pick by number
        self._known_labels: dict[tuple[str, ...], int] = {}
        self._words: list[bytes] = []  # folded texts, until there are enough
        self._size = 0
        self._texts: list[str] = []
        self._signatures = bytearray()
        self._numbers = {name: array(kind) for name, kind in _ARRAYS.items()}
        self._has_ids = "id" in source.columns
        self._has_groups = "group" in source.columns

    # ------------------------------------------------------------------------------------------ while reading

    def unreadable(self, place: str, problem: str) -> None:
        """Takes a record that cannot be read."""
        self._note(self.faults, "unreadable", place, problem)

    def add(self, row: TableRow) -> None:
        """Takes a row."""
        text = Text(row.text if row.text_b is None else f"{row.text}\n\n{row.text_b}")
        has_text = not _NO_TEXT.intersection(row.faults)
        for fault in row.faults:
            self._note(self.faults, fault, row, shown(text.text, 60) if has_text else "")
        if has_text:
            for check in ROW_CHECKS if text.is_odd else _PLAIN_CHECKS:
                told = check.evidence(text)
                if told:
                    self._note(self.row_findings, check.name, row, told)
        words = folded(text.text)
        add = self._numbers
        add["file"].append(row.file)
        add["line"].append(row.line)
        add["exact"].append(_hash(text.data) or 1 if has_text else 0)
        add["label"].append(self._label(row.labels))
        add["characters"].append(len(text.text))
        add["script"].append(text.script())
        if self._has_ids:
            add["id"].append(_hash(row.id.encode()) if row.id else 0)
        if self._has_groups:
            add["group"].append(_hash(row.group.encode()) if row.group else 0)
        self.rows_of_file[row.file] += 1
        self._look_for_labels(row.labels, words)
        for column, value in zip(self.columns.values(), row.others, strict=True):
            _note_value(column, value, row.labels)
        if self._count_tokens is None:
            add["tokens"].append(round(len(text.data) / BYTES_PER_TOKEN) + (2 if row.text_b is None else 3))
        else:
            self._texts.append(text.text)
        self._words.append(words.encode("utf-8", "surrogatepass"))
        self._size += len(self._words[-1])
        if self._size >= _BATCH:
            self._flush()

    def close(self, outcome: Outcome) -> None:
        """Ends the reading."""
        self._flush()
        self.outcome = outcome
        if outcome.kind in ("", "number"):
            self.label_names, self.label_hits = {}, {}

    def _note(self, findings: dict[str, Found], name: str, row: TableRow | str, told: str) -> None:
        """Counts a finding in a row, or at a place."""
        before = findings.get(name) or Found(0, [])
        if before.number < self.most_examples:
            before.examples.append(
                Example(row if isinstance(row, str) else self.source.place(row.file, row.line), told)
            )
        findings[name] = before._replace(number=before.number + 1)

    def _label(self, labels: tuple[str, ...]) -> int:
        if not labels:
            return 0
        found = self._known_labels.get(labels)
        if found is None:
            found = _hash("\0".join(sorted(labels)).encode("utf-8", "surrogatepass"))
            if len(self._known_labels) < _KNOWN_LABELS:
                self._known_labels[labels] = found
                self.label_names.setdefault(found, labels)
        return found

    def _look_for_labels(self, labels: tuple[str, ...], text: str) -> None:
        """Whether a text names its own label, and one of the others, a different one for each row."""
        for label in labels:
            if label not in self.label_hits and len(self.label_hits) < _LABELS:
                words = folded(label).strip()
                counts = len(words) >= _SHORTEST_LABEL and not words.isdigit()
                self._label_words[label] = (words if counts else "", re.compile(rf"(?<!\w){re.escape(words)}(?!\w)"))
                self.label_hits[label] = [0, 0, 0, 0]
                self._order.append(label)
        known = [label for label in labels if label in self.label_hits]
        if not known:
            return
        for label in known:
            hits = self.label_hits[label]
            hits[0] += 1
            hits[1] += self._names(text, label)
        other = self._order[self.rows % len(self._order)]
        if other not in labels:
            hits = self.label_hits[other]
            hits[2] += 1
            hits[3] += self._names(text, other)

    def _names(self, text: str, label: str) -> bool:
        words, pattern = self._label_words[label]
        return words != "" and words in text and pattern.search(text) is not None

    def _flush(self) -> None:
        if not self._words:
            return
        words = words_of(self._words)
        begins, ends = words.of_edges(_EDGE)
        for name, values in (
            ("folded", words.of_whole()),
            ("begins", begins),
            ("ends", ends),
            ("words", words.counts.astype(np.uint32)),
        ):
            self._numbers[name].frombytes(values.tobytes())
        self._signatures += signatures(words).tobytes()
        self._words, self._size = [], 0
        if self._count_tokens is not None:
            self._numbers["tokens"].extend(self._count_tokens(self._texts))
            self._texts = []

    # ------------------------------------------------------------------------------------------ after reading

    def __getitem__(self, name: str) -> np.ndarray:
        """A number of each row: file, line, exact, folded, label, begins, ends, words, characters, tokens, script, id, group."""
        values = self._numbers[name]
        return np.frombuffer(values, np.dtype(values.typecode))

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self._numbers["file"])

    def place(self, row: int) -> str:
        """File and line."""
        return self.source.place(self._numbers["file"][row], self._numbers["line"][row])

    @property
    def splits(self) -> np.ndarray:
        """As training would cut them: a place in `SPLITS`, or `NO_SPLIT`. uint8 [rows]."""
        return self.outcome.splits

    @cached_property
    def has_text(self) -> np.ndarray:
        """Bool [rows]."""
        return self["exact"] != 0

    @cached_property
    def earlier_exact(self) -> np.ndarray:
        """The first row with the same text; itself where there is none before. int64 [rows]."""
        return first_with(self["exact"], self.has_text)

    @cached_property
    def earlier_folded(self) -> np.ndarray:
        """The first row with the same words. int64 [rows]."""
        return first_with(self["folded"], self.has_text)

    @cached_property
    def group_of(self) -> np.ndarray:
        """The first row whose text is nearly the same, or the same. int64 [rows]."""
        own = np.arange(self.rows)
        compared = np.flatnonzero((self.earlier_folded == own) & (self["words"] >= FEWEST_WORDS))
        found = np.frombuffer(self._signatures, np.uint16).reshape(-1, VALUES)
        group = own.copy()
        if len(compared):
            group[compared] = compared[similar_groups(found[compared])]
        return group[self.earlier_folded]

    @cached_property
    def label_counts(self) -> dict[str, np.ndarray]:
        """Label -> rows of each split that have it, as int64 [splits]; most frequent in training first."""
        keys, of_row = np.unique(self["label"], return_inverse=True)
        counts = np.zeros((len(keys), NO_SPLIT + 1), np.int64)
        np.add.at(counts, (of_row, self.splits), 1)
        found: Counter[str] = Counter()
        table: dict[str, np.ndarray] = {}
        for key, row in zip(keys.tolist(), counts, strict=True):
            for label in self.label_names.get(key, ()):
                table[label] = table.get(label, np.zeros(NO_SPLIT, np.int64)) + row[:NO_SPLIT]
                found[label] += int(row[0])
        return {label: table[label] for label in sorted(table, key=lambda label: (-found[label], label))}

    @cached_property
    def first_of_label(self) -> dict[str, int]:
        """Label -> the first row that has it."""
        keys, rows = np.unique(self["label"], return_index=True)
        found: dict[str, int] = {}
        for key, row in zip(keys.tolist(), rows.tolist(), strict=True):
            for label in self.label_names.get(key, ()):
                found[label] = min(row, found.get(label, row))
        return found

    def some(self, rows: np.ndarray, told: Callable[[int], str] = lambda _row: "") -> list[Example]:
        """The first of some rows as examples."""
        return [Example(self.place(row), told(row)) for row in rows[: self.most_examples].tolist()]

    def split_sizes(self) -> dict[str, int]:
        """Rows of each split, and of none."""
        counts = np.bincount(self.splits, minlength=NO_SPLIT + 1)
        return {split: int(counts[at]) for at, split in enumerate(SPLITS)}


_ARRAYS = {
    "file": "I", "line": "I", "exact": "Q", "folded": "Q", "label": "Q", "begins": "Q", "ends": "Q", "words": "I", "characters": "I",
    "tokens": "I", "script": "B", "id": "Q", "group": "Q",
}  # fmt: skip


def first_with(values: np.ndarray, among: np.ndarray) -> np.ndarray:
    """The first row with the same value, for the rows among which it is looked for; itself for others. int64 [rows]."""
    rows = np.arange(len(values))
    looked = np.flatnonzero(among)
    if len(looked):
        _, first, of_row = np.unique(values[looked], return_index=True, return_inverse=True)
        rows[looked] = looked[first[of_row]]
    return rows


def _note_value(column: _Column, value: object, labels: tuple[str, ...]) -> None:
    if value is None or (isinstance(value, str) and not value.strip()) or value != value:
        column.same_as_label &= not labels
        return
    if not column.filled:
        column.first = value
    elif column.constant and value != column.first:
        column.constant = False
    column.filled += 1
    if column.same_as_label and labels and (str(value),) != labels:
        column.same_as_label = False
