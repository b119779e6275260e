"""Options of a command that stand for keys of the configuration: what they are; which there are, each family says itself.

An option is called as its key is, in `task.data` or in `task` itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bigbird.support.errors import InputError
from bigbird.support.text_files import shown


@dataclass(frozen=True)
class TableOption:
    """An option.

    Attributes:
        told: what help says.
        value: what is given: a text, a fraction, a count from 1, an integer, or nothing: a flag, which is true, or a switch, which
            is true or, spelt with `no-` before its name, false.
        choices: of a text; empty: any.
        repeatable: whether it may be given several times, for a list.
        section: the configuration's section that has its key.
        trains: whether it is about training, which the preprocessing stage knows nothing of.
        parsed: makes the key's value of a text; raises `InputError`. None takes it as it is.
    """

    told: str
    value: Literal["text", "fraction", "count", "integer", "flag", "switch"] = "text"
    choices: Sequence[str] = ()
    repeatable: bool = False
    section: Literal["task.data", "task"] = "task.data"
    trains: bool = False
    parsed: Callable[[str], Any] | None = None


_WEIGHT = re.compile(r"(.+?)=((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?:,|\Z)", re.DOTALL)


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


COMMON: Mapping[str, TableOption] = {
    "text": TableOption("Column of the text. Repeatable: several become one text.  [default: text]", repeatable=True),
    "id": TableOption("Column of the documents' names.  [default: file and line]"),
    "group": TableOption("Column whose equal values stay in one split.  [default: equal texts stay together]"),
    "format": TableOption(
        "Of the files.  [default: by their names]", choices=("auto", "csv", "tsv", "jsonl", "parquet")
    ),
    "encoding": TableOption("Of text files.  [default: utf-8]"),
    "delimiter": TableOption("Between two values of a line.  [default: a comma; in .tsv a tab; in CoNLL blanks]"),
    "quoted": TableOption(
        "Whether values in CSV and TSV may stand in quotation marks; without, each mark is text.  [default: quoted]",
        "switch",
    ),
    "validation_fraction": TableOption(
        "Of the documents, cut off for validation where no file is named.  [default: 0.1]", "fraction"
    ),
    "test_fraction": TableOption("The same for the test split.  [default: 0]", "fraction"),
    "window_stride": TableOption(
        "Tokens from one window to the next.  [default: 3/4 of --max-length]", "count", section="task"
    ),
    "class_weights": TableOption(
        "Weights of the labels in the loss: balanced, or label=weight,label=weight.  [default: all 1]",
        section="task",
        trains=True,
        parsed=parse_weights,
    ),
}
"""Those that several families have."""
