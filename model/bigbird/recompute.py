"""Gradient checkpointing: a layer's activations are computed again in the backward pass instead of being kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np


def recomputed(layer: Callable[..., Any], x: Any, mask: Any, seed: Any) -> Any:
    """`layer(x, mask, seed)`, of which only `x` is kept for the backward pass.

    Args:
        layer: a function of (float[B, L, H], int32[B, L], int32[2]) that gives float[B, L, H]; it may use variables.
        x, mask, seed: its arguments; `x` alone is differentiated, beside the variables.
    """
    if keras.backend.backend() == "tensorflow":
        return _recomputed_in_tensorflow(layer, x, mask, seed)
    return keras.remat(layer)(x, mask, seed)


def _recomputed_in_tensorflow(layer: Callable[..., Any], x: Any, mask: Any, seed: Any) -> Any:
    """Does what Keras' remat does, also under a TPU's compiler.

    Of TensorFlow's recompute_grad, which Keras takes, that compiler finds the two computations equal, does the first only and
    keeps everything: no memory is saved. Here the second depends on the gradient that arrives, so that it is another
    computation and cannot begin before it is needed.
    """
    import tensorflow as tf

    @tf.custom_gradient
    def run(x: Any) -> Any:
        def gradient(upstream: Any, variables: Any = None) -> Any:
            variables = list(variables or ())
            again = x + _nothing(upstream)
            with tf.GradientTape() as tape:
                tape.watch(again)
                y = layer(again, mask, seed)
            d_x, *d_variables = tape.gradient(y, [again, *variables], output_gradients=upstream)
            return (d_x, d_variables) if variables else d_x

        return layer(x, mask, seed), gradient

    return run(x)


def _nothing(x: Any) -> Any:
    """A scalar of `x`'s dtype, made of `x`, that changes no sum: its first element times the least float32."""
    import tensorflow as tf

    first = tf.reshape(x, (-1,))[0]
    return tf.cast(tf.cast(first, tf.float32) * np.finfo(np.float32).tiny, x.dtype)
