"""Command-line options that name a user's own table: its columns, what the label is, how splits are cut, how long documents are read.

Each is a key of the configuration under the same name: of `task.data`, or of `task` itself. Which there are, the task families
say (`TaskFamily.table_options`); an option that several have is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import click

from bigbird.config.overrides import assignment
from bigbird.tasks.registry import families
from bigbird.tasks.table_options import TableOption, parse_weights

__all__ = ["OPTIONS", "as_overrides", "click_option", "data_section", "given_options", "parse_weights", "table_options"]


def _all_options() -> dict[str, TableOption]:
    found: dict[str, TableOption] = {}
    for family in families():
        for name, option in family.table_options.items():
            known = found.setdefault(name, option)
            found[name] = replace(known, choices=tuple(dict.fromkeys((*known.choices, *option.choices))))
    return found


OPTIONS = _all_options()
"""Name -> option, in the order in which help lists them: the first family's, then those that others have besides."""

_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "text": {},
    "fraction": {"type": float},
    "count": {"type": click.IntRange(min=1)},
    "integer": {"type": int},
    "flag": {"is_flag": True, "default": None},
    "switch": {"default": None},
}


def _settings(option: TableOption) -> dict[str, Any]:
    """What `click.option` takes."""
    settings = dict(_SETTINGS[option.value])
    if option.choices:
        settings["type"] = click.Choice(option.choices)
    return settings | ({"multiple": True} if option.repeatable else {})


def table_options(*, training: bool) -> Callable[[Any], Any]:
    """Gives a command the options; those about training only where it trains."""

    def decorate(command: Any) -> Any:
        for name, option in reversed(OPTIONS.items()):
            if training or not option.trains:
                command = click_option(name, option)(command)
        return command

    return decorate


def click_option(name: str, option: TableOption) -> Callable[[Any], Any]:
    """Gives a command one option."""
    spelt = name.replace("_", "-")
    flags = f"--{spelt}/--no-{spelt}" if option.value == "switch" else f"--{spelt}"
    return click.option(flags, name, help=option.told, **_settings(option))


def given_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the options that were given, by name; a repeatable one as a list."""
    given = {name: options.get(name) for name in OPTIONS}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in given.items()
        if value not in (None, ())
    }


def data_section(options: Mapping[str, Any]) -> dict[str, Any]:
    """What was given of the options, as the data section has it."""
    return {name: value for name, value in given_options(options).items() if OPTIONS[name].section == "task.data"}


def as_overrides(options: Mapping[str, Any]) -> list[str]:
    """What was given of the options, as overrides of the configuration.

    Raises:
        InputError: a text is not what its option takes.
    """
    overrides = []
    for name, value in given_options(options).items():
        parsed = OPTIONS[name].parsed
        overrides.append(assignment(f"{OPTIONS[name].section}.{name}", value if parsed is None else parsed(value)))
    return overrides
