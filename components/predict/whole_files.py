"""Files that appear whole or not at all, here and in buckets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bigbird import storage
from bigbird.support.artifacts import json_bytes
from bigbird.support.integrity import HashingFile
from bigbird.support.temporary_names import parse_temporary, temporary_sibling

BLOCK = 1 << 20  # bytes copied at once


@contextmanager
def new_file(path: str) -> Iterator[HashingFile]:
    """Yields a file to write that appears under its name, in the place of an older one, when the block succeeds.

    Once it does, it is on the disk: a power cut after that does not lose it. A killed process leaves a hidden file, which
    `is_half_written` knows; in a bucket it leaves none.
    """
    if storage.is_remote(path):
        with storage.create(path) as file:
            yield HashingFile(file)
        return
    place = Path(path)
    temporary = temporary_sibling(place)
    try:
        with temporary.open("wb") as file:
            yield HashingFile(file)
            file.flush()
            os.fsync(file.fileno())  # before its name: else a power cut may leave that with nothing behind it
        os.replace(temporary, place)
        _sync_folder(place.parent)
    finally:
        temporary.unlink(missing_ok=True)


def is_half_written(name: str, ours: re.Pattern[str]) -> bool:
    """Whether a killed `new_file` left a file of this name, where the whole one's matches `ours`."""
    found = parse_temporary(name)
    return found is not None and found.kind == "tmp" and ours.fullmatch(found.name) is not None


def _sync_folder(folder: Path) -> None:
    """Writes a folder's names to the disk; not every file system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_json(path: str, value: Any) -> None:
    """Writes a value as indented JSON."""
    with new_file(path) as file:
        file.write(json_bytes(value))


def copy(source: str, target: HashingFile) -> None:
    """Writes all that a file holds."""
    with storage.open_file(source) as file:
        while block := file.read(BLOCK):
            target.write(block)
