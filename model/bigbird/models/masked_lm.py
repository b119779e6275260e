"""Pieces at masked positions.

Shapes: B batch, L tokens, H hidden size, P masked positions, V pieces.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from bigbird.config import BigBirdEncoderConfig
from bigbird.models.encoder import LAYER_NORM_EPSILON, BigBirdEncoder, activation, initializer
from bigbird.models.seeds import training_seed


class BigBirdMaskedLM(keras.Model):
    """The pieces at masked positions: dense, activation, layer norm, then the word embeddings' table and a bias.

    The same in google-research (core/modeling.py, `MaskedLMLayer`) and Hugging Face (`BigBirdLMPredictionHead`).
    """

    def __init__(self, config: BigBirdEncoderConfig, *, dtype: str = "float32"):
        super().__init__(name="bigbird_masked_lm", dtype=dtype)
        self.config, self.head = config, None
        self.encoder = BigBirdEncoder(config, dtype=dtype)
        self.masked_lm = _MaskedLMHead(config, dtype)

    def call(self, inputs: dict[str, Any], training: bool = False, seed: Any = None) -> dict[str, Any]:
        """int32[B, L] inputs and masked_lm_positions int32[B, P] -> {"logits": float32[B, P, V]}."""
        x = self.encoder(inputs, seed=training_seed(self.config, training, seed))["sequence_output"]
        masked = _take_rows(x, inputs["masked_lm_positions"])  # (B, P, H)
        return {"logits": self.masked_lm(masked, self.encoder.embeddings.word.embeddings)}


def _take_rows(x: Any, places: Any) -> Any:
    """[B, L, H], int32[B, P] -> [B, P, H]. (Keras' own take_along_axis makes an index for every one of the H.)"""
    rows, length, width = ops.shape(x)
    first = ops.arange(rows, dtype="int32")[:, None] * length
    return ops.take(ops.reshape(x, (-1, width)), places + first, axis=0)


class _MaskedLMHead(keras.layers.Layer):
    def __init__(self, config: BigBirdEncoderConfig, dtype: str):
        super().__init__(name="masked_lm", dtype=dtype)
        self.dense = keras.layers.Dense(
            config.hidden_size, activation=activation(config), kernel_initializer=initializer(config), name="dense",
            dtype=dtype,
        )  # fmt: skip
        self.layer_norm = keras.layers.LayerNormalization(epsilon=LAYER_NORM_EPSILON, name="layer_norm", dtype=dtype)
        self._vocab_size = config.vocab_size

    def build(self, input_shape: Any) -> None:
        self.dense.build(input_shape)
        self.layer_norm.build(input_shape)
        self.bias = self.add_weight(name="bias", shape=(self._vocab_size,), initializer="zeros")

    def call(self, x: Any, table: Any) -> Any:
        """[B, P, H] and the table [V, H] -> float32[B, P, V]."""
        x = self.layer_norm(self.dense(x))
        return ops.cast(ops.matmul(x, ops.transpose(ops.cast(table, x.dtype))), "float32") + ops.cast(
            self.bias, "float32"
        )
