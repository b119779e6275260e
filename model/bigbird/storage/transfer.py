"""Copies of a bucket's folders on this machine."""

from __future__ import annotations

import base64
import hashlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bigbird.storage.backends import THREADS, backend
from bigbird.storage.listing import Entry, list_files
from bigbird.storage.services import service_of
from bigbird.storage.trouble import explained
from bigbird.support.errors import InputError

_PART = 32 * 2**20  # bytes of a file that are asked for at once


Progress = Callable[[int, list[Entry]], None]


@contextmanager
def local_copy(location: str, *, only: str = "", progress: Progress = lambda *_: None) -> Iterator[Path]:
    """Yields a temporary folder with what a folder of a bucket holds; it goes with the block. Arguments and errors as `download`."""
    service_of(location)  # refuses what is no address, before it is asked for anything
    with tempfile.TemporaryDirectory(prefix="bigbird-") as name:
        download(location, Path(name), only=only, progress=progress)
        yield Path(name)


def download(
    location: str,
    folder: Path,
    *,
    only: str = "",
    progress: Progress = lambda *_: None,
) -> None:
    """Copies the objects in a folder of a bucket, and checks sizes and, where the service says them, checksums.

    Args:
        location: the bucket's folder.
        folder: an empty folder to copy into.
        only: takes only names in the folder that begin with it.
        progress: is told how many files are copied, before the first and after each, and all that are to be.

    Raises:
        InputError: there are no objects, one arrived damaged, or one's name leads out of the folder.
        ServiceError: the bucket cannot be read.
    """
    beginning = f"{location.rstrip('/')}/"
    entries = [entry for entry in list_files(location) if entry.path.startswith(beginning + only)]
    places = [_place(folder, entry.path, beginning) for entry in entries]
    if not entries:
        raise InputError(f"{location}: holds no {only or 'objects'}; it is another folder, or was deleted")
    progress(0, entries)
    try:
        for place in places:
            place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # one object's name is another's folder
        raise InputError(f"{location}: cannot be copied ({error}); expected files and folders") from None
    here = backend(location)
    stop = threading.Event()
    with ThreadPoolExecutor(THREADS) as pool:
        tasks = [pool.submit(_copy, here, entry, place, stop) for entry, place in zip(entries, places, strict=True)]
        try:
            for number, task in enumerate(tasks, 1):
                task.result()
                progress(number, entries)
        except BaseException:  # SIGTERM too, after which nobody waits until large files are copied whole
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _copy(here: Any, entry: Entry, place: Path, stop: threading.Event) -> None:
    digest, size = hashlib.md5(usedforsecurity=False), 0
    try:
        with place.open("wb") as file:
            for start in range(0, entry.size, _PART):
                if stop.is_set():
                    return
                with explained(entry.path):
                    part = (
                        here.cat_file(entry.path)
                        if entry.size <= _PART
                        else here.cat_file(entry.path, start=start, end=min(start + _PART, entry.size))
                    )
                file.write(part)
                digest.update(part)
                size += len(part)
    except FileNotFoundError:
        raise InputError(f"{entry.path}: was deleted while it was copied; try again") from None
    except IsADirectoryError:
        raise InputError(f"{entry.path}: cannot be copied, as its name is another's folder") from None
    if size != entry.size:
        raise InputError(f"{entry.path}: arrived with {size} of {entry.size} bytes; try again")
    if entry.md5 and base64.b64encode(digest.digest()).decode() != entry.md5:
        raise InputError(f"{entry.path}: arrived damaged: its MD5 is not the bucket's {entry.md5}; try again")


def _place(folder: Path, address: str, beginning: str) -> Path:
    """Where an object goes.

    Raises:
        InputError: its name has a part that a file's may not have, such as "..".
    """
    parts = address.removeprefix(beginning).split("/")
    if any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
        raise InputError(
            f"{address}: its name cannot be a file's, as it has an empty part, '.', '..', a backslash or a NUL character, and might lead "
            "out of the folder; rename or delete the object"
        )
    return folder.joinpath(*parts)
