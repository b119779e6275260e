"""Where a stage may write its output."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from bigbird.storage.services import for_workers, is_remote
from bigbird.support.errors import InputError
from bigbird.support.safe_paths import resolved


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
    place = resolved(target)
    if Path.cwd().is_relative_to(place):
        raise InputError(f"{target}: is the current folder, or one above it; give the output a folder of its own")
    above = next(folder for folder in place.parents if folder.exists())
    if not above.is_dir():
        raise InputError(f"{target}: cannot be made, as {above} is a file; give another output folder")
    if not os.access(above, os.W_OK):
        raise InputError(f"{target}: cannot be made, as {above} may not be written to; give another output folder")


def holds(folder: str, path: str) -> bool:
    """Whether a path lies in a folder, or is it; also where one is named by its bucket and the other by the bucket's mount."""
    if is_remote(folder) or is_remote(path):
        folder, path = for_workers(folder), for_workers(path)
        return is_remote(folder) and f"{path.rstrip('/')}/".startswith(f"{folder.rstrip('/')}/")
    return resolved(path).is_relative_to(resolved(folder))
