"""Files here and, through Beam, in buckets: the stage reads and writes both by the same calls.

A local output folder is written beside its place and renamed. A bucket cannot rename a folder, so there the manifest,
written last, is what makes the folder whole, and a failed run deletes what it wrote.
"""

from __future__ import annotations

import glob
import hashlib
import os
import shutil
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO

from bigbird.support.artifacts import check_replaceable, new_folder
from bigbird.support.errors import InputError
from bigbird_components.preprocess.bucket_lock import locked_in_bucket

# Vertex mounts buckets here; remote workers have no such mount.
_MOUNT = "/gcs/"


def is_remote(path: str) -> bool:
    """Whether a path names a bucket ("gs://...") and not a file of this machine."""
    return "://" in path


def for_workers(path: str) -> str:
    """The name under which other machines find a mounted bucket's file."""
    return f"gs://{path.removeprefix(_MOUNT)}" if path.startswith(_MOUNT) else path


def check(path: str) -> None:
    """Raises `InputError` where Beam lacks what it takes to reach a bucket of this kind."""
    if is_remote(path):
        try:
            _filesystems().get_filesystem(path)
        except ValueError as error:
            raise InputError(f"{path}: cannot be reached from here: {error}") from None


def join(folder: str, *names: str) -> str:
    """A path inside a folder."""
    return _filesystems().join(folder, *names)


def name(path: str) -> str:
    """The last part of a path."""
    return path.replace(os.sep, "/").rpartition("/")[2]


def exists(path: str) -> bool:
    """Whether a file is there."""
    return bool(_filesystems().exists(path)) if is_remote(path) else Path(path).exists()


def is_file(path: str) -> bool:
    """Whether there is a file, and no folder, of this name.

    Raises:
        InputError: a bucket cannot be reached.
    """
    if not is_remote(path):
        return Path(path).is_file()
    from apache_beam.io.filesystem import BeamIOError

    try:
        return not any(character in path for character in "*?[") and bool(_filesystems().exists(path))
    except (OSError, BeamIOError) as error:
        raise InputError(f"{path}: cannot be reached: {_reason(error)}") from None


