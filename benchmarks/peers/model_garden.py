"""The TensorFlow Model Garden's BigBird encoder, forward and backward."""

import os

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_USE_LEGACY_KERAS": "1"}

import tensorflow as tf
import worker
from official.projects.bigbird.encoder import BigBirdEncoder

given = worker.options("graph", "xla")


def build():
    encoder = BigBirdEncoder(
        vocab_size=worker.VOCABULARY,
        num_layers=given.layers,
        max_position_embeddings=max(4096, given.length),
        dropout_rate=worker.DROPOUT,
        attention_dropout_rate=worker.DROPOUT,
    )
    ids = tf.random.stateless_uniform((1, given.length), (1, 2), 1, worker.VOCABULARY, tf.int32)
    inputs = {"input_word_ids": ids, "input_mask": tf.ones_like(ids), "input_type_ids": tf.zeros_like(ids)}
    weight = tf.random.stateless_normal((1, given.length, worker.HIDDEN), (3, 4))

    @tf.function(jit_compile=given.mode == "xla" or None)
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(encoder(inputs, training=True)["sequence_output"] * weight)
        return [tf.convert_to_tensor(gradient) for gradient in tape.gradient(loss, encoder.trainable_variables)]

    return lambda: float(step()[-1].numpy().ravel()[0])


worker.serve(build)
