"""The names of a task's official files: which of a folder's files is which split."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from bigbird.support.errors import InputError
from bigbird.tasks.records import name_of
from bigbird.tasks.registry import family_of_task

# How the names of a split's files begin, where they are not the official ones.
_BEGINNINGS = {"train": ("train",), "validation": ("dev", "valid"), "test": ("test",)}
_COMPRESSED = r"(\.(gz|bz2|xz|zst|zip))?"
_SHOWN = 12  # names of a folder that a message has


def official_files(task: str, place: str, names: Collection[str], named: Collection[str] = ()) -> dict[str, str]:
    """Finds a task's files in a folder.

    Args:
        task: its name.
        place: what messages call the folder.
        names: of what the folder holds.
        named: of "train", "validation" and "test" those whose file the user names; the folder's does not matter then.

    Returns:
        Split -> name.

    Raises:
        InputError: there is no file of the task; or a split has none, and a file that is not read, or one of several,
            looks like the split's.
    """
    names = sorted(names)
    family = family_of_task(task)
    rules, found = family.file_names(task), family.find_files(task, names)
    others = [name for name in names if name not in found.values()]
    for kind, beginnings in _BEGINNINGS.items():
        missing = [split for split in rules.splits if split.partition("_")[0] == kind and split not in found]
        pattern = f"({rules.beginning})?({'|'.join(beginnings)}).*{re.escape(rules.ending)}{_COMPRESSED}"
        alike = [name for name in others if re.fullmatch(pattern, name, re.IGNORECASE | re.DOTALL)]
        if missing and alike and kind not in named:
            wanted = " or ".join(rules.splits[split][0] for split in missing)
            raise InputError(
                f"{place}: has no {wanted}, but {_listed(alike)}; name the file to read with --{kind}-file, rename "
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
