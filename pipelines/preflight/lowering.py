"""The training step as a program for XLA's compilers: `python -m bigbird_pipelines.preflight.lowering FOLDER`, a process of its own.

It reads request.json in FOLDER and writes step.hlo there. TensorFlow takes seconds to start and the weights and moments
of a model take gigabytes, which go away with the process.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from bigbird.config import Experiment, load_experiment, replace, with_sections
from bigbird.support.artifacts import read_json
from bigbird.support.tensorflow_start import load_tensorflow

REQUEST, LOWERED = "request.json", "step.hlo"
# A replica of a TPU takes the whole step compiled and on one device, as XLA does here.
_ONE_REPLICA = {"distribution_strategy": "one_device", "tpu": "", "num_gpus": 0, "enable_xla": True}


def main(folder: Path) -> None:
    """Lowers the step that a request describes.

    Args:
        folder: holds request.json: `experiment` (its tree), `rows` (examples of a chip) and `length` (tokens).
    """
    request = read_json(folder / REQUEST, "preflight request")
    load_tensorflow()
    experiment = load_experiment(overrides=[request["experiment"]])
    (folder / LOWERED).write_bytes(lower(experiment, request["rows"], request["length"]))


def lower(experiment: Experiment, rows: int, length: int) -> bytes:
    """The step as training runs it: forward, loss, backward, clipping, AdamW.

    What is summed between chips is not in it; nor is the input.

    Args:
        experiment: whole; the number of classes is known.
        rows: examples of one chip.
        length: tokens to which they are padded.

    Returns:
        A serialised HLO module. Its arguments are the batch, the weights and the optimizer's state; its results the
        step's figures and the new weights and state, which take the place of the old ones.
    """
    from bigbird.optimization import build_schedule
    from bigbird_components.train.tensorflow_step import TensorFlowSteps

    data = {"global_batch_size": rows, "tokens_per_batch": None}
    changes = {
        "runtime": replace(experiment.runtime, **_ONE_REPLICA),
        "task": replace(experiment.task, train_data=data),
    }
    experiment = with_sections(experiment, **changes)
    schedule = build_schedule(experiment.trainer.optimizer_config, max(1, experiment.trainer.train_steps))
    steps = TensorFlowSteps(experiment, schedule, [])
    lowered = steps.train_function.experimental_get_compiler_ir(_batch(experiment, rows, length))
    serialized: bytes = lowered(stage="hlo_serialized")
    return serialized


def _batch(experiment: Experiment, rows: int, length: int) -> dict[str, Any]:
    """An empty batch."""
    import tensorflow as tf

    shapes = batch_shapes(experiment, length)
    return {name: tf.zeros((rows, *shape), dtype) for name, (shape, dtype) in shapes.items()}


def batch_shapes(experiment: Experiment, length: int) -> dict[str, tuple[tuple[int, ...], Any]]:
    """The names of a training step's inputs, with an example's shape and the NumPy type that the input pipeline gives."""
    import tensorflow as tf

    from bigbird.data.parsing import batch_parser
    from bigbird_components.train.steps import HOST_ONLY

    parse = tf.function(batch_parser(experiment.task, experiment.task.train_data, labels=True), autograph=False)
    traced = parse.get_concrete_function(tf.TensorSpec([1], tf.string), tf.TensorSpec([], tf.int64))
    return {
        name: ((length,)[: value.shape.rank - 1], value.dtype.as_numpy_dtype)
        for name, value in traced.structured_outputs.items()
        if name not in HOST_ONLY
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
