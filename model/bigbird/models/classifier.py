"""Classes or a number for each text.

Shapes: B batch, L tokens, H hidden size, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from bigbird.config import BigBirdEncoderConfig, Head, Pooling
from bigbird.layers.dropout import dropout
from bigbird.models.encoder import BigBirdEncoder, activation, initializer
from bigbird.models.seeds import head_seed, training_seed


class BigBirdClassifier(keras.Model):
    """Classes (or, with one class, a real number) from the first token, or from the mean of all tokens.

    The Model Garden's head: tanh pooler, dropout, dense; the pooler is the encoder's or a new one. Hugging Face's:
    dropout, dense with the hidden activation, dropout, dense. With `pooling` "mean" both take the mean over the tokens,
    padding left out, where they otherwise take the first token. `first_bias` is what the logits' bias starts at, one number
    for each class; default 0.
    """

    def __init__(
        self,
        config: BigBirdEncoderConfig,
        num_classes: int,
        *,
        use_encoder_pooler: bool = False,
        head: Head = "model_garden",
        pooling: Pooling = "cls",
        first_bias: Sequence[float] | None = None,
        dtype: str = "float32",
    ):
        super().__init__(name="bigbird_classifier", dtype=dtype)
        self.config, self.head, self.pooling = config, head, pooling
        self.encoder = BigBirdEncoder(config, with_pooler=use_encoder_pooler, dtype=dtype)
        self.pooler_dense = None
        if not use_encoder_pooler:
            self.pooler_dense = keras.layers.Dense(
                config.hidden_size, activation="tanh" if head == "model_garden" else activation(config),
                kernel_initializer=initializer(config), name="pooler_dense", dtype=dtype,
            )  # fmt: skip
        bias = "zeros" if first_bias is None else _first_values(first_bias)
        self.logits = keras.layers.Dense(
            num_classes, kernel_initializer=initializer(config), bias_initializer=bias, name="logits", dtype="float32"
        )

    def call(self, inputs: dict[str, Any], training: bool = False, seed: Any = None) -> dict[str, Any]:
        """int32[B, L] inputs -> {"logits": float32[B, C]}."""
        seed = training_seed(self.config, training, seed)
        encoded, rate = self.encoder(inputs, seed=seed), self.config.dropout_rate
        if self.pooler_dense is None:
            pooled = encoded["pooled_output"]
        else:
            first = _pooled(encoded["sequence_output"], inputs["input_mask"], self.pooling)
            if self.head == "hugging_face":
                first = dropout(first, rate, head_seed(seed, 1))
            pooled = self.pooler_dense(first)
        return {"logits": self.logits(dropout(pooled, rate, head_seed(seed)))}


def _first_values(values: Sequence[float]) -> Callable[..., Any]:
    """An initializer that gives these values."""
    return lambda shape, dtype=None: ops.reshape(ops.array(list(values), dtype), shape)


def _pooled(sequence: Any, mask: Any, pooling: Pooling) -> Any:
    """The first token's state, or the mean of the tokens' in float32. [B, L, H], int32[B, L] -> [B, H]."""
    if pooling == "cls":
        return sequence[:, 0]
    weights = ops.cast(mask, "float32")[:, :, None]
    total = ops.sum(ops.cast(sequence, "float32") * weights, axis=1)
    return ops.cast(total / ops.maximum(ops.sum(weights, axis=1), 1.0), sequence.dtype)
