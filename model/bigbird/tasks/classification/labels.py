"""A label column: what its values are (one label, several labels, a number), which labels there are, what is wrong.

The labels of a split are kept as codes in arrays, 4 bytes a record, or as 8-byte numbers.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from bigbird.support.errors import InputError
from bigbird.support.text_files import shown
from bigbird.tasks.classification.data_section import TableData
from bigbird.tasks.records import has_text
from bigbird.tasks.tables.files import Table
from bigbird.tasks.tables.problems import listed

MOST_LABELS = 10_000
"""Different labels that a column may have."""

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_CODE = re.compile(r"[+-]?0[0-9]")  # 007 is a name, not a number

# Kind auto: numbers are names of classes up to this many different ones in the training split, else a quantity.
_MOST_FRACTIONS = 10  # where some have a fraction
_MOST_INTEGERS = 100
_SURELY_MANY = 1000  # different values after which the kind is decided while reading
_MOSTLY = 0.9  # share of numbers among the different values, above which the others are mistakes

# Kind single: more different numbers than this, with fewer records each than this, are no labels.
_MOST_NUMERIC_LABELS = 200
_FEWEST_PER_LABEL = 5

UNLABELLED = -1
"""The code of a record without a label, which test splits may have."""

_LONGEST = 500  # characters of a label

_TYPES = {str: "a text", int: "a number", float: "a number", bool: "a truth value", list: "a list"}

Label = str | list[str] | float | None


class BadLabelError(Exception):
    """A record's label cannot be used; says what was found and what was expected."""


def is_number(text: str) -> bool:
    """Whether a label is written as a finite number; one with a leading zero, such as 007, is a name."""
    return bool(_NUMBER.fullmatch(text)) and not _CODE.match(text) and math.isfinite(float(text))


class SplitLabels:
    """The labels of one split's records, in order.

    Attributes:
        codes: of single and multi: the labels' codes, one after another.
        ends: of multi: after each record the number of codes so far.
        numbers: of number: a float for each record, NaN without a label.
    """

    def __init__(self) -> None:
        self.codes = array("i")
        self.ends = array("q")
        self.numbers = array("d")


