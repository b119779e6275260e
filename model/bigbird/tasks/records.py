"""Bad records: refused by default, or skipped, counted and kept for `rejected.jsonl`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from bigbird.errors import InputError
from bigbird.vocabulary import VISIBLE

has_text = re.compile(VISIBLE).search
"""Whether a text holds more than whitespace."""


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
