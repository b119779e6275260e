"""The model's folder: one of this machine, or a copy of one in a bucket."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bigbird import storage
from bigbird.serving.saved_model import find_in_bucket, find_saved_model
from bigbird_components.serve.log import log


@contextmanager
def local_model(location: str) -> Iterator[Path]:
    """Yields the SavedModel's folder; a bucket's is copied into a temporary folder that goes with the block.

    Args:
        location: folder of a SavedModel or of a run; here, or as gs://BUCKET/FOLDER or s3://BUCKET/FOLDER. Of a run's in a
            bucket only the exported model is copied.

    Raises:
        InputError: there is none, or it cannot be copied whole.
        ServiceError: a bucket cannot be read.
    """
    if not storage.is_remote(location):
        yield find_saved_model(Path(location))
        return

    storage.service_of(location)  # refuses what is no address, before it is asked for anything
    location = find_in_bucket(location)

    def tell(done: int, entries: list[storage.Entry]) -> None:
        if not done:
            megabytes = round(sum(entry.size for entry in entries) / 1e6, 1)
            log("copying the model", location=location, files=len(entries), megabytes=megabytes)

    started = time.monotonic()
    with storage.local_copy(location, progress=tell) as folder:
        log("copied the model", seconds=round(time.monotonic() - started, 1))
        yield folder
