"""Bad records: refused by default, or skipped, counted and kept for `rejected.jsonl`."""

from __future__ import annotations

import codecs
import json
import re
from dataclasses import dataclass, field
from typing import Any

from bigbird.support.errors import InputError
from bigbird.support.text_files import shown
from bigbird.text.vocabulary import VISIBLE

has_text = re.compile(VISIBLE).search
"""Whether a text holds more than whitespace."""

# How files that are no text, or none of ours, begin; in lower case.
_FOREIGN = (
    (codecs.BOM_UTF16_LE, "is UTF-16; expected UTF-8 (`iconv -f UTF-16 -t UTF-8` writes it)"),
    (codecs.BOM_UTF16_BE, "is UTF-16; expected UTF-8 (`iconv -f UTF-16 -t UTF-8` writes it)"),
    (b"\x1f\x8b", "is compressed by gzip; expected text. Unpack it, or let its name end in .gz"),
    (b"pk\x03\x04", "is a ZIP archive; expected text. Unpack it"),
    (b"<!doctype html", "is a web page; expected the data. Download it again"),
    (b"<html", "is a web page; expected the data. Download it again"),
    (b"version https://git-lfs", "is a Git LFS pointer; expected the data. `git lfs pull` fetches it"),
)


def foreign_format(data: bytes) -> str:
    """What a file is whose first bytes are those of another format, and the remedy; empty if they are not."""
    start = data[:64].lower()
    found = next((problem for beginning, problem in _FOREIGN if start.startswith(beginning)), "")
    nul = "has NUL bytes at its beginning: it is damaged, or no text; expected UTF-8" if b"\0" in start else ""
    return found or nul


def name_of(text: str, most: int = 100) -> str:
    """A name as messages give it without quotation marks: cut where it is long, what cannot be printed escaped."""
    return repr(text[:most])[1:-1][:most]


def as_json(value: object) -> str:
    """A record as `rejected.jsonl` keeps it."""
    try:
        return json.dumps(value)
    except RecursionError:
        return shown(value)


def text_problem(value: object, what: str, *, may_be_empty: bool = False) -> str:
    """Why a value of a JSON file is not usable as text; nothing where it is.

    Args:
        value: as the file has it; None where it has none.
        what: its name there.
        may_be_empty: whether a text of whitespace only will do.
    """
    if value is None:
        return f"has no {what}; expected {what} as text"
    if not isinstance(value, str):
        return f"has {what} of type {type(value).__name__}; expected {what} as text"
    if not may_be_empty and not has_text(value):
        return f"has an empty {what}"
    try:
        value.encode()
    except UnicodeEncodeError as error:
        return f"has half a character (\\u{ord(value[error.start]):04x}) at position {error.start} of its {what}"
    return ""


def load_json(data: bytes, file: str, whose: str) -> Any:
    """A whole JSON file.

    Args:
        data: its bytes, UTF-8.
        file: its name, for messages.
        whose: format that is expected, for messages: "SQuAD's".

    Raises:
        InputError: it is no JSON; names the line and what may be the reason.
    """
    foreign = foreign_format(data)
    if foreign:
        raise InputError(f"{file}:1: {foreign}")
    if not data.strip():
        raise InputError(f"{file}: is empty; expected {whose} JSON")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{file}:{line}: not UTF-8 at byte {error.start} of the file (0x{data[error.start]:02x}); expected JSON in UTF-8"
        ) from None
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"{file}:{error.lineno}:{error.colno}"
        raise InputError(f"{place}: not valid JSON ({error.msg}); expected {whose}.{_json_hint(error, text)}") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, lists inside lists without end
        raise InputError(f"{file}: not valid JSON ({error}); expected {whose}") from None


def _json_hint(error: json.JSONDecodeError, text: str) -> str:
    """The likely reason of a mistake in JSON."""
    if "Unterminated" in error.msg:
        return " The string that starts here has no end: the file is truncated."
    if error.msg.startswith("Extra data"):
        return " More follows after the JSON's end; one object is expected, not JSON lines."
    if error.pos >= len(text.rstrip()) - 1:
        return " The file ends before its JSON does: it is truncated."
    return " Is it another task's file?" if error.pos == 0 else ""


# Most characters of what is kept of a bad record.
_MOST_WHERE, _MOST_PROBLEM, _MOST_RECORD = 150, 450, 2000


@dataclass
class BadRecords:
    """Collects records that cannot be used, up to a limit.

    Attributes:
        limit: how many may be skipped; one more raises.
        rejected: what was skipped, each {"file", "where", "problem", "record"}.
        counted: how many of them count towards the limit; known flaws of the official files do not.
    """

    limit: int = 0
    rejected: list[dict[str, Any]] = field(default_factory=list)
    counted: int = 0

    def add(self, file: str, where: str, problem: str, record: str, *, known: bool = False) -> None:
        """Notes one bad record.

        Args:
            file: the input file.
            where: a line number, or a question's id; cut where it is long, like the next two.
            problem: what was found and what was expected.
            record: the record as it stands in the file.
            known: a flaw that the official file is known to have.

        Raises:
            InputError: the limit is passed.
        """
        where, problem = where[:_MOST_WHERE], problem[:_MOST_PROBLEM]
        self.rejected.append({"file": file, "where": where, "problem": problem, "record": record[:_MOST_RECORD]})
        if known:
            return
        self.counted += 1
        if self.counted > self.limit:
            so_far = (
                f" This is bad record {self.counted} of at most {self.limit} (--max-bad-records)." if self.limit else ""
            )
            raise InputError(
                f"{file}:{where}: {problem}.{so_far} Correct it, or skip such records with --max-bad-records {self.counted}"
                f"{' or more' if self.limit else ''}"
            )
