"""A model's folder as files of this machine: as it is, mounted, or downloaded from its bucket."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bigbird import storage
from bigbird.support.console import Progress
from bigbird.support.errors import InputError

MOUNT = Path("/gcs")  # where Vertex AI mounts buckets


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
    bucket, prefix = storage.split(uri.rstrip("/"))
    if not prefix:
        raise InputError(f"{uri}: is a whole bucket; expected a folder in it")
    mounted = MOUNT / bucket / prefix
    if uri.startswith("gs://") and mounted.is_dir():
        yield mounted
        return
    with tempfile.TemporaryDirectory() as folder:
        _download(uri.rstrip("/"), Path(folder), only)
        yield Path(folder)


def _download(uri: str, folder: Path, only: str) -> None:
    progress = Progress(f"download {uri}")

    def show(done: int, entries: list[storage.Entry]) -> None:
        progress.total = len(entries)
        if done:
            progress.update(done)

    storage.download(uri, folder, only=only, progress=show)
    progress.finish()
