"""The losses of one label, several labels and a number.

Shapes: B examples, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from keras import ops

from bigbird.layers.types import Tensor
from bigbird.models.losses import cross_entropy
from bigbird.tasks.classification.config import ClassificationTask, ClassifierTask


def loss(config: ClassificationTask, logits: Tensor, targets: Tensor) -> Tensor:
    """The loss of each example.

    Args:
        config: kind, labels, weights, smoothing.
        logits: float32[B, C].
        targets: int32[B], float32[B, C] of 0 and 1, or float32[B].

    Returns:
        float32[B].
    """
    if config.kind == "number":
        return number_loss(logits, targets, config.number_mean, config.number_deviation)
    if config.kind == "multi":
        return several_labels_loss(logits, targets, weights_of(config), config.label_smoothing)
    return single_label_loss(logits, targets, weights_of(config), config.label_smoothing)


def weights_of(config: ClassifierTask) -> Sequence[float] | None:
    """The weight of each label in the order of their ids; None where all weigh 1."""
    weights = config.class_weights
    return [weights.get(label, 1.0) for label in config.labels] if isinstance(weights, Mapping) else None


def number_loss(logits: Tensor, targets: Tensor, mean: float = 0.0, deviation: float = 1.0) -> Tensor:
    """The squared error, in standard deviations. float32[B, 1], numbers [B] -> float32[B]."""
    return ops.square(logits[:, 0] - (ops.cast(targets, "float32") - mean) / deviation)


def single_label_loss(
    logits: Tensor, targets: Tensor, weights: Sequence[float] | None = None, smoothing: float = 0.0
) -> Tensor:
    """Cross-entropy times the label's weight. float32[B, C], int32[B] -> float32[B]."""
    losses = cross_entropy(logits, targets, smoothing)
    if weights is None:
        return losses
    chosen = ops.one_hot(targets, logits.shape[-1], dtype="float32")
    return losses * ops.sum(chosen * ops.array(weights, "float32"), axis=-1)


def several_labels_loss(
    logits: Tensor, targets: Tensor, weights: Sequence[float] | None = None, smoothing: float = 0.0
) -> Tensor:
    """The mean over the labels of the binary cross-entropies; where a label applies, times its weight.

    Targets are smoothed as Keras' `BinaryCrossentropy` does. float32[B, C], float32[B, C] of 0 and 1 -> float32[B].
    """
    right = targets * (1.0 - smoothing) + 0.5 * smoothing
    applies, not_so = -ops.log_sigmoid(logits), -ops.log_sigmoid(-logits)
    applies = applies if weights is None else applies * ops.array(weights, "float32")
    return ops.mean(right * applies + (1.0 - right) * not_so, axis=-1)
