"""The commands of `bigbird` that are about Vertex AI and Kubeflow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bigbird.support.console import run_command
from bigbird_components.command_line import Command
from bigbird_components.table_options import table_options
from bigbird_pipelines.machines import MACHINES
from bigbird_pipelines.options import (
    PIPELINE_TASKS,
    backend_option,
    data_options,
    placement_options,
    sending_options,
    settings_options,
    target_option,
    training_options,
)
from bigbird_pipelines.shortcuts import Finite, shortcut_options

if TYPE_CHECKING:
    from bigbird_pipelines.remote import Placement

_PLACEMENT = ("machine", "backend", "strategy", "timeout_hours", "max_wait_hours", "dataflow")


def placement_of(options: dict[str, Any]) -> Placement | None:
    """Takes the placement out of a command's options; None where no target is named."""
    from bigbird.support.errors import InputError
    from bigbird_pipelines.remote import Placement

    place, given = options.pop("target"), {name: options.pop(name) for name in _PLACEMENT}
    if place is None:
        for name in ("machine", "backend", "strategy", "dataflow"):
            if given[name]:
                raise InputError(f"--{name} is given without --target, which says what that is")
        return None
    return Placement(place, **given)


@click.command(
    cls=Command,
    epilog="""
    bigbird submit --task sst2 --data gs://bucket/SST-2 --vocabulary gs://bucket/gpt2.model --recipe glue_sst2 --wait
    bigbird submit --task squad_v1 --data gs://bucket/squad --machine tpu-v5e-4 --strategy spot --init-checkpoint gs://bucket/bigbr_base/model.ckpt-0
    bigbird submit --task sst2 --data gs://bucket/SST-2 --dry-run
    bigbird submit --target kubeflow --host http://localhost:8080 --task sst2 --data gs://bucket/SST-2
    """,
)
@data_options
@training_options
@target_option(required=True)
@placement_options
@sending_options
@click.option("--name", help="The run's name.  [default: task and time]")
@click.option("--wait", is_flag=True, help="Tells each step's state; ends with the failed step's error and exit code.")
@click.option("--poll", "poll_s", type=Finite(min=0.01), default=15.0, show_default=True, help="Seconds between looks.")
@settings_options
def submit(**options: Any) -> None:
    """Sends a fine-tune to Vertex AI or Kubeflow, after checking all that can be checked from here.

    Data, vocabulary and weights are in a bucket; `{date}` in a path is the day of the run, and --init-checkpoint
    registry:NAME is the model that is registered under this name, to be trained on by the same --recipe.
    """

    def command() -> None:
        from bigbird_pipelines.submit import submit_command

        submit_command(placement=placement_of(options), **options)  # type: ignore[arg-type]

    run_command(command)


@click.group()
def schedule() -> None:
    """Recurring fine-tunes: Vertex AI's schedules, Kubeflow's recurring runs."""


@schedule.command(
    "create",
    cls=Command,
    epilog="""
    bigbird schedule create weekly --cron "0 3 * * 1" --time-zone Europe/Paris --task sst2 --data gs://bucket/{date}/SST-2
    bigbird schedule create weekly --cron "0 3 * * 1" --task sst2 --data gs://bucket/SST-2 --recipe glue_sst2 --init-checkpoint registry:bigbird-sst2
    bigbird schedule create nightly --target kubeflow --host http://localhost:8080 --cron "0 2 * * *" --task cola --data gs://bucket/CoLA
    """,
)
@click.argument("name")
@click.option("--cron", required=True, help="Minute, hour, day of month, month, day of week.")
@click.option("--time-zone", default="UTC", show_default=True, help="Of --cron; Vertex AI only.")
@click.option("--start", default="", help="No run before this time, as 2026-01-31T03:00.")
@click.option("--end", default="", help="No run after this time.")
@click.option("--catch-up", is_flag=True, help="Makes up for missed runs; Kubeflow only, on Vertex AI see resume.")
@data_options
@training_options
@target_option(required=True)
@placement_options
@sending_options
@settings_options
def schedule_create(**options: Any) -> None:
    """Makes the schedule NAME, or brings the one that is there up to date.

    Other times change it in place, where the platform can; other work replaces it, the new one made before the old one
    is deleted. A run that is due while the one before is still going waits
    or is left out.
    """

    def command() -> None:
        from bigbird_pipelines.schedule import create_command

        create_command(placement=placement_of(options), **options)  # type: ignore[arg-type]

    run_command(command)


_json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")


