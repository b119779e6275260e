"""Dropout as a pure function of a step's seed, so that training resumes exactly and recomputation repeats itself."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class _GivenSeed(keras.random.SeedGenerator):
    """A seed generator that owns no variable: it hands out the one value it was given."""

    def __init__(self, value: Any):
        self._value = value  # deliberately not calling super().__init__, which would create a state variable

    def next(self, ordered: bool = True) -> Any:
        return self._value


def fold_seed(seed: Any, number: int) -> Any:
    """A new seed from a seed and a small number (a layer's index, a replica's).

    Args:
        seed: int32[2].
        number: 0 <= number < 1,000.

    Returns:
        int32[2]; different numbers give independent streams (the stateless generators hash their key).
    """
    scale, shift = (ops.convert_to_tensor(pair, dtype="int32") for pair in ([1_000_003, 1], [number + 1, 0]))
    return seed * scale + shift


def dropout(x: Any, rate: float, seed: Any) -> Any:
    """Zeroes elements with probability `rate` and scales the rest by 1 / (1 - rate).

    Args:
        x: float[...].
        rate: 0 <= rate < 1.
        seed: int32[2], or None for no dropout (inference).
    """
    if seed is None or rate == 0.0:
        return x
    dtype = "uint32" if keras.backend.backend() == "jax" else "int32"  # what each backend's generators take
    return keras.random.dropout(x, rate, seed=_GivenSeed(ops.cast(seed, dtype)))
