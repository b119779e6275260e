"""A user's own tables as `bigbird check` looks at them: every record that can be read, whatever else is wrong with it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

SPLITS = ("train", "validation", "test")
"""By the numbers in `Outcome.splits`."""

NO_SPLIT = len(SPLITS)
"""The number of a record that training would refuse."""


class TableRow(NamedTuple):
    """A record.

    Attributes:
        file: the number of its file in `TableRows.files`.
        line: that it begins on, from 1; of Parquet the number of the row, from 1.
        text: empty where it has none; several columns are joined by a blank line.
        text_b: the second text; None without one.
        labels: their names; empty where it has none.
        id, group: of their columns; None without one.
        faults: why training would refuse it: "empty_text", "blank_text", "nul_character", "bad_value", "missing_label", "bad_label",
            "missing_id", "missing_group".
        others: values of the columns that training does not read, in the order of `TableRows.other_columns`.
    """

    file: int
    line: int
    text: str
    text_b: str | None
    labels: tuple[str, ...]
    id: str | None
    group: str | None
    faults: tuple[str, ...]
    others: Sequence[object]


@dataclass(frozen=True)
class Outcome:
    """What is known once all records are read.

    Attributes:
        kind: of the labels: single, multi or number; empty where they are of none.
        splits: of each record, as training would cut them: a place in `SPLITS`, or `NO_SPLIT`. uint8 [records].
        refusal: why training would refuse the labels as a whole; empty where it would not.
        kind_told: how the kind was inferred; empty where it was given.
    """

    kind: str
    splits: np.ndarray
    refusal: str
    kind_told: str


class TableRows(ABC):
    """The records of a user's tables.

    Attributes:
        files: (split, path) of each file, in the order of reading; those of "train" are also what other splits are cut from.
        columns: what is read for training -> the columns' names: "text", "text_b", "label", "id", "group".
        other_columns: the names of all others.
        named: the splits whose files the user named.
    """

    files: Sequence[tuple[str, str]]
    columns: Mapping[str, Sequence[str]]
    other_columns: Sequence[str]
    named: Sequence[str]

    @abstractmethod
    def read(self, unreadable: Callable[[str, str], None]) -> Iterator[TableRow]:
        """Reads all records once.

        Args:
            unreadable: is given place and problem of each record that has too few or too many values, or is no JSON.

        Raises:
            InputError: a file cannot be read, or a column is missing.
        """

    @abstractmethod
    def place(self, file: int, line: int) -> str:
        """A record's place: file and line; the file without its folder where that tells it from the others."""

    @abstractmethod
    def outcome(self) -> Outcome:
        """To be asked after the last record."""


class Answer(NamedTuple):
    """What a model answered for one document of an evaluation.

    Attributes:
        file, line: of the document, as the dataset was made from; "" and 0 where that is not known.
        id: of the document.
        labels: the right ones, as the data say.
        probabilities: label -> what the model gives it.
    """

    file: str
    line: int
    id: str
    labels: tuple[str, ...]
    probabilities: Mapping[str, float]


@dataclass(frozen=True)
class Answers:
    """A model's answers for a labelled split.

    Attributes:
        kind: single or multi.
        labels: in the order of their ids.
        answers: gives them, one after another.
    """

    kind: str
    labels: Sequence[str]
    answers: Callable[[], Iterator[Answer]]
