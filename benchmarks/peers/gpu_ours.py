"""This project's training step on JAX's first device; needs Keras on JAX, no TensorFlow."""

import os

os.environ |= {"KERAS_BACKEND": "jax", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}

import gpu_worker
import jax
import keras
import numpy as np
from jax.sharding import Mesh

from bigbird.config import load_experiment
from bigbird.models import build_model
from bigbird.optimization import AdamW, build_schedule
from bigbird_components.train.jax_update import AXIS, build_update, take_state

given = gpu_worker.options()


def build():
    """The step of the span model with its published settings."""
    data = {"seq_length": given.length, "global_batch_size": given.batch}
    encoder = {"max_position_embeddings": given.length}
    tree = {
        "task": {"model": {"encoder": {"bigbird": encoder}}, "train_data": data, "validation_data": data},
        "trainer": {"optimizer_config": {"optimizer": {"type": "adamw"}}},
    }
    experiment = load_experiment("bigbird/squad", overrides=[tree])
    keras.utils.set_random_seed(0)
    config = experiment.trainer.optimizer_config
    model = build_model(experiment.task, dtype="mixed_bfloat16")
    optimizer = AdamW(build_schedule(config, 1000), config.optimizer.adamw)
    optimizer.build(model.trainable_variables)
    mesh = Mesh(np.array(jax.devices()[:1]), (AXIS,))
    update = build_update(model, optimizer, experiment.task, 1.0, mesh)
    rng = np.random.default_rng(0)
    shape = given.batch, given.length
    batch = {
        "input_word_ids": rng.integers(1, gpu_worker.VOCABULARY, shape, np.int32),
        "input_mask": np.ones(shape, np.int32),
        "input_type_ids": np.zeros(shape, np.int32),
        "paragraph_mask": np.ones(shape, np.int32),
        "start_positions": np.full(given.batch, 100, np.int32),
        "end_positions": np.full(given.batch, 120, np.int32),
    }
    batch = {name: jax.device_put(value) for name, value in batch.items()}
    state = [take_state(model, optimizer, mesh)]

    def step():
        state[0], figures = update(state[0], batch, np.int32(0))
        return float(figures[0])

    return step


def peak():
    """Bytes of the device's memory that were in use at once."""
    return jax.devices()[0].memory_stats()["peak_bytes_in_use"]


gpu_worker.measure(build, peak)
