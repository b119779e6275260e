"""From the user's files to checked examples: which file is which split, and their JSON lines cut into shards."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from bigbird.support.errors import InputError
from bigbird.support.integrity import Facts, HashingFile
from bigbird.support.progress import Progress
from bigbird.tasks.family import TaskFamily
from bigbird.tasks.official_files import official_files
from bigbird.tasks.raw_input import Inputs, Item, Reading, Source
from bigbird.tasks.records import BadRecords, name_of
from bigbird.tasks.registry import family_of_task
from bigbird_components.preprocess import storage

_log = logging.getLogger(__name__)

Cut = tuple[int, int, int, int]
"""First byte, bytes, examples and number of the first example of a shard."""

OnShard = Callable[[str, str, int, Cut], None]

BLOCK = 1 << 18  # bytes of lines that are written and hashed at once


@dataclass
class Lines:
    """A split's checked examples as JSON lines.

    Attributes:
        split: its name.
        path: the file of lines.
        examples: how many, as the task counts them.
        labelled: whether they have labels.
        cuts: of each shard.
        facts: size and SHA-256 of the file of lines.
    """

    split: str
    path: str
    examples: int
    labelled: bool
    cuts: list[Cut]
    facts: Facts

    @property
    def size(self) -> int:
        """Bytes of the file of lines."""
        return sum(cut[1] for cut in self.cuts)

    @property
    def files(self) -> list[str]:
        """The names of the shards' TFRecord files."""
        return [f"{self.split}-{i:05d}-of-{len(self.cuts):05d}.tfrecord" for i in range(len(self.cuts))]


def find_sources(task: str, folder: str | None, files: dict[str, str | None]) -> list[Source]:
    """As `locate_sources`, and says on standard error which they are and which of the folder's are not read."""
    sources, inner = locate_sources(task, folder, files)
    if inner:
        _say_unread(inner, sources)
    for source in sources:
        _log.info(f"reading {source.split} from {source.path}")
    return sources


def locate_sources(task: str, folder: str | None, files: dict[str, str | None]) -> tuple[list[Source], str | None]:
    """Finds the task's files.

    Args:
        task: its name.
        folder: the task's folder, or the one above with the official folder in it; None where files are named.
        files: "train", "validation", "test" -> a file named by the user; it takes precedence over the folder's.

    Returns:
        The files, and the folder that was looked into.

    Raises:
        InputError: nothing is found, it is not clear which file is a split's, or a named file is for a split that the
            task does not have.
    """
    found: dict[str, str] = {}
    if folder:
        named = [kind for kind, path in files.items() if path is not None]
        folder, found = _in_folder(task, folder, named)
    splits = family_of_task(task).splits(task)
    for kind, path in files.items():
        if path is None:
            continue
        split = next((name for name in splits if name == kind or name.startswith(f"{kind}_")), None)
        if split is None:
            raise InputError(f"--{kind}-file {path}: task {task} has no {kind} split; it has {', '.join(splits)}")
        found[split] = path
    if not found:
        raise InputError(
            "no input is given; expected --input with the task's folder, or --train-file, --validation-file, --test-file"
        )
    return [Source(split, found[split]) for split in splits if split in found], folder


def _say_unread(folder: str, sources: list[Source]) -> None:
    """Names the files of a folder that are no source."""
    read = {_place(source.path) for source in sources}
    unread = [name for name in storage.list_names(folder) if _place(storage.join(folder, name)) not in read]
    unread = [name_of(name) for name in unread if not Path(folder, name).is_dir()]
    if unread:
        more = f" and {len(unread) - 10:,} more" if len(unread) > 10 else ""
        _log.info(f"not read in {folder}: {', '.join(unread[:10])}{more}")


def _place(path: str) -> str:
    """The same text for the same file, however its path is written."""
    return path if storage.is_remote(path) else str(Path(path).absolute())


