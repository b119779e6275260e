"""TFRecord files: found by paths and patterns, or named by a dataset's manifest; counted and checked."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from bigbird.manifests import DatasetManifest
from bigbird.support.artifacts import MANIFESTS
from bigbird.support.errors import DamagedError, InputError
from bigbird.support.paths import plain_path
from bigbird.support.safe_paths import inside


def find_files(input_path: str | Sequence[str]) -> list[str]:
    """TFRecord files of one or more paths or patterns (comma-separated, or a list), sorted within each.

    A path that is there is taken as it is, also where it holds characters of a pattern or a comma.

    Raises:
        InputError: a path matches no file.
    """
    if isinstance(input_path, str):
        paths = [input_path] if _is_file(input_path) else input_path.split(",")
    else:
        paths = list(input_path)
    files: list[str] = []
    for path in (path if _is_file(path) else path.strip() for path in paths):
        found = [path] if _is_file(path) else _matches(path)
        if not found:
            raise InputError(
                f"input_path {path!r}: matches no file; expected TFRecord files, patterns or a dataset folder"
            )
        files += found
    return files


def _is_file(path: str) -> bool:
    return bool(path) and tf.io.gfile.exists(path) and not tf.io.gfile.isdir(path)


def _matches(pattern: str) -> list[str]:
    """The files of a pattern; folders in it that are there are taken as they are."""
    if not pattern:
        return []
    folder = "" if "://" in pattern else pattern.rpartition("/")[0]
    while folder and not Path(folder).is_dir():
        folder = folder.rpartition("/")[0]
    with plain_path(folder) as plain:
        found = [folder + file.removeprefix(plain) for file in tf.io.gfile.glob(plain + pattern.removeprefix(folder))]
    return sorted(file for file in found if not tf.io.gfile.isdir(file))


def split_files(folder: str | Path, manifest: DatasetManifest, split: str) -> list[str]:
    """The files of a split of a dataset/ folder.

    Raises:
        InputError: the dataset has no such split, or a file of it is gone, damaged or was changed.
    """
    splits = manifest.splits
    if split not in splits:
        raise InputError(f"{folder}: has no split {split!r}; it has {', '.join(splits)}")
    names = splits[split].files
    where = f"{Path(folder) / MANIFESTS['dataset']}: split {split!r}"
    files = [str(inside(folder, name, where)) for name in names]
    for file in files:
        if not Path(file).exists():
            raise InputError(f"{file}: no such file, though the dataset's manifest names it for split {split!r}")
    manifest.check_files(folder, names)
    if manifest.checksums is None:  # of an earlier version: a file cut between two records shows by their number
        found = sum(count_frames(file) for file in files)
        if found != splits[split].records:
            raise DamagedError(
                f"{folder}: split {split!r} has {found:,} records; its manifest says {splits[split].records:,}. A file is cut "
                "short or was replaced; write the dataset again"
            )
    return files


def count_frames(file: str | Path) -> int:
    """Records of a TFRecord file by the lengths that stand in it; what they hold is not read.

    Raises:
        DamagedError: the file ends inside a record.
    """
    size, at, count = Path(file).stat().st_size, 0, 0
    with Path(file).open("rb") as stream:
        while at < size:
            stream.seek(at)
            header = stream.read(8)
            at += int.from_bytes(header, "little") + 16
            count += 1
            if len(header) < 8 or at > size:
                raise DamagedError(f"{file}: ends inside record {count - 1}; expected a whole TFRecord file")
    return count


def checksum(files: Sequence[str]) -> str:
    """SHA-256 over names and contents, in order."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{Path(file).name}\0{tf.io.gfile.stat(file).length}\0".encode())
        with tf.io.gfile.GFile(file, "rb") as stream:
            while chunk := stream.read(1 << 22):
                digest.update(chunk)
    return digest.hexdigest()


def check_not_empty(files: Sequence[str]) -> None:
    """Refuses files without any record: nothing is learnt from them, and an endless stream looks for one for ever.

    Raises:
        InputError: each of them is empty.
    """
    if all(_is_file(file) and not tf.io.gfile.stat(file).length for file in files):
        shown = ", ".join(files[:3]) + (f" and {len(files) - 3} more files" if len(files) > 3 else "")
        raise InputError(f"{shown or 'no file'}: no record; expected one at least. Preprocess input that has examples")


def count_records(files: Sequence[str]) -> int:
    """Records in TFRecord files; reads them all."""
    return int(tf.data.TFRecordDataset(list(files)).reduce(np.int64(0), lambda count, _: count + 1))
