"""Losses that several tasks share.

Shapes: B batch, L tokens, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras import ops


def cross_entropy(logits: Any, labels: Any) -> Any:
    """float32[B, K], int32[B] -> float32[B]."""
    chosen = ops.one_hot(labels, logits.shape[-1], dtype="float32")
    return ops.logsumexp(logits, axis=-1) - ops.sum(logits * chosen, axis=-1)


def or_cross_entropy(logits: Any, right: Any) -> Any:
    """float32[B, L], int32[B, L] with 1 at each right place -> float32[B]."""
    kept = logits - 1e6 * (1.0 - ops.cast(right, "float32"))
    return ops.logsumexp(logits, axis=-1) - ops.logsumexp(kept, axis=-1)


def masked_losses(outputs: Mapping[str, Any], batch: Mapping[str, Any]) -> Any:
    """Sum of the masked tokens' cross-entropies, float32[B]."""
    losses = ops.sparse_categorical_crossentropy(batch["masked_lm_ids"], outputs["logits"], from_logits=True)
    return ops.sum(losses * batch["masked_lm_weights"], axis=1)
