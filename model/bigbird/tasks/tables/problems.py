"""What is wrong with a table: mistakes that end the reading, and notices that leave the choice to the user."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bigbird.support.errors import InputError
from bigbird.support.text_files import MOST_SHOWN, cut, shown
from bigbird.tasks.records import BadRecords, name_of

_LISTED = 3  # bad records that a message describes
_MOST_BAD = 10_000  # beyond the limit; where there are more, the rest is not counted


class Notice(NamedTuple):
    """Something about the data that the user should know and may want to change.

    Attributes:
        message: what was found, a sentence without its full stop.
        count: of what the message is about: records, texts or labels.
        remedy: what the user can do.
    """

    message: str
    count: int  # type: ignore[assignment]  # of a tuple's own methods nobody misses this one
    remedy: str


class Mistakes(BadRecords):
    """Bad records of a whole pass: all are counted before the first one ends the run, so that the message can say how many.

    `limit` is what `BadRecords` has: how many the user lets be skipped. `check` raises where there are more.
    """

    def add(self, file: str, where: str, problem: str, record: str, *, known: bool = False) -> None:
        """Notes one bad record; arguments as for `BadRecords`.

        Raises:
            InputError: there are so many that the rest of the pass would be of no use.
        """
        self.counted += not known
        if len(self.rejected) < self.limit + _LISTED:
            one = BadRecords(limit=1)
            one.add(file, where, problem, record)
            self.rejected += one.rejected
        if self.counted > self.limit + _MOST_BAD:
            self._refuse(more=True)

    def check(self, good: int) -> None:
        """Raises `InputError` with the first bad records, and how many there are, where there are more than the limit.

        Args:
            good: how many records can be used.
        """
        if self.counted > self.limit:
            self._refuse(all_bad=not good)

    def _refuse(self, *, more: bool = False, all_bad: bool = False) -> None:
        first = [f"{bad['file']}:{bad['where']}: {bad['problem']}" for bad in self.rejected[:_LISTED]]
        rest = self.counted - len(first)
        allowed = f", of at most {self.limit:,}" if self.limit else ""
        count = f"{self.counted:,} bad record{'s'[: self.counted != 1]}{' at least' if more else ''}{allowed}"
        remedy = f"Correct {'it' if self.counted == 1 else 'them'}, or skip such records with --max-bad-records "
        remedy += "and a larger number" if more else f"{self.counted}"
        if all_bad:
            remedy = "No record can be used: see that format, delimiter and the columns are right"
        room = (MOST_SHOWN - 250) // len(first)
        listed = "\n".join(cut(problem, room) for problem in first)
        raise InputError(f"{listed}\n{f'and {rest:,} more. ' if rest else ''}{count}. {remedy}")


def listed(names: Iterable[str], most: int = 10, room: int = 300) -> str:
    """Names in quotation marks as a message has room for, and how many there are besides.

    Args:
        names: any texts.
        most: names at most.
        room: characters at most, about.
    """
    names = list(names)
    kept: list[str] = []
    for name in names[:most]:
        kept.append(shown(name, 60))
        if sum(map(len, kept)) > room:
            break
    more = len(names) - len(kept)
    return ", ".join(kept) + (f" and {more:,} more" if more else "")


def no_such_column(place: str, missing: str, columns: Sequence[str], key: str) -> InputError:
    """The error for a column that a table lacks.

    Args:
        place: the file, with the line where there is one.
        missing: the column's name.
        columns: those that there are.
        key: of the data section, that names the column.
    """
    close = difflib.get_close_matches(missing, columns, n=1, cutoff=0.5)
    folded = [name for name in columns if name.strip().casefold() == missing.strip().casefold()]
    near = [*folded, *close]
    hint = f" Did you mean {shown(near[0], 60)}?" if near else ""
    return InputError(
        f"{place}: has no column {shown(missing, 60)}; its columns are {listed(columns, most=60)}.{hint} "
        f"Name the column to read with {key} (--{key.replace('_', '-')})"
    )


def quoted_name(path: str) -> str:
    """A path as messages give it: cut where it is long, what cannot be printed escaped."""
    return name_of(path, 200)
