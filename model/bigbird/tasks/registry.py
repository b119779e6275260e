"""Which task families there are: this package's own, and those that installed packages bring.

A package brings one as an entry point of the group `bigbird.tasks`, whose value is an instance of `TaskFamily`:

    [project.entry-points."bigbird.tasks"]
    my_family = "my_package.family:FAMILY"
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any

from bigbird.config import Section, Task
from bigbird.support.entry_points import with_installed
from bigbird.support.errors import InputError
from bigbird.support.text_files import shown
from bigbird.tasks.family import AnsweringFamily, TaskFamily

GROUP = "bigbird.tasks"
OWN = ("classification.glue", "squad", "triviaqa", "pretraining", "classification", "token_labels")
"""Folders here that hold a family, in the order in which commands list their tasks."""


@cache
def families() -> tuple[TaskFamily, ...]:
    """All families, this package's first. An installed one that cannot be used is left out, with a warning."""
    own = [import_module(f"bigbird.tasks.{name}.family").FAMILY for name in OWN]
    return with_installed(own, GROUP, "task family", _problem)


def _problem(loaded: Any, found: Sequence[TaskFamily]) -> str:
    """Why an installed family cannot be used; "" where it can."""
    if not isinstance(loaded, TaskFamily):
        return f"it is a {type(loaded).__name__}; expected an instance of bigbird.tasks.family.TaskFamily"
    taken = {name for family in found for name in (family.name, *family.tasks)}
    if again := taken & {loaded.name, *loaded.tasks}:
        return f"the name {min(again)!r} is another family's or task's; expected a new one"
    return ""


def task_names() -> tuple[str, ...]:
    """Every task's name, as commands and manifests have it."""
    return tuple(task for family in families() for task in family.tasks)


def pipeline_task_names() -> tuple[str, ...]:
    """The tasks that the pipeline learns."""
    return tuple(
        task
        for family in families()
        for task in (family.tasks if family.pipeline_tasks is None else family.pipeline_tasks)
    )


def table_task_names() -> tuple[str, ...]:
    """Those of them that read a user's own tables."""
    return tuple(task for task in pipeline_task_names() if family_of_task(task).own_tables)


def checked_task_names() -> tuple[str, ...]:
    """Those of them whose tables `bigbird check` can look at."""
    return tuple(
        task for task in table_task_names() if type(family_of_task(task)).rows_to_check is not TaskFamily.rows_to_check
    )


def data_section_keys(task: str) -> set[str]:
    """The keys of a task's data section."""
    section = family_of_task(task).config.model_fields["data"].annotation
    return set(section.model_fields) if isinstance(section, type) and issubclass(section, Section) else set()


def samples() -> dict[str, str]:
    """Name of an embedded sample -> its task."""
    return {sample: task for family in families() for sample, task in family.samples.items()}


def experiment_types() -> tuple[str, ...]:
    """Every family's experiment type."""
    return tuple(family.experiment_type for family in families())


def family_of_task(task: str) -> TaskFamily:
    """The family of a task by name.

    Raises:
        InputError: there is no such task.
    """
    for family in families():
        if task in family.tasks:
            return family
    raise InputError(f"task {shown(task)} is not known; expected one of {', '.join(task_names())}")


def answering_family(task: str) -> AnsweringFamily:
    """The family of a task whose models answer something.

    Raises:
        InputError: there is no such task, or its models answer nothing.
    """
    family = family_of_task(task)
    if not isinstance(family, AnsweringFamily):
        raise InputError(f"a model of task {shown(task)} answers nothing; fine-tune another task from it")
    return family


def family_of_type(experiment_type: str) -> TaskFamily:
    """The family of an experiment type.

    Raises:
        InputError: there is no such type.
    """
    for family in families():
        if experiment_type == family.experiment_type:
            return family
    raise InputError(
        f"experiment type {shown(experiment_type)} is not known; expected one of {', '.join(experiment_types())}"
    )


def family_of(config: Task) -> TaskFamily:
    """The family of a task's configuration."""
    for family in families():
        if type(config) is family.config:
            return family
    raise TypeError(f"no task family has the configuration {type(config).__name__}")
