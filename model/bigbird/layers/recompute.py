"""Gradient checkpointing: a layer's activations are computed again in the backward pass instead of being kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from bigbird.layers.types import Tensor


def recomputed(layer: Callable[[Tensor, Tensor, Tensor], Tensor], x: Tensor, mask: Tensor, seed: Tensor) -> Tensor:
    """`layer(x, mask, seed)`, of which only `x` is kept for the backward pass.

    Args:
        layer: a function of (float[B, L, H], int32[B, L], int32[2]) that gives float[B, L, H]; it may use variables.
        x, mask, seed: its arguments; only `x` is differentiated, beside the variables.
    """
    if keras.backend.backend() == "tensorflow":
        return _recomputed_in_tensorflow(layer, x, mask, seed)
    return keras.remat(layer)(x, mask, seed)


def _recomputed_in_tensorflow(
    layer: Callable[[Tensor, Tensor, Tensor], Tensor], x: Tensor, mask: Tensor, seed: Tensor
) -> Tensor:
    """Does what Keras' remat does, also under a TPU's compiler.

    Of TensorFlow's recompute_grad, which Keras takes, that compiler finds the two computations equal, does the first only and
    keeps everything: no memory is saved. Here the second depends on the gradient that arrives, so that it is another
    computation and cannot begin before it is needed.
    """
    import tensorflow as tf

    @tf.custom_gradient
    def run(x: Tensor) -> Tensor:
        def gradient(upstream: Tensor, variables: Any = None) -> Any:
            variables = list(variables or ())
            again = _other(x, upstream)
            with tf.GradientTape() as tape:
                tape.watch(again)
                y = layer(again, mask, seed)
            d_x, *d_variables = tape.gradient(y, [again, *variables], output_gradients=upstream)
            return (d_x, d_variables) if variables else d_x

        return layer(x, mask, seed), gradient

    return run(x)


def after(x: Tensor, upstream: Tensor) -> Tensor:
    """`x`, which a graph's executor does not use before `upstream` is there.

    It would otherwise do work of the backward pass that does not need the gradient during the forward pass, as soon as its
    inputs are there, and keep it until then. Compiled programs have an order anyway; there this is nothing.

    Args:
        x: a tensor.
        upstream: the gradient that arrives.
    """
    if keras.backend.backend() != "tensorflow":
        return x
    import tensorflow as tf

    with tf.control_dependencies([upstream]):
        return tf.identity(x)


def _other(x: Tensor, upstream: Tensor) -> Tensor:
    """`x`, float[...], as a compiler knows it only when `upstream` is there, so that it cannot be taken for the same."""
    first = ops.reshape(upstream, (-1,))[0]
    nothing = ops.minimum(ops.cast(ops.isnan(first), x.dtype), 0)  # always 0, but no compiler looks so far
    return x + nothing
