"""Full attention: the path of short inputs, and the reference that sparse attention is tested against.

Shapes: B batch, L tokens, N heads, D head size.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from keras import ops

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
    dropout: Callable[[Tensor], Tensor] = lambda probabilities: probabilities,
) -> Tensor:
    """softmax(q kᵀ / √D) v over every key, in float32 where it matters.

    Args:
        query, key, value: float[B, L, N, D].
        mask: bool or number[B, L], 1 for tokens; masked keys are ignored and masked queries give zeros.
        log_counts: float32[N, L, L] or None; logarithm of how many times a query counts a key (-inf: never).
        dropout: applied to the float32[B, N, L, L] probabilities.

    Returns:
        float[B, L, N, D] of `query`'s dtype.
    """
    scores = ops.einsum("bqnd,bknd->bnqk", query, key)  # (B, N, L, L)
    scores = ops.cast(scores, "float32") / math.sqrt(query.shape[-1])
    if log_counts is not None:
        scores = scores + log_counts
    tokens = ops.cast(mask, "float32")
    scores = scores + (1.0 - tokens)[:, None, None, :] * MASKED
    probabilities = ops.cast(dropout(ops.softmax(scores, axis=-1)), value.dtype)
    context = ops.einsum("bnqk,bknd->bqnd", probabilities, value)
    return context * ops.cast(mask, context.dtype)[:, :, None, None]
