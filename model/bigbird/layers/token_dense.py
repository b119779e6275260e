"""A dense layer on tokens, whichever input of a batch they belong to."""

from __future__ import annotations

import math

import keras
from keras import ops

from bigbird.layers.own_gradient import gradients_needed
from bigbird.layers.types import Tensor


def weights_as_computed(policy: keras.DTypePolicy) -> keras.DTypePolicy:
    """The policy of a layer that multiplies by its weights, in a model of this policy.

    A model that only answers (`without_gradients`) holds them in what it computes in. Float32 weights Keras would round anew in
    each call, to the same numbers.
    """
    return policy if gradients_needed() else keras.DTypePolicy(policy.compute_dtype)


@keras.saving.register_keras_serializable("bigbird")
class TokenDense(keras.layers.Dense):
    """Keras' Dense, which multiplies (B L, H) where Keras on JAX would multiply (B, L, H).

    The same numbers. But of a product over three axes XLA takes the gradient of the weights in another form, which on a CPU
    needs twice the time of the flat one (4,096 tokens, 768 by 3,072 weights; five times for 12,288 tokens, 64 by 128).
    Keras on TensorFlow does the same by itself. The bias is added to (B, L, units): to flat rows, a TPU's compiler
    estimated 1 to 3 % more cycles for a step of one base layer.
    """

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        """float[B, L, H] -> float[B, L, units]; L static."""
        y = ops.matmul(ops.reshape(x, (-1, x.shape[-1])), self.kernel)
        return self.activation(ops.reshape(y, (-1, *x.shape[1:-1], self.units)) + self.bias)

    def with_gelu(self, x: Tensor, *, approximate: bool) -> Tensor:
        """GELU of the layer's output on TensorFlow, for graphs that answer: float[B, L, H] -> float[B, L, units]; L static.

        In these operations TensorFlow finds a product, a bias and an activation that oneDNN computes at once, in float32, and rounds
        once. On two cores, 768 by 3,072 weights, 4,096 tokens: 44 instead of 56 ms in float32, 25 instead of 42 ms in bfloat16.
        Without oneDNN it is slower than what it stands for: 97 instead of 81 ms in float32. Float32 numbers are within a rounding or
        two of `layers.gelu`'s (4.8e-7 at values of 8; exact form 1.4e-6).

        Args:
            x: the layer's input.
            approximate: whether it is the tanh form.
        """
        import tensorflow as tf

        y = tf.nn.gelu(product_and_bias(x, self.kernel, self.bias), approximate=approximate)
        return ops.reshape(y, (-1, *x.shape[1:-1], self.units))


def product_and_bias(x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """x·kernel + bias in operations that TensorFlow finds to be one, which oneDNN rounds once; for graphs that answer by it.

    Args:
        x: float[B, L, ...]; its axes after L are those that the kernel's first ones stand for.
        kernel: float[..., ...].
        bias: float[...], of the kernel's last axes.

    Returns:
        float[B L, ...], the last axis all of the bias'.
    """
    import tensorflow as tf

    units = math.prod(bias.shape)
    rows = ops.reshape(x, (-1, math.prod(kernel.shape) // units))
    return tf.nn.bias_add(tf.matmul(rows, ops.reshape(kernel, (-1, units))), ops.reshape(bias, (-1,)))
