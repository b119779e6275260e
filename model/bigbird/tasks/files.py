"""The names of a task's official files: which of a folder's files is which split."""

from __future__ import annotations

from collections.abc import Collection

from bigbird.tasks import glue, pretraining, squad, triviaqa


def inner_folder(task: str, names: Collection[str]) -> str | None:
    """The folder among `names` that holds the task's files, where the folder above it was given."""
    if task in triviaqa.TASKS:
        return "qa" if "qa" in names else None
    spec = glue.TASKS.get(task)
    if spec is not None and spec.folder in names and not glue.find_files(list(names), spec):
        return spec.folder
    return None


def official_files(task: str, names: Collection[str]) -> tuple[dict[str, str], str]:
    """Finds a task's files in a folder.

    Args:
        task: its name.
        names: of what the folder holds.

    Returns:
        Split -> name; and the names to expect, for an error message.
    """
    listed = list(names)
    if task in triviaqa.TASKS:
        domain = triviaqa.TASKS[task].lower()
        expected = f"qa/{domain}-train.json, qa/{domain}-dev.json, and the documents in evidence/"
        return triviaqa.find_files(listed, task), expected
    if task == pretraining.TASK:
        return pretraining.find_files(listed), "train.txt, validation.txt (or dev.txt), test.txt"
    if task in glue.TASKS:
        spec = glue.TASKS[task]
        return glue.find_files(listed, spec), ", ".join(options[0] for options in spec.splits.values())
    version = "2.0" if squad.TASKS[task] else "1.1"
    expected = f"train-v{version}.json, dev-v{version}.json, or train.json, dev.json, test.json"
    return squad.find_files(listed, squad.TASKS[task]), expected
