"""Where an answer begins and ends.

Shapes: B batch, L tokens, H hidden size.
"""

from __future__ import annotations

from typing import Any, Literal

import keras
from keras import ops

from bigbird.config import BigBirdEncoderConfig, Head
from bigbird.layers.dropout import dropout
from bigbird.models.encoder import LAYER_NORM_EPSILON, BigBirdEncoder, activation, initializer
from bigbird.models.seeds import head_seed, training_seed

TRIVIAQA_EPSILON = 1e-3  # Keras' default, which the Model Garden's TriviaQaHead leaves as it is


class BigBirdSpanModel(keras.Model):
    """Scores of every token as an answer's start and end.

    The Model Garden's head: dense. Hugging Face's: dropout, a feed-forward layer with residual and layer norm, dense,
    and the question's tokens, [CLS] not among them, 1e6 lower. The Model Garden's for TriviaQA: the same layers
    (another epsilon), and all that is not the document 1e6 lower.
    """

    def __init__(
        self,
        config: BigBirdEncoderConfig,
        *,
        head: Head | Literal["triviaqa"] = "model_garden",
        dtype: str = "float32",
    ):
        super().__init__(name="bigbird_span", dtype=dtype)
        self.config, self.head = config, head
        self.encoder = BigBirdEncoder(config, dtype=dtype)
        if head != "model_garden":
            self.intermediate = keras.layers.Dense(
                config.intermediate_size, activation=activation(config), kernel_initializer=initializer(config),
                name="intermediate", dtype=dtype,
            )  # fmt: skip
            self.output_dense = keras.layers.Dense(
                config.hidden_size, kernel_initializer=initializer(config), name="output", dtype=dtype
            )
            self.output_norm = keras.layers.LayerNormalization(
                epsilon=TRIVIAQA_EPSILON if head == "triviaqa" else LAYER_NORM_EPSILON,
                name="output_layer_norm",
                dtype=dtype,
            )
        self.logits = keras.layers.Dense(2, kernel_initializer=initializer(config), name="logits", dtype="float32")

    def call(self, inputs: dict[str, Any], training: bool = False, seed: Any = None) -> dict[str, Any]:
        """int32[B, L] inputs -> {"start_logits", "end_logits": float32[B, L]}."""
        seed = training_seed(self.config, training, seed)
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


def _question(type_ids: Any) -> Any:
    """int32[B, L] -> float32[B, L], 1 at the tokens after the first and before the first of type 1."""
    before = ops.cast(ops.equal(ops.cumsum(type_ids, axis=1), 0), "float32")
    return ops.concatenate([ops.zeros_like(before[:, :1]), before[:, 1:]], axis=1)
