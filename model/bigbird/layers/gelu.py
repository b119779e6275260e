"""GELU (Hendrycks and Gimpel 2016, section 2) in its tanh form and in its exact one; both keep only their input for the backward pass."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from keras import ops

from bigbird.layers.fusion import fused
from bigbird.layers.own_gradient import own_gradient
from bigbird.layers.types import Tensor

# gelu(x) = x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x³)), which is the tanh form: 1 + tanh(z) = 2 sigmoid(2 z).
_LINEAR = 2.0 * math.sqrt(2.0 / math.pi)
_CUBIC = _LINEAR * 0.044715


# In float32, and rounded once: in bfloat16 a CPU rounds after each operation, which takes it four times as long.
def _value(x: Tensor) -> Tensor:
    wide = ops.cast(x, "float32")
    return ops.cast(wide * _gate(wide), x.dtype)


@fused
def _slope(x: Tensor, upstream: Tensor) -> Tensor:
    wide = ops.cast(x, "float32")
    gate, square = _gate(wide), ops.square(wide)
    slope = gate + gate * (1.0 - gate) * wide * (_LINEAR + 3.0 * _CUBIC * square)
    return ops.cast(ops.cast(upstream, "float32") * slope, x.dtype)


def _gate(x: Tensor) -> Tensor:
    """The share of `x` that passes."""
    return ops.sigmoid(x * (_LINEAR + _CUBIC * ops.square(x)))


# gelu(x) = x P(X <= x), X standard normal: the exact form. In float32, for 1 + erf has few digits left where it is small.
def _erf_value(x: Tensor) -> Tensor:
    wide = ops.cast(x, "float32")
    return ops.cast(wide * _below(wide), x.dtype)


@fused
def _erf_slope(x: Tensor, upstream: Tensor) -> Tensor:
    wide = ops.cast(x, "float32")
    density = ops.exp(-0.5 * ops.square(wide)) * (1.0 / math.sqrt(2.0 * math.pi))
    return ops.cast(ops.cast(upstream, "float32") * (_below(wide) + wide * density), x.dtype)


def _below(x: Tensor) -> Tensor:
    """The standard normal distribution's share below `x`; 0 below -6, where some compilers' erf stays a rounding above -1."""
    return ops.where(x < -6.0, 0.0, 0.5 * (1.0 + ops.erf(x * math.sqrt(0.5))))


def _differentiable(
    value: Callable[[Tensor], Tensor], slope: Callable[[Tensor, Tensor], Tensor]
) -> Callable[[Tensor], Tensor]:
    @own_gradient
    def gelu(x: Tensor) -> Tensor:
        """float[...] -> float[...] of its dtype.

        In graph mode automatic differentiation keeps half a dozen arrays of a layer's largest size: of a training step of
        four base layers with 4,096 tokens that was 0.6 of 3.5 GB.
        """

        def gradient(*args: Any, upstream: Tensor | None = None) -> Tensor:
            return slope(x, args[0] if upstream is None else upstream)

        return value(x), gradient

    return gelu


# Each twice, the second for training, where the value is compiled too, as the gradient always is.
gelu, gelu_in_training = _differentiable(_value, _slope), _differentiable(fused(_value), _slope)
gelu_erf = _differentiable(_erf_value, _erf_slope)
gelu_erf_in_training = _differentiable(fused(_erf_value), _erf_slope)
