"""The training step: pure, one function per bucket, the same on two replicas, and plain enough for XLA."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bigbird.checkpoints.native import named_weights
from bigbird.config import load_experiment
from bigbird.models import per_example_loss
from bigbird.optimization import build_schedule
from bigbird.support.errors import InputError
from bigbird_components.train.steps import HOST_ONLY
from bigbird_components.train.tensorflow_step import TensorFlowSteps

ROOT = Path(__file__).parents[3]


@pytest.fixture
def steps(dataset, settings):
    """Function (settings) -> steps on the small dataset."""

    def build(**changes):
        tree = settings(**changes)
        tree["task"]["model"]["num_classes"] = 2
        experiment = load_experiment("bigbird/glue", overrides=[tree])
        schedule = build_schedule(experiment.trainer.optimizer_config, 12)
        return TensorFlowSteps(experiment, schedule, [str(dataset / "train-00000-of-00001.tfrecord")])

    return build


def _weights(steps):
    return {name: variable.numpy() for name, variable in named_weights(steps.model).items()}


def _train(steps, count):
    batches = steps.training_batches(0, [])
    return steps.wait([steps.train(next(batches)) for _ in range(count)])


def test_one_function_is_traced_per_bucket(steps):
    built = steps()
    batches, lengths = built.training_batches(0, []), set()
    for _ in range(16):
        batch = next(batches)
        lengths.add(batch["input_word_ids"].shape[1])
        built.train(batch)
    assert lengths == {16, 32}
    assert built.train_function.experimental_get_tracing_count() == 2


def test_what_validates_is_traced_without_hand_written_gradients(steps):
    """Which TensorFlow would hold for as long as the process lives, and which take time to trace."""
    built = steps()
    batch = next(built.training_batches(0, []))
    inputs = {name: value for name, value in batch.items() if name not in HOST_ONLY}

    def hand_written(function):
        definition = function.get_concrete_function(inputs).graph.as_graph_def()
        nodes = [*definition.node, *(node for inner in definition.library.function for node in inner.node_def)]
        return sum("_gradient_op_type" in node.attr for node in nodes)

    assert hand_written(built._predict_function) == 0
    assert hand_written(built.train_function) > 0


@pytest.mark.slow
def test_a_step_repeats_itself_from_the_same_state_dropout_included(steps):
    runs = [steps(), steps()]
    figures = [_train(run, 6) for run in runs]
    np.testing.assert_array_equal(figures[0], figures[1])
    first, second = (_weights(run) for run in runs)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


@pytest.mark.slow
def test_dropout_differs_between_steps_and_seeds(steps):
    def losses(**changes):
        built = steps(encoder={"dropout_rate": 0.5}, **changes)
        batch = next(built.training_batches(0, []))
        built.optimizer.weight_decay = 0.0
        built.optimizer.learning_rate.initial = built.optimizer.learning_rate.end = 0.0  # weights stay
        return [built.wait([built.train(batch)])[0, 0] for _ in range(2)]

    first, second = losses(), losses(runtime={"seed": 1})
    assert len({*first, *second}) == 4


def test_figures_are_the_batchs_mean_loss_the_gradients_norm_and_the_real_tokens(steps):
    built = steps(encoder={"dropout_rate": 0.0, "attention_dropout_rate": 0.0})
    batch = next(built.training_batches(0, []))
    expected = per_example_loss(built._task, built.model(batch), batch).numpy().mean()
    before = _weights(built)
    loss, norm, tokens = built.wait([built.train(batch)])[0]
    assert loss == pytest.approx(expected, abs=1e-6)
    assert tokens == batch["input_mask"].numpy().sum()
    assert norm > 0
    # The first update of Adam moves every weight by the learning rate, up to epsilon and decay.
    moved = np.abs(_weights(built)["logits/kernel"] - before["logits/kernel"])
    rate = float(build_schedule(built._experiment.trainer.optimizer_config, 12)(0))
    np.testing.assert_allclose(moved, rate, rtol=1e-2)


@pytest.mark.slow
def test_mixed_bfloat16_trains_float32_weights_to_nearly_the_same_losses(steps):
    dropless = {"dropout_rate": 0.0, "attention_dropout_rate": 0.0}
    full = _train(steps(encoder=dropless), 4)
    mixed_steps = steps(encoder=dropless, runtime={"mixed_precision_dtype": "bfloat16"})
    mixed = _train(mixed_steps, 4)
    assert {variable.dtype for variable in mixed_steps.model.weights} == {"float32"}
    np.testing.assert_allclose(mixed[:, 0], full[:, 0], atol=0.02)
    assert not np.array_equal(mixed, full)


def test_predictions_cover_a_split_once_and_depend_on_no_companion(steps, dataset):
    built = steps(task={"validation_data": {"seq_length": 32, "global_batch_size": 5}})
    files = [str(dataset / "validation-00000-of-00001.tfrecord")]
    predictions = list(built.predictions(files, labels=True))
    found = {}
    for prediction in predictions:
        assert prediction.outputs["logits"].shape == (5, 2)
        rows = prediction.weight == 1
        found |= dict(zip(prediction.record_ids[rows].tolist(), prediction.outputs["logits"][rows], strict=True))
        expected = -np.log(_softmax(prediction.outputs["logits"])[np.arange(5), prediction.labels])
        np.testing.assert_allclose(prediction.losses, expected, atol=1e-5)
    assert sorted(found) == list(range(24))
    alone = steps(task={"validation_data": {"seq_length": 32, "global_batch_size": 1}})
    for prediction in alone.predictions(files, labels=True):
        np.testing.assert_allclose(prediction.outputs["logits"][0], found[int(prediction.record_ids[0])], atol=1e-5)


def _softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.slow
@pytest.mark.parametrize("length", [32, 256], ids=["full attention", "sparse attention"])
def test_the_training_step_compiles_under_xla_without_callbacks_or_dynamic_shapes(steps, length):
    data = {"seq_length": length, "global_batch_size": 2}
    encoder = {"max_position_embeddings": 256, "use_gradient_checkpointing": True}
    task = {"bucket_lengths": [length], "train_data": data, "validation_data": data}
    built = steps(task=task, encoder=encoder, runtime={"enable_xla": True})
    batch = next(built.training_batches(0, []))
    inputs = {name: value for name, value in batch.items() if name not in HOST_ONLY}
    hlo = built.train_function.experimental_get_compiler_ir(inputs)(stage="hlo")
    without_metadata = re.sub(r"metadata=\{[^}]*\}", "", hlo)
    table = ",".join(str(size) for size in built.model.encoder.embeddings.word.embeddings.shape)
    assert "ENTRY" in hlo and f"f32[{table}]" in hlo  # a whole program, with the embedding table in it
    assert re.findall(r'custom_call_target="([^"]*)"', hlo) == []
    assert not re.search(r"\b(infeed|outfeed|send|recv|host-callback)\(", without_metadata)
    assert "<=" not in without_metadata and "?" not in without_metadata and "set-dimension-size" not in hlo
    assert np.isfinite(built.wait([built.train(batch)])).all()


@pytest.mark.slow
def test_xla_gives_the_losses_of_the_plain_step(steps):
    """Without dropout; XLA draws its random numbers by another algorithm."""
    dropless = {"dropout_rate": 0.0, "attention_dropout_rate": 0.0}
    plain = _train(steps(encoder=dropless), 6)
    compiled = _train(steps(encoder=dropless, runtime={"enable_xla": True}), 6)
    np.testing.assert_allclose(compiled, plain, rtol=1e-3)


_TWO_REPLICAS = """
import json, sys
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from bigbird.config import load_experiment
from bigbird.optimization import build_schedule
from bigbird_components.train.tensorflow_step import TensorFlowSteps
files, validation, tree = json.loads(sys.argv[1])
runs = []
for strategy in ("one_device", "mirrored"):
    tree["runtime"] = {"distribution_strategy": strategy, "enable_xla": "xla" in sys.argv}
    experiment = load_experiment("bigbird/glue", overrides=[tree])
    steps = TensorFlowSteps(experiment, build_schedule(experiment.trainer.optimizer_config, 12), files)
    batches, ids, figures = steps.training_batches(0, []), [], []
    for _ in range(8):
        batch = next(batches)
        ids.append(steps.record_ids(batch).tolist())
        figures.append(steps.wait([steps.train(batch)])[0].tolist())
    logits = {}
    for prediction in steps.predictions(validation, labels=True):
        rows = prediction.weight == 1
        logits.update(zip(prediction.record_ids[rows].tolist(), prediction.outputs["logits"][rows].tolist()))
    runs.append({"replicas": steps.replicas, "ids": ids, "figures": figures, "logits": logits})
