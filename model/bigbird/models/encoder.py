"""The BigBird encoder: embeddings and a stack of post-norm Transformer layers.

Shapes: B batch, L tokens, H hidden size, N heads, D head size, F intermediate size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops

from bigbird.config import BigBirdEncoderConfig
from bigbird.layers.attention.block_sparse import blocks_of_layer
from bigbird.layers.attention.dense import dense_attention
from bigbird.layers.attention.implementation import sparse_attention
from bigbird.layers.attention.pattern import BlockPattern
from bigbird.layers.dropout import dropout, fold_seed
from bigbird.layers.gelu import gelu, gelu_erf, gelu_erf_in_training, gelu_in_training
from bigbird.layers.one_dnn import answers_by_one_dnn
from bigbird.layers.own_gradient import gradients_needed
from bigbird.layers.recompute import recomputed
from bigbird.layers.residual import add_and_norm
from bigbird.layers.token_dense import TokenDense, product_and_bias, weights_as_computed
from bigbird.layers.types import Tensor
from bigbird.models.presets import FromPreset
from bigbird.models.seeds import seed_generator, training_seed

# In inference and in training.
_ACTIVATIONS = {
    "gelu": (gelu, gelu_in_training),
    "gelu_erf": (gelu_erf, gelu_erf_in_training),
    "relu": (ops.relu, ops.relu),
}
_TANH = {"gelu": True, "gelu_erf": False}  # whether a GELU is the tanh form


def as_config(config: BigBirdEncoderConfig | Mapping[str, Any]) -> BigBirdEncoderConfig:
    """A configuration, of itself or of its values by name, as Keras keeps them in files."""
    return BigBirdEncoderConfig.model_validate(config)


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raises ValueError where an argument of a model has a value that there is not."""
    if value not in choices:
        raise ValueError(f"{name} is {value!r}; expected one of {', '.join(choices)}")


def attention_pattern(config: BigBirdEncoderConfig) -> BlockPattern:
    """The block pattern of an encoder's layers."""
    return BlockPattern(
        num_heads=config.num_attention_heads,
        block_size=config.block_size,
        num_rand_blocks=config.num_rand_blocks,
        build_length=config.max_position_embeddings,
        random_range=config.random_range,
        rule=config.random_pattern,
    )


@keras.saving.register_keras_serializable("bigbird", "TruncatedNormal")
class _TruncatedNormal(keras.initializers.TruncatedNormal):
    """Keras' own numbers, drawn in a row: JAX compiles a program for each shape that it draws, a third of a second each."""

    def __call__(self, shape: Any, dtype: Any = None) -> Tensor:
        return ops.reshape(super().__call__((math.prod(shape),), dtype), shape)


def initializer(config: BigBirdEncoderConfig) -> keras.initializers.Initializer:
    """A fresh initializer: one that is shared would give equal weights to equal shapes."""
    return _TruncatedNormal(stddev=config.initializer_range)


def activation(config: BigBirdEncoderConfig, training: bool = False) -> Callable[[Tensor], Tensor]:
    """The hidden activation, a function of a tensor."""
    return _ACTIVATIONS[config.hidden_activation][training]


@keras.saving.register_keras_serializable("bigbird")
class Embeddings(keras.layers.Layer):
    """Word + position + type embeddings, then layer norm and dropout."""

    def __init__(self, config: BigBirdEncoderConfig | Mapping[str, Any], **kwargs: Any):
        # Keras would cast the whole tables to bfloat16 in each call, and sum a word's gradients in it; here the rows are cast.
        super().__init__(autocast=False, **kwargs)
        self.config = config = as_config(config)

        def table(rows: int, name: str) -> keras.layers.Embedding:
            return keras.layers.Embedding(
                rows,
                config.hidden_size,
                embeddings_initializer=initializer(config),
                name=name,
                dtype=self.dtype_policy,
                autocast=False,
            )

        self.word = table(config.vocab_size, "word")
        self.position = table(config.max_position_embeddings, "position")
        self.type = table(config.type_vocab_size, "type")
        self.norm = keras.layers.LayerNormalization(
            epsilon=config.layer_norm_epsilon, name="layer_norm", dtype=self.dtype_policy
        )

    def build(self, input_shape: Any = None) -> None:
        for table in (self.word, self.position, self.type):
            table.build(None)
        self.norm.build((None, None, self.config.hidden_size))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "config": self.config.model_dump(mode="json")}

    def call(self, word_ids: Tensor, type_ids: Tensor, seed: Tensor | None = None) -> Tensor:
        """int32[B, L] twice -> float[B, L, H]."""
        length = word_ids.shape[1]
        positions = ops.cast(self.position.embeddings[:length], self.compute_dtype)  # (L, H)
        x = self.word(word_ids) + positions + self.type(type_ids)
        return dropout(self.norm(x), self.config.dropout_rate, seed)


