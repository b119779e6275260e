"""A label for every token, and how far it is from the right one.

Shapes: B batch, L tokens, H hidden size, T tags.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from bigbird.config import BigBirdEncoderConfig
from bigbird.layers.dropout import dropout
from bigbird.layers.types import Tensor
from bigbird.models.encoder import BigBirdEncoder, as_config, initializer
from bigbird.models.presets import FromPreset
from bigbird.models.seeds import head_seed, training_seed


@keras.saving.register_keras_serializable("bigbird")
class BigBirdTokenLabeler(FromPreset, keras.Model):
    """Scores of every token for each tag: dropout and a dense layer on the encoder, as BERT's for named entities.

    Args:
        config: the encoder's; a `BigBirdEncoderConfig` or its values by name.
        num_tags: width of the logits.
        name: of the model.
        kwargs: Keras' own of a model: dtype ("float32", "mixed_bfloat16"), trainable.
    """

    head = "model_garden"  # which checkpoints' heads it may take: none, as no other has its layer

    def __init__(
        self,
        config: BigBirdEncoderConfig | Mapping[str, Any],
        num_tags: int,
        *,
        name: str = "bigbird_token_labeler",
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        self.config, self.num_tags = as_config(config), num_tags
        self.encoder = BigBirdEncoder(self.config, dtype=self.dtype_policy)
        self.tag_logits = keras.layers.Dense(
            num_tags, kernel_initializer=initializer(self.config), name="tag_logits", dtype="float32"
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "config": self.config.model_dump(mode="json"), "num_tags": self.num_tags}

    def build(self, input_shape: Any = None) -> None:
        self.encoder.build()
        self.tag_logits.build((None, None, self.config.hidden_size))

    def call(
        self, inputs: Mapping[str, Tensor], training: bool = False, seed: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Answers a batch.

        Args:
            inputs: input_word_ids, input_mask, input_type_ids, int32[B, L] each; L static.
            training: drops out; Keras' `fit` sets it.
            seed: int32[2 or 3]; while training, drops out with this seed instead of the model's next own one.

        Returns:
            logits float32[B, L, T].
        """
        seed = training_seed(training, seed, self.encoder.seed_generator)
        hidden = self.encoder(inputs, seed=seed)["sequence_output"]
        return {"logits": self.tag_logits(dropout(hidden, self.config.dropout_rate, head_seed(seed)))}


def tag_loss(logits: Tensor, targets: Tensor, weights: Sequence[float] | None = None) -> Tensor:
    """The mean cross-entropy over a record's tokens that count, each times the weight of its right tag.

    Args:
        logits: float32[B, L, T].
        targets: int32[B, L], 1 + the right tag; 0 where a token does not count.
        weights: of the tags; None where all weigh 1.

    Returns:
        float32[B]; 0 for a record without a token that counts.
    """
    counted = ops.cast(targets > 0, "float32")
    chosen = ops.one_hot(ops.maximum(targets - 1, 0), logits.shape[-1], dtype="float32")
    losses = ops.logsumexp(logits, axis=-1) - ops.sum(logits * chosen, axis=-1)
    if weights is not None:
        losses = losses * ops.sum(chosen * ops.array(list(weights), "float32"), axis=-1)
    return ops.sum(losses * counted, axis=1) / ops.maximum(ops.sum(counted, axis=1), 1.0)
