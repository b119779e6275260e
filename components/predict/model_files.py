"""A model's folder as files of this machine: as it is, or copied from its bucket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bigbird import storage
from bigbird.serving.saved_model import find_in_bucket


@contextmanager
def local_model(location: str) -> Iterator[Path]:
    """Yields a folder of a run, a SavedModel or a trained model; a bucket's is a copy, which goes with the block.

    Args:
        location: here, or in a bucket. Of a run's folder in a bucket only the exported model is copied.

    Raises:
        InputError: there are no files, or they cannot be copied whole.
        ServiceError: the bucket cannot be read.
    """
    if not storage.is_remote(location):
        yield Path(location)
        return
    storage.service_of(location)  # refuses what is no address, before it is asked for anything
    with storage.local_copy(find_in_bucket(location)) as folder:
        yield folder
