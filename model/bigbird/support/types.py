"""Names for what layers, models, tasks and training take and give."""

from __future__ import annotations

from typing import Any, TypeAlias

Tensor: TypeAlias = Any
"""A tensor of Keras' backend: tf.Tensor, jax.Array, or a keras.KerasTensor while a model is put together.

NumPy arrays and Keras variables are taken too. The three have no common type, and NumPy's dtypes and shapes are no part of a
type: docstrings say them, as float[B, L, H] or int32[2].
"""
