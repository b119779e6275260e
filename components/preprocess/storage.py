"""Files here and in buckets as the stage reads and writes them: `bigbird.storage`, and what only this stage needs.

A local output folder is written beside its place and renamed. A bucket cannot rename a folder, so there the manifest,
written last, is what makes the folder whole, and a failed run deletes what it wrote. A killed run cannot: by a mark, which is
written first and deleted last, the next one knows what it left.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from bigbird.storage import (
    check_output,
    create,
    delete,
    delete_objects,
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
from bigbird.support.artifacts import MANIFESTS
from bigbird.support.errors import InputError
from bigbird.support.new_folders import check_replaceable, new_folder
from bigbird.text.files import STORED as VOCABULARY_FILES
from bigbird_components.output_files import make_folder, open_range
from bigbird_components.raw_files import open_raw, read_bytes

__all__ = [
    "WORK",
    "check",
    "check_output",
    "create",
    "delete",
    "delete_work",
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
_MARK = "unfinished.txt"  # in a bucket's folder of work: what lies beside it is ours
_IN_WORK = re.compile(rf"((done/)?|done/[^/]+\.json|[^/]+\.examples\.jsonl|{re.escape(_MARK)})")
_BESIDE_WORK = re.compile(
    rf"[^/]+-\d+-of-\d+\.tfrecord|[^/]+\.examples\.jsonl|rejected\.jsonl|report\.html|{'|'.join(map(re.escape, VOCABULARY_FILES))}"
)


def check(path: str) -> None:
    """Raises `InputError` for an address of no service that can be reached."""
    if is_remote(path):
        service_of(path)


def write_text(path: str, text: str) -> None:
    """Writes a whole file in UTF-8; half a character, which has no UTF-8, as its escape."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


class OutputFolder(NamedTuple):
    """A folder that is being written.

    Attributes:
        path: where its files go until it is whole.
        check: to be called before the manifest is written; raises `LockLost` where another process writes the folder by now.
    """

    path: str
    check: Callable[[], None]


@contextmanager
def output_folder(target: str, *, overwrite: bool) -> Iterator[OutputFolder]:
    """Yields the folder to write to; it becomes `target` when the block succeeds and vanishes when it fails.

    Raises:
        InputError: `target` holds files, and `overwrite` is not set or no stage wrote them; or another process writes it.
        ServiceError: a bucket cannot be written.
    """
    if not is_remote(target):
        with new_folder(target, overwrite=overwrite) as folder:
            yield OutputFolder(str(folder), lambda: None)  # which checks before the folder gets its name
        return
    mark = join(target, WORK, _MARK)
    with locked_in_bucket(target, "preprocessing") as held:
        names = list_names(target, folders=True)
        if not _is_unfinished(target, names):
            check_replaceable(target, names, overwrite)
        write_text(mark, f"{target} is being written by bigbird preprocess, or was when that was killed.\n")
        _delete_all_but(target, mark)
        try:
            yield OutputFolder(target, held.check)
        except BaseException:
            held.check()  # what another process writes is not deleted
            _delete_all_but(target, mark)
            delete([target])
            raise
        held.check()
        delete([join(target, WORK)])


def delete_work(folder: str) -> None:
    """Deletes what the folder of work holds. In a bucket its mark stays until the manifest is there."""
    if is_remote(folder):
        _delete_all_but(join(folder, WORK), join(folder, WORK, _MARK))
    else:
        delete([join(folder, WORK)])


def _delete_all_but(folder: str, kept: str) -> None:
    delete_objects([entry.path for entry in list_files(folder, marks=True) if entry.path != kept])


def _is_unfinished(target: str, names: Sequence[str]) -> bool:
    """Whether a folder of a bucket is what a killed run of this stage left.

    Raises:
        InputError: it is, and holds something else besides.
    """
    work = join(target, WORK)
    inside = [entry.path.removeprefix(f"{work}/") for entry in list_files(work, marks=True)] if WORK in names else []
    ours = bool(inside) and all(map(_IN_WORK.fullmatch, inside))
    if not ours or set(names) & set(MANIFESTS.values()) or (_MARK not in inside and list(names) != [WORK]):
        return False
    others = [each for each in names if each != WORK and not _BESIDE_WORK.fullmatch(each)]
    if others:
        raise InputError(
            f"{target}: is what a preprocessing that was killed left, and holds {', '.join(others[:5])} besides, which it did not "
            "write; move that away, or give an empty or new folder"
        )
    return True
