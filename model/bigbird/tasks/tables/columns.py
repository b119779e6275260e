"""Which columns of a table are read, and what reading gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Records = Iterator[tuple[int, tuple[Any, ...]]]
"""(line that a record begins on, or row of Parquet, from 1; a value for each column) of each record."""


@dataclass(frozen=True)
class Columns:
    """The columns to read.

    Attributes:
        keys: name -> the data section's key that names it.
        optional: those that may be missing; their values are None then.
        lists: those whose values may be lists.
        objects: those whose values may be anything that the format has, such as lists of objects.
    """

    keys: Mapping[str, str]
    optional: frozenset[str] = frozenset()
    lists: frozenset[str] = frozenset()
    objects: frozenset[str] = frozenset()
