"""Dropout as a pure function of a step's seed, so that training resumes exactly and recomputation repeats itself.

Which elements fall is a hash of their place, computed where it is used: the compiler merges it into the addition
around it, nothing is stored for the backward pass, and all backends and compilers drop the same elements. A drawn
tensor of random numbers cost a TPU more than the rest of a layer outside attention: 84 of 284 Mcycles of a training step
by its compiler's estimate (base model, two inputs of 4,096 tokens), most of it to bring the numbers into the layout of `x`.
"""

from __future__ import annotations

import math

from keras import ops

from bigbird.layers.types import Tensor

# Odd constants of MurmurHash3's 32-bit finalizer (Austin Appleby), and 2**32 divided by the golden ratio.
_MIX_1, _MIX_2, _GOLDEN = 0x85EBCA6B, 0xC2B2AE35, 0x9E3779B9


def fold_seed(seed: Tensor, number: int) -> Tensor:
    """A new seed from a seed and a small number (a layer's index, a replica's).

    Args:
        seed: int32[2 or 3], as `dropout` takes it.
        number: 0 <= number < 1,000.

    Returns:
        Another seed of the same length; different numbers give independent streams (the hash mixes the first two words).
    """
    others = seed.shape[0] - 1
    words = ([1_000_003] + [1] * others, [number + 1] + [0] * others)
    scale, shift = (ops.convert_to_tensor(word, dtype="int32") for word in words)
    return seed * scale + shift


def dropout(x: Tensor, rate: float, seed: Tensor | None) -> Tensor:
    """Zeroes elements with probability `rate` and scales the rest by 1 / (1 - rate).

    Args:
        x: float[..., H], static shape but for the first axis.
        rate: 0 <= rate < 1.
        seed: int32[2]; or int32[3], whose last word says which row of the global batch is the first of `x`, so that rows
            drop the same elements however they are spread over devices; or None for no dropout (inference).
    """
    if seed is None or rate == 0.0:
        return x
    kept = ops.greater_equal(_random_bits(x, seed), _word(round(rate * 2**32)))
    return ops.where(kept, x * (1.0 / (1.0 - rate)), ops.zeros((), x.dtype))


def _random_bits(x: Tensor, seed: Tensor) -> Tensor:
    """A random word for each element of `x`, uint32 of its shape: rows are hashed first, then each element of a row."""
    first, *others, width = ops.shape(x)
    places = ops.arange(first * math.prod(others), dtype="int32")
    if seed.shape[0] == 3:
        places = places + seed[2] * math.prod(others)
    rows = ops.reshape(places, (first, *others, 1))
    words = ops.cast(seed, "uint32")
    rows = _mix(_mix(ops.cast(rows, "uint32") * _word(_GOLDEN) + words[0]) + words[1])
    columns = _mix(ops.cast(ops.arange(width, dtype="int32"), "uint32") * _word(_GOLDEN) + _word(1))
    return _mix(ops.bitwise_xor(rows, columns))


def _mix(word: Tensor) -> Tensor:
    """MurmurHash3's finalizer without its last shift, which would not reach the high bits that decide."""
    word = ops.bitwise_xor(word, ops.bitwise_right_shift(word, _word(16))) * _word(_MIX_1)
    return ops.bitwise_xor(word, ops.bitwise_right_shift(word, _word(13))) * _word(_MIX_2)


def _word(value: int) -> Tensor:
    return ops.convert_to_tensor(value, dtype="uint32")
