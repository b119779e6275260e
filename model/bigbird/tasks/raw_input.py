"""What families read: files, tables, and the examples in them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple, Protocol

Line = dict[str, Any]  # a checked example, as a line of examples.jsonl holds it


class Source(NamedTuple):
    """One raw file: the split that it is, and its path."""

    split: str
    path: str


class Item(NamedTuple):
    """What reading gives: a line, the examples in it, and whether they all have labels."""

    line: Line
    examples: int
    labelled: bool


class FileNames(NamedTuple):
    """How a task's files are named.

    Attributes:
        splits: split -> its official names, the usual one first.
        beginning: of all names.
        ending: of all names.
        expected: the same in words.
    """

    splits: Mapping[str, Sequence[str]]
    beginning: str
    ending: str
    expected: str


class Storage(Protocol):
    """Files here or in a bucket, as the preprocessing stage reaches them."""

    def open_raw(self, path: str) -> BinaryIO:
        """A file as it is, compressed or not, that can seek; raises `OSError`."""

    def is_file(self, path: str) -> bool:
        """Whether there is such a file."""

    def read_bytes(self, path: str, what: str) -> bytes:
        """A whole file, unpacked where its name ends in .gz; `InputError` calls it `what`."""

    def list_names(self, folder: str, *, folders: bool = False) -> list[str]:
        """The names in a folder, of a bucket those of folders only if they are asked for; none where there is no such folder."""

    def join(self, folder: str, *parts: str) -> str:
        """A path."""

    def is_remote(self, path: str) -> bool:
        """Whether it names a bucket."""


TABLE_KEYS = ("files", "train", "validation", "test")
"""Of a data section: those that name files."""


class Inputs(NamedTuple):
    """What the user gave to read.

    Attributes:
        path: a file, a folder or a pattern; empty where files are named by split.
        files: "train", "validation", "test" -> a file, a folder or a pattern.
        section: the configuration's data section.
    """

    path: str
    files: Mapping[str, str]
    section: Mapping[str, Any]


@dataclass(frozen=True)
class Reading:
    """A user's own input, read once and checked.

    Attributes:
        splits: that it has, in order.
        labelled: those of them whose examples have labels.
        labels: in the order of their ids; None where they are numbers.
        metrics: of the task, the first of which decides.
        facts: what dataset.json says of it besides.
        notices: (what the user should know, what can be done about it).
        lines: gives the examples: (split, JSON line as examples.jsonl holds it, whether it has a label) of each, splits in
            any order.
    """

    splits: Sequence[str]
    labelled: Collection[str]
    labels: Sequence[str] | None
    metrics: Sequence[str]
    facts: Mapping[str, Any]
    notices: Sequence[tuple[str, str]]
    lines: Callable[[], Iterator[tuple[str, bytes, bool]]]
