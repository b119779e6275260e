"""Folders that stages hand to each other: the manifest that is written last makes one whole, and JSON is written in one step."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bigbird.support import integrity
from bigbird.support.errors import InputError
from bigbird.support.integrity import Facts
from bigbird.support.safe_paths import folder_here
from bigbird.support.temporary_names import temporary_sibling
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
