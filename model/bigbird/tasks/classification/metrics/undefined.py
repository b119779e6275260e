"""Values that are not defined for the examples at hand: left out, with the reason."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np


class Undefined(Exception):
    """A metric is not defined for these examples; the message is the reason."""


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings of NumPy, SciPy and scikit-learn: what they would say is in `Metrics.undefined`."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def computed(functions: Mapping[str, Callable[[], Any]]) -> tuple[dict[str, float], dict[str, str]]:
    """The values of those that are defined, and the reasons of those that are not."""
    values: dict[str, float] = {}
    undefined: dict[str, str] = {}
    for name, function in functions.items():
        try:
            value = function()
            values[name] = value if isinstance(value, int) else float(defined(value, "the numbers are too large"))
        except Undefined as reason:
            undefined[name] = str(reason)
    return values, undefined


def defined(value: Any, reason: str) -> Any:
    """The number itself, where it is finite.

    Raises:
        Undefined: it is not, for this reason.
    """
    if not np.isfinite(value):
        raise Undefined(reason)
    return value