class LabelColumn:
    """Collects a column's labels while the records are read, then says what they are.

    Attributes:
        kind: single, multi, number; "auto" until it is known.
        splits: split -> its labels.
    """

    def __init__(self, section: TableData, splits: Iterable[str]):
        self.section = section
        self.column = shown(section.label, 60)
        self.kind: str = "multi" if section.label_separator is not None else section.kind
        self.splits = {split: SplitLabels() for split in splits}
        self._codes: dict[str, int] = {}
        self._places: list[str] = []  # where each label is first, while there are not too many
        self._types: dict[str, str] = {}  # type's name -> the first place of it
        self._last_type: type | None = None

    def parse(self, raw: Any, table: Table, line: int, *, may_lack: bool = False) -> Label:
        """A value of the column as the label that it means; a text where the kind is not known yet.

        Args:
            raw: the value as the file has it.
            table, line: where it stands.
            may_lack: whether a record may be without a label; the result is None then.

        Raises:
            BadLabelError: this record's label cannot be used.
            InputError: the column's values are of several types.
        """
        if raw.__class__ is str and raw in self._codes and self.kind != "multi" and self._last_type is str:
            return raw  # as most are; nothing new about it
        if raw.__class__ is not self._last_type:
            self._note_type(raw, table, line)
        if raw is None or (raw.__class__ is str and self.kind != "multi" and not has_text(raw)):
            if may_lack:
                return None
            raise BadLabelError(f"has no label in column {self.column}; expected {self._expected()}")
        if self.kind == "multi":
            return self._several(raw)
        if self.kind == "number":
            return self._number(raw)
        return raw if raw.__class__ is str else self._text(raw)

    def add(self, split: str, label: Label, table: Table, line: int) -> None:
        """Keeps a record's label, as `parse` gave it.

        Raises:
            InputError: there are too many different labels, or numbers and other values among them.
        """
        kept = self.splits[split]
        if self.kind == "number":
            kept.numbers.append(math.nan if label is None else float(label))  # type: ignore[arg-type]
        elif self.kind == "multi":
            names: Sequence[str] | None = label  # type: ignore[assignment]
            kept.codes.extend([UNLABELLED] if names is None else [self._code(name, table, line) for name in names])
            kept.ends.append(len(kept.codes))
        elif label in self._codes:
            kept.codes.append(self._codes[label])  # type: ignore[index]
        else:
            kept.codes.append(UNLABELLED if label is None else self._code(label, table, line))  # type: ignore[arg-type]
            if len(self._codes) > _SURELY_MANY and self.kind == "auto":
                self._decide_among_many()

    def resolve(self) -> str:
        """Decides the kind by the training split's labels, where it is not given.

        Returns:
            A sentence on what was decided and how to set it; empty where it was given.

        Raises:
            InputError: the labels fit no kind, or not the one that is given; says what to do.
        """
        given = self.section.kind != "auto"
        if self.kind == "auto":
            self.kind = self._decided()
            if self.kind == "number":
                self._to_numbers()
        if self.kind == "number" and not given:
            self._check_no_ids()
        if self.kind == "single":
            self._check_single(given)
        if given:
            return ""
        others = " or ".join(kind for kind in ("single", "multi", "number") if kind != self.kind)
        return f"{self.column} {self._described()}; if that is wrong, set kind to {others} (--kind)"

    def names(self) -> list[str]:
        """All labels, in the order of their codes."""
        return list(self._codes)

    def first_place(self, code: int) -> str:
        """Where a label stands first: file and line."""
        return self._places[code]

    def counts(self, split: str) -> np.ndarray:
        """How many of a split's records have each label, int64[labels]."""
        codes = np.frombuffer(self.splits[split].codes, np.int32)
        return np.bincount(codes[codes >= 0], minlength=len(self._codes))

    # ------------------------------------------------------------------------------------------ one value

    def _expected(self) -> str:
        return {"number": "a number", "multi": "a list of labels"}.get(self.kind, "a label")

    def _note_type(self, raw: Any, table: Table, line: int) -> None:
        """Keeps where a type of value was first; refuses a second one, which JSON and Parquet can have."""
        if raw is None:
            return
        if isinstance(raw, dict):
            raise BadLabelError(f"has an object in column {self.column}, {shown(raw)}; expected {self._expected()}")
        self._last_type = raw.__class__
        is_list = isinstance(raw, list)
        if is_list and self.kind in ("single", "number"):
            raise InputError(
                f"{table.place(line)}: has a list in column {self.column}, {shown(raw)}; expected {self._expected()}, as kind is "
                f"{self.kind}. Set kind to multi (--kind multi), or write one value"
            )
        if is_list and self.kind == "auto" and not self._types:
            self.kind = "multi"
        if not is_list and self.kind == "multi" and (self.section.label_separator is None or not isinstance(raw, str)):
            raise InputError(
                f"{table.place(line)}: has {shown(raw)} in column {self.column}; expected a list of labels, as kind is multi. "
                "Name what stands between two labels with label_separator (--label-separator), or set kind to single (--kind single)"
                + (f"; the first list is at {self._types['a list']}" if "a list" in self._types else "")
            )
        if table.format in ("csv", "tsv"):
            return  # text stands for any type there
        name = _TYPES.get(raw.__class__, "a text")
        self._types.setdefault(name, table.place(line))
        if len(self._types) > 1:
            (first, where), *_ = self._types.items()
            raise InputError(
                f"{table.place(line)}: has {name} in column {self.column}, {shown(raw)}, and {first} at {where}; expected one "
                "type of value in the column. Write all labels as text, or all as numbers"
            )

    def _text(self, raw: Any) -> str:
        """A label that is no text as one: truth values as in JSON, whole numbers without a fraction."""
        if isinstance(raw, bool):
            return str(raw).lower()
        if isinstance(raw, float):
            if not math.isfinite(raw):
                raise BadLabelError(f"has the label {raw} in column {self.column}; expected a label or a finite number")
            return str(int(raw)) if raw.is_integer() and abs(raw) < 1e15 else repr(raw)
        return str(raw)

    def _number(self, raw: Any) -> float:
        text = raw.strip() if isinstance(raw, str) else str(raw)
        number = float(text) if _NUMBER.fullmatch(text) and not isinstance(raw, bool) else math.nan
        if not math.isfinite(number):
            raise BadLabelError(
                f"has {shown(raw)} in column {self.column}; expected a finite number, as kind is number, such as 3 or 3.5"
            )
        return number

    def _several(self, raw: Any) -> list[str]:
        """The labels of one record, each once; blanks around a label and empty parts of a text are no part of it."""
        if isinstance(raw, str):
            parts = [part.strip() for part in raw.split(self.section.label_separator)]
            return list(dict.fromkeys(part for part in parts if part))
        found = []
        for value in raw:
            if value is None or isinstance(value, list | dict) or (isinstance(value, str) and not has_text(value)):
                raise BadLabelError(
                    f"has {shown(value)} among the labels in column {self.column}; expected texts or numbers in the list"
                )
            found.append(value if isinstance(value, str) else self._text(value))
        return list(dict.fromkeys(found))

    def _code(self, name: str, table: Table, line: int) -> int:
        code = self._codes.setdefault(name, len(self._codes))
        if code == len(self._places):
            if len(name) > _LONGEST:
                raise InputError(
                    f"{table.place(line)}: has a label of {len(name):,} characters in column {self.column}, {shown(name, 60)}; expected "
                    f"{_LONGEST} at most. Name the label's column with label (--label)"
                )
            if code >= MOST_LABELS:
                raise InputError(
                    f"{table.place(line)}: column {self.column} has more than {MOST_LABELS:,} different labels, such as "
                    f"{listed(self.names(), 3)}; expected labels that many records share. Name the label's column with label (--label), or "
                    "set kind to number (--kind number) if it holds numbers"
                )
            self._places.append(table.place(line))
        return code

    # ------------------------------------------------------------------------------------------ all values

    def _decide_among_many(self) -> None:
        """Once there are many different values: a number, labels, or numbers with mistakes among them."""
        self.kind = "number" if self._all_numbers(self.names()) else "single"
        if self.kind == "number":
            self._to_numbers()

    def _all_numbers(self, names: list[str]) -> bool:
        """Whether all labels are numbers.

        Raises:
            InputError: most of many are.
        """
        other = next((name for name in names if not is_number(name)), None)
        if other is None:
            return True
        numbers = sum(map(is_number, names))
        if numbers > 2 * _MOST_FRACTIONS and numbers >= _MOSTLY * len(names):
            raise InputError(
                f"{self._places[self._codes[other]]}: has {shown(other)} in column {self.column}, which holds {numbers:,} different "
                "numbers elsewhere; expected one type of value in the column. Correct it, or set kind to number (--kind number) and "
                "skip such records with --max-bad-records; set kind to single (--kind single) if the numbers are names"
            )
        return False

    def _to_numbers(self) -> None:
        other = next((name for name in self._codes if not is_number(name)), None)
        if other is not None:  # of another split: the kind is decided by training
            raise InputError(
                f"{self._places[self._codes[other]]}: has {shown(other)} in column {self.column}, which holds numbers in the training split; expected a "
                "finite number. Correct it, or set kind to number (--kind number) and skip such records with --max-bad-records; set kind to single "
                "(--kind single) if the numbers are names"
            )
        values = np.array([float(name) for name in self._codes] + [math.nan])  # the last is that of UNLABELLED
        for kept in self.splits.values():
            kept.numbers = array("d", values[np.frombuffer(kept.codes, np.int32)].tobytes())
            kept.codes = array("i")
        self._codes, self._places = {}, []

    def _decided(self) -> str:
        names = [name for name, count in zip(self._codes, self.counts("train"), strict=True) if count]
        if not names or not self._all_numbers(names):
            return "single"
        fractions = any(not float(name).is_integer() for name in names)
        return "number" if len(names) > (_MOST_FRACTIONS if fractions else _MOST_INTEGERS) else "single"

    def _check_no_ids(self) -> None:
        """Refuses consecutive whole numbers, each once: what a column of ids holds, and no measurement of anything."""
        numbers = np.sort(np.frombuffer(self.splits["train"].numbers))
        if len(numbers) > 1 and (np.diff(numbers) == 1).all() and float(numbers[0]).is_integer():
            raise InputError(
                f"column {self.column} counts the records: it has the {len(numbers):,} numbers from {numbers[0]:.0f} to {numbers[-1]:.0f}, "
                "each once; expected labels. Name the label's column with label (--label), or set kind to number (--kind number) if "
                "that is what is to be learnt"
            )

    def _check_single(self, given: bool) -> None:
        counts = self.counts("train")
        names = [name for name, count in zip(self._codes, counts, strict=True) if count]
        records = int(counts.sum())
        few = len(names) * _FEWEST_PER_LABEL > records or any("." in name for name in names)
        if len(names) > _MOST_NUMERIC_LABELS and few and all(map(is_number, names)):
            raise InputError(
                f"column {self.column} has {len(names):,} different numbers in {records:,} training records, such as "
                f"{listed(names, 3)}; expected labels that many records share, as kind is single. Set kind to number (--kind number)"
            )
        if not given and len(names) > 20 and len(names) * 2 > records:
            raise InputError(
                f"column {self.column} has {len(names):,} different values in {records:,} training records, such as "
                f"{listed(names, 3)}; expected labels that many records share. Name the label's column with label (--label), or set "
                "kind to single (--kind single) if these are the labels"
            )

    def _described(self) -> str:
        if self.kind == "number":
            return "holds numbers with many different values, so a number is learnt"
        count = int(np.count_nonzero(self.counts("train")))
        if self.kind == "multi":
            return f"holds several labels in each record, {count:,} different ones"
        return f"holds one label in each record, {count:,} different ones"
