"""Paths for TensorFlow's native code, which takes `*`, `?`, `[` and backslashes in a name for a pattern of names."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PATTERN = re.compile(r"[*?\[\]\\]")


@contextmanager
def plain_path(path: str | os.PathLike[str]) -> Iterator[str]:
    """Yields a path to the same files that holds no character of a pattern.

    Where the path holds one, it is that of links in a temporary folder, which goes with the block.

    Args:
        path: a folder, or what several files' names begin with, before a dot, as with TensorFlow's checkpoints. One in a
            bucket stays as it is.
    """
    given = os.fspath(path)
    if "://" in given or not _PATTERN.search(given):
        yield given
        return
    real = Path(given).absolute()
    with tempfile.TemporaryDirectory(prefix="bigbird-") as name:
        link = Path(name) / "linked"
        if real.is_dir():
            link.symlink_to(real, target_is_directory=True)
        else:
            for file in real.parent.iterdir() if real.parent.is_dir() else ():
                if file.name.startswith(f"{real.name}."):
                    link.with_name(link.name + file.name[len(real.name) :]).symlink_to(file)
        yield str(link)
