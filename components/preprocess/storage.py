"""Files here and in buckets as the stage reads and writes them: `bigbird.storage`, and what only this stage needs.

A local output folder is written beside its place and renamed. A bucket cannot rename a folder, so there the manifest,
written last, is what makes the folder whole, and a failed run deletes what it wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from bigbird.storage import (
    check_output,
    create,
    delete,
    exists,
    fingerprint,
    for_workers,
    is_file,
    is_remote,
    join,
    list_files,
    list_names,
    locked_in_bucket,
    name,
    service_of,
    write_bytes,
)
from bigbird.support.artifacts import check_replaceable, new_folder
from bigbird_components.output_files import make_folder, open_range
from bigbird_components.raw_files import open_raw, read_bytes

__all__ = [
    "WORK",
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

WORK = "work"
"""A folder inside the output's, gone when it is whole."""
_OURS = re.compile(r"((done/)?|done/[^/]+\.json|[^/]+\.examples\.jsonl)")  # what a bucket's folder of work holds


def check(path: str) -> None:
    """Raises `InputError` for an address of no service that can be reached."""
    if is_remote(path):
        service_of(path)


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
        names = list_names(target, folders=True)
        if names != [WORK] or not _is_left_over(join(target, WORK)):
            check_replaceable(target, names, overwrite)
        if names:
            delete([target])
        try:
            yield target
        except BaseException:
            delete([target])
            raise


def _is_left_over(work: str) -> bool:
    """Whether a folder of work holds nothing but what an interrupted run of this stage left."""
    inside = [entry.path.removeprefix(f"{work}/") for entry in list_files(work, marks=True)]
    return all(map(_OURS.fullmatch, inside))
