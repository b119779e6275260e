"""What steps need of files that remote workers read and write too: ranges of lines, folders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from bigbird.storage import is_remote, open_file
from bigbird.support.errors import DamagedError


@contextmanager
def open_range(path: str, start: int, size: int) -> Iterator[Iterator[bytes]]:
    """Yields the lines of a run of bytes that begins and ends with whole lines."""
    with open_file(path) as file:
        file.seek(start)
        yield _lines(path, file, size)


def _lines(path: str, file: BinaryIO, size: int) -> Iterator[bytes]:
    while size > 0:
        line = file.readline()
        if not line:
            raise DamagedError(
                f"{path}: ends {size:,} bytes before the lines that were written to it do, so it is damaged or was changed; "
                "call the command again"
            )
        size -= len(line)
        yield line


def make_folder(folder: str) -> None:
    """Makes a folder, unless it is there; a bucket's is there with its first file."""
    if not is_remote(folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
