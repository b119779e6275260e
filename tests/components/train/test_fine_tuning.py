"""What fine-tuning from real weights may use: layer decay, freezing, averages, early stopping; together, on both backends, resumed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from bigbird.checkpoints.native import load_model, named_weights
from bigbird.config import TrainerConfig, load_experiment
from bigbird.manifests import CheckpointState
from bigbird.optimization import build_schedule
from bigbird.support.artifacts import read_json
from bigbird.support.errors import InputError
from bigbird_components.evaluate.report_training import training_section
from bigbird_components.train.loop import is_better
from bigbird_components.train.state import State
from bigbird_components.train.tensorflow_step import TensorFlowSteps
from bigbird_components.train.train import train

ROOT = Path(__file__).parents[3]
_TRAIN = """
import json, sys
from pathlib import Path
from bigbird.support.tensorflow_start import load_tensorflow
trees, dataset, folders = json.loads(sys.argv[1])
backend = trees[0]["runtime"]["backend"]
load_tensorflow(backend)
if backend == "tensorflow":
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import shutil
from bigbird.config import load_experiment
from bigbird.support.log import configure_logging
from bigbird_components.train.train import train
configure_logging()

def run(tree, model_dir):
    train(load_experiment("bigbird/glue", overrides=[tree]), model_dir, "train_and_eval", dataset)

for tree, folder in zip(trees, folders):
    whole, resumed = Path(folder) / "whole", Path(folder) / "resumed"
    run(tree, whole)
    shutil.copytree(whole, resumed)  # what a run leaves that was killed before its checkpoint of step 9
    (resumed / "model.json").unlink()
    shutil.rmtree(resumed / "checkpoints" / "step-00000009")
    run(tree, resumed)
    print("-- END --", file=sys.stderr, flush=True)
