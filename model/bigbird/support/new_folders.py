"""Folders that appear whole or not at all: written beside their place, one writer at a time; and what killed processes left of them."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from bigbird.support.artifacts import MANIFESTS
from bigbird.support.errors import InputError
from bigbird.support.locks import Held, locked
from bigbird.support.safe_paths import folder_here, resolved
from bigbird.support.temporary_names import parse_temporary, temporary_sibling

# What a file system answers that cannot rename a folder; EMFILE is Cloud Storage FUSE's, which Vertex AI mounts at /gcs.
_NO_RENAME = (errno.EMFILE, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EXDEV)


def move_folder(source: Path, target: Path, whole: Collection[str] = tuple(MANIFESTS.values())) -> None:
    """Gives a folder another name, in one step where the file system can; else its files are copied, then deleted.

    Args:
        source: the folder.
        target: its new name; absent, or an empty folder.
        whole: names of the files that make the folder whole; copied last, so that no reader takes half of it for all.
    """
    try:
        os.replace(source, target)
        return
    except OSError as error:
        if error.errno not in _NO_RENAME:
            raise
    try:
        _copy_folder(source, target, whole)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    shutil.rmtree(source)


def _copy_folder(source: Path, target: Path, last: Collection[str]) -> None:
    """Copies contents only: such file systems have no modes or times to set."""
    target.mkdir(exist_ok=True)
    for path in sorted(source.iterdir(), key=lambda path: path.name in last):
        if path.is_dir():
            _copy_folder(path, target / path.name, last)
        else:
            shutil.copyfile(path, target / path.name)


def check_replaceable(folder: str, names: Sequence[str], overwrite: bool) -> None:
    """Refuses an output folder whose replacement the user did not ask for, or that no stage wrote.

    Args:
        folder: the output folder, for the message.
        names: what it holds.
        overwrite: whether the user asked for its replacement.

    Raises:
        InputError: it holds files, and `overwrite` is not set or no manifest is among them.
    """
    if names and not overwrite:
        raise InputError(f"{folder}: already holds files; give an empty or new folder, or pass --overwrite")
    if names and not set(names) & set(MANIFESTS.values()):
        raise InputError(
            f"{folder}: holds files but none of {', '.join(MANIFESTS.values())}, so no stage wrote it and "
            "--overwrite leaves it alone; give an empty or new folder"
        )


@contextmanager
def new_folder(target: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Yields a temporary sibling of `target` that becomes `target` if the block succeeds and vanishes if not.

    An empty folder at `target` is replaced (pipeline runners make one). Anything else is kept unless
    `overwrite`, in which case a stage's old folder goes only once the new one is whole; a folder that no stage
    wrote, one without a manifest, is never replaced. A link is followed.
    A mounted volume or the current folder, which could not be replaced, is refused before any work is done, and so is a
    folder that another process is writing. What a killed process left beside it is deleted.

    Raises:
        InputError: `target` exists and holds something, cannot be made or replaced, is being written, or was taken over by another
            process meanwhile (`LockLost`), whose folder then stays.
    """
    given = target
    with ExitStack() as stack:
        try:
            target = _output_place(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            held = stack.enter_context(locked(target, f"the step that writes {target.name}"))
            remove_left_over(target.parent, [target.name])
            names = [file.name for file in target.iterdir()] if target.is_dir() else []
        except OSError as error:
            raise InputError(f"{given}: cannot be made ({error}); give another output folder") from None
        check_replaceable(str(given), names, overwrite)
        yield from _filled(given, target, held)


def _output_place(given: str | os.PathLike[str]) -> Path:
    """Where a folder is to be written, links followed; `InputError` where none can be replaced."""
    target = resolved(folder_here(given, "copy it there afterwards"))
    if target.exists() and not target.is_dir():
        raise InputError(f"{given}: is a file; expected a folder to write to")
    if Path.cwd().is_relative_to(target):
        raise InputError(f"{given}: is the current folder, or one above it; give the output a folder of its own")
    if os.path.ismount(target):
        raise InputError(f"{given}: is a mounted volume, which cannot be replaced; give a folder inside it")
    return target


def _filled(given: str | os.PathLike[str], target: Path, held: Held) -> Iterator[Path]:
    """Yields the temporary folder, then puts it in its place."""
    temporary = temporary_sibling(target)
    try:
        temporary.mkdir()
    except OSError as error:
        raise InputError(f"{given}: cannot be made ({error}); give another output folder") from None
    try:
        yield temporary
        held.check()
        put_in_place(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def put_in_place(source: Path, target: Path, whole: Collection[str] = tuple(MANIFESTS.values())) -> None:
    """Gives a folder that is whole its name; a folder that has the name goes once the new one is there, and stays if it fails.

    Args:
        source: the folder.
        target: its name.
        whole: as in `move_folder`.
    """
    replaced = temporary_sibling(target, "old")
    try:
        if target.is_dir():
            move_folder(target, replaced, whole)  # one that cannot be moved fails here, before anything is deleted
        move_folder(source, target, whole)
    finally:
        if replaced.exists() and not target.exists():
            move_folder(replaced, target, whole)
        shutil.rmtree(replaced, ignore_errors=True)


def remove_left_over(folder: Path, paths: Iterable[str] | None = None) -> None:
    """Deletes what killed processes left of files and folders that they were writing; the caller holds their lock.

    What was moved aside when its replacement was about to take its place is put back.

    Args:
        folder: the folder to look in.
        paths: inside it, of the files and folders that the caller writes; None for all directly in it.
    """
    ours = None if paths is None else {folder / path for path in paths}
    parents = {folder} if ours is None else {target.parent for target in ours}
    for path in [path for parent in parents if parent.is_dir() for path in sorted(parent.iterdir())]:
        found = parse_temporary(path.name)
        if found is None:
            continue
        target = path.with_name(found.name)
        if ours is not None and target not in ours:
            continue
        if found.kind == "old" and not target.exists():
            move_folder(path, target)
        else:
            delete(path)


def delete(path: Path) -> None:
    """Deletes a file, a link or a folder with all it holds, as far as it can be."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)
