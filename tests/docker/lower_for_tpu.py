"""Lowers whole training steps with the TPU's own kernels; runs inside the image train-tpu, on a machine without a TPU.

An operation that has no TPU kernel is an error that names it. Prints a line of JSON per step. Gradient checkpointing is
left out: TensorFlow's differentiates with respect to variables only, and here there are none; its operations are the same.
"""

import json
import os

os.environ |= {"TPU_SKIP_MDS_QUERY": "1", "TPU_WORKER_HOSTNAMES": "localhost", "TPU_WORKER_ID": "0"}

import keras
import tensorflow as tf
from keras.src.optimizers.base_optimizer import BaseOptimizer

from bigbird.config import load_experiment
from bigbird.optimization import AdamW, build_schedule
from bigbird_components.train.tensorflow_step import TensorFlowSteps

BATCH, PREDICTIONS = 2, 8

# Without a device TensorFlow lowers no program that owns variables. The step becomes a function of its weights, which
# Keras' optimizer allows in its plain form only, not in the one that spreads the same arithmetic over replicas.
for name in ("assign", "assign_add", "assign_sub", "_var_key", "_apply_weight_decay", "_backend_update_step"):
    setattr(AdamW, name, getattr(BaseOptimizer, name))

TARGETS = {
    "bigbird/glue": lambda length: {"label_ids": ()},
    "bigbird/squad": lambda length: {"start_positions": (), "end_positions": ()},
    "bigbird/triviaqa": lambda length: {"answer_starts": (length,), "answer_ends": (length,)},
    "bigbird/pretraining": lambda length: {
        "masked_lm_positions": (PREDICTIONS,), "masked_lm_ids": (PREDICTIONS,), "masked_lm_weights": (PREDICTIONS,),
    },
}  # fmt: skip


def lower(kind, length):
    data = {"seq_length": length, "global_batch_size": BATCH}
    encoder = {"size": "small", "max_position_embeddings": 4096}
    model = {"encoder": {"bigbird": encoder}, **({"num_classes": 3} if kind == "bigbird/glue" else {})}
    tree = {
        "task": {"model": model, "bucket_lengths": [length], "train_data": data, "validation_data": data},
        "trainer": {"train_steps": 10},
        "runtime": {"enable_xla": True, "mixed_precision_dtype": "bfloat16"},
    }
    experiment = load_experiment(kind, overrides=[tree])
    steps = TensorFlowSteps(experiment, build_schedule(experiment.trainer.optimizer_config, 10), [])
    shapes = dict.fromkeys(("input_word_ids", "input_mask", "input_type_ids"), (length,)) | TARGETS[kind](length)
    batch = {
        name: tf.zeros((BATCH, *shape), tf.float32 if name.endswith("weights") else tf.int32)
        for name, shape in shapes.items()
    }
    variables = [*steps.model.variables, *steps.optimizer.variables]

    @tf.function(jit_compile=True)
    def step(values, batch):
        with keras.StatelessScope(state_mapping=zip(variables, values, strict=True)) as scope:
            figures = steps._train_step(batch)
            return figures, [scope.get_current_value(variable) for variable in variables]

    values = [tf.convert_to_tensor(variable.value) for variable in variables]
    program = step.experimental_get_compiler_ir(values, batch)(stage="hlo_serialized", platform_name="TPU")
    print(json.dumps({"kind": kind, "length": length, "bytes": len(program)}), flush=True)


for kind in TARGETS:
    lower(kind, 4096)
lower("bigbird/glue", 128)  # full attention
