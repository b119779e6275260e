"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, get_args

import click

from bigbird.tasks.registry import pipeline_task_names
from bigbird_components.command_line import flag
from bigbird_components.table_flags import table_options
from bigbird_pipelines.images import Backend
from bigbird_pipelines.machines import STRATEGIES
from bigbird_pipelines.platforms.platform import Platform
from bigbird_pipelines.platforms.registry import local_platforms, platforms, remote_platforms
from bigbird_pipelines.shortcuts import Finite, shortcut_options
from bigbird_pipelines.team_settings import FILE, TeamSettings

PIPELINE_TASKS = pipeline_task_names()
"""What `bigbird run` takes."""
RUNS = Path("runs")
"""Where `bigbird run` keeps runs, unless another folder is named."""


def check_option(command: Any) -> Any:
    """Whether the tables are checked first."""
    return _decorated(
        command,
        click.option(
            "--check",
            default="",
            help="Checks your own tables first, and ends the run where these find something: names of checks or groups such as leakage,conflicts; "
            "none only reports. `bigbird check` looks at a table by itself.  [default: no check]",
        ),
    )


def data_options(command: Any) -> Any:
    """What to learn, and from which files."""
    return _decorated(
        command,
        click.option("--task", type=click.Choice(PIPELINE_TASKS), help="What to learn. Needed with official files."),
        click.option(
            "--data",
            help="Your own table (CSV, TSV, JSON Lines, Parquet): a file, a folder or a quoted pattern; or the folder with a task's "
            "official files, or of SQuAD JSON files.",
        ),
        click.option("--train-file", default="", help="One training file, in place of the one in --data."),
        click.option("--validation-file", default="", help="One validation file."),
        click.option("--test-file", default="", help="One test file; it is encoded with the rest."),
        table_options(training=True),
        check_option,
    )


def training_options(command: Any) -> Any:
    """How to learn it."""
    return _decorated(
        command,
        click.option(
            "--vocabulary",
            default="",
            help="A vocabulary: SentencePiece .model, WordPiece vocab.txt or tokenizer.json, or a folder that holds one. Without one it is the checkpoint's, or trained on the training text.",
        ),
        click.option(
            "--vocabulary-size",
            type=click.IntRange(min=16),
            help="Pieces of a vocabulary trained here.  [default: 8000]",
        ),
        click.option(
            "--init-checkpoint", default="", help="Weights to start from; without them training starts from scratch."
        ),
        click.option("--recipe", help="A recipe's name or YAML file; `bigbird recipes` lists those that come along."),
        shortcut_options,
        click.option(
            "--metric-threshold",
            type=Finite(max=1),
            help="The primary metric's least value, at most 1, at which the model is exported.  [default: none]",
        ),
        click.option(
            "--override",
            "overrides",
            multiple=True,
            help="key.path=value in the recipe's tree. Repeatable, later wins.",
        ),
        click.option(
            "--max-bad-records",
            type=click.IntRange(min=0),
            default=0,
            show_default=True,
            help="Records that may be rejected.",
        ),
        click.option("--beam-options", default="", help='Apache Beam\'s options, e.g. "--direct_num_workers=2".'),
    )


def _decorated(command: Any, *options: Callable[[Any], Any]) -> Any:
    """The command with options, in the order in which its help lists them."""
    for option in reversed(options):
        command = option(command)
    return command


def local_platform_options(command: Any) -> Any:
    """Which platform of this machine, as a flag of its name for all but the first, and each one's own options."""
    options = []
    for number, platform in enumerate(local_platforms()):
        if number:
            options.append(click.option(f"--{platform.name}", is_flag=True, help=platform.flag_help))
        options += platform.options.values()
    return _decorated(command, *options)


def settings_options(command: Any) -> Any:
    """Where the cloud is. Flags go before environment variables (BIGBIRD_PROJECT), these before bigbird.toml."""
    options = [
        click.option(flag(name), name, help=field.description) for name, field in TeamSettings.model_fields.items()
    ]
    file = click.option(
        "--settings",
        type=click.Path(path_type=Path),
        help=f"File of settings, in place of {FILE} here, if there is one.",
    )
    return _decorated(command, *options, file)


def target_option(required: bool, here: bool = False) -> Callable[[Any], Any]:
    """Which platform.

    Args:
        required: whether there is a default; `bigbird compile` does without.
        here: whether platforms of this machine are offered too.
    """
    names = [platform.name for platform in (*remote_platforms(), *(local_platforms() if here else ()))]
    default: dict[str, Any] = {"default": names[0], "show_default": True} if required else {}
    return click.option("--target", type=click.Choice(names), help="Where it is to run.", **default)


def titles(some: Iterable[Platform], last: str) -> str:
    """The platforms as a sentence names them, with a word before the last one."""
    *others, end = [platform.title for platform in some]
    return f"{', '.join(others)} {last} {end}" if others else end


def examples(command: str) -> str:
    """The lines that platforms add to the end of a command's help."""
    return "\n    ".join(line for platform in platforms() for line in platform.examples.get(command, ()))


def backend_option(default: str) -> Callable[[Any], Any]:
    """What Keras trains with."""
    return click.option(
        "--backend", type=click.Choice(get_args(Backend)), help=f"What Keras trains with.  [default: {default}]"
    )


def placement_options(command: Any, backend: str = "the recipe's runtime.backend, or tensorflow") -> Any:
    """On which machine training runs, and the options that are one platform's own.

    Args:
        command: what gets them.
        backend: what trains where no option says it, but on machines that know one backend only.
    """
    first, *others = remote_platforms()
    machines = dict.fromkeys(name for platform in (first, *others) for name in platform.machines)
    defaults = [first.default_machine, *(f"on {other.title} {other.default_machine}" for other in others)]
    return _decorated(
        command,
        click.option(
            "--machine", type=click.Choice(tuple(machines)), help=f"For training.  [default: {'; '.join(defaults)}]"
        ),
        backend_option(f"{backend}; on tpu-v6e-* jax"),
        click.option(
            "--strategy",
            type=click.Choice(STRATEGIES),
            help="How the machine is lent.  [default: standard if it can be]",
        ),
        click.option(
            "--timeout-hours",
            type=Finite(min=0, min_open=True, max=168),
            default=24.0,
            show_default=True,
            help="After which training is stopped.",
        ),
        click.option(
            "--max-wait-hours",
            type=Finite(min=0),
            default=24.0,
            show_default=True,
            help="For a machine to become free, with flex-start; 0 waits without end.",
        ),
        *(option for platform in remote_platforms() for option in platform.options.values()),
    )


def recipeless_placement_options(command: Any) -> Any:
    """The same for a command that takes no recipe."""
    return placement_options(command, "tensorflow")


def sending_options(command: Any) -> Any:
    """What goes along with a run that is sent."""
    return _decorated(
        command,
        click.option(
            "--model-name", default="", help="Registered model to make a version of.  [default: bigbird-TASK]"
        ),
        click.option(
            "--margin",
            type=Finite(min=0, max=1),
            help="By how much of the primary metric a model must beat the default version to replace it.  [default: 0]",
        ),
        click.option("--run-label", "labels", multiple=True, help="name=value on the run. Repeatable."),
        click.option("--caching/--no-caching", default=None, help="For all steps.  [default: each step's own]"),
        click.option("--dry-run", is_flag=True, help="Prints what would be sent, as JSON, and sends nothing."),
    )
