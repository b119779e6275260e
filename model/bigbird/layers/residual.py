"""A layer's second half: what it adds to its input, and the norm after it; one pass over memory each way."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from bigbird.layers.dropout import dropout
from bigbird.layers.fusion import fused
from bigbird.layers.own_gradient import own_gradient
from bigbird.layers.types import Tensor


def add_and_norm(
    x: Tensor, update: Tensor, norm: keras.layers.LayerNormalization, rate: float, seed: Tensor | None
) -> Tensor:
    """norm(x + dropout(update)).

    In training its gradient is written by hand (Ba et al. 2016, section 3, differentiated) and takes `x` and `update`
    only: automatic differentiation keeps several arrays of their size and makes some twenty passes over them.

    Args:
        x, update: float[B, L, H].
        norm: over the last axis.
        rate: of the dropout.
        seed: int32[2] in training, else None.

    Returns:
        float[B, L, H] of x's dtype.
    """
    if seed is None:
        return norm(x + update)

    @own_gradient
    def run(x: Tensor, update: Tensor, scale: Tensor, shift: Tensor, seed: Tensor) -> Tensor:
        def gradient(*args: Any, upstream: Tensor | None = None) -> Tensor:
            upstream = args[0] if upstream is None else upstream
            return (*_gradients(x, update, scale, upstream, seed, rate, norm.epsilon), None)

        return _value(x, update, scale, shift, seed, rate, norm.epsilon), gradient

    return run(x, update, *(ops.cast(weight, "float32") for weight in (norm.gamma, norm.beta)), seed)


def _mean(x: Tensor) -> Tensor:
    """Over the last axis. Not as a product with a column, which is faster on a CPU: accelerators round a product's factors."""
    return ops.mean(x, axis=-1, keepdims=True)


def _standardized(x: Tensor, update: Tensor, seed: Tensor, rate: float, epsilon: float) -> tuple[Tensor, Tensor]:
    """The sum with mean 0 and variance 1, float32, and what it was multiplied with, float32[B, L, 1]."""
    total = ops.cast(x + dropout(update, rate, seed), "float32")
    centred = total - _mean(total)
    inverse = ops.rsqrt(_mean(ops.square(centred)) + epsilon)
    return centred * inverse, inverse


@fused
def _value(
    x: Tensor, update: Tensor, scale: Tensor, shift: Tensor, seed: Tensor, rate: float, epsilon: float
) -> Tensor:
    standardized, _ = _standardized(x, update, seed, rate, epsilon)
    return ops.cast(standardized * scale + shift, x.dtype)


@fused
def _gradients(
    x: Tensor, update: Tensor, scale: Tensor, upstream: Tensor, seed: Tensor, rate: float, epsilon: float
) -> Tensor:
    standardized, inverse = _standardized(x, update, seed, rate, epsilon)
    upstream = ops.cast(upstream, "float32")
    outer = upstream * scale
    d_total = inverse * (outer - _mean(outer) - standardized * _mean(outer * standardized))
    d_total = ops.cast(d_total, x.dtype)
    d_scale, d_shift = (ops.sum(each, axis=(0, 1)) for each in (upstream * standardized, upstream))
    return d_total, dropout(d_total, rate, seed), d_scale, d_shift
