"""Training on JAX: TensorFlow's losses, checkpoints that either continues, many devices as one, no TensorFlow in the update."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import load_file

from bigbird.checkpoints import native
from bigbird.config import RuntimeConfig, load_experiment
from bigbird.optimization import build_schedule
from bigbird.support.errors import InputError
from bigbird_components.train.jax_devices import chosen
from bigbird_components.train.tensorflow_step import TensorFlowSteps
from bigbird_components.train.train import train
from tests.loopback import free_port

ROOT = Path(__file__).parents[3]
STEPS = 50
# Records of up to 32 tokens: short ones take full attention, those of more than 16 tokens are padded to 128 and sparse.
LENGTHS = {"seq_length": 128, "global_batch_size": 8}
ENCODER = {"max_position_embeddings": 128, "num_rand_blocks": 1}
DROPLESS = {"dropout_rate": 0.0, "attention_dropout_rate": 0.0}


@pytest.fixture
def tree(settings):
    """Function (encoder's settings, runtime's) -> a configuration with a full and a sparse length."""

    def build(encoder=None, runtime=None):
        task = {"train_data": LENGTHS, "validation_data": LENGTHS, "bucket_lengths": [16, 128]}
        built = settings(task=task, encoder=ENCODER | (encoder or {}), runtime=runtime)
        built["task"]["model"]["num_classes"] = 2
        return built

    return build


def _on_jax(program, *arguments, devices=1, **environment):
    """Starts a program on JAX in a process of its own, as a process has one backend, and gives what it prints last."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={
            **os.environ, "PYTHONPATH": f"{ROOT / 'model'}{os.pathsep}{ROOT}", "TF_CPP_MIN_LOG_LEVEL": "3",
            "JAX_PLATFORMS": "cpu", "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}", **environment,
        },
    )  # fmt: skip

    def result():
        try:
            stdout, stderr = process.communicate(timeout=300)
        finally:
            process.kill()
            process.wait()
        assert process.returncode == 0, stderr[-3000:]
        return json.loads(stdout.splitlines()[-1])

    return result


_RUNS = """
import json, sys
from bigbird.support.tensorflow_start import load_tensorflow
load_tensorflow("jax")
from bigbird.checkpoints import native
from bigbird.config import load_experiment
from bigbird.optimization import build_schedule
from bigbird_components.train.backend import build_steps

def run(tree, files, begin, end, source=None, target=None, keep=()):
    experiment = load_experiment("bigbird/glue", overrides=[tree])
    steps = build_steps(experiment, build_schedule(experiment.trainer.optimizer_config, 50), files)
    if source:
        native.restore_checkpoint(source, steps.model, steps.optimizer)
    batches, figures = steps.training_batches(begin, []), []
    for step in range(begin + 1, end + 1):
        figures += steps.wait([steps.train(next(batches))]).tolist()
        if step in keep:
            native.save_checkpoint(target, steps.model, steps.optimizer, {"step": step}, max_to_keep=9)
    return figures

print(json.dumps([run(**arguments) for arguments in json.loads(sys.argv[1])]))
"""


@pytest.mark.slow
def test_jax_trains_as_tensorflow_does_and_each_continues_the_others_checkpoints(dataset, tree, tmp_path):
    """Also on JAX: gradient checkpointing changes no loss, and bfloat16 hardly any."""
    files = [str(dataset / "train-00000-of-00001.tfrecord")]
    plain = load_experiment("bigbird/glue", overrides=[tree(DROPLESS)])

    def tensorflow(begin, source=None):
        steps = TensorFlowSteps(plain, build_schedule(plain.trainer.optimizer_config, STEPS), files)
        if source is not None:
            native.restore_checkpoint(source, steps.model, steps.optimizer)
        batches, figures = steps.training_batches(begin, []), []
        for step in range(begin, STEPS + 1):
            if source is None and step in (0, 25, STEPS):
                native.save_checkpoint(tmp_path / "tf", steps.model, steps.optimizer, {"step": step}, max_to_keep=9)
            if step < STEPS:
                figures += steps.wait([steps.train(next(batches))]).tolist()
        return np.array(figures), {name: v.numpy() for name, v in native.named_weights(steps.model).items()}

    expected, weights = tensorflow(0)
    at = [str(tmp_path / "tf" / "checkpoints" / f"step-{step:08d}") for step in (0, 25)]
    on_jax = {"backend": "jax"}
    common = {"files": files, "begin": 0, "source": at[0]}
    whole, continued, checkpointed, half = _on_jax(_RUNS, json.dumps([
        {"tree": tree(DROPLESS, on_jax), **common, "end": STEPS, "target": str(tmp_path / "jax"), "keep": [25, STEPS]},
        {"tree": tree(DROPLESS, on_jax), "files": files, "begin": 25, "end": STEPS, "source": at[1],
         "target": str(tmp_path / "continued"), "keep": [STEPS]},
        {"tree": tree(DROPLESS | {"use_gradient_checkpointing": True}, on_jax), **common, "end": 4},
        {"tree": tree(DROPLESS, on_jax | {"mixed_precision_dtype": "bfloat16"}), **common, "end": 4},
    ]))()  # fmt: skip
    np.testing.assert_allclose(np.array(whole)[:, 0], expected[:, 0], rtol=0, atol=1e-4)
    np.testing.assert_array_equal(np.array(whole)[:, 2], expected[:, 2])  # the tokens of the same batches
    np.testing.assert_allclose(np.array(continued)[:, 0], expected[25:, 0], rtol=0, atol=1e-4)
    back, weights_back = tensorflow(25, tmp_path / "jax" / "checkpoints" / "step-00000025")
    np.testing.assert_allclose(back[:, 0], expected[25:, 0], rtol=0, atol=1e-4)
    last = "checkpoints/step-00000050/model.safetensors"
    for found in (load_file(tmp_path / "jax" / last), load_file(tmp_path / "continued" / last), weights_back):
        assert found.keys() == weights.keys()
        for name, value in weights.items():
            if name.endswith("key/bias"):  # moves no softmax, so its gradient is nothing but rounding
                continue
            assert np.linalg.norm(found[name] - value) <= 1e-3 * np.linalg.norm(value), name
    optimizers = [
        load_file(tmp_path / kind / "checkpoints" / "step-00000050" / "optimizer.safetensors") for kind in ("tf", "jax")
    ]
    assert optimizers[0].keys() == optimizers[1].keys()
    assert {int(optimizer["adamw/iteration"]) for optimizer in optimizers} == {STEPS}
    np.testing.assert_allclose(np.array(checkpointed), np.array(whole)[:4], rtol=0, atol=1e-5)
    np.testing.assert_allclose(np.array(half)[:, 0], expected[:4, 0], rtol=0, atol=0.02)
    assert half != whole[:4]


