"""Where checkpoints lie: this machine and gs://, which TensorFlow reads itself, and s3://, which it does not.

The functions are those of `tf.io.gfile` that reading checkpoints needs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bigbird import storage
from bigbird.support.paths import plain_path


def _through_storage(path: str) -> bool:
    return path.startswith("s3://")


def exists(path: str) -> bool:
    """Whether there is a file or a folder of this name."""
    if _through_storage(path):
        return storage.exists(path) or isdir(path)
    from tensorflow.io import gfile

    return bool(gfile.exists(path))


def isdir(path: str) -> bool:
    """Whether there is a folder of this name."""
    if _through_storage(path):
        return bool(storage.names_in_bucket(path, folders=True))
    from tensorflow.io import gfile

    return bool(gfile.isdir(path))


def listdir(folder: str) -> set[str]:
    """The names of a folder's files and folders; none where there is no such folder."""
    if _through_storage(folder):
        return storage.names_in_bucket(folder, folders=True)
    from tensorflow.io import gfile

    return {name.rstrip("/") for name in gfile.listdir(folder)} if gfile.isdir(folder) else set()


def read(file: str) -> bytes:
    """A file's content."""
    if _through_storage(file):
        return storage.read_bytes(file)
    from tensorflow.io import gfile

    with gfile.GFile(file, "rb") as stream:
        content: bytes = stream.read()
    return content


@contextmanager
def readable(prefix: str, *, only: str | None = None) -> Iterator[str]:
    """Yields a name under which TensorFlow's own reader finds files, copied here while the block runs where it must be.

    Args:
        prefix: what the names of a checkpoint's files begin with, before a dot; with `only` a folder.
        only: the one file of the folder that is needed.
    """
    if not _through_storage(prefix):
        with plain_path(prefix) as plain:
            yield plain
        return
    if only is not None:
        with tempfile.TemporaryDirectory(prefix="bigbird-") as scratch:
            (Path(scratch) / only).write_bytes(storage.read_bytes(f"{prefix}/{only}"))
            yield scratch
        return
    folder, _, name = prefix.rpartition("/")
    with storage.local_copy(folder, only=f"{name}.") as copy:
        yield f"{copy}/{name}"