def open_raw(path: str) -> BinaryIO:
    """A file as it is, compressed or not.

    Raises:
        InputError: it cannot be opened.
    """
    if not is_remote(path):
        return Path(path).open("rb")
    from apache_beam.io.filesystem import BeamIOError

    try:
        return _filesystems().open(path, compression_type=_uncompressed())
    except (OSError, BeamIOError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({_reason(error)}); expected a table's file") from None


def list_names(folder: str) -> list[str]:
    """The names of a folder's files, sorted; none where there is no such folder.

    Raises:
        InputError: a bucket cannot be reached.
    """
    if is_remote(folder):
        from apache_beam.io.filesystem import BeamIOError

        try:
            found = _filesystems().match([join(folder, "*")])[0].metadata_list
        except (OSError, BeamIOError) as error:
            raise InputError(f"{folder}: cannot be listed: {_reason(error)}") from None
        return sorted(file.path.rpartition("/")[2] for file in found)
    return sorted(path.name for path in Path(folder).iterdir()) if Path(folder).is_dir() else []


def fingerprint(paths: Sequence[str]) -> str:
    """What tells files from their earlier or later selves without reading them: a digest of names, sizes and times.

    Args:
        paths: files, folders with all that lies in them, patterns, or what several files' names begin with, before a dot.

    Raises:
        InputError: a path cannot be listed, or names nothing.
    """
    from apache_beam.io.filesystem import BeamIOError

    digest = hashlib.sha256()
    for path in paths:
        try:
            found = _match_remote(path) if is_remote(path) else _match_local(path)
        except (OSError, BeamIOError, ValueError) as error:
            raise InputError(f"{path}: cannot be listed: {_reason(error)}") from None
        if not found:
            raise InputError(f"{path}: no such file or folder, and as a pattern it matches nothing")
        for name in sorted(found):
            size, time = found[name]
            digest.update(os.fsencode(f"{name}\0{size}\0{time}\n"))
    return digest.hexdigest()


def _match_remote(path: str) -> dict[str, tuple[int, float]]:
    """Size and time of the files that a path names, or begins the names of, before a dot or a slash."""
    results = _filesystems().match([path, f"{path}.*", join(path, "**")])
    files = [file for result in results for file in result.metadata_list]
    return {file.path: (file.size_in_bytes, file.last_updated_in_seconds) for file in files}


def _match_local(path: str) -> dict[str, tuple[int, float]]:
    """The same for files here, where Beam would take a name such as `run [1]` for a pattern."""
    start = path.rpartition("/")[2]
    above = path.removesuffix(start)
    names = [path] if start else []
    if start and Path(above).is_dir():
        beside = (entry for entry in Path(above).iterdir() if entry.name.startswith(f"{start}.") and entry.is_file())
        names += [above + entry.name for entry in beside]
    names += [join(folder, name) for folder, _, files in os.walk(path) for name in files]
    if not any(Path(name).exists() for name in names):
        names = _matches(path)
    facts = {name: Path(name).stat() for name in names if Path(name).exists()}
    return {name: (facts[name].st_size, facts[name].st_mtime) for name in facts}


def _matches(pattern: str) -> list[str]:
    """The files of a pattern here; folders in it that are there are taken as they are."""
    folder = pattern
    while folder and not Path(folder).is_dir():
        folder = folder.rpartition("/")[0]
    plain = glob.escape(folder) + pattern.removeprefix(folder)
    return glob.glob(plain, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern


def read_bytes(path: str, what: str) -> bytes:
    """A whole file.

    Raises:
        InputError: it cannot be read; `what` tells the user what it should be.
    """
    from apache_beam.io.filesystem import BeamIOError

    if not path.strip():
        raise InputError(f"the {what} is given as an empty path")
    try:
        exists = _filesystems().exists(path)
        if exists:
            with _filesystems().open(path) as file:
                return file.read()
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; expected the {what}") from None
    except (zlib.error, EOFError) as error:
        raise InputError(
            f"{path}: its name says that it is compressed, and it cannot be unpacked ({error}); expected the {what}"
        ) from None
    except (OSError, BeamIOError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({_reason(error)}); expected the {what}") from None
    raise InputError(f"{path}: no such file; expected the {what}")


@contextmanager
def open_range(path: str, start: int, size: int) -> Iterator[Iterator[bytes]]:
    """Yields the lines of a run of bytes that begins and ends with whole lines."""
    # Here without Beam, whose import takes a worker 3 s.
    with _filesystems().open(path, compression_type=_uncompressed()) if is_remote(path) else open_raw(path) as file:
        file.seek(start)
        yield _lines(file, size)


def _lines(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size > 0:
        line = file.readline()
        if not line:
            raise OSError(f"{file}: ends {size} bytes before the shard does")
        size -= len(line)
        yield line


def create(path: str) -> BinaryIO:
    """Opens a new file for writing, or empties an old one."""
    if not is_remote(path):
        return Path(path).open("wb")
    return _filesystems().create(path, compression_type=_uncompressed())


def write_text(path: str, text: str) -> None:
    """Writes a whole file in UTF-8; half a character, which has no UTF-8, as its escape."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_bytes(path: str, content: bytes) -> None:
    """Writes a whole file."""
    with create(path) as file:
        file.write(content)


def delete(paths: list[str]) -> None:
    """Deletes files and folders with all they hold."""
    remote = [path for path in paths if is_remote(path)]
    if remote:
        _filesystems().delete(remote)
    for path in (Path(path) for path in paths if not is_remote(path)):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


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
    with locked_in_bucket(target, "preprocessing") if target.startswith("gs://") else nullcontext():
        names = list_names(target)
        check_replaceable(target, names, overwrite)
        if names:
            delete([target])
        make_folder(target)
        try:
            yield target
        except BaseException:
            delete([target])
            raise


def check_output(target: str, inputs: Sequence[str]) -> None:
    """Refuses an output folder that cannot be written, or whose replacement would delete what the user keeps there.

    Args:
        target: the output folder.
        inputs: files and folders that the run reads.

    Raises:
        InputError: names the folder and what stands in the way.
    """
    if not target.strip():
        raise InputError("the output folder is given as an empty path; expected a new or empty folder")
    for path in inputs:
        if is_remote(path) == is_remote(target) and _holds(target, path):
            raise InputError(
                f"{target}: is the output folder and holds {path}, which this run reads; give another output folder"
            )
    if is_remote(target):
        return
    place = Path(target).resolve()
    if Path.cwd().is_relative_to(place):
        raise InputError(f"{target}: is the current folder, or one above it; give the output a folder of its own")
    above = next(folder for folder in place.parents if folder.exists())
    if not above.is_dir():
        raise InputError(f"{target}: cannot be made, as {above} is a file; give another output folder")
    if not os.access(above, os.W_OK):
        raise InputError(f"{target}: cannot be made, as {above} may not be written to; give another output folder")


def _holds(folder: str, path: str) -> bool:
    if is_remote(folder):
        return f"{path.rstrip('/')}/".startswith(f"{folder.rstrip('/')}/")
    return Path(path).resolve().is_relative_to(Path(folder).resolve())


def make_folder(folder: str) -> None:
    """Makes a folder, unless it is there."""
    from apache_beam.io.filesystem import BeamIOError

    try:
        _filesystems().mkdirs(folder)
    except (FileExistsError, BeamIOError):
        if not _filesystems().exists(folder):
            raise


def _reason(error: Exception) -> str:
    """The innermost of Beam's nested messages."""
    details = getattr(error, "exception_details", None)
    while details:
        error = next(iter(details.values()))
        details = getattr(error, "exception_details", None)
    return " ".join(str(error).split()) or type(error).__name__


def _uncompressed() -> str:
    from apache_beam.io.filesystem import CompressionTypes

    return CompressionTypes.UNCOMPRESSED


def _filesystems() -> Any:
    from apache_beam.io.filesystems import FileSystems

    return FileSystems