_DEVICES = """
import json, os, sys
from bigbird.support.tensorflow_start import load_tensorflow
load_tensorflow("jax")
from bigbird.config import load_experiment
from bigbird.optimization import build_schedule
from bigbird_components.train.backend import build_steps
tree, files, validation, strategies = json.loads(sys.argv[1])
runs = []
for strategy in strategies:
    tree["runtime"] |= {"backend": "jax", "distribution_strategy": strategy}
    experiment = load_experiment("bigbird/glue", overrides=[tree])
    steps = build_steps(experiment, build_schedule(experiment.trainer.optimizer_config, 12), files)
    batches, ids, figures = steps.training_batches(0, []), [], []
    for _ in range(8):
        batch = next(batches)
        ids.append(steps.record_ids(batch).tolist())
        figures.append(steps.wait([steps.train(batch)])[0].tolist())
    logits = {}
    for prediction in steps.predictions(validation, labels=True):
        rows = prediction.weight == 1
        logits |= dict(zip(prediction.record_ids[rows].tolist(), prediction.outputs["logits"][rows].tolist()))
    runs.append({"replicas": steps.replicas, "chief": steps.is_chief, "ids": ids, "figures": figures, "logits": logits})
    runs[-1]["flags"] = os.environ["XLA_FLAGS"]
print(json.dumps(runs))
"""


def _assert_same_run(found, expected):
    np.testing.assert_allclose(np.array(found["figures"])[:, 0], np.array(expected["figures"])[:, 0], rtol=0, atol=1e-5)
    np.testing.assert_allclose(np.array(found["figures"])[:, 1:], np.array(expected["figures"])[:, 1:], rtol=1e-4)
    assert found["logits"].keys() == expected["logits"].keys() and len(expected["logits"]) == 24
    for key, logits in expected["logits"].items():
        np.testing.assert_allclose(found["logits"][key], logits, rtol=0, atol=1e-4)


@pytest.mark.slow
def test_devices_and_processes_give_the_losses_of_one_device_on_the_same_global_batch(dataset, tree):
    """Dropout included: what a row drops depends on its place in the global batch alone."""
    files = [[str(dataset / f"{split}-00000-of-00001.tfrecord")] for split in ("train", "validation")]
    configured = tree({"dropout_rate": 0.1, "attention_dropout_rate": 0.1}, {})
    configured["task"]["validation_data"] = LENGTHS | {"global_batch_size": 5}
    hosts = f"127.0.0.1:{free_port()},127.0.0.1:1"
    workers = []
    for index in range(2):
        shared = {**configured, "runtime": {"worker_hosts": hosts, "task_index": index, "num_gpus": 0}}
        workers.append(_on_jax(_DEVICES, json.dumps([shared, *files, ["multi_worker_mirrored"]])))
    (first,), (second,) = (worker() for worker in workers)
    one, eight = _on_jax(_DEVICES, json.dumps([configured, *files, ["one_device", "mirrored"]]), devices=8)()
    assert [run["replicas"] for run in (one, eight, first, second)] == [1, 8, 2, 2]
    assert [run["chief"] for run in (one, first, second)] == [True, True, False]
    assert all(run["flags"].endswith(" --xla_cpu_experimental_ynn_fusion_type=") for run in (one, eight, first, second))
    assert one["ids"] == eight["ids"] == [a + b for a, b in zip(first["ids"], second["ids"], strict=True)]
    for run in (eight, first, second):
        _assert_same_run(run, one)


