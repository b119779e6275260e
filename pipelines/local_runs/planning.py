"""The plan of a run, from the options of `bigbird run`: each is checked against the others and the disk."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from bigbird.support.artifacts import RUN_RECORD
from bigbird.support.errors import InputError
from bigbird.tasks.registry import samples, table_task_names
from bigbird_components.run_configuration import resolve_experiment
from bigbird_pipelines.files import LocalFiles
from bigbird_pipelines.local_runs.folder import check_folder, run_folder
from bigbird_pipelines.local_runs.plan import RunPlan
from bigbird_pipelines.local_runs.record import has_ended, read_record
from bigbird_pipelines.own_tables import with_own_tables
from bigbird_pipelines.parameters import PATHS, pipeline_parameters


def make_plan(
    *,
    sample: str | None,
    task: str | None,
    recipe: str | None,
    name: str | None,
    runs: Path,
    overwrite: bool,
    backend: str | None = None,
    **options: Any,
) -> RunPlan:
    """Checks every option against the others and the disk; starts and writes nothing.

    Raises:
        InputError: names the option, what was found and what was expected.
    """
    options = with_own_tables({**options, "task": task, "recipe": recipe}, LocalFiles())
    task = options["task"]
    own_data = any(options[name] for name in PATHS) or task in table_task_names()
    sample, task = _check_sample(sample, task, own_data)
    recipe = recipe or (f"sample_{sample}" if sample else None)
    if backend:
        options["overrides"] = (f"runtime.backend={backend}", *options["overrides"])
    folder = run_folder(name, runs, _default_name(sample, task))
    arguments, experiment = pipeline_parameters(options, task, recipe, LocalFiles())
    if sample:
        arguments["data"] = str(folder / "sample_data")
    plan = RunPlan(arguments, folder, experiment, sample)
    if name is not None:
        check_folder(plan, overwrite)
    for path in plan.inputs:
        if path.resolve().is_relative_to(folder):
            raise InputError(
                f"{path}: is read by this run but lies in {folder}, which --overwrite deletes; choose another --name"
            )
    return plan


def resumed_plan(folder: Path) -> RunPlan:
    """The plan of a run that did not end, as its run.json has it.

    Raises:
        InputError: the run has ended, or its record cannot be used.
    """
    record = read_record(folder)
    if has_ended(record):
        raise InputError(f"{folder}: this run has ended; start a new one, or replace it with --overwrite")
    arguments = record["arguments"]
    try:
        described = {key: arguments[key] for key in ("task", "recipe", "init_checkpoint", "overrides")}
    except KeyError as absent:
        raise InputError(
            f"{folder / RUN_RECORD}: has no {absent} among its arguments; expected the record of a run"
        ) from None
    experiment = resolve_experiment(**described)
    return RunPlan(arguments, folder, experiment, record.get("sample"))


def _check_sample(sample: str | None, task: str | None, own_data: bool) -> tuple[str | None, str]:
    """The sample to use, None where the user has data; and the task."""
    if own_data:
        if sample:
            raise InputError(
                "--sample is given with your own data (--data, a split's file or an option about tables); expected one of them"
            )
        if not task:
            raise InputError(
                "--task is not given; --data needs it, for example --task sst2, or for your own table the columns: --text, --label"
            )
        return None, task
    tasks = samples()
    if task and sample and tasks[sample] != task:
        raise InputError(f"--sample {sample} is for --task {tasks[sample]}, not {task}")
    if task and not sample:
        matching = [name for name, its_task in tasks.items() if its_task == task]
        if not matching:
            raise InputError(
                f"--task {task} is given without --data; there are samples for {', '.join(tasks.values())} only"
            )
        return matching[0], task
    sample = sample or next(iter(tasks))
    return sample, tasks[sample]


def _default_name(sample: str | None, task: str) -> str:
    now = datetime.datetime.now().astimezone()
    return f"{f'sample-{sample}' if sample else task}-{now:%Y%m%d-%H%M%S}"
