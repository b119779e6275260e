"""The losses of one label, several labels and a number.

Shapes: B examples, C classes.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from bigbird.tasks.classification.config import ClassificationTask


def loss(config: ClassificationTask, logits: Any, targets: Any) -> Any:
    """The loss of each example.

    One label: cross-entropy, its target smoothed as Keras' `CategoricalCrossentropy` does, times the label's weight. Several
    labels: the mean over the labels of the binary cross-entropies, targets smoothed as `BinaryCrossentropy` does, where
    a label applies times its weight. A number: the squared error, in the training split's standard deviations.

    Args:
        config: kind, labels, weights, smoothing.
        logits: float32[B, C].
        targets: int32[B], float32[B, C] of 0 and 1, or float32[B].

    Returns:
        float32[B].
    """
    if config.kind == "number":
        right = (ops.cast(targets, "float32") - config.number_mean) / config.number_deviation
        return ops.square(logits[:, 0] - right)
    weights = None
    if isinstance(config.class_weights, dict):
        weights = ops.array([config.class_weights.get(label, 1.0) for label in config.labels], "float32")
    smoothing = config.label_smoothing
    if config.kind == "multi":
        right = targets * (1.0 - smoothing) + 0.5 * smoothing
        applies, not_so = -ops.log_sigmoid(logits), -ops.log_sigmoid(-logits)
        applies = applies if weights is None else applies * weights
        return ops.mean(right * applies + (1.0 - right) * not_so, axis=-1)
    classes = logits.shape[-1]
    chosen = ops.one_hot(targets, classes, dtype="float32")
    right = chosen * (1.0 - smoothing) + smoothing / classes
    losses = ops.logsumexp(logits, axis=-1) - ops.sum(logits * right, axis=-1)
    return losses if weights is None else losses * ops.sum(chosen * weights, axis=-1)
