"""Files here and in buckets as the stage reads and writes them: `bigbird.storage`, and what only this stage needs.

A local output folder is written beside its place and renamed. A bucket cannot rename a folder, so there the manifest,
written last, is what makes the folder whole, and a failed run deletes what it wrote.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from bigbird.storage import (
    create,
    delete,
    exists,
    fingerprint,
    is_file,
    is_remote,
    join,
    list_names,
    locked_in_bucket,
    name,
    open_file,
    service_of,
    write_bytes,
)
from bigbird.storage import read_bytes as read_raw
from bigbird.support.artifacts import check_replaceable, new_folder
from bigbird.support.errors import InputError
from bigbird_components.output_files import check_output, for_workers, make_folder, open_range

__all__ = [
    "check",
    "check_output",
    "create",
    "delete",
    "exists",
    "fingerprint",
    "for_workers",
    "is_file",
    "is_remote",
    "join",
    "list_names",
    "make_folder",
    "name",
    "open_range",
    "open_raw",
    "output_folder",
    "read_bytes",
    "write_bytes",
    "write_text",
]


def check(path: str) -> None:
    """Raises `InputError` for an address of no service that can be reached."""
    if is_remote(path):
        service_of(path)


def open_raw(path: str) -> BinaryIO:
    """A file as it is, compressed or not.

    Raises:
        InputError: it cannot be opened.
        ServiceError: a bucket refuses.
    """
    return open_file(path)


def read_bytes(path: str, what: str) -> bytes:
    """A whole file, unpacked where its name says that it is packed.

    Raises:
        InputError: it cannot be read; `what` tells the user what it should be.
        ServiceError: a bucket refuses.
    """
    if not path.strip():
        raise InputError(f"the {what} is given as an empty path")
    try:
        content = read_raw(path) if exists(path) else None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; expected the {what}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error}); expected the {what}") from None
    if content is None:
        raise InputError(f"{path}: no such file; expected the {what}")
    unpack = next((unpack for ending, unpack in _UNPACKED.items() if path.lower().endswith(ending)), None)
    if unpack is None:
        return content
    try:
        return unpack(content)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
        raise InputError(
            f"{path}: its name says that it is compressed, and it cannot be unpacked ({error}); expected the {what}"
        ) from None


def _unpack_zstandard(content: bytes) -> bytes:
    from io import BytesIO

    import zstandard  # Beam's own

    try:
        return zstandard.ZstdDecompressor().stream_reader(BytesIO(content), read_across_frames=True).read()
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from None


# By the ending of a name.
_UNPACKED: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".deflate": zlib.decompress,
    ".xz": lzma.decompress,
    ".lzma": lzma.decompress,
    ".zst": _unpack_zstandard,
    ".zstd": _unpack_zstandard,
}


def write_text(path: str, text: str) -> None:
    """Writes a whole file in UTF-8; half a character, which has no UTF-8, as its escape."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


@contextmanager
def output_folder(target: str, *, overwrite: bool) -> Iterator[str]:
    """Yields the folder to write to; it becomes `target` when the block succeeds and vanishes when it fails.

    Raises:
        InputError: `target` holds files, and `overwrite` is not set or no stage wrote them; or another process writes it.
        ServiceError: a bucket cannot be written.
    """
    if not is_remote(target):
        with new_folder(target, overwrite=overwrite) as folder:
            yield str(folder)
        return
    with locked_in_bucket(target, "preprocessing"):
        names = list_names(target)
        check_replaceable(target, names, overwrite)
        if names:
            delete([target])
        try:
            yield target
        except BaseException:
            delete([target])
            raise
