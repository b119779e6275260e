"""The names of a task's official files: which of a folder's files is which split."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from bigbird.errors import InputError
from bigbird.tasks import glue, pretraining, squad, triviaqa
from bigbird.tasks.records import name_of

# How the names of a split's files begin, where they are not the official ones.
_BEGINNINGS = {"train": ("train",), "validation": ("dev", "valid"), "test": ("test",)}
_COMPRESSED = r"(\.(gz|bz2|xz|zst|zip))?"
_SHOWN = 12  # names of a folder that a message has


class _Names(NamedTuple):
    """How a task's files are named.

    Attributes:
        splits: split -> its official names, the usual one first.
        beginning: of all names.
        ending: of all names.
        expected: the same in words.
    """

    splits: Mapping[str, Sequence[str]]
    beginning: str
    ending: str
    expected: str


def inner_folder(task: str, names: Collection[str]) -> str | None:
    """The folder among `names` that holds the task's files, where the folder above it was given."""
    if task in triviaqa.TASKS:
        return "qa" if "qa" in names else None
    spec = glue.TASKS.get(task)
    if spec is not None and spec.folder in names and not glue.find_files(list(names), spec):
        return spec.folder
    return None


def official_files(
    task: str, place: str, names: Collection[str], named: Collection[str] = (), option: str = "--{}_file"
) -> dict[str, str]:
    """Finds a task's files in a folder.

    Args:
        task: its name.
        place: what messages call the folder.
        names: of what the folder holds.
        named: of "train", "validation" and "test" those whose file the user names; the folder's does not matter then.
        option: how the user names one.

    Returns:
        Split -> name.

    Raises:
        InputError: there is no file of the task; or a split has none, and a file that is not read, or one of several,
            looks like the split's.
    """
    names = sorted(names)
    rules, found = _names(task), _find(task, names)
    others = [name for name in names if name not in found.values()]
    for kind, beginnings in _BEGINNINGS.items():
        missing = [split for split in rules.splits if split.partition("_")[0] == kind and split not in found]
        pattern = f"({rules.beginning})?({'|'.join(beginnings)}).*{re.escape(rules.ending)}{_COMPRESSED}"
        alike = [name for name in others if re.fullmatch(pattern, name, re.IGNORECASE | re.DOTALL)]
        if missing and alike and kind not in named:
            wanted = " or ".join(rules.splits[split][0] for split in missing)
            raise InputError(
                f"{place}: has no {wanted}, but {_listed(alike)}; name the file to read with {option.format(kind)}, rename "
                f"it to {wanted}, or move it out of the folder if it is not {task}'s {kind} split"
            )
    if not found:
        raise InputError(
            f"{place}: has no file of task {task}; expected {rules.expected}; found {_listed(names) or 'nothing'}"
        )
    return found


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(name_of(name, 40) for name in names[:_SHOWN]) + more


def _find(task: str, names: list[str]) -> dict[str, str]:
    if task in triviaqa.TASKS:
        return triviaqa.find_files(names, task)
    if task == pretraining.TASK:
        return pretraining.find_files(names)
    return (
        glue.find_files(names, glue.TASKS[task]) if task in glue.TASKS else squad.find_files(names, squad.TASKS[task])
    )


def _names(task: str) -> _Names:
    if task in triviaqa.TASKS:
        domain = triviaqa.TASKS[task].lower()
        expected = f"qa/{domain}-train.json, qa/{domain}-dev.json, and the documents in evidence/"
        return _Names(triviaqa.file_names(task), f"{domain}-", ".json", expected)
    if task == pretraining.TASK:
        return _Names(pretraining.FILES, "", ".txt", "train.txt, validation.txt (or dev.txt), test.txt")
    if task in glue.TASKS:
        splits = glue.TASKS[task].splits
        return _Names(splits, "", ".tsv", ", ".join(options[0] for options in splits.values()))
    splits = squad.file_names(squad.TASKS[task])
    return _Names(
        splits, "", ".json", f"{splits['train'][0]}, {splits['validation'][0]}, or train.json, dev.json, test.json"
    )
