"""Which files a table consists of: files, folders and patterns to files in a fixed order, each of a known format."""

from __future__ import annotations

import difflib
import fnmatch
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from bigbird.storage import matches_here
from bigbird.support.errors import InputError
from bigbird.tasks.raw_input import TABLE_KEYS, Storage
from bigbird.tasks.tables.problems import listed, quoted_name
from bigbird.tasks.tables.section import ENDINGS, SPLITS, TableFiles, TableFormat

_SPREADSHEETS = (".xlsx", ".xlsm", ".xls", ".ods", ".numbers")
_WILDCARDS = "*?["
# How the names of files begin that are splits of one set, or a part of them behind a dot, a hyphen or a low line.
_SPLIT_NAMES = {"train": ("train",), "validation": ("dev", "val", "testa"), "test": ("test",)}


class Table(NamedTuple):
    """One file: its path, and its format, a key of the section's `endings`."""

    path: str
    format: str

    def where(self, number: int) -> str:
        """A record's place in the file: the line of a text format, the row of Parquet, from 1."""
        return f"row {number}" if self.format == "parquet" else str(number)

    def place(self, number: int) -> str:
        """The same with the file's name before it."""
        return f"{quoted_name(self.path)}:{self.where(number)}"


@dataclass(frozen=True)
class TableStorage:
    """How files are reached.

    Attributes:
        open: path -> a binary stream; one of Parquet must be able to seek. Raises `OSError` or `InputError`.
        list_names: folder -> the names of files in it, here of folders too; nothing where there is no such folder.
        is_file: path -> whether there is a file.
    """

    open: Callable[[str], BinaryIO]
    list_names: Callable[[str], Sequence[str]]
    is_file: Callable[[str], bool]


def _open(path: str) -> BinaryIO:
    return Path(path).open("rb")


def _names(folder: str) -> list[str]:
    return [path.name for path in Path(folder).iterdir()] if Path(folder).is_dir() else []


def _is_file(path: str) -> bool:
    return Path(path).is_file()


LOCAL = TableStorage(_open, _names, _is_file)
"""This machine's files."""


def table_storage(storage: Storage) -> TableStorage:
    """The preprocessing stage's files."""

    def open_file(path: str) -> BinaryIO:
        return storage.open_raw(path)

    return TableStorage(open_file, storage.list_names, storage.is_file)


@dataclass(frozen=True)
class Tables:
    """The files of a split.

    Attributes:
        tables: in the order of their paths.
        unread: paths in the folders given that are no tables, sorted.
    """

    tables: list[Table]
    unread: list[str]


def find_tables(paths: Sequence[str], section: TableFormat, storage: TableStorage = LOCAL) -> Tables:
    """Finds the files that paths name.

    Args:
        paths: each a file, a folder or a pattern with `*`, `?`, `[...]` (a local one also with `**`). One that is there as
            a file is that file, whatever characters it has. Of a folder its own tables are read, none of folders inside
            it, and none whose name begins with a dot or an underscore, as the marks of other programs do.
        section: says the format where it is not told by the names.
        storage: where the files are.

    Raises:
        InputError: a path names nothing, a file's format is not known, or a folder or pattern names several formats.
    """
    found: dict[str, Table] = {}
    unread: set[str] = set()
    for path in paths:
        tables, others = _at(path, section, storage)
        found |= {_same(table.path): table for table in tables}
        unread |= set(others)
    tables = sorted(found.values())
    return Tables(tables, sorted(unread - {table.path for table in tables}))


def named_tables(section: TableFiles) -> dict[str, list[str]]:
    """As `TaskFamily.named_tables`."""
    return {key: paths for key in TABLE_KEYS if (paths := getattr(section, key))}


def split_tables(section: TableFiles, storage: Storage) -> dict[str, list[str]]:
    """As `TaskFamily.find_tables`, of a family that chooses the best checkpoint on a labelled split."""
    found = find_splits(section, table_storage(storage))
    if "validation" not in found and not section.validation_fraction:
        raise InputError(
            "validation_fraction is 0 and no validation file is given, so nothing is left to choose the best checkpoint by; "
            "expected a larger validation_fraction (--validation-fraction), or a file (--validation-file). The stages do without "
            "one: bigbird preprocess, and then bigbird train --mode train"
        )
    return {split: [table.path for table in tables.tables] for split, tables in found.items()}


