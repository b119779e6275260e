"""Functions whose gradient is written by hand, and graphs that need no gradient."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from keras import ops

_needed: ContextVar[bool] = ContextVar("whether a gradient is needed", default=True)


def own_gradient(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `keras.ops.custom_gradient`, but inside `without_gradients` the value alone.

    Args:
        function: of tensors; gives the value, and the function from the upstream gradient to those of its arguments.
    """
    differentiable = ops.custom_gradient(function)

    @functools.wraps(function)
    def run(*args: Any) -> Any:
        return differentiable(*args) if _needed.get() else function(*args)[0]

    return run


def gradients_needed() -> bool:
    """False inside `without_gradients`."""
    return _needed.get()


@contextmanager
def without_gradients() -> Iterator[None]:
    """A graph that is made in this block has no gradient of `own_gradient`'s: one that answers. TensorFlow can still derive one.

    Such a graph also has a layer's operations once (`BigBirdEncoder`), and a model that is built in the block holds the weights of
    products in what it computes in (`weights_as_computed`).

    TensorFlow keeps such a gradient, with the graph that it is part of, as long as the process lives, saves a traced copy of it
    with an exported model, and registers that each time the model is loaded. Of a model of one layer, 16 wide, saving took
    3.0 s with them and 0.3 s without; each loading held 80 MB for good with them, and none without.
    """
    before = _needed.set(False)
    try:
        yield
    finally:
        _needed.reset(before)
