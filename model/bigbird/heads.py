"""Task heads on the encoder, and the loss of each.

Shapes: B batch, L tokens, H hidden size, C classes.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from bigbird.config import BigBirdEncoderConfig, GlueTask, SquadTask, Task
from bigbird.dropout import dropout, fold_seed
from bigbird.encoder import BigBirdEncoder, initializer


class BigBirdClassifier(keras.Model):
    """Classes (or, with one class, a real number) from the first token.

    The published head: tanh pooler, dropout, dense; the pooler is the encoder's or a new one.
    """

    def __init__(
        self,
        config: BigBirdEncoderConfig,
        num_classes: int,
        *,
        use_encoder_pooler: bool = False,
        dtype: str = "float32",
    ):
        super().__init__(name="bigbird_classifier", dtype=dtype)
        self.config = config
        self.encoder = BigBirdEncoder(config, with_pooler=use_encoder_pooler, dtype=dtype)
        self.pooler_dense = None
        if not use_encoder_pooler:
            self.pooler_dense = keras.layers.Dense(
                config.hidden_size, activation="tanh", kernel_initializer=initializer(config),
                name="pooler_dense", dtype=dtype,
            )  # fmt: skip
        self.logits = keras.layers.Dense(
            num_classes, kernel_initializer=initializer(config), name="logits", dtype="float32"
        )

    def call(self, inputs: dict[str, Any], training: bool = False, seed: Any = None) -> dict[str, Any]:
        """int32[B, L] inputs -> {"logits": float32[B, C]}."""
        seed = _training_seed(self.config, training, seed)
        encoded = self.encoder(inputs, seed=seed)
        pooled = (
            encoded["pooled_output"]
            if self.pooler_dense is None
            else self.pooler_dense(encoded["sequence_output"][:, 0])
        )
        return {"logits": self.logits(dropout(pooled, self.config.dropout_rate, _head_seed(seed)))}


class BigBirdSpanModel(keras.Model):
    """Scores of every token as an answer's start and end."""

    def __init__(self, config: BigBirdEncoderConfig, *, dtype: str = "float32"):
        super().__init__(name="bigbird_span", dtype=dtype)
        self.config = config
        self.encoder = BigBirdEncoder(config, dtype=dtype)
        self.logits = keras.layers.Dense(2, kernel_initializer=initializer(config), name="logits", dtype="float32")

    def call(self, inputs: dict[str, Any], training: bool = False, seed: Any = None) -> dict[str, Any]:
        """int32[B, L] inputs -> {"start_logits", "end_logits": float32[B, L]}."""
        encoded = self.encoder(inputs, seed=_training_seed(self.config, training, seed))
        logits = self.logits(encoded["sequence_output"])  # (B, L, 2)
        return {"start_logits": logits[..., 0], "end_logits": logits[..., 1]}


def build_model(task: Task, *, num_classes: int | None = None, dtype: str = "float32") -> keras.Model:
    """A built model for a task, weights freshly initialised (`keras.utils.set_random_seed` makes them repeatable).

    Args:
        task: the task's configuration.
        num_classes: for classification, 1 for regression; default `task.model.num_classes`.
        dtype: "float32" or "mixed_bfloat16" (float32 weights, bfloat16 arithmetic).

    Raises:
        ValueError: a classifier without a number of classes.
    """
    model: keras.Model
    if isinstance(task, SquadTask):
        model = BigBirdSpanModel(task.encoder, dtype=dtype)
    elif isinstance(task, GlueTask):
        classes = num_classes or task.model.num_classes
        if not classes:
            raise ValueError("num_classes is not known: set task.model.num_classes or give a dataset folder")
        model = BigBirdClassifier(task.encoder, classes, use_encoder_pooler=task.model.use_encoder_pooler, dtype=dtype)
    else:
        raise TypeError(f"no model for {type(task).__name__}")
    example = np.ones((1, task.encoder.block_size), "int32")
    model({"input_word_ids": example, "input_mask": example, "input_type_ids": 0 * example})
    return model


def per_example_loss(task: Task, outputs: dict[str, Any], batch: dict[str, Any]) -> Any:
    """The loss of each example, unweighted.

    Classification: cross-entropy. Regression (one class): squared error. Spans: mean of the start's and the end's
    cross-entropy over the tokens; padding takes no part, so the loss does not depend on the padded length.

    Returns:
        float32[B].
    """
    if isinstance(task, SquadTask):
        padding = (1.0 - ops.cast(batch["input_mask"], "float32")) * -1e9
        start = _cross_entropy(outputs["start_logits"] + padding, batch["start_positions"])
        end = _cross_entropy(outputs["end_logits"] + padding, batch["end_positions"])
        return (start + end) / 2.0
    logits = outputs["logits"]
    if logits.shape[-1] == 1:
        return ops.square(logits[:, 0] - ops.cast(batch["label_ids"], "float32"))
    return _cross_entropy(logits, batch["label_ids"])


def _cross_entropy(logits: Any, labels: Any) -> Any:
    """float32[B, K], int32[B] -> float32[B]."""
    chosen = ops.one_hot(labels, logits.shape[-1], dtype="float32")
    return ops.logsumexp(logits, axis=-1) - ops.sum(logits * chosen, axis=-1)


def _training_seed(config: BigBirdEncoderConfig, training: bool, seed: Any) -> Any:
    """The step's seed while training, None otherwise; gradient checkpointing needs one even without dropout."""
    if not training:
        return None
    if seed is None:
        if config.dropout_rate or config.attention_dropout_rate:
            raise ValueError("training with dropout needs the step's seed, int32[2]")
        return ops.zeros((2,), "int32")
    return seed


def _head_seed(seed: Any) -> Any:
    return None if seed is None else fold_seed(seed, 900)