def find_splits(section: TableFiles, storage: TableStorage = LOCAL) -> dict[str, Tables]:
    """split -> its files, of the splits that the section names; `files` are those of "train".

    Raises:
        InputError: see `find_tables`; or a file is in two splits, or none is given.
    """
    if not section.files and not section.train:
        raise InputError(
            "no table is given; expected a file, a folder or a pattern (FILE, or --data) to cut the splits from, or the training split's files "
            "(--train-file)"
        )
    named = {split: getattr(section, split) for split in SPLITS}
    named["train"] = section.train or section.files
    found = {split: find_tables(paths, section, storage) for split, paths in named.items() if paths}
    owner: dict[str, str] = {}
    for split, tables in found.items():
        for table in tables.tables:
            other = owner.setdefault(_same(table.path), split)
            if other != split:
                raise InputError(
                    f"{quoted_name(table.path)}: is named for both {other} and {split}; expected other records in each split. "
                    f"Name it once: without {split} that split is cut from the training files by {split}_fraction"
                )
    if section.files:
        _check_no_splits([table.path for table in found["train"].tables])
    return found


def _at(path: str, section: TableFormat, storage: TableStorage) -> tuple[list[Table], list[str]]:
    """The tables that one path names, and the other files of a folder."""
    name = quoted_name(path)
    if not path.strip() or "\0" in path:
        raise InputError(f"a table's path is {name!r}; expected a file, a folder or a pattern")
    try:
        if storage.is_file(path):
            return [Table(path, _format_of_file(path, section))], []
        names = storage.list_names(path)
        if names:
            return _in_folder(path, names, section)
        matches = _matches(path, storage)
    except OSError as error:
        raise InputError(f"{name}: cannot be reached ({error.strerror or error}); expected a table's file") from None
    if matches:
        tables = [Table(match, _format_of_file(match, section)) for match in matches]
        _check_one_format(name, tables)
        return tables, []
    pattern = any(mark in _last(path) for mark in _WILDCARDS) or any(mark in path for mark in _WILDCARDS)
    what = "matches no file" if pattern else "no such file or folder"
    if not pattern and "://" not in path and Path(path).is_dir():
        what = "is an empty folder"
    close = _near(path, section, storage)
    raise InputError(f"{name}: {what}; expected a table's file, a folder or a pattern such as 'data/*.csv'{close}")


def _near(path: str, section: TableFormat, storage: TableStorage) -> str:
    """What the folder of a missing file holds."""
    if any(mark in path for mark in _WILDCARDS):
        return ""
    try:
        names = sorted(storage.list_names(_folder(path) or "."))
    except (OSError, InputError):
        return ""
    tables = [name for name in names if _ending(name, section.endings)]
    alike = difflib.get_close_matches(_last(path), tables, n=1)
    hint = f". Did you mean {alike[0]!r}?" if alike else "."
    return f"{hint} Tables beside it: {listed(tables)}" if tables else ""


def _matches(path: str, storage: TableStorage) -> list[str]:
    """The files that match a pattern. A bucket's folder lists only files, whatever characters their names have."""
    if not any(mark in path for mark in _WILDCARDS):
        return []
    if "://" not in path:
        return [match for match in sorted(matches_here(path)) if Path(match).is_file()]
    folder, last = _folder(path), _last(path)
    if any(mark in folder for mark in _WILDCARDS):
        raise InputError(
            f"{quoted_name(path)}: has a pattern before its last part; in a bucket, only the last part may be a pattern"
        )
    return [f"{folder}/{name}" for name in sorted(storage.list_names(folder)) if fnmatch.fnmatchcase(name, last)]


def _in_folder(folder: str, names: Sequence[str], section: TableFormat) -> tuple[list[Table], list[str]]:
    shown_name = quoted_name(folder)
    paths = [f"{folder.rstrip('/')}/{name}" for name in sorted(names)]
    if "://" not in folder:
        paths = [path for path in paths if Path(path).is_file()]
    visible = [path for path in paths if not _last(path).startswith((".", "_"))]
    known = [path for path in visible if _ending(path, section.endings)]
    if section.format != "auto":
        # Names such as part-00000 have no ending: with a format they are tables where no file has the format's ending.
        bare = [path for path in visible if path not in known]
        wanted = [path for path in known if _ending(path, section.endings) == section.format] or bare
        tables = [Table(path, section.format) for path in wanted]
    else:
        tables = [Table(path, _ending(path, section.endings)) for path in known]
    if not tables:
        raise InputError(
            f"{shown_name}: is a folder without a table; expected {section.expected_names}. It holds {listed([_last(path) for path in paths]) or 'no file'}; "
            "folders inside it are not read: a pattern such as 'folder/*/*.csv' names their files"
        )
    _check_one_format(shown_name, tables)
    return tables, [path for path in paths if path not in {table.path for table in tables}]


