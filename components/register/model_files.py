"""A model's folder as files of this machine: as it is, mounted, or downloaded from its bucket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bigbird import storage
from bigbird.support.errors import InputError
from bigbird.support.progress import Progress


@contextmanager
def local_folder(uri: str, only: str = "") -> Iterator[Path]:
    """Yields a folder that holds what `uri` holds; a downloaded one vanishes afterwards.

    Args:
        uri: a folder, here or in a bucket.
        only: the one file of it that is needed.

    Raises:
        InputError: there is no such folder, or an object's name leads out of it.
        ServiceError: the bucket cannot be read.
    """
    if not storage.is_remote(uri):
        if not uri:
            raise InputError("it was registered without a folder of its own")
        if not Path(uri).is_dir():
            raise InputError(f"{uri}: no such folder")
        yield Path(uri)
        return
    storage.service_of(uri)
    uri = uri.rstrip("/")
    if not storage.split(uri)[1]:
        raise InputError(f"{uri}: is a whole bucket; expected a folder in it")
    place = storage.mounted(uri)
    if place is not None:
        yield place
        return
    progress = Progress(f"download {uri}")

    def show(done: int, entries: list[storage.Entry]) -> None:
        progress.total = len(entries)
        if done:
            progress.update(done)

    with storage.local_copy(uri, only=only, progress=show) as folder:
        progress.finish()
        yield folder
