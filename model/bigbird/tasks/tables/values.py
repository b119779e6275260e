"""A record's values as texts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bigbird.support.text_files import shown
from bigbird.tasks.records import has_text


class BadValueError(Exception):
    """A value cannot be used; says what was found and what was expected."""


def checked_text(value: Any, column: str) -> str:
    """A text that holds something."""
    text = as_text(value, column)
    if not has_text(text):
        raise BadValueError(f"has an empty text in column {shown(column, 60)}; expected text")
    if "\0" in text:
        raise BadValueError(f"has a NUL character in column {shown(column, 60)}; expected text only")
    return text


def joined_text(values: Sequence[Any], columns: Sequence[str]) -> str:
    """The text of one column, or of several those that are not empty, a blank line between two.

    Raises:
        BadValueError: there is no text, or a value is none.
    """
    if len(columns) == 1:
        return checked_text(values[0], columns[0])
    found = [as_text(value, name) for value, name in zip(values, columns, strict=True)]
    text = "\n\n".join(filter(has_text, found))
    if not text:
        names = ", ".join(shown(name, 60) for name in columns[:5])
        raise BadValueError(f"has an empty text in each of the columns {names}; expected text in one or more")
    return checked_text(text, columns[0])


def name_value(value: Any, column: str, what: str) -> str:
    """A name, such as an id, which may not be empty."""
    text = as_text(value, column)
    if not text:
        raise BadValueError(f"has no {what} in column {shown(column, 60)}; expected one in every record")
    return text


def as_text(value: Any, column: str) -> str:
    """A value of a text column as text; numbers are written as Python does, truth values as JSON does."""
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):  # how pandas writes a missing text
        return ""
    if isinstance(value, list | dict | tuple | bytes):
        what = {list: "a list", dict: "an object", bytes: "bytes"}.get(type(value), "several values")
        raise BadValueError(f"has {what} in column {shown(column, 60)}, {shown(value)}; expected text")
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
