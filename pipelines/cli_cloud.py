"""The commands of `bigbird` that are about platforms to send pipelines to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click

from bigbird.support.commands import run_command
from bigbird.support.errors import InputError
from bigbird_components.command_line import Command, flag
from bigbird_components.table_flags import table_options
from bigbird_pipelines.machines import MACHINES
from bigbird_pipelines.options import (
    PIPELINE_TASKS,
    backend_option,
    data_options,
    examples,
    placement_options,
    recipeless_placement_options,
    sending_options,
    settings_options,
    target_option,
    titles,
    training_options,
)
from bigbird_pipelines.platforms.platform import Finding, Placement, RemotePlatform
from bigbird_pipelines.platforms.registry import platform_of, remote_platform, remote_platforms
from bigbird_pipelines.shortcuts import Finite, shortcut_options
from bigbird_pipelines.team_settings import TeamSettings

_PLACEMENT = ("machine", "backend", "strategy", "timeout_hours", "max_wait_hours")
_ZONED = titles((platform for platform in remote_platforms() if platform.time_zones), "and")
_RESUMING = [platform for platform in remote_platforms() if platform.catches_up == "resume"]
_CREATING = [platform for platform in remote_platforms() if platform.catches_up == "create"]


def placement_of(options: dict[str, Any]) -> Placement | None:
    """Takes the placement out of a command's options; None where no target is named.

    Raises:
        InputError: an option is not the target's.
    """
    target = options.pop("target")
    if target is None:
        _refuse(options, "is given without --target, which says what that is")
        return None
    return _placed(remote_platform(target), options)


def _placed(platform: RemotePlatform, options: dict[str, Any]) -> Placement:
    given, own = _take_placement(options)
    for other in remote_platforms():
        for name in other.options:
            if other is not platform and own[name]:
                hint = other.elsewhere.get(name, "leave it out on")
                raise InputError(f"{flag(name)}: works only on {other.title}; {hint} {platform.title}")
    if given["machine"] and given["machine"] not in platform.machines:
        raise InputError(
            f"--machine {given['machine']}: {platform.title} has none; expected one of {', '.join(platform.machines)}"
        )
    return Placement(platform, **given, options={name: own[name] for name in platform.options})


def _take_placement(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Takes from a command's options those of a placement, and those of platforms' own."""
    own = {name: options.pop(name) for platform in remote_platforms() for name in platform.options}
    return {name: options.pop(name) for name in _PLACEMENT}, own


def _refuse(options: dict[str, Any], why: str) -> None:
    """Takes a placement out of a command's options; `InputError` for the first of them that is given."""
    given, own = _take_placement(options)
    for name, value in (given | own).items():
        if value and name not in ("timeout_hours", "max_wait_hours"):  # these have defaults
            raise InputError(f"{flag(name)} {why}")


@click.command(
    cls=Command,
    epilog=examples("submit"),
    help=f"""
    Sends a fine-tune to {titles(remote_platforms(), "or")}, after checking all that can be checked from here.

    Data, vocabulary and weights are in a bucket; `{{date}}` in a path is the day of the run, and --init-checkpoint
    registry:NAME is the model that is registered under this name, to be trained on by the same --recipe.
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
    """See its help."""

    def command() -> None:
        from bigbird_pipelines.submit import submit_command

        submit_command(placement=placement_of(options), **options)  # type: ignore[arg-type]

    run_command(command, sends=True)


@click.group(help=f"Recurring fine-tunes: {', '.join(platform.recurring for platform in remote_platforms())}.")
def schedule() -> None:
    """See its help."""


@schedule.command(
    "create",
    cls=Command,
    epilog=examples("schedule create"),
)
@click.argument("name")
@click.option("--cron", required=True, help="Minute, hour, day of month, month, day of week.")
@click.option("--time-zone", default="UTC", show_default=True, help=f"Of --cron; {_ZONED} only.")
@click.option("--start", default="", help="No run before this time, as 2026-01-31T03:00.")
@click.option("--end", default="", help="No run after this time.")
@click.option(
    "--catch-up",
    is_flag=True,
    help=f"Makes up for missed runs; {titles(_CREATING, 'and')} only, on {titles(_RESUMING, 'and')} see resume.",
)
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

    run_command(command, sends=True)


_json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")


@schedule.command("list", cls=Command, epilog="bigbird schedule list")
@_json_option
@target_option(required=True)
@settings_options
def schedule_list(target: Any, **options: Any) -> None:
    """Lists the schedules."""

    def command() -> None:
        from bigbird_pipelines.schedule import list_command

        list_command(remote_platform(target), **options)

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

        show_command(remote_platform(target), **options)

    run_command(command)


def _change(action: str, help_text: str) -> click.Command:
    """A command that changes a schedule: pause, resume, delete or trigger."""

    def callback(target: Any, **options: Any) -> None:
        def command() -> None:
            from bigbird_pipelines.schedule import change_command

            change_command(remote_platform(target), action=action, **options)

        run_command(command, sends=True)

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


def _checks(options: dict[str, Any]) -> Callable[[TeamSettings], Iterator[Finding]]:
    """Takes target and placement out of a command's options; the target's checks."""
    platform = platform_of(options.pop("target"))
    if isinstance(platform, RemotePlatform):
        return partial(platform.checks, _placed(platform, options))
    _refuse(options, f"is given with --target {platform.name}, which is this machine as it is")
    # As `bigbird run` does: a run here takes its images from options alone, not from a team's settings for the cloud.
    given = {name: str(options[name]) for name in TeamSettings.model_fields if options.get(name) is not None}
    return lambda _: platform.checks(TeamSettings(**given))


@click.command(cls=Command, epilog=examples("doctor"))
@target_option(required=True, here=True)
@recipeless_placement_options
@settings_options
def doctor(**options: Any) -> None:
    """Checks credentials, APIs, bucket, images and quota, and says what to do about each that fails."""

    def command() -> None:
        from bigbird_pipelines.doctor import doctor_command

        doctor_command(checks=_checks(options), **options)

    run_command(command)


@click.command(
    cls=Command,
    epilog="""
    bigbird preflight --task squad_v1 --machine tpu-v5e-4 --price 1.20
    bigbird preflight --task sst2 --recipe glue_sst2 --machine tpu-v5e-1 --batch-size 64 --no-search
    bigbird preflight --task squad_v1 --recipe my_recipe.yaml --epochs 3 --dataset runs/NAME/preprocess/dataset --json
    bigbird preflight --task squad_v1 --machine tpu-v6e-8 --batch-size 64
    bigbird preflight --task squad_v1 --max-length 4096 --precision bfloat16
    bigbird preflight --task squad_v1 --init-checkpoint my-bert --max-length 4096
    """,
)
@click.option(
    "--task", type=click.Choice(PIPELINE_TASKS), help="What is to be learned. Not needed with a table's columns."
)
@click.option("--recipe", help="A recipe's name or YAML file.  [default: the task's published one]")
@click.option("--init-checkpoint", default="", help="Weights to start from, whose sizes the model takes.")
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
