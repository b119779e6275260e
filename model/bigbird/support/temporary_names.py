"""Names of files and folders that are not whole yet: hidden, beside the place that they take.

    .NAME.<8 hexadecimal digits>.tmp    what becomes NAME, or is being deleted
    .NAME.<8 hexadecimal digits>.old    what NAME was, until its replacement is there

Such a name says that a process of ours made it, so that what a killed one left can be told from a user's own hidden files.
"""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Literal, NamedTuple

_FORM = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{8}\.(?P<kind>tmp|old)", re.DOTALL)

Kind = Literal["tmp", "old"]


class TemporaryName(NamedTuple):
    """What a temporary name says: the name of the whole thing, and the kind."""

    name: str
    kind: Kind


def temporary_sibling(target: Path, kind: Kind = "tmp") -> Path:
    """A new name beside `target`; nothing is made there."""
    return target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.{kind}")


def parse_temporary(name: str) -> TemporaryName | None:
    """What a file's or folder's name says; None where it is no temporary name."""
    match = _FORM.fullmatch(name)
    return None if match is None else TemporaryName(match["name"], match["kind"])  # type: ignore[arg-type]
