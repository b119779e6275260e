"""Records what the Model Garden computes: recordings/model_garden, which test_published.py holds ours against.

Not run by the tests. In an environment with `setuptools<80` and `tf-models-official==2.20.*`:
    python tests/checkpoints/record_model_garden.py OUTPUT [--layers 4] [--hidden 64] [--lengths 1024 3072 4096]
then, in ours, `BIGBIRD_RECORDINGS=PARENT_OF_OUTPUT python -m pytest tests/checkpoints/test_published.py`.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras
from official.modeling import optimization
from official.nlp.configs import encoders
from official.nlp.modeling import models

parser = argparse.ArgumentParser()
parser.add_argument("output", type=Path)
parser.add_argument("--layers", type=int, default=2)
parser.add_argument("--hidden", type=int, default=16)
parser.add_argument("--lengths", type=int, nargs="+", default=[1024])
given = parser.parse_args()

sizes = {
    "vocab_size": 60, "hidden_size": given.hidden, "num_layers": given.layers, "num_attention_heads": 2,
    "intermediate_size": 2 * given.hidden, "max_position_embeddings": 4096, "type_vocab_size": 16,
    "block_size": 64, "num_rand_blocks": 3,
}  # fmt: skip
rng = np.random.default_rng(1)
config = encoders.EncoderConfig(
    {"type": "bigbird", "bigbird": {**sizes, "dropout_rate": 0.0, "attention_dropout_rate": 0.0}}
)
encoder = encoders.build_encoder(config)
for variable in encoder.variables:
    variable.assign(variable + rng.normal(0, 0.2, variable.shape).astype("float32"))


def save(name, **parts):
    tf.train.Checkpoint(**parts).write(str(given.output / name))


def batch(length):
    ids = rng.integers(1, sizes["vocab_size"], (2, length)).astype("int32")
    mask = np.ones((2, length), "int32")
    mask[1, length - length // 5 :] = 0
    types = (np.arange(length)[None] > length // 3).astype("int32") * mask
    return {"input_word_ids": ids * mask, "input_mask": mask, "input_type_ids": types}


def loss_of(outputs, mask):
    loss = tf.reduce_mean(tf.sin(outputs["sequence_output"]) * tf.cast(mask, tf.float32)[:, :, None])
    return loss + tf.reduce_mean(tf.sin(outputs["pooled_output"]))


given.output.mkdir(parents=True, exist_ok=True)
(given.output / "sizes.json").write_text(json.dumps(sizes) + "\n")
save("bare", encoder=encoder)
weights = [variable.numpy() for variable in encoder.variables]
for length in given.lengths:
    inputs = batch(length)
    with tf.GradientTape() as tape:
        outputs = encoder(inputs, training=True)
        loss = loss_of(outputs, inputs["input_mask"])
    variables = encoder.trainable_variables
    gradients = [tf.convert_to_tensor(g) for g in tape.gradient(loss, variables, unconnected_gradients="zero")]
    arrays = {name: value.numpy() for name, value in outputs.items() if name in ("sequence_output", "pooled_output")}
    np.savez_compressed(given.output / f"outputs_{length}.npz", **inputs, **arrays)
    # Gradients, and the weights after one step of the published recipes' optimizer, in the form of checkpoints.
    for variable, gradient in zip(variables, gradients, strict=True):
        variable.assign(gradient)
    save(f"gradients_{length}", encoder=encoder)
    for variable, value in zip(encoder.variables, weights, strict=True):
        variable.assign(value)
    if length == given.lengths[0]:
        optimizer_config = optimization.OptimizationConfig(
            {
                "optimizer": {
                    "type": "adamw",
                    "adamw": {
                        "weight_decay_rate": 0.01,
                        "exclude_from_weight_decay": ["LayerNorm", "layer_norm", "bias"],
                    },
                },
                "learning_rate": {
                    "type": "polynomial",
                    "polynomial": {
                        "initial_learning_rate": 8e-5,
                        "decay_steps": 3699,
                        "end_learning_rate": 0.0,
                    },
                },
            }
        )
        factory = optimization.OptimizerFactory(optimizer_config)
        optimizer = factory.build_optimizer(factory.build_learning_rate())
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        save("after_step", encoder=encoder)
        for variable, value in zip(encoder.variables, weights, strict=True):
            variable.assign(value)

# Training checkpoints of both tasks, with what their own heads answer.
inputs = batch(1024)
classifier = models.BertClassifier(network=encoder, num_classes=3, dropout_rate=0.0, use_encoder_pooler=False)
span = models.BertSpanLabeler(network=encoder)
answers = {}
for name, model in (("classifier", classifier), ("span", span)):
    for variable in model.trainable_variables[len(encoder.trainable_variables) :]:
        variable.assign(rng.normal(0, 0.3, variable.shape).astype("float32"))
    optimizer = tf_keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    step = tf.Variable(7, dtype=tf.int64)
    save(name, model=model, optimizer=optimizer, global_step=step, **model.checkpoint_items)
    outputs = model(inputs)
    outputs = {"logits": outputs} if name == "classifier" else {"start_logits": outputs[0], "end_logits": outputs[1]}
    answers |= {f"{name}/{key}": value.numpy() for key, value in outputs.items()}
np.savez_compressed(given.output / "answers.npz", **inputs, **answers)
