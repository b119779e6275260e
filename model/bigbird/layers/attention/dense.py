"""Full attention: the path of short inputs, and the reference that sparse attention is tested against.

Shapes: B batch, L tokens, N heads, D head size.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import keras
from keras import ops

from bigbird.layers.one_dnn import answers_by_one_dnn
from bigbird.layers.types import Tensor

# Added to the scores of masked keys, as in all three published implementations.
MASKED = -10000.0


def dense_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor,
    *,
    log_counts: Tensor | None = None,
    dropout: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """softmax(q kᵀ / √D) v over every key, in float32 where it matters.

    Args:
        query, key, value: float[B, L, N, D].
        mask: bool or number[B, L], 1 for tokens; masked keys are ignored and masked queries give zeros.
        log_counts: float32[N, L, L] or None; logarithm of how many times a query counts a key (-inf: never).
        dropout: applied to the float32[B, N, L, L] probabilities; None for none.

    Returns:
        float[B, L, N, D] of `query`'s dtype.
    """
    products, scale = ops.einsum("bqnd,bknd->bnqk", query, key), 1.0 / math.sqrt(query.shape[-1])  # (B, N, L, L)
    dtype = score_dtype(products, scale) if log_counts is None and dropout is None else "float32"
    scores = ops.cast(products, dtype) * scale
    if log_counts is not None:
        scores = scores + log_counts
    tokens = ops.cast(mask, "float32")
    scores = scores + ops.cast((1.0 - tokens)[:, None, None, :] * MASKED, dtype)
    probabilities = ops.softmax(scores, axis=-1)
    if dropout is not None:
        probabilities = dropout(probabilities)
    context = ops.einsum("bnqk,bknd->bqnd", ops.cast(probabilities, value.dtype), value)
    return context * ops.cast(mask, context.dtype)[:, :, None, None]


def score_dtype(products: Tensor, scale: float) -> str:
    """What scores are held in: float32; or products' bfloat16 in graphs that answer by oneDNN.

    There TensorFlow finds product, scale and bias to be one operation, and softmax computes in float32 inside; a scale that is a
    power of two and biases that leave the score as it is, or nothing of it, round nothing: the same bits, and half the time for 12 heads of
    512 tokens (1.1 of 2.1 ms on two cores). Where such a graph runs without oneDNN, probabilities are within 0.012.

    Args:
        products: of queries and keys.
        scale: that they are multiplied with.
    """
    half = keras.backend.standardize_dtype(products.dtype) == "bfloat16"
    return "bfloat16" if half and math.frexp(scale)[0] == 0.5 and answers_by_one_dnn() else "float32"
