"""The training step on JAX, sharded and compiled for a TPU's chips: `python -m bigbird_pipelines.preflight.sharded FOLDER`, a process of its own.

It reads request.json in FOLDER and writes compiled.json there; its environment must be `ENVIRONMENT`. The program is
that of one of the machine's chips, the sums over all of them in it.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from bigbird.config import Experiment, load_experiment, replace
from bigbird.support.artifacts import read_json, write_json
from bigbird.support.errors import InputError
from bigbird.support.tensorflow_start import load_tensorflow
from bigbird_pipelines.preflight.compiler import COMPILED, figures, out_of_memory
from bigbird_pipelines.preflight.lowering import REQUEST, batch_shapes

# Chips that a topology has at least: a machine with one chip is a corner of it.
_SMALLEST = "2x2"


def main(folder: Path) -> None:
    """Compiles the step that a request describes.

    Args:
        folder: holds request.json: `experiment` (its tree), `rows` (examples of a chip), `length` (tokens), `generation`
            ("v5e"), `topology` ("2x2") and `chips`.
    """
    request = read_json(folder / REQUEST, "preflight request")
    load_tensorflow("jax")
    experiment = load_experiment(overrides=[request["experiment"]])
    devices = chips(request["generation"], request["topology"], request["chips"])
    write_json(folder / COMPILED, compile_step(experiment, request["rows"], request["length"], devices))


def chips(generation: str, topology: str, count: int) -> list[Any]:
    """Devices to compile for, of a machine that is not there."""
    from jax.experimental import topologies

    wired = _SMALLEST if count == 1 else topology
    found = topologies.get_topology_desc(platform="tpu", topology_name=f"{generation}:{wired}").devices
    return list(found)[:count]


def compile_step(experiment: Experiment, rows: int, length: int, devices: list[Any]) -> dict[str, Any]:
    """Compiles a step as training runs it: forward, loss, backward, the sum over the chips, clipping, AdamW.

    Args:
        experiment: whole; the number of classes is known. `attention.implementation: auto` is what it is on a TPU.
        rows: examples of one chip.
        length: tokens to which they are padded.
        devices: to compile for.

    Returns:
        As `compiler.compile_step`.
    """
    import jax
    import numpy as np
    from jax.sharding import Mesh, NamedSharding

    from bigbird.optimization import AdamW, build_schedule, freeze
    from bigbird.support.precision import policy
    from bigbird_components.train.jax_update import AXIS, SPREAD, WHOLE, TrainingState, build_update, state_variables

    config = experiment.trainer.optimizer_config
    model = _model_on_a_tpu(experiment, policy(experiment.runtime.mixed_precision_dtype))
    freeze(model, experiment.trainer)
    schedule = build_schedule(config, max(1, experiment.trainer.train_steps))
    optimizer = AdamW(schedule, config.optimizer.adamw, config.ema)
    optimizer.build(model.trainable_variables)
    mesh = Mesh(np.array(devices), (AXIS,))
    update = build_update(model, optimizer, experiment.task, config.optimizer.adamw.gradient_clip_norm, mesh)

    def whole(variable: Any) -> Any:
        return jax.ShapeDtypeStruct(variable.shape, variable.dtype, sharding=NamedSharding(mesh, WHOLE))

    state = TrainingState(*([whole(one) for one in variables] for variables in state_variables(model, optimizer)))
    spread = NamedSharding(mesh, SPREAD)
    batch = {
        name: jax.ShapeDtypeStruct((rows * len(devices), *shape), dtype, sharding=spread)
        for name, (shape, dtype) in batch_shapes(experiment, length).items()
    }
    seed = jax.ShapeDtypeStruct((), np.int32, sharding=NamedSharding(mesh, WHOLE))
    lowered = update.lower(state, batch, seed)  # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory(prefix="bigbird-preflight-") as folder:
        try:
            compiled = lowered.compile(compiler_options={"xla_dump_to": folder, "xla_dump_hlo_as_text": True})
        except Exception as error:
            lacking = out_of_memory(str(error))
            if lacking is None:
                raise
            return {"fits": False, **lacking}
        # JAX 0.10 cannot read back a program in which a v6e's SparseCore gathers, so the text is the compiler's own.
        (text,) = Path(folder).glob("*.after_codegen.txt")
        return figures(compiled.runtime_executable(), text.read_text(encoding="utf-8"))


def _model_on_a_tpu(experiment: Experiment, dtype: str) -> Any:
    """The model with the attention that `auto` means where there is a TPU."""
    from bigbird.models import build_model

    if experiment.task.encoder.attention.implementation != "auto":
        return build_model(experiment.task, dtype=dtype)
    kernel = {"encoder": {"bigbird": {"attention": {"implementation": "pallas"}}}}
    try:
        return build_model(replace(experiment.task, model=kernel), dtype=dtype)
    except InputError:  # the kernel does not suit these sizes
        return build_model(experiment.task, dtype=dtype)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
