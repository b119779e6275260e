"""Options that name a user's own table: its columns, what the label is, how splits are cut, how long documents are read.

Each is a key of the configuration under the same name: of `task.data`, or of `task` itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import click

from bigbird.config.overrides import assignment
from bigbird.support.errors import InputError
from bigbird.support.text_files import shown


@dataclass(frozen=True)
class TableOption:
    """An option.

    Attributes:
        told: what help says.
        settings: of `click.option`.
        section: the configuration's section that has its key.
        trains: whether it is about training, which the preprocessing stage knows nothing of.
    """

    told: str
    settings: Mapping[str, Any]
    section: str = "task.data"
    trains: bool = False


OPTIONS = {
    "text": TableOption(
        "Column of the text. Repeatable: several become one text.  [default: text]", {"multiple": True}
    ),
    "text_b": TableOption("Column of a second text, for pairs.", {}),
    "label": TableOption("Column of the label.  [default: label]", {}),
    "id": TableOption("Column of the documents' names.  [default: file and line]", {}),
    "group": TableOption("Column whose equal values stay in one split.  [default: equal texts stay together]", {}),
    "label_separator": TableOption('What stands between two labels of one document, e.g. ";".', {}),
    "kind": TableOption(
        "What the label is: one of several classes, any number of them, or a number.  [default: by the values]",
        {"type": click.Choice(["auto", "single", "multi", "number"])},
    ),
    "format": TableOption(
        "Of the files.  [default: by their names]",
        {"type": click.Choice(["auto", "csv", "tsv", "jsonl", "parquet"])},
    ),
    "encoding": TableOption("Of text files.  [default: utf-8]", {}),
    "delimiter": TableOption("Between two values of a line.  [default: a comma; in .tsv a tab]", {}),
    "validation_fraction": TableOption(
        "Of the documents, cut off for validation where no file is named.  [default: 0.1]", {"type": float}
    ),
    "test_fraction": TableOption("The same for the test split.  [default: 0]", {"type": float}),
    "drop_duplicates": TableOption(
        "Leaves out of training the texts that validation or test has too.", {"is_flag": True, "default": None}
    ),
    "long_documents": TableOption(
        "What is read of a document above --max-length: its beginning, beginning and end, or all in windows.  [default: head]",
        {"type": click.Choice(["head", "head_tail", "windows"])},
        section="task",
    ),
    "window_stride": TableOption(
        "Tokens from one window to the next.  [default: 3/4 of --max-length]",
        {"type": click.IntRange(min=1)},
        section="task",
    ),
    "class_weights": TableOption(
        "Weights of the labels in the loss: balanced, or label=weight,label=weight.  [default: all 1]",
        {},
        section="task",
        trains=True,
    ),
}
"""Name -> option, in the order in which help lists them."""

_WEIGHT = re.compile(r"(.+?)=((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?:,|\Z)", re.DOTALL)


def table_options(*, training: bool) -> Callable[[Any], Any]:
    """Gives a command the options; those about training only where it trains."""

    def decorate(command: Any) -> Any:
        for name, option in reversed(OPTIONS.items()):
            if training or not option.trains:
                flag = f"--{name.replace('_', '-')}"
                command = click.option(flag, name, help=option.told, **option.settings)(command)
        return command

    return decorate


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
        InputError: `class_weights` is neither balanced nor a list of weights.
    """
    given = given_options(options)
    if "class_weights" in given:
        given["class_weights"] = parse_weights(given["class_weights"])
    return [assignment(f"{OPTIONS[name].section}.{name}", value) for name, value in given.items()]


def parse_weights(text: str) -> str | dict[str, float]:
    """`balanced`, or `label=weight,label=weight` as a mapping; a label may hold commas and equals signs.

    Raises:
        InputError: it is neither, or names a label twice.
    """
    if text == "balanced":
        return text
    found: dict[str, float] = {}
    at = 0
    while match := _WEIGHT.match(text, at):
        label, at = match[1], match.end()
        if label in found:
            raise InputError(f"--class-weights {shown(text)}: names {shown(label)} twice; expected each label once")
        found[label] = float(match[2])
    if not found or at < len(text):
        raise InputError(
            f"--class-weights {shown(text)}: {f'{shown(text[at:])} is no label=weight; ' if found else ''}expected balanced, or "
            "label=weight,label=weight with weights of at least 0, such as spam=2,ham=0.5"
        )
    return found
