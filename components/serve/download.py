"""The model's folder: one of this machine, or a copy of one in a bucket."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bigbird.serving.saved_model import find_saved_model
from bigbird.support.errors import InputError
from bigbird_components.serve.log import log

BUCKETS = "gs://"
THREADS = 8


@contextmanager
def local_model(location: str) -> Iterator[Path]:
    """Yields the SavedModel's folder; a bucket's is copied into a temporary folder that goes with the block.

    Args:
        location: folder of a SavedModel or of a run; here, or as gs://BUCKET/FOLDER.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    if location.startswith(BUCKETS):
        with tempfile.TemporaryDirectory(prefix="bigbird-model-") as name:
            download(location, Path(name))
            yield find_saved_model(Path(name))
    elif "://" in location:
        raise InputError(f"{location}: expected a folder of this machine, or {BUCKETS}BUCKET/FOLDER")
    else:
        yield find_saved_model(Path(location))


def download(location: str, folder: Path) -> None:
    """Copies the objects below gs://BUCKET/FOLDER; Google's client compares the checksums that the bucket sends.

    Args:
        location: the bucket's folder.
        folder: an empty folder to copy into.

    Raises:
        InputError: there are no objects, they cannot be copied whole, or one's name leads out of the folder.
    """
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud import storage
    from google.cloud.storage import transfer_manager

    started = time.monotonic()
    bucket, _, inner = location.removeprefix(BUCKETS).partition("/")
    prefix = f"{inner.strip('/')}/" if inner.strip("/") else ""
    if not bucket:
        raise InputError(f"{location}: names no bucket; expected {BUCKETS}BUCKET/FOLDER")
    try:
        found = list(storage.Client().list_blobs(bucket, prefix=prefix))
        files = [(blob, _place(folder, blob.name, prefix)) for blob in found if not blob.name.endswith("/")]
        if not files:
            raise InputError(f"{location}: holds no objects; expected the files of a SavedModel")
        megabytes = round(sum(blob.size for blob, _ in files) / 1e6, 1)
        log("copying the model", location=location, files=len(files), megabytes=megabytes)
        for _, place in files:
            place.parent.mkdir(parents=True, exist_ok=True)
        transfer_manager.download_many(
            [(blob, str(place)) for blob, place in files],
            worker_type=transfer_manager.THREAD,
            max_workers=THREADS,
            raise_exception=True,
        )
    except (GoogleAPIError, GoogleAuthError, OSError) as error:
        raise InputError(f"{location}: cannot be copied ({' '.join(str(error).split())})") from None
    for blob, place in files:
        if place.stat().st_size != blob.size:
            name = place.relative_to(folder)
            raise InputError(f"{location}: {name} arrived with {place.stat().st_size} of {blob.size} bytes; try again")
    log("copied the model", seconds=round(time.monotonic() - started, 1))


def _place(folder: Path, name: str, prefix: str) -> Path:
    """Where an object goes.

    Raises:
        InputError: its name has a part that a file's may not have, such as "..".
    """
    parts = name.removeprefix(prefix).split("/")
    if any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
        raise InputError(f"{BUCKETS}…/{name}: an object's name that is no file's; expected those of a SavedModel")
    return folder.joinpath(*parts)
