"""What a check is: its name, what it counts and what can be done; and what it finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from bigbird_components.check.collected import Collected
    from bigbird_components.check.texts import Text

Severity = Literal["error", "warning", "note"]
GROUPS = {
    "reading": "what training refuses or takes for something else",
    "blanks": "what is empty",
    "duplicates": "rows that are there more than once",
    "leakage": "rows that several splits have",
    "conflicts": "equal texts, different labels",
    "encoding": "damaged characters and markup",
    "texts": "texts that are odd",
    "labels": "what is odd about labels",
    "lengths": "what a model cannot read",
}
"""The groups of checks, as `--fail-on` takes them too."""


@dataclass(frozen=True)
class Check:
    """A check.

    Attributes:
        name: in kebab case, as `--fail-on` takes it.
        group: a key of `GROUPS`.
        severity: error where a measured result would be wrong or training is refused; warning where the model is likely to be worse; else note.
        unit: what is counted: rows, texts, labels, columns.
        counts: which ones.
        remedy: what can be done.
    """

    name: str
    group: str
    severity: Severity
    unit: str
    counts: str
    remedy: str


@dataclass(frozen=True)
class RowCheck(Check):
    """A check of one text: gives what shows it, or nothing.

    Attributes:
        evidence: the function.
        of_odd: whether it is only about texts with an odd character (`Text.is_odd`), which few are.
    """

    evidence: Callable[[Text], str] = field(kw_only=True)
    of_odd: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class TableCheck(Check):
    """A check of the whole table."""

    find: Callable[[Collected], Found] = field(kw_only=True)


class Example(NamedTuple):
    """A place, and what is there."""

    place: str
    told: str


class Found(NamedTuple):
    """What a check found: how many, the first of them, and what there is to say besides."""

    number: int
    examples: list[Example]
    told: str = ""


NOTHING = Found(0, [])
