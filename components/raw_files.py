"""A user's own files, here and in buckets, as they are read: what `bigbird.tasks.raw_input.Storage` asks for, and vocabularies."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from typing import BinaryIO

from bigbird.storage import exists, is_file, is_remote, join, list_names, open_file
from bigbird.storage import read_bytes as read_raw
from bigbird.support.errors import InputError

__all__ = ["VocabularyFiles", "is_file", "is_remote", "join", "list_names", "open_raw", "read_bytes"]


class VocabularyFiles:
    """Where a vocabulary lies, as `read_vocabulary` looks for it."""

    def names(self, folder: str) -> set[str]:
        """What a folder holds; nothing of a file."""
        return set() if is_file(folder) else set(list_names(folder))

    def read(self, file: str) -> bytes:
        """A file's content."""
        return read_bytes(file, "vocabulary")


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
