"""What folders hold."""

from __future__ import annotations

import datetime
import glob
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bigbird.storage.backends import backend
from bigbird.storage.services import is_remote, join, split
from bigbird.storage.trouble import explained, no_bucket
from bigbird.support.errors import InputError


@dataclass(frozen=True)
class Entry:
    """An object in a bucket.

    Attributes:
        path: its address.
        size: bytes.
        modified: seconds since 1970.
        version: what changes whenever it is written: Cloud Storage's generation, S3's entity tag.
        md5: of its content, in base64; empty where the service does not say it.
    """

    path: str
    size: int
    modified: float
    version: str
    md5: str


def entry_of(address: str, patience_s: float | None = None) -> Entry | None:
    """An object in a bucket; None where there is none of this name, or no such bucket.

    Args:
        address: its address.
        patience_s: see `trouble.PATIENCE_S`.

    Raises:
        ServiceError: the bucket cannot be asked.
    """
    try:
        with explained(address):
            found = backend(address, patience_s).info(address)
    except FileNotFoundError:
        return None
    return _entry(address, found) if found["type"] == "file" else None


def list_names(folder: str, *, folders: bool = False) -> list[str]:
    """The names of a folder's files, sorted, and here of its folders; none where there is no such folder.

    Args:
        folder: here or in a bucket.
        folders: of a bucket, too, those of its folders.

    Raises:
        InputError: there is no such bucket.
        ServiceError: a bucket cannot be asked.
    """
    if is_remote(folder):
        return sorted(names_in_bucket(folder, folders=folders))
    return sorted(path.name for path in Path(folder).iterdir()) if Path(folder).is_dir() else []


def names_in_bucket(folder: str, *, folders: bool, patience_s: float | None = None) -> set[str]:
    """The names that lie directly in a folder of a bucket.

    Args:
        folder: its address.
        folders: whether those of folders are wanted, too.
        patience_s: see `trouble.PATIENCE_S`.

    Raises:
        InputError: there is no such bucket.
        ServiceError: the bucket cannot be asked.
    """
    plain = folder.rstrip("/")
    inside = f"{'/'.join(split(plain))}".rstrip("/") + "/"
    found = _listed(plain, "ls", patience_s)
    names = {
        entry["name"].removeprefix(inside).rstrip("/")
        for entry in found
        if entry["name"].startswith(inside) and (folders or entry["type"] == "file")
    }
    return names - {""}


def list_files(folder: str, *, marks: bool = False) -> list[Entry]:
    """All objects in a folder of a bucket and in those inside it, in the order of their names.

    Args:
        folder: its address.
        marks: also the empty objects by which consoles mark folders; their names end in "/".

    Raises:
        InputError: there is no such bucket.
        ServiceError: the bucket cannot be asked.
    """
    return [entry for entry in _below(folder) if marks or not entry.path.endswith("/")]


def _below(folder: str, beginning: str = "") -> list[Entry]:
    """All objects below a folder whose names there begin so."""
    plain, scheme = folder.rstrip("/"), folder.partition("://")[0]
    found = _listed(plain, "find", None, beginning)
    entries = [_entry(f"{scheme}://{entry['name']}", entry) for entry in found]
    inside = f"{plain}/{beginning}"
    return sorted((entry for entry in entries if entry.path.startswith(inside)), key=lambda entry: entry.path)


def _listed(folder: str, method: str, patience_s: float | None, beginning: str = "") -> list[dict[str, Any]]:
    """What the library's method says of a folder; nothing where there is none."""
    with explained(folder):
        here = backend(folder, patience_s)
        try:
            found = getattr(here, method)(folder, detail=True, **({"prefix": beginning} if beginning else {}))
        except FileNotFoundError:
            _check_bucket(here, folder)
            return []
    return list(found.values()) if isinstance(found, dict) else found


def _check_bucket(here: Any, address: str) -> None:
    try:
        here.ask_bucket(split(address)[0])
    except FileNotFoundError:
        raise no_bucket(address) from None


def _entry(address: str, found: dict[str, Any]) -> Entry:
    """A library's description of an object."""
    time = found.get("mtime") or found.get("LastModified")
    return Entry(
        address,
        int(found["size"] or 0),
        time.timestamp() if isinstance(time, datetime.datetime) else 0.0,
        str(found.get("generation") or found.get("ETag") or ""),
        found.get("md5Hash") or "",
    )


def fingerprint(paths: Sequence[str]) -> str:
    """What tells files from their earlier or later selves without reading them: a digest.

    It is of names, sizes and, here, times; in buckets, versions.

    Args:
        paths: files, folders with all that lies in them, patterns, or what several files' names begin with, before a dot.

    Raises:
        InputError: a path cannot be listed, or names nothing.
        ServiceError: a bucket cannot be asked.
    """
    digest = hashlib.sha256()
    for path in paths:
        try:
            found: Mapping[str, tuple[int, float | str]] = (
                _match_remote(path) if is_remote(path) else _match_local(path)
            )
        except OSError as error:
            raise InputError(f"{path}: cannot be listed: {error}") from None
        if not found:
            raise InputError(f"{path}: no such file or folder, and as a pattern it matches nothing")
        for name in sorted(found):
            size, version = found[name]
            digest.update(os.fsencode(f"{name}\0{size}\0{version}\n"))
    return digest.hexdigest()


def _match_remote(path: str) -> dict[str, tuple[int, str]]:
    """Size and version of the objects that a path names, or begins the names of, before a dot or a slash."""
    from fsspec.utils import glob_translate

    plain = re.split(r"[*?[]", path, maxsplit=1)[0]
    above, _, start = plain.rpartition("/")
    if plain != path:
        pattern = re.compile("|".join(glob_translate(each) for each in (path, f"{path}.*", join(path, "**"))))
        found = [entry for entry in _below(above, start) if pattern.fullmatch(entry.path)]
    else:
        found = list_files(path)
        if start and split(path)[1]:
            beside = _below(above, f"{start}.")
            found += [entry for entry in (entry_of(path), *beside) if entry and "/" not in entry.path[len(path) :]]
    return {entry.path: (entry.size, entry.version) for entry in found}


def _match_local(path: str) -> dict[str, tuple[int, float]]:
    """The same for files here."""
    start = path.rpartition("/")[2]
    above = path.removesuffix(start)
    names = [path] if start else []
    if start and Path(above).is_dir():
        beside = (entry for entry in Path(above).iterdir() if entry.name.startswith(f"{start}.") and entry.is_file())
        names += [above + entry.name for entry in beside]
    names += [join(folder, name) for folder, _, files in os.walk(path) for name in files]
    if not any(Path(name).exists() for name in names):
        names = matches_here(path)
    facts = {name: Path(name).stat() for name in names if Path(name).exists()}
    return {name: (facts[name].st_size, facts[name].st_mtime) for name in facts}


def matches_here(pattern: str) -> list[str]:
    """The files and folders of a pattern here; folders in it that are there are taken as they are."""
    folder = pattern
    while folder and not Path(folder).is_dir():
        folder = folder.rpartition("/")[0]
    plain = glob.escape(folder) + pattern.removeprefix(folder)
    return glob.glob(plain, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
