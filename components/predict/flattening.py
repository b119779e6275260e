"""Answers as the columns of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# What one entry is called of a value that has several by name.
_ONE_OF = {"probabilities": "probability"}


def flattened(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record without objects in it: of `probabilities` each label's is `probability.LABEL`; lists stay as they are."""
    found: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, dict):
            inner = flattened(value)
            found |= {f"{_ONE_OF.get(name, name)}.{each}": one for each, one in inner.items()}
        else:
            found[name] = value
    return found
