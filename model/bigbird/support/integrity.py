"""Checksums: what a later stage reads is what an earlier one wrote.

A manifest or state file is written last. It holds size and SHA-256 of every file beside it that somebody reads later
(`checksums`), and the SHA-256 of its own values (`manifest_sha256`). Whoever reads a file checks it first, once in a process.
Files of format 1, which earlier versions wrote, hold neither and are read as they are.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from bigbird.support.errors import DamagedError

FORMAT = 2
"""Of manifests and state files: with checksums."""
CHECKSUMS, SEAL = "checksums", "manifest_sha256"

Facts = dict[str, Any]
"""{"bytes": int, "sha256": hexadecimal digits} of one file."""

_CHUNK = 1 << 22  # bytes read at once
_checked: set[tuple[Any, ...]] = set()  # files that this process has checked, as they were then


class HashingFile:
    """A file being written whose size and SHA-256 are known at its end.

    Args:
        file: open for writing bytes.
    """

    def __init__(self, file: BinaryIO):
        self._file, self._digest, self._bytes = file, hashlib.sha256(), 0

    def write(self, data: bytes) -> None:
        """Writes and counts."""
        self._file.write(data)
        self._digest.update(data)
        self._bytes += len(data)

    def facts(self) -> Facts:
        """Of what was written so far."""
        return {"bytes": self._bytes, "sha256": self._digest.hexdigest()}


def facts_of_bytes(data: bytes) -> Facts:
    """Size and SHA-256 of a file's content."""
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def facts_of_file(path: str | os.PathLike[str]) -> Facts:
    """Size and SHA-256 of a file; remembered as checked, so that this process does not read it once more."""
    with Path(path).open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
        status = os.fstat(file.fileno())
    sha256 = digest.hexdigest()
    _checked.add(_identity(status, sha256))
    return {"bytes": status.st_size, "sha256": sha256}


def facts_of_folder(folder: str | os.PathLike[str], but: Collection[str] = ()) -> dict[str, Facts]:
    """Facts of every file below a folder, by its path inside; without the names in `but`."""
    folder = Path(folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: facts_of_file(path) for name, path in names.items() if name not in but}


def _identity(status: os.stat_result, sha256: str) -> tuple[Any, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, sha256


# ---------------------------------------------------------------------------------------------- checking files


def check_file(path: str | os.PathLike[str], facts: Mapping[str, Any], remedy: str) -> None:
    """Compares a file with what was noted when it was written.

    Args:
        path: the file.
        facts: its size in bytes and SHA-256.
        remedy: what the user can do, to end the message with.

    Raises:
        DamagedError: it is missing, shorter or longer, or holds something else.
    """
    path = Path(path)
    try:
        status = path.stat()
    except OSError as error:
        raise DamagedError(
            f"{path}: cannot be read ({error.strerror}), though its manifest names it; {remedy}"
        ) from None
    if status.st_size != facts["bytes"]:
        raise DamagedError(
            f"{path}: has {status.st_size:,} bytes; its manifest says {facts['bytes']:,}, so it is damaged or was changed; "
            f"{remedy}"
        )
    if _identity(status, facts["sha256"]) in _checked:
        return
    found = facts_of_file(path)["sha256"]
    if found != facts["sha256"]:
        raise DamagedError(
            f"{path}: is damaged or was changed: its SHA-256 is {found[:16]}…, its manifest says {facts['sha256'][:16]}…; "
            f"{remedy}"
        )


def check_bytes(path: str, data: bytes, facts: Mapping[str, Any], remedy: str) -> None:
    """As `check_file`, for a file whose content was read already."""
    if facts_of_bytes(data) != {"bytes": facts["bytes"], "sha256": facts["sha256"]}:
        raise DamagedError(f"{path}: is damaged or was changed: it is not what its manifest says; {remedy}")


def check_files(
    folder: str | os.PathLike[str], manifest: Mapping[str, Any], remedy: str, names: Iterable[str] | None = None
) -> None:
    """Checks files of a folder against its manifest; nothing where the manifest is of format 1.

    Args:
        folder: the stage's folder.
        manifest: of the folder.
        remedy: what the user can do, to end a message with.
        names: of the files, inside the folder; default all that the manifest knows.

    Raises:
        DamagedError: a file is missing, damaged or was changed, or the manifest does not know it.
    """
    known = manifest.get(CHECKSUMS)
    if known is None:
        return
    for name in known if names is None else names:
        if name not in known:
            raise DamagedError(
                f"{Path(folder) / name}: is not among the files that the folder's manifest names; {remedy}"
            )
        check_file(Path(folder) / name, known[name], remedy)


# ------------------------------------------------------------------------------------------ checking manifests


def sealed(value: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest with the SHA-256 of its own values, in the present format."""
    told = json.loads(json.dumps({**value, "format": FORMAT}))  # as it is read again: every key a string
    told.pop(SEAL, None)
    return {**told, SEAL: _digest(told)}


def content(value: Mapping[str, Any]) -> dict[str, Any]:
    """What a manifest says, without its format and checksums."""
    return {key: inner for key, inner in value.items() if key not in ("format", CHECKSUMS, SEAL)}


def check_seal(path: str | os.PathLike[str], value: Mapping[str, Any], what: str) -> None:
    """Refuses a manifest whose values are not those that were written.

    Args:
        path: the file, for the message.
        value: what it holds.
        what: what it is to the user.

    Raises:
        DamagedError: a value was changed, or the format is none that is known.
    """
    if value.get("format") in (None, 1) and not {SEAL, CHECKSUMS} & value.keys():  # written before there were checksums
        return
    told = {key: inner for key, inner in value.items() if key != SEAL}
    if value.get("format") != FORMAT:
        raise DamagedError(
            f"{path}: its format is {str(value.get('format'))[:40]!r}; expected 1 or {FORMAT} in the {what}. It is damaged, or "
            "of a newer version of this project"
        )
    if value.get(SEAL) != _digest(told) or not _are_facts(told.get(CHECKSUMS, {})):
        raise DamagedError(
            f"{path}: is damaged or was edited: the {what}'s values are not those that were written with it; run the step "
            "that wrote it again"
        )


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _are_facts(checksums: Any) -> bool:
    return isinstance(checksums, dict) and all(
        isinstance(facts, dict) and isinstance(facts.get("bytes"), int) and isinstance(facts.get("sha256"), str)
        for facts in checksums.values()
    )
