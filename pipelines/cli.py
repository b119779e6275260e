"""The `bigbird` command: finds the command that is asked for, and imports only that.

An image of a stage has only what that stage needs, so the other commands cannot be imported there.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any

import click

from bigbird.version import provenance

STAGES = ("preprocess", "train", "evaluate", "export", "serve", "register")
_LOCAL, _CLOUD = "bigbird_pipelines.cli_local", "bigbird_pipelines.cli_cloud"
COMMANDS = {
    "run": f"{_LOCAL}:run",
    "compile": f"{_LOCAL}:compile_command",
    "recipes": f"{_LOCAL}:recipes",
    "convert": f"{_LOCAL}:convert",
    "predict": "bigbird_pipelines.cli_predict:predict",
    "submission": f"{_LOCAL}:submission",
    "submit": f"{_CLOUD}:submit",
    "schedule": f"{_CLOUD}:schedule",
    "doctor": f"{_CLOUD}:doctor",
    "preflight": f"{_CLOUD}:preflight",
    "check": "bigbird_components.check.__main__:main",
    **{stage: f"bigbird_components.{stage}.__main__:main" for stage in STAGES},
}
"""Name -> module:object of each command."""

SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class _Imported(MutableMapping[str, click.Command]):
    """The commands by name, each imported when it is asked for."""

    def __init__(self) -> None:
        self._loaded: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._loaded:
            module, _, attribute = COMMANDS[name].partition(":")
            try:
                self._loaded[name] = getattr(import_module(module), attribute)
            except ModuleNotFoundError as error:
                raise click.ClickException(
                    f"bigbird {name} needs the package {error.name}, which is not installed here. An image has what its own stage "
                    "needs and no more; to have all commands, run `pip install 'bigbird-pipelines[pipelines]'`"
                ) from error
            self._loaded[name].name = name
        return self._loaded[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        raise TypeError("commands are not taken away")

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


def _print_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo("bigbird {version}, revision {revision}".format(**provenance()))
        context.exit()


class _Commands(click.Group):
    """The commands, those that are a stage by itself after the others."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes both lists, of the commands that can be imported here."""
        commands = {}
        for name in COMMANDS:
            try:
                commands[name] = self.commands[name]
            except click.ClickException:
                continue
        width = formatter.width - 6 - max(map(len, commands))
        for title, names in (
            ("Commands", sorted(set(commands) - set(STAGES))),
            ("Stages, each by itself", [stage for stage in STAGES if stage in commands]),
        ):
            if names:
                with formatter.section(title):
                    formatter.write_dl([(name, commands[name].get_short_help_str(width)) for name in names])


@click.group(cls=_Commands, commands=_Imported(), context_settings=SETTINGS)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Version and commit."
)
def cli() -> None:
    """Fine-tunes BigBird from raw files to a SavedModel, as one KFP pipeline.

    `bigbird run` does it all on this machine; without data it takes a sample that it makes itself.
    """


def main() -> None:
    """Entry point of the console script."""
    cli()
