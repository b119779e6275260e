"""From the user's files to checked examples: which file is which split, and their JSON lines cut into shards."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from bigbird.console import Progress
from bigbird.errors import InputError
from bigbird.integrity import Facts, HashingFile
from bigbird.tasks.family import Source
from bigbird.tasks.files import official_files
from bigbird.tasks.records import BadRecords, name_of
from bigbird.tasks.registry import family_of_task
from components.preprocess import storage


@dataclass
class Lines:
    """A split's checked examples as JSON lines.

    Attributes:
        split: its name.
        path: the file of lines.
        examples: how many, as the task counts them.
        labelled: whether they have labels.
        cuts: (first byte, bytes, examples, number of the first example) of each shard.
        facts: size and SHA-256 of the file of lines.
    """

    split: str
    path: str
    examples: int
    labelled: bool
    cuts: list[tuple[int, int, int, int]]
    facts: Facts

    @property
    def files(self) -> list[str]:
        """The names of the shards' TFRecord files."""
        return [f"{self.split}-{i:05d}-of-{len(self.cuts):05d}.tfrecord" for i in range(len(self.cuts))]


def find_sources(task: str, folder: str | None, files: dict[str, str | None]) -> list[Source]:
    """Finds the task's files, and says on standard error which they are and which of the folder's are not read.

    Args:
        task: its name.
        folder: the task's folder, or the one above with the official folder in it; None where files are named.
        files: "train", "validation", "test" -> a file named by the user; it takes precedence over the folder's.

    Raises:
        InputError: nothing is found, it is not clear which file is a split's, or a named file is for a split that the
            task does not have.
    """
    found: dict[str, str] = {}
    names: list[str] = []
    if folder:
        named = [kind for kind, path in files.items() if path is not None]
        folder, found, names = _in_folder(task, folder, named)
    splits = family_of_task(task).splits(task)
    for kind, path in files.items():
        if path is None:
            continue
        split = next((name for name in splits if name == kind or name.startswith(f"{kind}_")), None)
        if split is None:
            raise InputError(f"--{kind}_file {path}: task {task} has no {kind} split; it has {', '.join(splits)}")
        found[split] = path
    if not found:
        raise InputError(
            "no input is given; expected --input with the task's folder, or --train_file, --validation_file, --test_file"
        )
    sources = [Source(split, found[split]) for split in splits if split in found]
    if folder:
        _say_unread(folder, names, sources)
    for source in sources:
        print(f"reading {source.split} from {source.path}", file=sys.stderr)
    return sources


def _say_unread(folder: str, names: list[str], sources: list[Source]) -> None:
    """Names the files of a folder that are no source."""
    read = {_place(source.path) for source in sources}
    unread = [name for name in names if _place(storage.join(folder, name)) not in read]
    unread = [name_of(name) for name in unread if not Path(folder, name).is_dir()]
    if unread:
        more = f" and {len(unread) - 10:,} more" if len(unread) > 10 else ""
        print(f"not read in {folder}: {', '.join(unread[:10])}{more}", file=sys.stderr)


def _place(path: str) -> str:
    """The same text for the same file, however its path is written."""
    return path if storage.is_remote(path) else str(Path(path).absolute())


def read_source(source: Source, task: str, output: str, bad: BadRecords) -> Lines:
    """Reads and checks one raw file and writes its examples as JSON lines to `output`.

    Raises:
        InputError: the file cannot be used; see the task's family.
    """
    family, encoder = family_of_task(task), json.JSONEncoder(ensure_ascii=False)
    rejected_before = len(bad.rejected)
    items = family.read(task, source, storage, bad)
    progress = Progress(f"read {source.split}")
    cuts: list[tuple[int, int, int, int]] = []
    start = size = count = first = 0
    unlabelled = 0
    with storage.create(output) as file:
        out = HashingFile(file)
        for example, examples, labelled in items:
            line = f"{encoder.encode(example)}\n".encode()
            out.write(line)
            size += len(line)
            count += examples
            unlabelled += not labelled
            if count >= family.examples_per_file:
                cuts.append((start, size, count, first))
                start, size, count, first = start + size, 0, 0, first + count
                progress.update(first)
    if count:
        cuts.append((start, size, count, first))
    if not cuts:
        first_bad = bad.rejected[rejected_before]
        raise InputError(
            f"{source.path}: every record in it was rejected; the first, {source.path}:{first_bad['where']}: "
            f"{first_bad['problem']}"
        )
    return Lines(source.split, output, first + count, not unlabelled, cuts, out.facts())


def _in_folder(task: str, folder: str, named: Collection[str]) -> tuple[str, dict[str, str], list[str]]:
    """The official files in a folder, or in the task's own folder inside it.

    Args:
        task: its name.
        folder: where to look.
        named: kinds of splits whose files the user names.

    Returns:
        The folder that holds the files, split -> path, and the names of all that it holds.
    """
    names = storage.list_names(folder)
    if not names:
        what = "is a file" if Path(folder).is_file() else "no such folder, or nothing in it"
        raise InputError(
            f"{folder}: {what}; expected the folder with the task's files "
            "(a single file goes to --train_file, --validation_file or --test_file)"
        )
    inner = family_of_task(task).inner_folder(task, names)
    if inner:
        return _in_folder(task, storage.join(folder, inner), named)
    found = official_files(task, folder, names, named)
    return folder, {split: storage.join(folder, name) for split, name in found.items()}, names
