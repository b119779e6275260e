"""Where checkpoints lie: this machine, gs://, which TensorFlow reads itself, and s3://, which it does not.

The functions are those of `tf.io.gfile` that reading checkpoints needs. TensorFlow is not imported for files of this machine and
s3://. `InputError` is raised for an address of another kind, and for what is there and cannot be read.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bigbird import storage
from bigbird.support.errors import InputError
from bigbird.support.paths import plain_path


def _through_storage(path: str) -> bool:
    return path.startswith("s3://")


@contextmanager
def _gfile(path: str) -> Iterator[Any]:
    """TensorFlow's files, of an address of gs://."""
    import tensorflow as tf

    try:
        yield tf.io.gfile
    except tf.errors.UnimplementedError:
        raise InputError(
            f"{path}: cannot be reached from here; expected a path of this machine, {storage.FORMS}"
        ) from None
    except tf.errors.OpError as error:
        raise InputError(f"{path}: cannot be read ({error.message})") from None


def exists(path: str) -> bool:
    """Whether there is a file or a folder of this name."""
    if _through_storage(path):
        return storage.exists(path) or isdir(path)
    if "://" not in path:
        return os.path.exists(path)  # noqa: PTH110 - Path.exists raises where a folder on the way may not be read
    with _gfile(path) as gfile:
        return bool(gfile.exists(path))


def isdir(path: str) -> bool:
    """Whether there is a folder of this name."""
    if _through_storage(path):
        return bool(storage.names_in_bucket(path, folders=True))
    if "://" not in path:
        return os.path.isdir(path)  # noqa: PTH112 - as above
    with _gfile(path) as gfile:
        return bool(gfile.isdir(path))


def listdir(folder: str) -> set[str]:
    """The names of a folder's files and folders; none where there is no such folder."""
    if _through_storage(folder):
        return storage.names_in_bucket(folder, folders=True)
    if "://" in folder:
        with _gfile(folder) as gfile:
            return {name.rstrip("/") for name in gfile.listdir(folder)} if gfile.isdir(folder) else set()
    if not isdir(folder):
        return set()
    try:
        return {file.name for file in Path(folder).iterdir()}
    except OSError as error:
        raise InputError(f"{folder}: cannot be listed ({error.strerror})") from None


def read(file: str) -> bytes:
    """A file's content."""
    if _through_storage(file):
        return storage.read_bytes(file)
    if "://" in file:
        with _gfile(file) as gfile, gfile.GFile(file, "rb") as stream:
            content: bytes = stream.read()
        return content
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from None


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