"""


@pytest.fixture
def together(settings):
    """Function (backend, devices, further runtime settings) -> a configuration with all four, dropout and a clipped gradient."""

    def build(backend, devices, **runtime):
        ema, adamw = {"average_decay": 0.8}, {"layer_decay": 0.7, "gradient_clip_norm": 0.5}
        trainer = {
            "train_steps": 30, "checkpoint_interval": 3, "validation_interval": 3, "summary_interval": 2, "max_to_keep": 9,
            "freeze_layers": 1, "early_stopping": {"patience": 2, "min_delta": 1.0},
            "optimizer_config": {
                "optimizer": {"adamw": adamw}, "ema": ema, "learning_rate": {"polynomial": {"initial_learning_rate": 0.01}},
            },
        }  # fmt: skip
        strategy = {"distribution_strategy": "mirrored"} if devices > 1 else {}
        encoder = {"num_layers": 2, "dropout_rate": 0.1, "attention_dropout_rate": 0.1}
        return settings(
            task={"bucket_lengths": [32]},
            trainer=trainer,
            encoder=encoder,
            runtime={"backend": backend, **strategy, **runtime},
        )

    return build


def _run(trees, dataset, folders):
    """Trains each configuration into its folder, in a process that has two devices; returns what was told of each."""
    result = subprocess.run(
        [sys.executable, "-c", _TRAIN, json.dumps([trees, str(dataset), list(map(str, folders))])],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": f"{ROOT / 'model'}{os.pathsep}{ROOT}",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        },
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stderr.split("-- END --\n")[:-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "cases"),  # on one device and on two
    [
        ("tensorflow", [(1, {}), (2, {"mixed_precision_dtype": "bfloat16"})]),
        ("jax", [(1, {"mixed_precision_dtype": "bfloat16"}), (2, {})]),
    ],
)
def test_with_all_of_them_a_resumed_run_ends_at_the_same_step_with_the_same_bits(
    dataset, together, tmp_path, backend, cases
):
    trees = [together(backend, devices, **runtime) for devices, runtime in cases]
    folders = [tmp_path / str(devices) for devices, _ in cases]
    for (devices, _), told, folder in zip(cases, _run(trees, dataset, folders), folders, strict=True):
        assert f"on {'one device' if devices == 1 else '2 replicas'}" in told
        _assert_resumed_as_whole(told, folder / "whole", folder / "resumed")


def _assert_resumed_as_whole(told, whole, resumed):
    # No metric rises by more than 1: step 3 is to be beaten, steps 6 and 9 do not.
    assert told.count("early stopping at step 9 of 30: in 2 validations the metric did not improve on 0.") == 2
    assert (
        "resuming at step 6" in told and "the others frozen" in told and "averages of the weights (decay 0.8)" in told
    )
    manifests = [read_json(folder / "model.json", "manifest") for folder in (whole, resumed)]
    first = next(entry for entry in _history(whole) if entry["kind"] == "validation")["accuracy"]
    for manifest in manifests:
        assert manifest["steps"] == 9 and manifest["average_decay"] == 0.8
        assert manifest["early_stopping"] == {"step": 9, "validations": 2, "value": first}
    assert manifests[0]["best_step"] == manifests[1]["best_step"]
    kinds = [(entry["kind"], entry["step"]) for entry in _history(whole)]
    assert kinds[-3:] == [("validation", 9), ("train", 9), ("early_stopping", 9)]
    assert (whole / "history.json").read_bytes() == (resumed / "history.json").read_bytes()
    assert "Early stopping ended it at step 9, after 2 validations" in training_section(whole, "accuracy")
    for file in ("model.safetensors", "unaveraged.safetensors", "optimizer.safetensors"):
        path = Path("checkpoints") / "step-00000009" / file
        assert (whole / path).read_bytes() == (resumed / path).read_bytes(), file
    assert _state(whole, 9) == _state(resumed, 9)
    assert _state(whole, 6)["waiting"] == {"value": first, "validations": 1}

    # Frozen: the same from first to last, without moments or averages. The others move, and their average is another.
    start, end = (_checkpoint(whole, step) for step in (3, 9))
    frozen = {name for name in end["model"] if name.startswith(("encoder/embeddings/", "encoder/layer_0/"))}
    assert frozen and end["model"].keys() - frozen == end["unaveraged"].keys()
    assert len(end["optimizer"]) == 1 + 2 * len(end["unaveraged"])
    for name, value in end["model"].items():
        assert np.array_equal(value, start["model"][name]) is (name in frozen), name
        assert value.dtype == np.float32
        if name not in frozen:
            assert not np.array_equal(value, end["unaveraged"][name]), name

    # The best one, and the last as it is evaluated and exported, are averages.
    best = load_file(whole / "best" / "model.safetensors")
    same = _checkpoint(whole, manifests[0]["best_step"])["model"]
    assert all(np.array_equal(best[name], value) for name, value in same.items())
    loaded = named_weights(load_model(whole, "last")[0])
    for name, value in end["model"].items():  # in bfloat16 a model that answers holds some weights rounded
        held = loaded[name].numpy()
        assert np.array_equal(held, value.astype(held.dtype)), name


def _history(model_dir):
    return read_json(model_dir / "history.json", "history")


def _state(model_dir, step):
    state = read_json(model_dir / "checkpoints" / f"step-{step:08d}" / "state.json", "state")
    return {name: value for name, value in state.items() if name not in ("seconds", "manifest_sha256")}


def _checkpoint(model_dir, step):
    folder = model_dir / "checkpoints" / f"step-{step:08d}"
    return {name: load_file(folder / f"{name}.safetensors") for name in ("model", "unaveraged", "optimizer")}


@pytest.mark.slow
def test_the_averages_are_what_is_validated_and_a_run_with_more_patience_goes_on(dataset, together, tmp_path):
    tree = together("tensorflow", 1)
    del tree["runtime"]
    train(load_experiment("bigbird/glue", overrides=[tree]), tmp_path / "model", dataset=str(dataset))
    validated = {entry["step"]: entry for entry in _history(tmp_path / "model") if entry["kind"] == "validation"}
    result = train(load_experiment("bigbird/glue", overrides=[tree]), tmp_path / "model", "eval", str(dataset))
    assert (result["step"], result["metrics"]["loss"]) == (9, validated[9]["loss"])

    # The same without averages: other weights are validated, the same are trained.
    plain = json.loads(json.dumps(tree))
    del plain["trainer"]["optimizer_config"]["ema"]
    train(load_experiment("bigbird/glue", overrides=[plain]), tmp_path / "plain", dataset=str(dataset))
    found = load_file(tmp_path / "plain" / "checkpoints" / "step-00000009" / "model.safetensors")
    for name, value in _checkpoint(tmp_path / "model", 9)["unaveraged"].items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    other = [entry for entry in _history(tmp_path / "plain") if entry["kind"] == "validation"]
    assert all(entry["loss"] != validated[entry["step"]]["loss"] for entry in other)

    before = {name: (tmp_path / "model" / name).read_bytes() for name in ("history.json", "model.json")}
    train(load_experiment("bigbird/glue", overrides=[tree]), tmp_path / "model", dataset=str(dataset))
    assert all((tmp_path / "model" / name).read_bytes() == content for name, content in before.items())
    tree["trainer"]["early_stopping"]["patience"] = 3
    manifest = train(load_experiment("bigbird/glue", overrides=[tree]), tmp_path / "model", dataset=str(dataset))
    assert manifest["early_stopping"]["step"] == manifest["steps"] == 12
    ends = [entry["step"] for entry in _history(tmp_path / "model") if entry["kind"] == "early_stopping"]
    assert ends == [12]


@pytest.mark.slow
def test_going_back_after_a_divergence_restores_averages_and_frozen_weights(dataset, together, tmp_path):
    """A batch that is left out in a run that went back, and in one that was killed right after."""
    tree = together("tensorflow", 1)
    del tree["runtime"]
    tree["trainer"] |= {"early_stopping": {"patience": 0}, "train_steps": 9, "summary_interval": 1}
    tree["task"]["model"]["encoder"]["bigbird"] |= {"dropout_rate": 0.0, "attention_dropout_rate": 0.0}
    train(load_experiment("bigbird/glue", overrides=[tree]), tmp_path / "plain", dataset=str(dataset))
    losses = {entry["step"]: entry["loss"] for entry in _history(tmp_path / "plain") if entry["kind"] == "train"}
    worst = max(losses, key=lambda step: losses[step])
    bound = (losses[worst] + sorted(losses.values())[-2]) / 2
    tree["trainer"] |= {"loss_upper_bound": bound, "recovery_max_trials": 4}
    folders = [tmp_path / name for name in ("back", "again")]
    for folder in folders:
        train(load_experiment("bigbird/glue", overrides=[tree]), folder, dataset=str(dataset))
        if folder is folders[0]:
            shutil.copytree(folder, folders[1])
            (folders[1] / "model.json").unlink()
            shutil.rmtree(folders[1] / "checkpoints" / "step-00000009")
    assert worst - 1 in _state(folders[0], 9)["left_out"]
    one, two = (_checkpoint(folder, 9) for folder in folders)
    for file, weights in one.items():
        for name, value in weights.items():
            np.testing.assert_array_equal(two[file][name], value, err_msg=f"{file} {name}")
    step_0 = _checkpoint(folders[0], 0)
    for name, value in step_0["unaveraged"].items():
        np.testing.assert_array_equal(step_0["model"][name], value, err_msg=name)  # averages begin as the weights


def test_the_first_update_gives_the_average_most_of_the_new_weights(dataset, together, tmp_path):
    tree = together("tensorflow", 1)
    del tree["runtime"]
    tree["trainer"]["train_steps"] = 1
    train(load_experiment("bigbird/glue", overrides=[tree]), tmp_path / "model", dataset=str(dataset))
    found = _checkpoint(tmp_path / "model", 1)
    bias = found["unaveraged"]["logits/bias"]  # began as 0
    assert np.abs(bias).min() > 0
    np.testing.assert_allclose(found["model"]["logits/bias"], bias * 9 / 11, rtol=1e-6)


@pytest.fixture
def operations(dataset, settings):
    """Function (trainer's settings) -> how many matrix products a training step has."""

    def count(**trainer):
        tree = settings(trainer=trainer, encoder={"num_layers": 3})
        tree["task"]["bucket_lengths"] = [32]
        tree["task"]["model"]["num_classes"] = 2
        experiment = load_experiment("bigbird/glue", overrides=[tree])
        schedule = build_schedule(experiment.trainer.optimizer_config, 12)
        steps = TensorFlowSteps(experiment, schedule, [str(dataset / "train-00000-of-00001.tfrecord")])
        batch = next(steps.training_batches(0, []))
        inputs = {name: value for name, value in batch.items() if name not in ("record_id", "weight")}
        graph = steps.train_function.get_concrete_function(inputs).graph
        graphs = [graph, *(function.graph for function in graph._functions.values() if hasattr(function, "graph"))]
        return sum(op.type in ("MatMul", "BatchMatMulV2", "Einsum") for one in graphs for op in one.get_operations())

    return count


@pytest.mark.slow
def test_frozen_layers_have_no_backward_pass(operations):
    whole, one, two, all_of_them = (operations(freeze_layers=layers) for layers in range(4))
    assert whole > one > two > all_of_them


def test_early_stopping_waits_for_a_better_metric_as_keras_callback_does():
    for comparison, sign in (("higher", 1), ("lower", -1)):
        assert is_better(sign * 0.6, sign * 0.5, comparison, 0.05)
        assert not is_better(sign * 0.55, sign * 0.5, comparison, 0.0501)
        assert not is_better(float("nan"), None, comparison)
        assert is_better(sign * 0.5, None, comparison, 3.0)
    state = State(step=6, waiting={"value": 0.5, "validations": 2})
    trainers = [TrainerConfig(train_steps=9, early_stopping={"patience": patience}) for patience in range(5)]
    assert [state.stops_early(trainer) for trainer in trainers] == [False, True, True, False, False]
    assert not State(step=6).stops_early(trainers[1]) and not state.stops_early(TrainerConfig(train_steps=6))
    assert State.of(CheckpointState.model_validate(state.to_json())) == state
    assert "waiting" not in State().to_json()


def test_early_stopping_without_validation_is_refused(dataset, settings, tmp_path):
    tree = settings(trainer={"early_stopping": {"patience": 3}})
    with pytest.raises(InputError, match=r"trainer.early_stopping.patience is 3, but mode train validates nothing"):
        train(load_experiment("bigbird/glue", overrides=[tree]), tmp_path / "model", "train", str(dataset))
    assert not (tmp_path / "model").exists()