print(json.dumps(runs))
"""


@pytest.mark.slow
@pytest.mark.parametrize("xla", [False, pytest.param(True, marks=pytest.mark.long)], ids=["plain", "xla"])
def test_two_replicas_give_the_losses_of_one_device_on_the_same_global_batch(dataset, settings, xla):
    """Without dropout; each replica draws its own, so with it the losses agree only on average."""
    import json

    tree = settings(
        encoder={"dropout_rate": 0.0, "attention_dropout_rate": 0.0},
        task={"validation_data": {"seq_length": 32, "global_batch_size": 7}},
    )
    tree["task"]["model"]["num_classes"] = 2
    files = [[str(dataset / f"{split}-00000-of-00001.tfrecord")] for split in ("train", "validation")]
    arguments = [json.dumps([*files, tree]), *(["xla"] if xla else [])]
    result = subprocess.run(
        [sys.executable, "-c", _TWO_REPLICAS, *arguments],
        cwd=ROOT,
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    one, two = json.loads(result.stdout.splitlines()[-1])
    assert (one["replicas"], two["replicas"]) == (1, 2)
    assert one["ids"] == two["ids"]
    np.testing.assert_allclose(np.array(two["figures"])[:, 0], np.array(one["figures"])[:, 0], rtol=0, atol=1e-5)
    np.testing.assert_allclose(np.array(two["figures"])[:, 1], np.array(one["figures"])[:, 1], rtol=1e-4)
    assert one["logits"].keys() == two["logits"].keys() and len(one["logits"]) == 24
    for key, logits in one["logits"].items():
        np.testing.assert_allclose(two["logits"][key], logits, rtol=0, atol=1e-4)


def _environment():
    import os

    return {**os.environ, "PYTHONPATH": f"{ROOT / 'model'}:{ROOT}", "TF_CPP_MIN_LOG_LEVEL": "3"}


@pytest.mark.parametrize(
    ("runtime", "message"),
    [
        ({"num_gpus": 8}, "runtime.num_gpus is 8 but this machine has"),
        ({"num_gpus": 2}, "runtime.num_gpus is 2"),
        ({"tpu": "node"}, "--tpu is 'node' but runtime.distribution_strategy is 'one_device'"),
        ({"distribution_strategy": "tpu"}, "no TPU is named; set runtime.tpu"),
        ({"distribution_strategy": "multi_worker_mirrored"}, "TF_CONFIG"),
        (
            {"distribution_strategy": "multi_worker_mirrored", "worker_hosts": "a:1,b:1", "task_index": 2},
            "runtime.task_index is 2; expected 0 to 1",
        ),
        (
            {
                "distribution_strategy": "multi_worker_mirrored",
                "worker_hosts": "a:1,b:1",
                "task_index": 0,
                "num_gpus": 1,
            },
            "runtime.num_gpus is 1 but this worker has 0, and with multi_worker_mirrored TensorFlow takes all",
        ),
    ],
)
def test_a_machine_that_is_not_there_is_refused(steps, monkeypatch, runtime, message):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(InputError, match=re.escape(message)):
        steps(runtime=runtime)