@keras.saving.register_keras_serializable("bigbird")
class Attention(keras.layers.Layer):
    """Multi-head self-attention: full up to the threshold, block-sparse beyond; decided per call by the length."""

    def __init__(self, config: BigBirdEncoderConfig | Mapping[str, Any], index: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.config, self.index = as_config(config), index
        config = self.config
        heads, size = config.num_attention_heads, config.hidden_size // config.num_attention_heads
        self.sparse_attention = sparse_attention(config, self.compute_dtype)

        def projection(equation: str, shape: tuple[Any, ...], bias: str, name: str) -> keras.layers.EinsumDense:
            return keras.layers.EinsumDense(
                equation,
                shape,
                bias_axes=bias,
                kernel_initializer=initializer(config),
                name=name,
                dtype=weights_as_computed(self.dtype_policy),
            )

        self.query = projection("blh,hnd->blnd", (None, heads, size), "nd", "query")
        self.key = projection("blh,hnd->blnd", (None, heads, size), "nd", "key")
        self.value = projection("blh,hnd->blnd", (None, heads, size), "nd", "value")
        self.output_dense = projection("blnd,ndh->blh", (None, config.hidden_size), "h", "output")

    def build(self, input_shape: Any) -> None:
        for layer in (self.query, self.key, self.value):
            layer.build((None, None, self.config.hidden_size))
        heads = self.config.num_attention_heads
        self.output_dense.build((None, None, heads, self.config.hidden_size // heads))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "config": self.config.model_dump(mode="json"), "index": self.index}

    def blocks(self, length: int) -> np.ndarray | None:
        """The key blocks that it attends to, int32[N, M, S]; None where attention is full."""
        if length <= self.config.full_attention_threshold:
            return None
        return blocks_of_layer(attention_pattern(self.config), length, self.index)

    def call(self, x: Tensor, mask: Tensor, seed: Tensor | None = None, blocks: Tensor | None = None) -> Tensor:
        """float[B, L, H], int32[B, L] -> float[B, L, H]; `blocks` stands for its own, in a graph that layers share."""
        query, key, value = (_projected(x, layer) for layer in (self.query, self.key, self.value))  # (B, L, N, D)
        if x.shape[1] <= self.config.full_attention_threshold:
            rate = self.config.attention_dropout_rate
            drop = None if seed is None else partial(dropout, rate=rate, seed=seed)
            context = dense_attention(query, key, value, mask, dropout=drop)
        else:
            pattern, training = attention_pattern(self.config), seed is not None
            shared = {} if blocks is None else {"blocks": blocks}
            context = self.sparse_attention(
                query, key, value, mask, pattern=pattern, layer=self.index, training=training, **shared
            )
        return _projected(context, self.output_dense)


def _projected(x: Tensor, layer: keras.layers.EinsumDense) -> Tensor:
    """What a layer of `Attention`'s makes of x, float[B, L, ...]."""
    if not answers_by_one_dnn():
        return layer(x)
    return ops.reshape(product_and_bias(x, layer.kernel, layer.bias), (-1, x.shape[1], *layer.bias.shape))


@keras.saving.register_keras_serializable("bigbird")
class EncoderLayer(keras.layers.Layer):
    """Attention and feed-forward, each with a residual and a layer norm after it."""

    def __init__(self, config: BigBirdEncoderConfig | Mapping[str, Any], index: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.config, self.index = as_config(config), index
        config = self.config
        self.attention = Attention(config, index, name="attention", dtype=self.dtype_policy)
        self.attention_norm = self._norm("attention_layer_norm")
        self.intermediate = self._dense(config.intermediate_size, "intermediate")
        self.output_dense = self._dense(config.hidden_size, "output")
        self.output_norm = self._norm("output_layer_norm")

    def _norm(self, name: str) -> keras.layers.LayerNormalization:
        epsilon = self.config.layer_norm_epsilon
        return keras.layers.LayerNormalization(epsilon=epsilon, name=name, dtype=self.dtype_policy)

    def _dense(self, units: int, name: str) -> TokenDense:
        policy = weights_as_computed(self.dtype_policy)
        return TokenDense(units, kernel_initializer=initializer(self.config), name=name, dtype=policy)

    def build(self, input_shape: Any) -> None:
        hidden = (None, None, self.config.hidden_size)
        for layer in (self.attention, self.attention_norm, self.intermediate, self.output_norm):
            layer.build(hidden)
        self.output_dense.build((None, None, self.config.intermediate_size))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "config": self.config.model_dump(mode="json"), "index": self.index}

    def call(self, x: Tensor, mask: Tensor, seed: Tensor | None = None, blocks: Tensor | None = None) -> Tensor:
        """float[B, L, H], int32[B, L] -> float[B, L, H]; `blocks` as `Attention` takes it."""
        rate = self.config.dropout_rate
        seeds = [None if seed is None else fold_seed(seed, site) for site in range(3)]
        x = add_and_norm(x, self.attention(x, mask, seeds[0], blocks), self.attention_norm, rate, seeds[1])
        tanh = _TANH.get(self.config.hidden_activation)
        if tanh is not None and answers_by_one_dnn():
            hidden = self.intermediate.with_gelu(x, approximate=tanh)
        else:
            hidden = activation(self.config, training=seed is not None)(self.intermediate(x))
        return add_and_norm(x, self.output_dense(hidden), self.output_norm, rate, seeds[2])


@keras.saving.register_keras_serializable("bigbird")
class BigBirdEncoder(FromPreset, keras.layers.Layer):
    """Token ids to one vector per token: a layer for models of your own.

    While training it drops out with seeds of its own, as Keras' Dropout does; `keras.utils.set_random_seed` makes them
    repeatable.

    Args:
        config: sizes, pattern, dropout; a `BigBirdEncoderConfig` or its values by name.
        with_pooler: adds the published pooler, a tanh dense layer on the first token.
        name: of the layer.
        kwargs: Keras' own of a layer: dtype, trainable.

    Example:
        >>> import numpy as np
        >>> from bigbird import BigBirdEncoder, BigBirdEncoderConfig
        >>> config = BigBirdEncoderConfig(size="small", vocab_size=100, max_position_embeddings=128)
        >>> encoder = BigBirdEncoder(config)
        >>> ids = np.ones((2, 16), "int32")
        >>> outputs = encoder({"input_word_ids": ids, "input_mask": ids, "input_type_ids": 0 * ids})
        >>> tuple(outputs["sequence_output"].shape)
        (2, 16, 128)
    """

    def __init__(
        self,
        config: BigBirdEncoderConfig | Mapping[str, Any],
        *,
        with_pooler: bool = False,
        name: str = "encoder",
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        self.config = config = as_config(config)
        self.embeddings = Embeddings(config, name="embeddings", dtype=self.dtype_policy)
        self.encoder_layers = [
            EncoderLayer(config, index, name=f"layer_{index}", dtype=self.dtype_policy)
            for index in range(config.num_layers)
        ]
        self.pooler = None
        if with_pooler:
            self.pooler = keras.layers.Dense(
                config.hidden_size,
                activation="tanh",
                kernel_initializer=initializer(config),
                name="pooler",
                dtype=weights_as_computed(self.dtype_policy),
            )
        # Begins with the seed of the first weights: a draw of its own would change the weights of what is made after it.
        self.seed_generator = seed_generator(config, self.embeddings.word.embeddings_initializer.seed)

    def get_config(self) -> dict[str, Any]:
        pooler = self.pooler is not None
        return {**super().get_config(), "config": self.config.model_dump(mode="json"), "with_pooler": pooler}

    def build(self, input_shape: Any = None) -> None:
        self.embeddings.build()
        for layer in self.encoder_layers:
            layer.build((None, None, self.config.hidden_size))
        if self.pooler is not None:
            self.pooler.build((None, self.config.hidden_size))

    def call(
        self, inputs: Mapping[str, Tensor], training: bool = False, seed: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Encodes a batch.

        Args:
            inputs: input_word_ids, input_mask, input_type_ids, int32[B, L] each; L static.
            training: drops out, with a seed of the encoder's own; Keras' `fit` sets it.
            seed: int32[2 or 3]; drops out with this seed instead, whatever `training` is, so that a step can be repeated.

        Returns:
            sequence_output float[B, L, H]; pooled_output float[B, H] where the encoder has a pooler.

        Raises:
            ValueError: L is unknown or above the model's positions.
        """
        length = inputs["input_word_ids"].shape[1]
        if length is None or length > self.config.max_position_embeddings:
            raise ValueError(
                f"sequence length {length} must be known and at most {self.config.max_position_embeddings}"
            )
        if seed is None:
            seed = training_seed(training, None, self.seed_generator)
        mask = inputs["input_mask"]
        x = self.embeddings(inputs["input_word_ids"], inputs["input_type_ids"], _fold(seed, 0))
        if seed is None and _is_tensorflow_graph() and not gradients_needed():
            x = self._run_as_one_function(x, mask)
        else:
            for index, layer in enumerate(self.encoder_layers):
                x = self._run_layer(layer, x, mask, _fold(seed, index + 1))
        outputs = {"sequence_output": x}
        if self.pooler is not None:
            outputs["pooled_output"] = self.pooler(x[:, 0])
        return outputs

    def _run_as_one_function(self, x: Tensor, mask: Tensor) -> Tensor:
        """All layers, as calls of one function of a layer's weights and key blocks: the graph has a layer's operations once.

        A base model with seven lengths is exported in 14 instead of 26 s and loaded in 1.7 instead of 3.8 s; its first answer takes
        2.2 instead of 9.7 s, and later ones as long as before. Were the function not kept as one (`_noinline`), TensorFlow would
        put its operations in place of each call and optimize those.
        """
        import tensorflow as tf

        first, length = self.encoder_layers[0], x.shape[1]

        @partial(tf.function, autograph=False, experimental_attributes={"_noinline": True})
        def run(weights: list[Tensor], x: Tensor, mask: Tensor, blocks: Tensor | None) -> Tensor:
            with keras.StatelessScope(zip(first.weights, weights, strict=True)):
                return first(x, mask, None, blocks)

        for layer in self.encoder_layers:
            blocks = layer.attention.blocks(length)
            if blocks is not None:  # not as a constant: TensorFlow would make a function of its own for each
                blocks = tf.raw_ops.PlaceholderWithDefault(input=blocks, shape=blocks.shape)
            x = run([weight.value for weight in layer.weights], x, mask, blocks)
        return x

    def _run_layer(self, layer: EncoderLayer, x: Tensor, mask: Tensor, seed: Tensor | None) -> Tensor:
        """The layer, or the layer recomputed in the backward pass; its dropout repeats itself, being given its seed."""
        if not self.config.use_gradient_checkpointing or seed is None:
            return layer(x, mask, seed)
        return recomputed(layer, x, mask, seed)


def _is_tensorflow_graph() -> bool:
    """Whether operations are being added to a graph of TensorFlow's."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.executing_eagerly()


def _fold(seed: Tensor | None, number: int) -> Tensor | None:
    return None if seed is None else fold_seed(seed, number)
