"""Bad records: refused by default, or skipped, counted and kept for `rejected.jsonl`."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from typing import Any

from bigbird.errors import InputError
from bigbird.vocabulary import VISIBLE

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


def shown(value: object, most: int = 100) -> str:
    """A value as messages quote it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"


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
            where: a line number, or a question's id.
            problem: what was found and what was expected.
            record: the record as it stands in the file.
            known: a flaw that the official file is known to have.

        Raises:
            InputError: the limit is passed.
        """
        self.rejected.append({"file": file, "where": where, "problem": problem, "record": record[:2000]})
        if known:
            return
        self.counted += 1
        if self.counted > self.limit:
            so_far = (
                f" This is bad record {self.counted} of at most {self.limit} (--max_bad_records)." if self.limit else ""
            )
            raise InputError(
                f"{file}:{where}: {problem}.{so_far} Correct it, or skip such records with --max_bad_records {self.counted}"
                f"{' or more' if self.limit else ''}"
            )
