"""Lowers the Model Garden's training step for XLA: BigBird base, span head, one Adam step, bfloat16.

    build/peers/model_garden/bin/python benchmarks/peers/model_garden_tpu.py FILE BATCH LENGTH [checkpointing]

FILE gets a serialised HLO module.
"""

import os
import sys
from pathlib import Path

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_USE_LEGACY_KERAS": "1"}

import tensorflow as tf
import tf_keras
from official.nlp.modeling.models import BertSpanLabeler
from official.projects.bigbird.encoder import BigBirdEncoder

file, batch, length = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
encoder = BigBirdEncoder(
    vocab_size=50_358, max_position_embeddings=4096, use_gradient_checkpointing="checkpointing" in sys.argv[4:]
)
inputs = {name: tf.ones((batch, length), tf.int32) for name in ("input_word_ids", "input_mask", "input_type_ids")}
positions = tf.zeros((batch,), tf.int32)
encoder(inputs)
model = BertSpanLabeler(network=encoder)
optimizer = tf_keras.optimizers.AdamW(8e-5, weight_decay=0.01)
optimizer.build(model.trainable_variables)


@tf.function(jit_compile=True)
def step(inputs, starts, ends):
    with tf.GradientTape() as tape:
        logits = model(inputs, training=True)
        loss = sum(
            tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=tf.cast(scores, tf.float32))
            )
            for labels, scores in zip((starts, ends), logits, strict=True)
        )
    gradients = tape.gradient(loss, model.trainable_variables)
    gradients, _ = tf.clip_by_global_norm([tf.convert_to_tensor(gradient) for gradient in gradients], 1.0)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    return loss


file.write_bytes(step.experimental_get_compiler_ir(inputs, positions, positions)(stage="hlo_serialized"))