@schedule.command("list", cls=Command, epilog="bigbird schedule list")
@_json_option
@target_option(required=True)
@settings_options
def schedule_list(target: Any, **options: Any) -> None:
    """Lists the schedules."""

    def command() -> None:
        from bigbird_pipelines.schedule import list_command

        list_command(target, **options)

    run_command(command)


@schedule.command("show", cls=Command, epilog="bigbird schedule show weekly")
@click.argument("name")
@_json_option
@target_option(required=True)
@settings_options
def schedule_show(target: Any, **options: Any) -> None:
    """Shows the schedule NAME and its last runs."""

    def command() -> None:
        from bigbird_pipelines.schedule import show_command

        show_command(target, **options)

    run_command(command)


def _change(action: str, help_text: str) -> click.Command:
    """A command that changes a schedule: pause, resume, delete or trigger."""

    def callback(target: Any, **options: Any) -> None:
        def command() -> None:
            from bigbird_pipelines.schedule import change_command

            change_command(target, action=action, **options)

        run_command(command)

    command: Any = settings_options(target_option(required=True)(callback))
    if action == "resume":
        command = click.option("--catch-up", is_flag=True, help="Makes up for the runs that were missed.")(command)
    command = click.argument("name")(command)
    made: click.Command = click.command(
        action, cls=Command, help=help_text, epilog=f"bigbird schedule {action} weekly"
    )(command)
    return made


for _action, _help in (
    ("pause", "Stops the schedule NAME from sending runs."),
    ("resume", "Lets the schedule NAME send runs again."),
    ("delete", "Deletes the schedule NAME; its runs stay."),
    ("trigger", "Sends the run of the schedule NAME now, beside its times."),
):
    schedule.add_command(_change(_action, _help))


@click.command(cls=Command, epilog="bigbird doctor\nbigbird doctor --target kubeflow --host http://localhost:8080")
@target_option(required=True)
@placement_options
@settings_options
def doctor(**options: Any) -> None:
    """Checks credentials, APIs, bucket, images and quota, and says what to do about each that fails."""

    def command() -> None:
        from bigbird_pipelines.doctor import doctor_command

        doctor_command(placement=placement_of(options), **options)  # type: ignore[arg-type]

    run_command(command)


@click.command(
    cls=Command,
    epilog="""
    bigbird preflight --task squad_v1 --machine tpu-v5e-4 --price 1.20
    bigbird preflight --task sst2 --recipe glue_sst2 --machine tpu-v5e-1 --batch-size 64 --no-search
    bigbird preflight --task squad_v1 --recipe my_recipe.yaml --epochs 3 --dataset runs/NAME/preprocess/dataset --json
    bigbird preflight --task squad_v1 --machine tpu-v6e-8 --batch-size 64
    bigbird preflight --task squad_v1 --max-length 4096 --override runtime.mixed_precision_dtype=bfloat16
    """,
)
@click.option(
    "--task", type=click.Choice(PIPELINE_TASKS), help="What is to be learned. Not needed with a table's columns."
)
@click.option("--recipe", help="A recipe's name or YAML file.  [default: the task's published one]")
@click.option(
    "--machine",
    type=click.Choice(tuple(MACHINES)),
    default="tpu-v5e-1",
    show_default=True,
    help="The TPU for training.",
)
@backend_option("the recipe's runtime.backend, or tensorflow; on tpu-v6e-* jax")
@shortcut_options
@click.option(
    "--override", "overrides", multiple=True, help="key.path=value in the recipe's tree. Repeatable, later wins."
)
@table_options(training=True)
@click.option(
    "--dataset", type=click.Path(path_type=Path), help="A dataset of the preprocessing stage: its size and vocabulary."
)
@click.option("--examples", type=click.IntRange(min=1), help="Training examples, for a recipe that counts epochs.")
@click.option("--price", type=Finite(min=0), help="USD for one chip for an hour.")
@click.option(
    "--search/--no-search",
    default=True,
    show_default=True,
    help="Looks for the largest batch; a few compilations more.",
)
@click.option("--json", "as_json_text", is_flag=True, help="For programs.")
def preflight(**options: Any) -> None:
    """Compiles the training step for a TPU, without one: does it fit, how long may it take, what does it cost.

    The compiler is the one that TPUs use; its figures are estimates and no measurements. Ends with 5 if the step does
    not fit. Needs Linux on x86-64 and the extra `preflight`; takes a minute or more for each program.
    """

    def command() -> None:
        from bigbird_pipelines.preflight.command import preflight_command

        preflight_command(**options)

    run_command(command)