def _gpus(*counts):
    """The GPUs of workers with so many each, as JAX describes them: without order, with numbers of their worker."""
    devices = [(worker, 1000 * worker + i) for worker, count in enumerate(counts) for i in range(count)]
    return [SimpleNamespace(platform="gpu", process_index=worker, id=i) for worker, i in reversed(devices)]


@pytest.mark.parametrize(
    ("counts", "wanted", "expected"),
    [
        ((2, 2), None, [0, 1, 1000, 1001]),
        ((2, 2), 2, [0, 1, 1000, 1001]),
        ((2, 2, 2), 1, [0, 1000, 2000]),
        ((4,), 3, [0, 1, 2]),
    ],
)
def test_each_worker_trains_on_as_many_gpus_as_are_asked_for(counts, wanted, expected):
    runtime = RuntimeConfig(distribution_strategy="multi_worker_mirrored", num_gpus=wanted)
    assert [device.id for device in chosen(_gpus(*counts), runtime)] == expected


def test_a_worker_with_fewer_gpus_than_are_asked_for_is_named():
    runtime = RuntimeConfig(distribution_strategy="multi_worker_mirrored", num_gpus=2)
    with pytest.raises(InputError, match=r"runtime\.num_gpus is 2 but JAX finds 1 on worker 1; lower it"):
        chosen(_gpus(2, 1), runtime)


_WITHOUT_TENSORFLOW = """
import json, sys

class Absent:
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in ("tensorflow", "tensorboard"):
            raise ImportError(name)

sys.meta_path.insert(0, Absent())
import jax, numpy as np
from jax.sharding import Mesh
from bigbird.config import load_experiment
from bigbird.models import build_model
from bigbird.optimization import AdamW, build_schedule
from bigbird_components.train.jax_update import AXIS, build_update, take_state
experiment = load_experiment("bigbird/glue", overrides=[json.loads(sys.argv[1])])
config = experiment.trainer.optimizer_config
model = build_model(experiment.task)
optimizer = AdamW(build_schedule(config, 12), config.optimizer.adamw)
optimizer.build(model.trainable_variables)
mesh = Mesh(np.array(jax.devices()), (AXIS,))
update = build_update(model, optimizer, experiment.task, 1.0, mesh)
words = {name: np.ones((8, 16), "int32") for name in ("input_word_ids", "input_mask", "input_type_ids")}
state, losses = take_state(model, optimizer, mesh), []
for _ in range(20):
    state, figures = update(state, {**words, "label_ids": np.ones(8, "int32")}, np.int32(0))
    losses.append(float(figures[0]))
print(json.dumps(losses))
"""


@pytest.mark.slow
def test_the_update_needs_no_tensorflow(tree):
    losses = _on_jax(_WITHOUT_TENSORFLOW, json.dumps(tree(DROPLESS)), KERAS_BACKEND="jax")()
    assert losses[0] > 0.5 and losses[-1] < losses[0] / 2


def test_a_backend_that_keras_was_not_imported_with_is_refused(dataset, settings, tmp_path):
    experiment = load_experiment("bigbird/glue", overrides=[settings(runtime={"backend": "jax"})])
    with pytest.raises(InputError, match=r"runtime.backend is jax but Keras was imported with tensorflow"):
        train(experiment, tmp_path / "model", dataset=str(dataset))
    assert not (tmp_path / "model" / "model.json").exists()


_REFUSED = """
import json, sys
from bigbird.support.tensorflow_start import load_tensorflow
load_tensorflow("jax")
from bigbird.config import load_experiment
from bigbird.support.errors import InputError
from bigbird_components.train.jax_devices import build_mesh
told = []
for runtime in json.loads(sys.argv[1]):
    try:
        build_mesh(load_experiment("bigbird/glue", overrides=[{"runtime": {"backend": "jax", **runtime}}]).runtime)
    except InputError as error:
        told.append(str(error))
print(json.dumps(told))
"""


@pytest.mark.slow
def test_a_machine_that_is_not_there_is_refused():
    asked = {
        "runtime.num_gpus is 2 but JAX finds 0": {"num_gpus": 2, "distribution_strategy": "mirrored"},
        "distribution_strategy is tpu but JAX finds no TPU on this machine (1 × cpu)": {
            "distribution_strategy": "tpu",
            "tpu": "local",
        },
        "TF_CONFIG": {"distribution_strategy": "multi_worker_mirrored"},
    }
    told = _on_jax(_REFUSED, json.dumps(list(asked.values())))()
    assert all(words in message for words, message in zip(asked, told, strict=True)), told


def test_a_tpu_by_name_is_refused_as_jax_takes_its_own_machines():
    runtime = {"backend": "jax", "distribution_strategy": "tpu", "tpu": "node-1"}
    with pytest.raises(InputError, match=re.escape("runtime: tpu is 'node-1' with backend jax")):
        load_experiment("bigbird/glue", overrides=[{"runtime": runtime}])