def _check_one_format(name: str, tables: list[Table]) -> None:
    formats = {table.format: table for table in tables}
    if len(formats) > 1:
        examples = ", ".join(f"{_last(table.path)!r} ({form})" for form, table in sorted(formats.items()))
        raise InputError(
            f"{name}: holds tables of several formats: {examples}; expected one format. Name the files with a pattern such "
            "as '*.csv', or set format (--format)"
        )


def _is_called(name: str, words: tuple[str, ...]) -> bool:
    return name.startswith(words) or not set(words).isdisjoint(re.split("[._-]", name))


def _check_no_splits(paths: list[str]) -> None:
    """Refuses files that are cut into splits and whose names say that they are splits already."""
    beginnings = {
        kind: next((path for path in paths if _is_called(_last(path).lower(), starts)), "")
        for kind, starts in _SPLIT_NAMES.items()
    }
    found = {kind: path for kind, path in beginnings.items() if path}
    if "train" in found and len(found) > 1:
        options = ", ".join(f"{kind} (--{kind}-file) for {_last(path)!r}" for kind, path in found.items())
        raise InputError(
            f"{quoted_name(_folder(found['train']) or '.')}: holds files that look like splits; expected either one set of "
            f"records or a name for each split. Name them: {options}"
        )


def _format_of_file(path: str, section: TableFormat) -> str:
    if section.format != "auto":
        return section.format
    found = _ending(path, section.endings)
    if path.lower().endswith(_SPREADSHEETS):
        raise InputError(
            f"{quoted_name(path)}: is a spreadsheet; expected {section.expected_names}. Save it as CSV in UTF-8"
        )
    if not found:
        raise InputError(
            f"{quoted_name(path)}: its name does not tell its format; expected {section.expected_names}. Set format (--format) to one of "
            f"{', '.join(section.endings)}"
        )
    return found


def is_table(name: str, endings: Mapping[str, tuple[str, ...]] = ENDINGS) -> bool:
    """Whether a name, or a pattern's last part, is a table's of the formats with these endings, or a spreadsheet's."""
    return bool(_ending(name, endings)) or name.lower().endswith(_SPREADSHEETS)


def _ending(name: str, endings: Mapping[str, tuple[str, ...]]) -> str:
    """The format that a name tells; empty if none."""
    low = name.lower()
    packed = low.endswith(".gz")
    suffix = Path(low.removesuffix(".gz")).suffix
    found = next((name for name, known in endings.items() if suffix in known), "")
    return "" if packed and found == "parquet" else found


def _same(path: str) -> str:
    """The same text for the same file, however its path is written."""
    return path if "://" in path else str(Path(path).resolve())


def _last(path: str) -> str:
    return path.replace(os.sep, "/").rpartition("/")[2]


def _folder(path: str) -> str:
    return path.replace(os.sep, "/").rpartition("/")[0]


def described(splits: dict[str, Tables], section: TableFiles) -> Iterable[str]:
    """Lines that say which files are read, in order, which splits are cut from them, and which files are not read."""
    cut = {split: getattr(section, f"{split}_fraction") for split in ("validation", "test") if split not in splits}
    parts = [f"{split} ({fraction * 100:.3g} %)" for split, fraction in cut.items() if fraction]
    for split, found in splits.items():
        whole = split == "train" and parts
        names = [quoted_name(table.path) for table in found.tables]
        lines = [f"reading {name}" if whole else f"reading {split} from {name}" for name in names]
        if whole:
            which = "it" if len(names) == 1 else f"these {len(names):,} files"
            lines[-1] += f"; {' and '.join(parts)} {'is' if len(parts) == 1 else 'are'} cut from {which}"
        yield from lines
        if found.unread:
            yield f"not read: {listed([_last(path) for path in found.unread])}"
