"""This project's encoder, forward and backward, or `forward_...` alone.

`dense` leaves attention out: q + k + v instead of it. `products` are attention's matrix products alone, of the same shapes: two forward,
five backward, one of which computes the scores again. `products_gathered` gathers keys and values for them too, once forward and once backward.
"""

import os
from contextlib import nullcontext

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}

import keras
import tensorflow as tf
import worker

from bigbird.config import BigBirdEncoderConfig
from bigbird.layers.attention import block_sparse
from bigbird.layers.own_gradient import without_gradients
from bigbird.models import encoder as bigbird_encoder

given = worker.options(
    "graph",
    "xla",
    "dense",
    "dense_xla",
    "products",
    "products_gathered",
    "checkpointing",
    "bfloat16",
    "forward_float32",
    "forward_bfloat16",
    of_batches=("graph", "xla", "checkpointing", "bfloat16"),
)


def build():
    keras.utils.set_random_seed(0)
    if given.mode.endswith("bfloat16"):
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    if given.mode.startswith("dense"):
        bigbird_encoder.sparse_attention = lambda *_: lambda query, key, value, *_, **__: query + key + value
    config = BigBirdEncoderConfig(
        num_layers=given.layers,
        vocab_size=worker.VOCABULARY,
        max_position_embeddings=max(4096, given.length),
        dropout_rate=worker.DROPOUT,
        attention_dropout_rate=worker.DROPOUT,
        use_gradient_checkpointing=given.mode == "checkpointing",
    )
    with without_gradients() if given.mode.startswith("forward") else nullcontext():
        encoder = bigbird_encoder.BigBirdEncoder(config)
    shape = given.batch, given.length
    ids = tf.random.stateless_uniform(shape, (1, 2), 1, worker.VOCABULARY, tf.int32)
    inputs = {"input_word_ids": ids, "input_mask": tf.ones_like(ids), "input_type_ids": tf.zeros_like(ids)}
    weight = tf.random.stateless_normal((*shape, worker.HIDDEN), (3, 4))
    encoder(inputs)
    if given.mode.startswith("forward"):
        with without_gradients():
            forward = tf.function(lambda: encoder(inputs)["sequence_output"]).get_concrete_function()
        return lambda: float(forward()[0, 0, 0])
    variables = [variable.value for variable in encoder.trainable_variables]

    @tf.function(jit_compile=given.mode.endswith("xla") or None)
    def step(seed):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.cast(encoder(inputs, seed=seed)["sequence_output"], tf.float32) * weight)
        return [tf.convert_to_tensor(gradient) for gradient in tape.gradient(loss, variables)]

    seed = tf.constant([5, 6])
    return lambda: float(step(seed)[-1].numpy().ravel()[0])


def build_products():
    """Of each head of each layer. Where they are not gathered, keys and values lie side by side already."""
    config = BigBirdEncoderConfig(max_position_embeddings=max(4096, given.length))
    heads, width, size = config.num_attention_heads, config.block_size, config.hidden_size // config.num_attention_heads
    pattern = bigbird_encoder.attention_pattern(config)
    tables = tf.constant(block_sparse.blocks_of_layer(pattern, given.length, 0))
    middle, slots = tables.shape[1:]

    def normal(*shape):
        return tf.random.stateless_normal(shape, (sum(shape), 1))

    def products(query, upstream, keys, values, late_keys, late_values):
        scores, again = tf.matmul(query, keys, transpose_b=True), tf.matmul(upstream, late_keys, transpose_b=True)
        d_scores = tf.matmul(upstream, late_values, transpose_b=True)
        found = [tf.matmul(scores, values), again, tf.matmul(d_scores, late_keys)]
        found += [tf.matmul(d_scores, query, transpose_a=True), tf.matmul(scores, upstream, transpose_a=True)]
        return [product[..., 0, 0] for product in found]

    rows = normal(heads, middle, width, size), normal(heads, middle, width, size)
    keys, values = normal(middle, slots * width, size), normal(middle, slots * width, size)
    ends = normal(heads, 2 * width, size), normal(heads, 2 * width, size)
    flat_keys, flat_values = normal(given.length, size), normal(given.length, size)
    groups = block_sparse._groups(tables[0], rows[0][0])  # noqa: SLF001 - as attention itself
    blocks = [
        normal(heads, given.length // width, width, size) for _ in range(4)
    ]  # of keys and values, forward and backward

    def keys_of(number, group):
        if given.mode == "products":
            return (keys[group], values[group]) * 2
        return [block_sparse._gather(x[number], tables[number][group]) for x in blocks]  # noqa: SLF001

    def pair(number):
        found = products(*(x[number] for x in ends), *(flat_keys, flat_values) * 2)
        for group in groups:
            of_group = products(*(x[number][group] for x in rows), *keys_of(number, group))
            found += [tf.reduce_sum(product) for product in of_group]
        return tf.add_n(found)

    @tf.function
    def step():
        return tf.add_n([tf.reduce_sum(keras.ops.map(pair, tf.range(heads))) for _ in range(given.layers)])

    return lambda: float(step())


worker.serve(build_products if given.mode.startswith("products") else build)
