"""Dense layers on tokens, whichever input of a batch they belong to.

Shapes: B batch, L tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops


def by_token(layer: Callable[[Any], Any], x: Any) -> Any:
    """`layer` of each token: of (B L, ...) in place of (B, L, ...).

    The same numbers. But of a product over three axes XLA takes the gradient of the weights in another form, which on a CPU
    needs twice the time of the flat one (4,096 tokens, 768 by 3,072 weights; five times for 12,288 tokens, 64 by 128).

    Args:
        layer: a dense layer that takes (tokens, ...).
        x: float[B, L, ...]; L static.

    Returns:
        float[B, L, ...].
    """
    _, length, *rest = x.shape
    y = layer(ops.reshape(x, (-1, *rest)))
    return ops.reshape(y, (-1, length, *y.shape[1:]))
