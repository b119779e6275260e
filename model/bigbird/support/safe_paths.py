"""Paths that users, settings and manifests name, checked: of this machine, inside a folder, with links that lead somewhere."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from bigbird.support.errors import InputError


def inside(root: str | os.PathLike[str], name: object, what: str) -> Path:
    """A path that a file or a setting names, which must lie inside its folder, links followed.

    Args:
        root: the folder.
        name: the path inside it.
        what: what names it, for the message: "best_checkpoint_export_subdir".

    Raises:
        InputError: it is no relative path, or leads out of the folder.
    """
    root = Path(root)
    if not isinstance(name, str) or not name or "\0" in name or Path(name).is_absolute():
        raise InputError(f"{what}: is {str(name)[:100]!r}; expected the name of a file or folder inside {root}")
    path = root / name
    if ".." in Path(name).parts or resolved(root) not in resolved(path).parents:
        raise InputError(f"{what}: {name[:100]!r} leads out of {root}; expected the name of a file or folder inside it")
    return path


def folder_here(given: str | os.PathLike[str], remedy: str) -> Path:
    """A folder's path; `InputError` for the address of one in a bucket, which `Path` would make a folder "gs:" here of."""
    if "://" in os.fspath(given):
        raise InputError(f"{given}: expected a folder of this machine; {remedy}")
    return Path(given)


def resolved(path: str | os.PathLike[str]) -> Path:
    """A path with links followed, also to what is not there yet; `InputError` where they lead in a circle."""
    try:
        place = Path(path).resolve()
    except RuntimeError:  # a circle, up to Python 3.12
        place = None
    if place is None or _is_circle(place):
        raise InputError(
            f"{path}: is a link that leads back to itself, or lies behind one; expected a file or folder, or a place for a new one"
        )
    return place


def _is_circle(path: Path) -> bool:
    """Whether links lead in a circle, which Python's own `resolve` leaves as it is from 3.13 on."""
    try:
        path.stat()
    except OSError as error:
        return error.errno == errno.ELOOP
    return False
