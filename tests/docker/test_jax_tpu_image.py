"""The TPU image for JAX as far as a machine without a TPU goes: its own compiler takes the sharded step, kernel and all."""

import json

import pytest

from bigbird_components.run_configuration import resolve_experiment
from bigbird_pipelines.preflight.compiler import ENVIRONMENT

# A layer with heads as wide as the published ones, so that the kernel suits it.
ENCODER = {
    "vocab_size": 512, "hidden_size": 128, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 256,
    "max_position_embeddings": 1024,
}  # fmt: skip


@pytest.fixture(autouse=True)
def built(engine):
    if not engine.has("train-jax-tpu"):
        pytest.skip(f"NOT RUN: {engine.image('train-jax-tpu')} is not built; make images IMAGES=train-jax-tpu")


@pytest.mark.parametrize(("generation", "topology", "chips"), [("v5e", "1x1", 1), ("v5e", "2x4", 8), ("v6e", "2x2", 4)])
def test_its_compiler_takes_the_sharded_step_with_the_kernel(
    engine, callers_folder, caller, generation, topology, chips
):
    overrides = ",".join(f"task.model.encoder.bigbird.{name}={value}" for name, value in ENCODER.items())
    experiment = resolve_experiment("squad_v1", overrides=f"runtime.backend=jax,trainer.train_steps=10,{overrides}")
    tree = experiment.model_dump(mode="json", exclude_unset=True) | {"type": experiment.type}
    request = {
        "experiment": tree,
        "rows": 2,
        "length": 1024,
        "generation": generation,
        "topology": topology,
        "chips": chips,
    }
    (callers_folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
    engine(
        "run",
        "--rm",
        "--user",
        ":".join(map(str, caller)),
        "-v",
        f"{callers_folder}:{callers_folder}",
        *(option for name, value in ENVIRONMENT.items() for option in ("--env", f"{name}={value}")),
        "--entrypoint",
        "python",
        engine.image("train-jax-tpu"),
        "-m",
        "bigbird_pipelines.preflight.sharded",
        callers_folder,
    )
    compiled = json.loads((callers_folder / "compiled.json").read_text(encoding="utf-8"))
    assert compiled["fits"]
    assert compiled["without_estimate"]["custom-call"] == 2  # the kernel, forward and backward
    assert compiled["cycles"] > 0
    weights = 4 * (512 + 1024) * 128  # of the tables alone
    assert (compiled["collective_bytes"] > weights) == (chips > 1)  # the gradients, summed over the chips


def test_without_a_tpu_it_says_so(engine):
    code = (
        "import json; from bigbird.support.tensorflow_start import load_tensorflow; load_tensorflow('jax'); "
        "from bigbird.config import RuntimeConfig; from bigbird.support.errors import InputError; "
        "from bigbird_components.train.jax_devices import build_mesh\n"
        "try: build_mesh(RuntimeConfig(backend='jax', distribution_strategy='tpu', tpu='local'))\n"
        "except InputError as error: print(json.dumps(str(error)))"
    )
    assert "JAX finds no TPU on this machine (1 × cpu)" in engine.python("train-jax-tpu", code)
