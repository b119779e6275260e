"""How the commands of `bigbird` read their options and show their examples."""

from __future__ import annotations

import os
from inspect import cleandoc
from typing import Any

import click

from bigbird.support.log import LEVEL


def flag(name: str) -> str:
    """How an option is spelt: `--max-length` of max_length."""
    return f"--{name.replace('_', '-')}"


class Command(click.Command):
    """A command whose epilog is its examples, a line each, and whose options may be spelt with underscores.

    The Model Garden's flags are spelt so: --model_dir and --model-dir are the same. Each has --quiet and --verbose.
    """

    def __init__(self, *args: Any, **settings: Any):
        super().__init__(*args, **settings)
        self.params += [
            click.Option(
                ["-q", "--quiet"],
                is_flag=True,
                expose_value=False,
                callback=_level("warning"),
                help="Tells warnings and errors only.",
            ),
            click.Option(
                ["-v", "--verbose"],
                is_flag=True,
                expose_value=False,
                callback=_level("debug"),
                help="Tells more, for finding faults.",
            ),
        ]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Reads every option's name with dashes; values stay as they are, also those that look like options."""
        names = {name for parameter in self.params for name in (*parameter.opts, *parameter.secondary_opts)}
        return super().parse_args(ctx, [_with_dashes(argument, names) for argument in args])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the examples as they are."""
        if self.epilog:
            formatter.write_paragraph()
            formatter.write("Examples:\n" + "".join(f"  {line}\n" for line in cleandoc(self.epilog).splitlines()))


def _level(level: str) -> Any:
    """What an option does that sets the level of what is told, here and in the processes that this one starts."""

    def callback(_context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
        if wanted:
            os.environ[LEVEL] = level

    return callback


def _with_dashes(argument: str, names: set[str]) -> str:
    name, equals, value = argument.partition("=")
    dashed = name.replace("_", "-")
    return dashed + equals + value if dashed in names else argument
