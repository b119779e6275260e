"""Which tasks there are, by family. A family shares its records, its model and its experiment type."""

from __future__ import annotations

from bigbird.errors import InputError
from bigbird.tasks import glue, pretraining, squad, triviaqa

FAMILIES: dict[str, tuple[str, ...]] = {
    "glue": tuple(glue.TASKS),
    "squad": tuple(squad.TASKS),
    "triviaqa": tuple(triviaqa.TASKS),
    "pretraining": (pretraining.TASK,),
}
"""Family -> its tasks."""

TASKS: tuple[str, ...] = tuple(task for tasks in FAMILIES.values() for task in tasks)
"""Every task's name, as commands and manifests have it."""


def family(task: str) -> str:
    """The family of a task.

    Raises:
        InputError: there is no such task.
    """
    for name, tasks in FAMILIES.items():
        if task in tasks:
            return name
    raise InputError(f"task {task!r} is not known; expected one of {', '.join(TASKS)}")


def experiment_type(task: str) -> str:
    """The experiment type of a task, the Model Garden's where it has one: `bigbird/glue` and so on."""
    return f"bigbird/{family(task)}"


def metrics(task: str) -> tuple[str, ...]:
    """The task's own metrics, the first of which picks the best checkpoint."""
    if task in glue.TASKS:
        return glue.TASKS[task].metrics
    return {"squad": squad.METRICS, "triviaqa": triviaqa.METRICS, "pretraining": pretraining.METRICS}[family(task)]
