"""Files that appear whole or not at all, here and in buckets."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bigbird import storage
from bigbird.support.artifacts import json_bytes
from bigbird.support.integrity import HashingFile

BLOCK = 1 << 20  # bytes copied at once


@contextmanager
def new_file(path: str) -> Iterator[HashingFile]:
    """Yields a file to write that appears under its name, in the place of an older one, when the block succeeds.

    A killed process leaves a hidden file, which `artifacts.remove_left_over` deletes; in a bucket it leaves none.
    """
    if storage.is_remote(path):
        with storage.create(path) as file:
            yield HashingFile(file)
        return
    place = Path(path)
    temporary = place.with_name(f".{place.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with temporary.open("wb") as file:
            yield HashingFile(file)
        os.replace(temporary, place)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: str, value: Any) -> None:
    """Writes a value as indented JSON."""
    with new_file(path) as file:
        file.write(json_bytes(value))


def copy(source: str, target: HashingFile) -> None:
    """Writes all that a file holds."""
    with storage.open_file(source) as file:
        while block := file.read(BLOCK):
            target.write(block)
