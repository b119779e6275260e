"""Folders that stages hand to each other: whole or absent, with a manifest written last, one writer at a time."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from bigbird.support import integrity
from bigbird.support.errors import InputError
from bigbird.support.integrity import Facts
from bigbird.support.locks import Held, locked
from bigbird.support.temporary_names import parse_temporary, temporary_sibling
from bigbird.support.text_files import parse_json, read_text

# What each stage, a conversion, a check and the answers to a table leave behind: the manifest that makes its folder whole.
MANIFESTS = {
    "dataset": "dataset.json",
    "model": "model.json",
    "evaluation": "metrics.json",
    "saved_model": "signature.json",
    "checkpoint": "conversion.json",
    "predictions": "summary.json",
    "check": "check.json",
}

# A run's folder: what marks it, and where its trained model is.
RUN_RECORD, TRAINED_IN_RUN = "run.json", "train/model"

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


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes `value` as indented JSON, replacing `path` in one step so that no reader sees half a file."""
    path = Path(path)
    temporary = temporary_sibling(path)
    try:
        temporary.write_bytes(json_bytes(value))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def json_bytes(value: Any) -> bytes:
    """`value` as indented JSON in UTF-8; a name that is not Unicode, as a file may have, as its escape."""
    try:
        return f"{json.dumps(value, indent=2, ensure_ascii=False)}\n".encode()
    except UnicodeEncodeError:
        return f"{json.dumps(value, indent=2)}\n".encode()


def write_manifest(
    folder: str | os.PathLike[str], kind: str, value: Mapping[str, Any], checksums: Mapping[str, Facts] | None = None
) -> dict[str, Any]:
    """Writes the manifest that makes a folder whole, with the checksums of the folder's files.

    Args:
        folder: the stage's output folder.
        kind: a key of `MANIFESTS`.
        value: what the manifest says.
        checksums: facts of the files that later stages read, by path inside the folder; default all files that are there.

    Returns:
        The manifest as written.
    """
    name = MANIFESTS[kind]
    if checksums is None:
        checksums = integrity.facts_of_folder(folder, but=(name,))
    manifest = integrity.sealed({**value, integrity.CHECKSUMS: dict(checksums)})
    write_json(Path(folder) / name, manifest)
    return manifest


def read_json(path: str | os.PathLike[str], what: str) -> Any:
    """Reads a JSON file.

    Args:
        path: the file.
        what: what the file is to the user, for the error message ("dataset manifest").

    Raises:
        InputError: the file is missing, is not UTF-8, or is not JSON; names the line and column.
    """
    expected = f"the {what}, a JSON file in UTF-8"
    text = read_text(path, expected)
    hint = f"; is the {what} truncated? The file has {len(text)} characters"
    return parse_json(text, str(path), expected, hint=hint)


def read_manifest(folder: str | os.PathLike[str], kind: str) -> dict[str, Any]:
    """Reads the manifest that makes a stage's folder whole.

    Args:
        folder: the stage's output folder.
        kind: a key of `MANIFESTS`.

    Raises:
        InputError: the folder has no manifest (the stage did not finish), another kind's, or one that is no mapping.
    """
    folder = folder_here(folder, "copy it here first")
    path = folder / MANIFESTS[kind]
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected the {kind} folder of an earlier stage")
    if not path.exists():
        others = [name for name, file in MANIFESTS.items() if name != kind and (folder / file).exists()]
        found = (
            f"it is a {others[0]} folder"
            if others
            else "the stage that writes it did not finish, or this is another folder"
        )
        raise InputError(f"{folder}: has no {MANIFESTS[kind]}; expected a {kind} folder, but {found}")
    manifest = read_json(path, f"{kind} manifest")
    if not isinstance(manifest, dict):
        raise InputError(f"{path}: holds {type(manifest).__name__}; expected the {kind} manifest, a JSON object")
    integrity.check_seal(path, manifest, f"{kind} manifest")
    return manifest


def check_files(
    folder: str | os.PathLike[str], kind: str, manifest: Mapping[str, Any], names: Iterable[str] | None = None
) -> None:
    """Checks files of a stage's folder against its manifest; see `integrity.check_files`.

    Args:
        folder: the folder.
        kind: a key of `MANIFESTS`.
        manifest: of the folder.
        names: of the files; default all that the manifest knows.

    Raises:
        DamagedError: one is missing, damaged or was changed.
    """
    integrity.check_files(folder, manifest, f"write the {kind} folder again, or restore the file", names)


def inside(root: str | os.PathLike[str], name: object, what: str) -> Path:
    """A path that a file or a setting names, which must lie inside its folder, links followed.

    Args:
        root: the folder.
        name: the path inside it.
        what: what names it, for the message: "best_checkpoint_export_subdir".

    Raises:
        InputError: it is no relative path, or leads out of the folder.
    """
    root = Path(root)
    if not isinstance(name, str) or not name or "\0" in name or Path(name).is_absolute():
        raise InputError(f"{what}: is {str(name)[:100]!r}; expected the name of a file or folder inside {root}")
    path = root / name
    if ".." in Path(name).parts or resolved(root) not in resolved(path).parents:
        raise InputError(f"{what}: {name[:100]!r} leads out of {root}; expected the name of a file or folder inside it")
    return path


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


def folder_here(given: str | os.PathLike[str], remedy: str) -> Path:
    """A folder's path; `InputError` for the address of one in a bucket, which `Path` would make a folder "gs:" here of."""
    if "://" in os.fspath(given):
        raise InputError(f"{given}: expected a folder of this machine; {remedy}")
    return Path(given)


def resolved(path: str | os.PathLike[str]) -> Path:
    """A path with links followed, also to what is not there yet; `InputError` where they lead in a circle."""
    try:
        place = Path(path).resolve()
    except RuntimeError:  # a circle, up to Python 3.12
        place = None
    if place is None or _is_circle(place):
        raise InputError(
            f"{path}: is a link that leads back to itself, or lies behind one; expected a file or folder, or a place for a new one"
        )
    return place


def _is_circle(path: Path) -> bool:
    """Whether links lead in a circle, which Python's own `resolve` leaves as it is from 3.13 on."""
    try:
        path.stat()
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


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
