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
from bigbird.tasks.registry import data_section_keys, family_of_task, pipeline_task_names, table_task_names
from bigbird_components.command_line import flag
from bigbird_components.table_flags import OPTIONS, as_overrides, given_options
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
        The options without those of `bigbird_components.table_flags`; `task` is None where nothing tells it.

    Raises:
        InputError: an option about tables goes with another task, or files may be of several tasks.
    """
    given = given_options(options)
    found = {name: value for name, value in options.items() if name not in OPTIONS}
    if given and found["task"]:
        _check_options(given, found["task"])
    found["overrides"] = (*as_overrides(given), *found["overrides"])
    task, reason = (found["task"], "") if found["task"] else _told_task(given, found, files)
    if reason:
        found["task"] = task
        _log.info(f"--task is taken to be {task}, as {reason}")
    return found


def _check_options(given: Mapping[str, Any], task: str) -> None:
    """Refuses options about tables that a task does not have."""
    absent = [name for name, value in given.items() if not _has_option(task, name, value)]
    if not absent:
        return
    name, tables = absent[0], table_task_names()
    others = [other for other in pipeline_task_names() if _has_option(other, name, given[name])]
    if task in tables:
        known = ", ".join(map(flag, family_of_task(task).table_options))
        raise InputError(
            f"{flag(name)} is given with --task {task}, which takes no such thing; it goes with --task {' or '.join(others)}. "
            f"Options of {task}: {known}"
        )
    if set(others) <= set(tables):
        why = "which reads official files; it is for your own tables"
    else:
        why = f"which has no {OPTIONS[name].section}.{name}"
    raise InputError(
        f"{flag(name)} is given with --task {task}, {why}: expected --task {' or '.join(others)}, or leave it out"
    )


def _has_option(task: str, name: str, value: Any) -> bool:
    """Whether a task takes an option: its family has it, or reads official files and has its key for training."""
    family = family_of_task(task)
    option = family.table_options.get(name)
    if option is not None:
        return not option.choices or value in option.choices
    return not family.own_tables and OPTIONS[name].section == "task" and name in family.config.model_fields


def _with_options(given: Mapping[str, Any]) -> list[str]:
    """The tasks that have all of the options."""
    return [task for task in table_task_names() if all(_has_option(task, name, given[name]) for name in given)]


def _told_task(given: Mapping[str, Any], options: Mapping[str, Any], files: Names) -> tuple[str, str]:
    """The task that the user's own tables tell, and why; ("", "") where nothing says that there are such.

    Options and keys of the data section tell it where only one task has them, then the files' names where only one reads such;
    otherwise it is the first in the registry.
    """
    tables, reason = table_task_names(), ""
    tasks, section = tables, _section(options)
    official = [task for task in pipeline_task_names() if task not in tables]
    telling = [name for name in given if not any(_has_option(task, name, given[name]) for task in official)]
    tasks = tuple(_with_options(given)) if given else tasks
    if given and not tasks:
        raise InputError(
            f"{', '.join(map(flag, given))} are given together; expected options of one task. --task names it"
        )
    if telling:
        reason = f"{flag(telling[0])} is given"
    elif section:
        reason = "task.data names a table"
    tasks = tuple(task for task in tasks if section.keys() <= data_section_keys(task)) or tasks
    for name in ("data", "train_file"):
        path = options.get(name)
        if not path or (reason and len(tasks) == 1):
            continue
        names = files.names(path)
        fitting = tuple(task for task in tasks if any(map(family_of_task(task).is_table, names)))
        if not reason and _are_tables(f"{flag(name)} {name_of(path)}", names):
            reason = f"{flag(name)} {name_of(path)} names a table"
        tasks = fitting or tasks
    return (tasks[0], reason) if reason else ("", "")


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
    tables = [task for task in table_task_names() if any(map(family_of_task(task).is_table, names))]
    if not tables:
        return False
    official = {
        task: found
        for task in pipeline_task_names()
        if not family_of_task(task).own_tables and (found := family_of_task(task).find_files(task, names))
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
