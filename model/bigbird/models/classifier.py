"""Classes or a number for each text.

Shapes: B batch, L tokens, H hidden size, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

import keras
from keras import ops

from bigbird.config import BigBirdEncoderConfig, Head, Pooling, check_encoder_pooler
from bigbird.layers.dropout import dropout
from bigbird.layers.types import Tensor
from bigbird.models.encoder import BigBirdEncoder, activation, as_config, check_choice, initializer
from bigbird.models.presets import FromPreset
from bigbird.models.seeds import head_seed, training_seed


@keras.saving.register_keras_serializable("bigbird")
class BigBirdClassifier(FromPreset, keras.Model):
    """Classes (or, with one class, a real number) from the first token, or from the mean of all tokens.

    The Model Garden's head: tanh pooler, dropout, dense; the pooler is the encoder's or a new one. Hugging Face's:
    dropout, dense with the hidden activation, dropout, dense.

    Args:
        config: the encoder's; a `BigBirdEncoderConfig` or its values by name.
        num_classes: width of the logits; 1 for a number.
        use_encoder_pooler: takes the encoder's pooler instead of a new one.
        head: "model_garden" or "hugging_face".
        pooling: "cls" takes the first token, "mean" the mean over the tokens, padding left out.
        first_bias: what the logits' bias starts at, one number for each class; default 0.
        name: of the model.
        kwargs: Keras' own of a model: dtype ("float32", "mixed_bfloat16"), trainable.

    Raises:
        ValueError: there is no such head or pooling, or the encoder's pooler does not go with them.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> from bigbird import BigBirdClassifier, BigBirdEncoderConfig
        >>> config = BigBirdEncoderConfig(size="small", vocab_size=100, max_position_embeddings=128)
        >>> model = BigBirdClassifier(config, num_classes=3)
        >>> model.compile("adam", loss={"logits": keras.losses.SparseCategoricalCrossentropy(from_logits=True)})
        >>> ids = np.ones((4, 16), "int32")
        >>> inputs = {"input_word_ids": ids, "input_mask": ids, "input_type_ids": 0 * ids}
        >>> history = model.fit(inputs, {"logits": np.array([0, 1, 2, 0])}, verbose=0)
        >>> model.predict(inputs, verbose=0)["logits"].shape
        (4, 3)
    """

    def __init__(
        self,
        config: BigBirdEncoderConfig | Mapping[str, Any],
        num_classes: int,
        *,
        use_encoder_pooler: bool = False,
        head: Head = "model_garden",
        pooling: Pooling = "cls",
        first_bias: Sequence[float] | None = None,
        name: str = "bigbird_classifier",
        **kwargs: Any,
    ):
        check_choice("head", head, get_args(Head))
        check_choice("pooling", pooling, get_args(Pooling))
        check_encoder_pooler(use_encoder_pooler, head, pooling)
        super().__init__(name=name, **kwargs)
        self.config, self.head, self.pooling = as_config(config), head, pooling
        config, dtype = self.config, self.dtype_policy
        self.num_classes, self.first_bias = num_classes, None if first_bias is None else list(first_bias)
        self.encoder = BigBirdEncoder(config, with_pooler=use_encoder_pooler, dtype=dtype)
        self.pooler_dense = None
        if not use_encoder_pooler:
            self.pooler_dense = keras.layers.Dense(
                config.hidden_size,
                activation="tanh" if head == "model_garden" else activation(config),
                kernel_initializer=initializer(config),
                name="pooler_dense",
                dtype=dtype,
            )
        bias = "zeros" if first_bias is None else _first_values(first_bias)
        self.logits = keras.layers.Dense(
            num_classes, kernel_initializer=initializer(config), bias_initializer=bias, name="logits", dtype="float32"
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "config": self.config.model_dump(mode="json"),
            "num_classes": self.num_classes,
            "use_encoder_pooler": self.pooler_dense is None,
            "head": self.head,
            "pooling": self.pooling,
            "first_bias": self.first_bias,
        }

    def build(self, input_shape: Any = None) -> None:
        self.encoder.build()
        if self.pooler_dense is not None:
            self.pooler_dense.build((None, self.config.hidden_size))
        self.logits.build((None, self.config.hidden_size))

    def call(
        self, inputs: Mapping[str, Tensor], training: bool = False, seed: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Answers a batch.

        Args:
            inputs: input_word_ids, input_mask, input_type_ids, int32[B, L] each; L static.
            training: drops out; Keras' `fit` sets it.
            seed: int32[2 or 3]; while training, drops out with this seed instead of the model's next own one.

        Returns:
            logits float32[B, C].
        """
        seed = training_seed(training, seed, self.encoder.seed_generator)
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


def _pooled(sequence: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """The first token's state, or the mean of the tokens' in float32. [B, L, H], int32[B, L] -> [B, H]."""
    if pooling == "cls":
        return sequence[:, 0]
    weights = ops.cast(mask, "float32")[:, :, None]
    total = ops.sum(ops.cast(sequence, "float32") * weights, axis=1)
    return ops.cast(total / ops.maximum(ops.sum(weights, axis=1), 1.0), sequence.dtype)
