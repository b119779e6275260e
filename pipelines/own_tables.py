"""A user's own tables on the command line: which task they are for, and the options about them as overrides."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from bigbird.config import TREE
from bigbird.config.overrides import merge
from bigbird.support.errors import InputError
from bigbird.support.yaml_files import parse_yaml_mapping
from bigbird.tasks.records import name_of
from bigbird.tasks.registry import family_of_task, pipeline_task_names, table_task_names
from bigbird_components.table_options import OPTIONS, as_overrides, given_options
from bigbird_pipelines.parameters import overridden_task
from bigbird_pipelines.recipes import recipe_text

_log = logging.getLogger(__name__)


class Names(Protocol):
    """What tells the files that a path stands for."""

    def names(self, path: str) -> Sequence[str]:
        """The names of the files in a folder or of a pattern; else that of the path."""


def with_own_tables(options: Mapping[str, Any], files: Names) -> dict[str, Any]:
    """A command's options with the task that they tell, and those about tables turned into overrides.

    Args:
        options: at least `task`, `recipe` and `overrides`.
        files: looks into folders and patterns, where `task` is not given.

    Returns:
        The options without those of `bigbird_components.table_options`; `task` is None where nothing tells it.

    Raises:
        InputError: an option about tables goes with another task, or files may be of several tasks.
    """
    given = given_options(options)
    found = {name: value for name, value in options.items() if name not in OPTIONS}
    tasks = table_task_names()
    for name in given if found["task"] else ():
        _check_takes(found["task"], name)
    found["overrides"] = (*as_overrides(given), *found["overrides"])
    reason = "" if found["task"] else _reason(given, found, files)
    if reason:
        if len(tasks) != 1:
            raise InputError(
                f"--task is not given; expected one of those that read your own tables: {', '.join(tasks)}"
            )
        found["task"] = tasks[0]
        _log.info(f"--task is taken to be {tasks[0]}, as {reason}")
    return found


def _takes(task: str, name: str) -> bool:
    """Whether a task's configuration has the key of an option."""
    family = family_of_task(task)
    return family.own_tables or (OPTIONS[name].section == "task" and name in family.config.model_fields)


def _check_takes(task: str, name: str) -> None:
    """Refuses an option with a task that does not take it."""
    if _takes(task, name):
        return
    others = [other for other in pipeline_task_names() if _takes(other, name)]
    if others == list(table_task_names()):
        why = "which reads official files; it is for your own tables"
    else:
        why = f"which has no {OPTIONS[name].section}.{name}"
    raise InputError(
        f"{_flag(name)} is given with --task {task}, {why}: expected --task {' or '.join(others)}, or leave it out"
    )


def _reason(given: Mapping[str, Any], options: Mapping[str, Any], files: Names) -> str:
    """Why a run can only be about the user's own tables; "" where nothing says so."""
    tables = table_task_names()
    for name in given:
        if not any(_takes(task, name) for task in pipeline_task_names() if task not in tables):
            return f"{_flag(name)} is given"
    if _section(options).keys():
        return "task.data names a table"
    for name in ("data", "train_file"):
        path = options.get(name)
        if path and _are_tables(f"{_flag(name)} {name_of(path)}", files.names(path)):
            return f"{_flag(name)} {name_of(path)} names a table"
    return ""


def _section(options: Mapping[str, Any]) -> dict[str, Any]:
    """The data section as recipe and overrides have it."""
    recipe = options["recipe"]
    tree = parse_yaml_mapping(recipe_text(recipe), f"recipe {recipe}", TREE).get("task") if recipe else None
    task = merge(tree if isinstance(tree, dict) else {}, overridden_task(options["overrides"]))
    section = task.get("data")
    return section if isinstance(section, dict) else {}


def _are_tables(place: str, names: Sequence[str]) -> bool:
    """Whether files of these names are a user's own tables.

    Raises:
        InputError: they may be another task's official files too.
    """
    tables = table_task_names()
    own = [name for name in names if any(family_of_task(task).is_table(name) for task in tables)]
    if not own:
        return False
    official = {
        task: found
        for task in pipeline_task_names()
        if task not in tables and (found := family_of_task(task).find_files(task, names))
    }
    if official:
        name = next(iter(next(iter(official.values())).values()))
        more = f" and {len(official) - 3} more" if len(official) > 3 else ""
        raise InputError(
            f"--task is not given, and {place}: {name} is how an official file of {', '.join(list(official)[:3])}{more} is called, "
            f"and may be your own table; expected --task with one of these, or --task {' or '.join(tables)} with --train-file and "
            "--validation-file"
        )
    return True


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
