"""Options that name a user's own table: its columns, what the label is, how splits are cut.

Each is a key of the configuration's data section (`task.data`), under the same name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

_OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "text": ("Column of the text. Repeatable: several become one text.  [default: text]", {"multiple": True}),
    "text_b": ("Column of a second text, for pairs.", {}),
    "label": ("Column of the label.  [default: label]", {}),
    "id": ("Column of the documents' names.  [default: file and line]", {}),
    "group": ("Column whose equal values stay in one split.  [default: equal texts stay together]", {}),
    "label_separator": ('What stands between two labels of one document, e.g. ";".', {}),
    "kind": (
        "What the label is: one of several classes, any number of them, or a number.  [default: by the values]",
        {"type": click.Choice(["auto", "single", "multi", "number"])},
    ),
    "format": (
        "Of the files.  [default: by their names]",
        {"type": click.Choice(["auto", "csv", "tsv", "jsonl", "parquet"])},
    ),
    "encoding": ("Of text files.  [default: utf-8]", {}),
    "delimiter": ("Between two values of a line.  [default: a comma; in .tsv a tab]", {}),
    "validation_fraction": (
        "Of the documents, cut off for validation where no file is named.  [default: 0.1]",
        {"type": float},
    ),
    "test_fraction": ("The same for the test split.  [default: 0]", {"type": float}),
    "drop_duplicates": (
        "Leaves out of training the texts that validation or test has too.",
        {"is_flag": True, "default": None},
    ),
}
TABLE_OPTIONS = tuple(_OPTIONS)
"""Their names, which are the data section's keys."""


def table_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command the options, in the order in which help lists them."""
    for name, (told, settings) in reversed(_OPTIONS.items()):
        command = click.option(f"--{name.replace('_', '-')}", name, help=told, **settings)(command)
    return command


def data_section(options: Mapping[str, Any]) -> dict[str, Any]:
    """What was given of the options, as the data section has it."""
    given = {name: options.get(name) for name in TABLE_OPTIONS}
    section = {name: value for name, value in given.items() if value not in (None, ())}
    return section | ({"text": list(section["text"])} if "text" in section else {})
