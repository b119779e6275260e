"""What steps need of files that remote workers read and write too: ranges of lines, output folders, names for workers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from bigbird.storage import is_remote, open_file
from bigbird.support.errors import DamagedError, InputError

# Vertex mounts buckets here; remote workers have no such mount.
_MOUNT = "/gcs/"


def for_workers(path: str) -> str:
    """The name under which other machines find a mounted bucket's file."""
    return f"gs://{path.removeprefix(_MOUNT)}" if path.startswith(_MOUNT) else path


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


def check_output(target: str, inputs: Sequence[str]) -> None:
    """Refuses an output folder that cannot be written, or whose replacement would delete what the user keeps there.

    Args:
        target: the output folder.
        inputs: files and folders that the run reads.

    Raises:
        InputError: names the folder and what stands in the way.
    """
    if not target.strip():
        raise InputError("the output folder is given as an empty path; expected a new or empty folder")
    for path in inputs:
        if holds(target, path):
            raise InputError(
                f"{target}: is the output folder and holds {path}, which this run reads; give another output folder"
            )
    if is_remote(target):
        return
    place = Path(target).resolve()
    if Path.cwd().is_relative_to(place):
        raise InputError(f"{target}: is the current folder, or one above it; give the output a folder of its own")
    above = next(folder for folder in place.parents if folder.exists())
    if not above.is_dir():
        raise InputError(f"{target}: cannot be made, as {above} is a file; give another output folder")
    if not os.access(above, os.W_OK):
        raise InputError(f"{target}: cannot be made, as {above} may not be written to; give another output folder")


def holds(folder: str, path: str) -> bool:
    """Whether a file or folder is in a folder, or is that."""
    if is_remote(path) != is_remote(folder):
        return False
    if is_remote(folder):
        return f"{path.rstrip('/')}/".startswith(f"{folder.rstrip('/')}/")
    return Path(path).resolve().is_relative_to(Path(folder).resolve())


def make_folder(folder: str) -> None:
    """Makes a folder, unless it is there; a bucket's is there with its first file."""
    if not is_remote(folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
