"""Pieces at masked positions.

Shapes: B batch, L tokens, H hidden size, P masked positions, V pieces.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from bigbird.config import BigBirdEncoderConfig
from bigbird.layers.types import Tensor
from bigbird.models.encoder import BigBirdEncoder, activation, as_config, initializer
from bigbird.models.presets import FromPreset
from bigbird.models.seeds import training_seed


@keras.saving.register_keras_serializable("bigbird")
class BigBirdMaskedLM(FromPreset, keras.Model):
    """The pieces at masked positions: dense, activation, layer norm, then the word embeddings' table and a bias.

    The same in google-research (core/modeling.py, `MaskedLMLayer`) and Hugging Face (`BigBirdLMPredictionHead`).

    Args:
        config: the encoder's; a `BigBirdEncoderConfig` or its values by name.
        name: of the model.
        kwargs: Keras' own of a model: dtype ("float32", "mixed_bfloat16"), trainable.

    Example:
        >>> import numpy as np
        >>> from bigbird import BigBirdEncoderConfig, BigBirdMaskedLM
        >>> config = BigBirdEncoderConfig(size="small", vocab_size=100, max_position_embeddings=128)
        >>> model = BigBirdMaskedLM(config)
        >>> ids = np.ones((2, 16), "int32")
        >>> inputs = {"input_word_ids": ids, "input_mask": ids, "input_type_ids": 0 * ids}
        >>> tuple(model({**inputs, "masked_lm_positions": np.array([[3], [5]])})["logits"].shape)
        (2, 1, 100)
    """

    def __init__(
        self, config: BigBirdEncoderConfig | Mapping[str, Any], *, name: str = "bigbird_masked_lm", **kwargs: Any
    ):
        super().__init__(name=name, **kwargs)
        self.config, self.head = as_config(config), None
        self.encoder = BigBirdEncoder(self.config, dtype=self.dtype_policy)
        self.masked_lm = _MaskedLMHead(self.config, self.dtype_policy)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "config": self.config.model_dump(mode="json")}

    def build(self, input_shape: Any = None) -> None:
        self.encoder.build()
        self.masked_lm.build((None, None, self.config.hidden_size))

    def call(
        self, inputs: Mapping[str, Tensor], training: bool = False, seed: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Answers a batch.

        Args:
            inputs: input_word_ids, input_mask, input_type_ids, int32[B, L] each, and masked_lm_positions int32[B, P]; L static.
            training: drops out; Keras' `fit` sets it.
            seed: int32[2 or 3]; while training, drops out with this seed instead of the model's next own one.

        Returns:
            logits float32[B, P, V].
        """
        seed = training_seed(training, seed, self.encoder.seed_generator)
        x = self.encoder(inputs, seed=seed)["sequence_output"]
        masked = _take_rows(x, inputs["masked_lm_positions"])  # (B, P, H)
        return {"logits": self.masked_lm(masked, self.encoder.embeddings.word.embeddings)}


def _take_rows(x: Tensor, places: Tensor) -> Tensor:
    """[B, L, H], int[B, P] -> [B, P, H]. (Keras' own take_along_axis makes an index for every one of the H.)"""
    rows, length, width = ops.shape(x)
    first = ops.arange(rows, dtype="int32")[:, None] * length
    return ops.take(ops.reshape(x, (-1, width)), ops.cast(places, "int32") + first, axis=0)


class _MaskedLMHead(keras.layers.Layer):
    def __init__(self, config: BigBirdEncoderConfig, dtype: keras.DTypePolicy):
        super().__init__(name="masked_lm", dtype=dtype)
        self.dense = keras.layers.Dense(
            config.hidden_size,
            activation=activation(config),
            kernel_initializer=initializer(config),
            name="dense",
            dtype=dtype,
        )
        self.layer_norm = keras.layers.LayerNormalization(
            epsilon=config.layer_norm_epsilon, name="layer_norm", dtype=dtype
        )
        self._vocab_size = config.vocab_size

    def build(self, input_shape: Any) -> None:
        self.dense.build(input_shape)
        self.layer_norm.build(input_shape)
        self.bias = self.add_weight(name="bias", shape=(self._vocab_size,), initializer="zeros")

    def call(self, x: Tensor, table: Tensor) -> Tensor:
        """[B, P, H] and the table [V, H] -> float32[B, P, V]."""
        x = self.layer_norm(self.dense(x))
        return ops.cast(ops.matmul(x, ops.transpose(ops.cast(table, x.dtype))), "float32") + ops.cast(
            self.bias, "float32"
        )
