"""Files of this machine and objects in buckets, by the same calls. Paths of this machine need no library."""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from bigbird.storage.backends import THREADS, backend
from bigbird.storage.listing import entry_of, list_files
from bigbird.storage.services import is_remote
from bigbird.storage.trouble import explained, no_bucket
from bigbird.support.errors import InputError

_PATTERN = "*?["
_READ_BLOCK, _WRITE_BLOCK = 4 * 2**20, 8 * 2**20


def exists(path: str) -> bool:
    """Whether a file is there; here also a folder, which buckets do not have.

    Raises:
        ServiceError: a bucket cannot be asked.
    """
    return entry_of(path) is not None if is_remote(path) else Path(path).exists()


def is_file(path: str) -> bool:
    """Whether there is a file, and no folder, of this name. In a bucket a name with `*`, `?` or `[` counts as a pattern.

    Raises:
        ServiceError: a bucket cannot be asked.
    """
    if not is_remote(path):
        return Path(path).is_file()
    return not any(character in path for character in _PATTERN) and entry_of(path) is not None


def read_bytes(path: str, patience_s: float | None = None) -> bytes:
    """A whole file as it is.

    Args:
        path: the file.
        patience_s: see `trouble.PATIENCE_S`.

    Raises:
        InputError: a bucket has no such object.
        ServiceError: a bucket cannot be read.
        OSError: a file of this machine cannot be read.
    """
    if not is_remote(path):
        return Path(path).read_bytes()
    try:
        with explained(path):
            return bytes(backend(path, patience_s).cat_file(path))
    except FileNotFoundError:
        raise _missing(path) from None


def open_file(path: str) -> BinaryIO:
    """A file for reading, that can seek; of a bucket's the parts that are asked for are fetched.

    Raises:
        InputError: a bucket has no such object.
        ServiceError: a bucket cannot be read.
        OSError: a file of this machine cannot be read.
    """
    if not is_remote(path):
        return Path(path).open("rb")
    entry = entry_of(path)
    if entry is None:
        raise _missing(path)
    return io.BufferedReader(_Object(path, entry.size), _READ_BLOCK)  # type: ignore[return-value]


class _Object(io.RawIOBase):
    """An object in a bucket: each read asks for a range."""

    def __init__(self, path: str, size: int):
        self.name, self._size, self._at = path, size, 0
        self._backend = backend(path)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        end = min(self._at + len(buffer), self._size)
        if self._at >= end:
            return 0
        try:
            with explained(self.name):
                content = self._backend.cat_file(self.name, start=self._at, end=end)
        except FileNotFoundError:
            raise _missing(self.name) from None
        if len(content) != end - self._at:
            raise InputError(f"{self.name}: was changed while it was read; expected bytes {self._at} to {end}")
        buffer[: len(content)] = content
        self._at = end
        return len(content)


def create(path: str) -> BinaryIO:
    """Opens a new file for writing, or empties an old one. A bucket has the object from the end of a `with` on, if no error ends it.

    Raises:
        ServiceError: a bucket cannot be written.
        OSError: a file of this machine cannot be written.
    """
    return _Upload(path) if is_remote(path) else Path(path).open("wb")  # type: ignore[return-value]


class _Upload(io.RawIOBase):
    """A new object of a bucket."""

    def __init__(self, path: str):
        self.name = path
        with self._explained():
            self._file = backend(path).open(path, "wb", block_size=_WRITE_BLOCK, autocommit=False)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        with self._explained():
            return int(self._file.write(data))

    def close(self) -> None:
        if not self.closed:
            try:
                with self._explained():
                    self._file.close()
                    self._file.commit()
            finally:
                super().close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
            return
        super().close()
        self._file.closed = True  # else it would be written when it is collected
        with suppress(Exception):  # the error that ends the block is told; services drop unfinished uploads themselves
            self._file.discard()

    def _explained(self) -> Any:
        return explained(self.name, writing=True)


def write_bytes(path: str, content: bytes) -> None:
    """Writes a whole file.

    Raises:
        InputError: there is no such bucket.
        ServiceError: a bucket cannot be written.
        OSError: a file of this machine cannot be written.
    """
    if not is_remote(path):
        Path(path).write_bytes(content)
        return
    try:
        with explained(path, writing=True):
            backend(path).pipe_file(path, content)
    except FileNotFoundError:
        raise no_bucket(path) from None


def delete(paths: list[str]) -> None:
    """Deletes files, and folders with all they hold.

    Raises:
        ServiceError: a bucket refuses.
        OSError: a file of this machine is not there, or cannot be deleted.
    """
    for path in paths:
        if is_remote(path):
            _delete_objects(path)
        elif Path(path).is_dir() and not Path(path).is_symlink():
            shutil.rmtree(path)
        else:
            Path(path).unlink()


def _delete_objects(path: str) -> None:
    names = [entry.path for entry in list_files(path, marks=True)]
    if not path.endswith("/"):
        names.append(path)
    delete_objects(names)


def delete_objects(addresses: Sequence[str]) -> None:
    """Deletes objects of one bucket; those that are gone already are of no account.

    Raises:
        ServiceError: the bucket refuses.
    """
    if not addresses:
        return
    here = backend(addresses[0])

    def delete_one(name: str) -> None:
        with suppress(FileNotFoundError), explained(name, writing=True):
            here.rm_file(name)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(delete_one, addresses))


def _missing(path: str) -> InputError:
    return InputError(f"{path}: no such object")
