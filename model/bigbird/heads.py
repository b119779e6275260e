"""Task heads on the encoder, and the loss of each.

Shapes: B batch, L tokens, H hidden size, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import keras
from keras import ops

from bigbird.config import BigBirdEncoderConfig, Head, Pooling, Task
from bigbird.dropout import dropout, fold_seed
from bigbird.encoder import LAYER_NORM_EPSILON, BigBirdEncoder, activation, initializer
from bigbird.tasks.registry import family_of

TRIVIAQA_EPSILON = 1e-3  # Keras' default, which the Model Garden's TriviaQaHead leaves as it is


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
        seed = _training_seed(self.config, training, seed)
        encoded, rate = self.encoder(inputs, seed=seed), self.config.dropout_rate
        if self.pooler_dense is None:
            pooled = encoded["pooled_output"]
        else:
            first = _pooled(encoded["sequence_output"], inputs["input_mask"], self.pooling)
            if self.head == "hugging_face":
                first = dropout(first, rate, _head_seed(seed, 1))
            pooled = self.pooler_dense(first)
        return {"logits": self.logits(dropout(pooled, rate, _head_seed(seed)))}


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
        seed = _training_seed(self.config, training, seed)
        x = self.encoder(inputs, seed=seed)["sequence_output"]
        if self.head == "model_garden":
            logits = self.logits(x)  # (B, L, 2)
        else:
            rate = self.config.dropout_rate
            y = self.output_dense(self.intermediate(dropout(x, rate, _head_seed(seed))))
            x = self.output_norm(x + dropout(y, rate, _head_seed(seed, 1)))
            types = inputs["input_type_ids"]
            outside = _question(types) if self.head == "hugging_face" else 1.0 - ops.cast(types, "float32")
            logits = self.logits(x) - 1e6 * outside[..., None]  # padding's type is 0
        return {"start_logits": logits[..., 0], "end_logits": logits[..., 1]}


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
        x = self.encoder(inputs, seed=_training_seed(self.config, training, seed))["sequence_output"]
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


def _question(type_ids: Any) -> Any:
    """int32[B, L] -> float32[B, L], 1 at the tokens after the first and before the first of type 1."""
    before = ops.cast(ops.equal(ops.cumsum(type_ids, axis=1), 0), "float32")
    return ops.concatenate([ops.zeros_like(before[:, :1]), before[:, 1:]], axis=1)


def build_model(task: Task, *, num_classes: int | None = None, dtype: str = "float32") -> keras.Model:
    """A built model for a task, weights freshly initialised (`keras.utils.set_random_seed` makes them repeatable).

    Args:
        task: the task's configuration.
        num_classes: for classification, 1 for regression; default `task.model.num_classes`.
        dtype: "float32" or "mixed_bfloat16" (float32 weights, bfloat16 arithmetic).

    Raises:
        ValueError: a classifier without a number of classes.
    """
    family = family_of(task)
    model: keras.Model = family.build_model(task, num_classes=num_classes, dtype=dtype)
    # Symbolic, for JAX would compile each operation of a call with numbers.
    model({name: keras.KerasTensor((1, task.encoder.block_size), "int32", name=name) for name in family.model_inputs})
    return model


def per_example_loss(task: Task, outputs: dict[str, Any], batch: dict[str, Any]) -> Any:
    """The loss of each example, unweighted, as its task family has it.

    Returns:
        float32[B].
    """
    return family_of(task).loss(task, outputs, batch)


def has_targets(task: Task, batch: dict[str, Any]) -> bool:
    """Whether a batch can be compared with what is right."""
    return family_of(task).target in batch


def summarize(task: Task, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Any]:
    """What scoring needs of a batch's outputs, as its task family has it; a row for each example."""
    return family_of(task).summarize(task, outputs, batch)


def or_cross_entropy(logits: Any, right: Any) -> Any:
    """float32[B, L], int32[B, L] with 1 at each right place -> float32[B]."""
    kept = logits - 1e6 * (1.0 - ops.cast(right, "float32"))
    return ops.logsumexp(logits, axis=-1) - ops.logsumexp(kept, axis=-1)


def masked_losses(outputs: Mapping[str, Any], batch: Mapping[str, Any]) -> Any:
    """Sum of the masked tokens' cross-entropies, float32[B]."""
    losses = ops.sparse_categorical_crossentropy(batch["masked_lm_ids"], outputs["logits"], from_logits=True)
    return ops.sum(losses * batch["masked_lm_weights"], axis=1)


def cross_entropy(logits: Any, labels: Any) -> Any:
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


def _head_seed(seed: Any, site: int = 0) -> Any:
    return None if seed is None else fold_seed(seed, 900 + site)
