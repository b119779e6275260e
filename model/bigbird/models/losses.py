"""Losses that several tasks share. One that a single family has is in its folder: of several labels in `bigbird.tasks.classification.losses`.

Shapes: B batch, L tokens, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping

from keras import ops

from bigbird.layers.types import Tensor


def cross_entropy(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """The cross-entropy of one right class, its target smoothed as Keras' `CategoricalCrossentropy` does.

    Args:
        logits: float32[B, K].
        labels: int32[B], number of each example's class.
        smoothing: the share of the target that all K classes have alike.

    Returns:
        float32[B].

    Example:
        >>> import numpy as np
        >>> from bigbird.models import cross_entropy
        >>> loss = cross_entropy(np.array([[0.0, 0.0], [9.0, 0.0]], "float32"), np.array([0, 0]))
        >>> np.asarray(loss).round(3).tolist() == [np.float32(0.693), 0.0]
        True
    """
    classes = logits.shape[-1]
    target = ops.one_hot(labels, classes, dtype="float32")
    if smoothing:
        target = target * (1.0 - smoothing) + smoothing / classes
    return ops.logsumexp(logits, axis=-1) - ops.sum(logits * target, axis=-1)


def or_cross_entropy(logits: Tensor, right: Tensor) -> Tensor:
    """The cross-entropy of several right places: -log of the probability of any of them.

    Args:
        logits: float32[B, L].
        right: int32[B, L], 1 at each right place.

    Returns:
        float32[B].

    Example:
        >>> import numpy as np
        >>> from bigbird.models import or_cross_entropy
        >>> loss = or_cross_entropy(np.zeros((1, 4), "float32"), np.array([[0, 1, 1, 0]]))
        >>> round(float(loss[0]), 3)
        0.693
    """
    kept = logits - 1e6 * (1.0 - ops.cast(right, "float32"))
    return ops.logsumexp(logits, axis=-1) - ops.logsumexp(kept, axis=-1)


def masked_losses(outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
    """Sum of the masked tokens' cross-entropies.

    Args:
        outputs: logits, float32[B, P, V].
        batch: masked_lm_ids int32[B, P]; masked_lm_weights float32[B, P], 0 for padding.

    Returns:
        float32[B].

    Example:
        >>> import numpy as np
        >>> from bigbird.models import masked_losses
        >>> batch = {"masked_lm_ids": np.array([[1, 0]]), "masked_lm_weights": np.array([[1.0, 0.0]], "float32")}
        >>> loss = masked_losses({"logits": np.zeros((1, 2, 8), "float32")}, batch)
        >>> round(float(loss[0]), 3)  # the logarithm of 8
        2.079
    """
    losses = ops.sparse_categorical_crossentropy(batch["masked_lm_ids"], outputs["logits"], from_logits=True)
    return ops.sum(losses * batch["masked_lm_weights"], axis=1)
