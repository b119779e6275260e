"""Where an answer begins and ends.

Shapes: B batch, L tokens, H hidden size.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import keras
from keras import ops

from bigbird.config import BigBirdEncoderConfig, Head
from bigbird.layers.dropout import dropout
from bigbird.layers.types import Tensor
from bigbird.models.encoder import BigBirdEncoder, activation, as_config, check_choice, initializer
from bigbird.models.presets import FromPreset
from bigbird.models.seeds import head_seed, training_seed

TRIVIAQA_EPSILON = 1e-3  # Keras' default, which the Model Garden's TriviaQaHead leaves as it is


@keras.saving.register_keras_serializable("bigbird")
class BigBirdSpanModel(FromPreset, keras.Model):
    """Scores of every token as an answer's start and end.

    The Model Garden's head: dense. Hugging Face's: dropout, a feed-forward layer with residual and layer norm, dense,
    and the question's tokens, [CLS] not among them, 1e6 lower. The Model Garden's for TriviaQA: the same layers
    (another epsilon), and all that is not the document 1e6 lower.

    Args:
        config: the encoder's; a `BigBirdEncoderConfig` or its values by name.
        head: "model_garden", "hugging_face" or "triviaqa".
        name: of the model.
        kwargs: Keras' own of a model: dtype ("float32", "mixed_bfloat16"), trainable.

    Raises:
        ValueError: there is no such head.

    Example:
        >>> import numpy as np
        >>> from bigbird import BigBirdEncoderConfig, BigBirdSpanModel
        >>> config = BigBirdEncoderConfig(size="small", vocab_size=100, max_position_embeddings=128)
        >>> model = BigBirdSpanModel(config)
        >>> ids = np.ones((2, 16), "int32")
        >>> outputs = model({"input_word_ids": ids, "input_mask": ids, "input_type_ids": 0 * ids})
        >>> tuple(outputs["start_logits"].shape)
        (2, 16)
    """

    def __init__(
        self,
        config: BigBirdEncoderConfig | Mapping[str, Any],
        *,
        head: Head | Literal["triviaqa"] = "model_garden",
        name: str = "bigbird_span",
        **kwargs: Any,
    ):
        check_choice("head", head, (*get_args(Head), "triviaqa"))
        super().__init__(name=name, **kwargs)
        self.config, self.head = as_config(config), head
        config, dtype = self.config, self.dtype_policy
        self.encoder = BigBirdEncoder(config, dtype=dtype)
        if head != "model_garden":
            self.intermediate = keras.layers.Dense(
                config.intermediate_size,
                activation=activation(config),
                kernel_initializer=initializer(config),
                name="intermediate",
                dtype=dtype,
            )
            self.output_dense = keras.layers.Dense(
                config.hidden_size, kernel_initializer=initializer(config), name="output", dtype=dtype
            )
            self.output_norm = keras.layers.LayerNormalization(
                epsilon=TRIVIAQA_EPSILON if head == "triviaqa" else config.layer_norm_epsilon,
                name="output_layer_norm",
                dtype=dtype,
            )
        self.logits = keras.layers.Dense(2, kernel_initializer=initializer(config), name="logits", dtype="float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "config": self.config.model_dump(mode="json"), "head": self.head}

    def build(self, input_shape: Any = None) -> None:
        self.encoder.build()
        hidden = (None, None, self.config.hidden_size)
        if self.head != "model_garden":
            self.intermediate.build(hidden)
            self.output_dense.build((None, None, self.config.intermediate_size))
            self.output_norm.build(hidden)
        self.logits.build(hidden)

    def call(
        self, inputs: Mapping[str, Tensor], training: bool = False, seed: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Answers a batch.

        Args:
            inputs: input_word_ids, input_mask, input_type_ids, int32[B, L] each; L static.
            training: drops out; Keras' `fit` sets it.
            seed: int32[2 or 3]; while training, drops out with this seed instead of the model's next own one.

        Returns:
            start_logits, end_logits, float32[B, L] each.
        """
        seed = training_seed(training, seed, self.encoder.seed_generator)
        x = self.encoder(inputs, seed=seed)["sequence_output"]
        if self.head == "model_garden":
            logits = self.logits(x)  # (B, L, 2)
        else:
            rate = self.config.dropout_rate
            y = self.output_dense(self.intermediate(dropout(x, rate, head_seed(seed))))
            x = self.output_norm(x + dropout(y, rate, head_seed(seed, 1)))
            types = inputs["input_type_ids"]
            outside = _question(types) if self.head == "hugging_face" else 1.0 - ops.cast(types, "float32")
            logits = self.logits(x) - 1e6 * outside[..., None]  # padding's type is 0
        return {"start_logits": logits[..., 0], "end_logits": logits[..., 1]}


def _question(type_ids: Tensor) -> Tensor:
    """int32[B, L] -> float32[B, L], 1 at the tokens after the first and before the first of type 1."""
    before = ops.cast(ops.equal(ops.cumsum(type_ids, axis=1), 0), "float32")
    return ops.concatenate([ops.zeros_like(before[:, :1]), before[:, 1:]], axis=1)