class _Writer:
    """Writes a split's checked examples as JSON lines, and cuts them into shards.

    Args:
        split: its name.
        path: the file to write.
        examples_per_shard: number of examples after which a shard ends.
        whole: is given split, file, number and cut of each shard whose lines are in the file.
    """

    def __init__(self, split: str, path: str, examples_per_shard: int, whole: OnShard | None = None):
        self.split, self.path, self._most, self._whole = split, path, examples_per_shard, whole
        self._encode = json.JSONEncoder(ensure_ascii=False).encode
        self._file = storage.create(path)
        self._out = HashingFile(self._file)
        self._cuts: list[Cut] = []
        self._held: list[bytes] = []  # lines that are written together
        self._held_bytes = 0
        self._start = self._size = self._count = self._first = 0
        self._unlabelled = 0
        self._progress = Progress(f"read {split}")

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, item: Item) -> None:
        """Writes what reading gave as one line."""
        self.add_line(f"{self._encode(item.line)}\n".encode(), item.examples, item.labelled)

    def add_line(self, line: bytes, examples: int, labelled: bool) -> None:
        """Writes one line, which holds `examples` examples."""
        self._held.append(line)
        self._held_bytes += len(line)
        if self._held_bytes >= BLOCK:
            self._flush()
        self._size += len(line)
        self._count += examples
        self._unlabelled += not labelled
        if self._count >= self._most:
            self._cut()
            self._progress.update(self._first)

    def _flush(self) -> None:
        self._out.write(b"".join(self._held))
        self._held, self._held_bytes = [], 0

    def _cut(self) -> None:
        self._cuts.append((self._start, self._size, self._count, self._first))
        self._start, self._size, self._count, self._first = (self._start + self._size, 0, 0, self._first + self._count)
        if self._whole is not None:
            self._flush()
            self._file.flush()
            self._whole(self.split, self.path, len(self._cuts) - 1, self._cuts[-1])

    def lines(self) -> Lines | None:
        """Writes the rest, before the file is closed; gives what was written, None where that is nothing."""
        if self._count:
            self._cut()
        if not self._cuts:
            return None
        self._flush()
        return Lines(self.split, self.path, self._first, not self._unlabelled, self._cuts, self._out.facts())


def read_source(source: Source, task: str, output: str, bad: BadRecords) -> Lines:
    """Reads and checks one raw file and writes its examples as JSON lines to `output`.

    Raises:
        InputError: the file cannot be used; see the task's family.
    """
    family = family_of_task(task)
    rejected_before = len(bad.rejected)
    with _Writer(source.split, output, family.examples_per_file) as writer:
        for item in family.read(task, source, storage, bad):
            writer.add(item)
        lines = writer.lines()
    if lines is None:
        first_bad = bad.rejected[rejected_before]
        raise InputError(
            f"{source.path}: every record in it was rejected; the first, {source.path}:{first_bad['where']}: "
            f"{first_bad['problem']}"
        )
    return lines


def read_tables(
    family: TaskFamily,
    inputs: Inputs,
    scratch_folder: str | None,
    output: Callable[[str], str],
    bad: BadRecords,
    expect: Callable[[int], None],
    whole: Callable[[Reading], OnShard | None],
) -> tuple[Reading, list[Lines]]:
    """Reads and checks a user's own tables and writes each split's examples as JSON lines.

    Args:
        family: of the task.
        inputs: what the user gave.
        scratch_folder: of this machine, for a file without a name that takes what the tables hold; None for the system's.
        output: split -> the file to write.
        bad: takes the records that are skipped.
        expect: is told again and again how many bytes of examples there are so far.
        whole: gives, once the tables are checked, what is told of each shard whose lines are written.

    Raises:
        InputError: the tables cannot be used; see the task's family.
    """
    progress = Progress("check records")

    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryFile(dir=scratch_folder))

        def checked(split: str, records: int) -> None:
            progress.update(records, split)
            expect(scratch.tell())

        reading = family.read_table(inputs, storage, scratch, bad, _tell, checked)
        progress.finish()
        expect(scratch.seek(0, io.SEEK_END))
        for message, remedy in reading.notices:
            _tell(f"note: {message}; {remedy}")
        on_shard = whole(reading)
        writers = {
            split: stack.enter_context(_Writer(split, output(split), family.examples_per_file, on_shard))
            for split in reading.splits
        }
        for split, line, labelled in reading.lines():
            writers[split].add_line(line, 1, labelled)
        found = [lines for writer in writers.values() if (lines := writer.lines()) is not None]
    return reading, found


def _tell(message: str) -> None:
    _log.info(message)


def _in_folder(task: str, folder: str, named: Collection[str]) -> tuple[str, dict[str, str]]:
    """The official files in a folder, or in the task's own folder inside it.

    Args:
        task: its name.
        folder: where to look.
        named: kinds of splits whose files the user names.

    Returns:
        The folder that holds the files, and split -> path.
    """
    names = storage.list_names(folder, folders=True)
    if not names:
        what = "is a file" if Path(folder).is_file() else "no such folder, or nothing in it"
        raise InputError(
            f"{folder}: {what}; expected the folder with the task's files "
            "(a single file goes to --train-file, --validation-file or --test-file)"
        )
    inner = family_of_task(task).inner_folder(task, names)
    if inner:
        return _in_folder(task, storage.join(folder, inner), named)
    found = official_files(task, folder, names, named)
    return folder, {split: storage.join(folder, name) for split, name in found.items()}
