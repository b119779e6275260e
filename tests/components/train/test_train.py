"""The stage as its users meet it: killed and started again, interrupted, diverging, validating, refused."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file

from bigbird.checkpoints.convert import convert
from bigbird.checkpoints.native import latest_checkpoint, list_checkpoints
from bigbird.config import load_experiment
from bigbird.support.artifacts import read_json
from bigbird.support.errors import InputError, TrainingDiverged
from bigbird_components.train.train import train
from tests.loopback import free_port

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT / 'model'}{os.pathsep}{ROOT}", "TF_CPP_MIN_LOG_LEVEL": "3"}


def _train(tree, dataset, model_dir, mode="train_and_eval"):
    return train(load_experiment("bigbird/glue", overrides=[tree]), model_dir, mode, str(dataset))


def _tensors(model_dir):
    """Every tensor of the newest checkpoint, the optimizer's included."""
    folder = latest_checkpoint(model_dir)
    return {
        f"{name}/{key}": value
        for name in ("model", "optimizer")
        for key, value in load_file(folder / f"{name}.safetensors").items()
    }


def _assert_same_tensors(first, second):
    one, two = _tensors(first), _tensors(second)
    assert one.keys() == two.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(two[name], value, err_msg=name)


def _history(model_dir):
    file = Path(model_dir) / "history.json"
    return read_json(file, "history") if file.exists() else []


def _command(tmp_path, tree, dataset, model_dir):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return [
        sys.executable, "-m", "bigbird_components.train", "--experiment_type=bigbird/glue", f"--config_file={recipe}",
        f"--dataset={dataset}", f"--model_dir={model_dir}",
    ]  # fmt: skip


def _run(command):
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False)


def _start_and_signal(command, number, when):
    """Starts the stage, sends a signal once `when` holds, and returns its exit status and stderr."""
    process = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + 300
        while not when():
            assert process.poll() is None, process.stderr.read()[-3000:]
            assert time.monotonic() < end, "the run never came that far"
            time.sleep(0.01)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=300)
    finally:
        process.kill()
        process.wait()
    return process.returncode, stderr


@pytest.fixture
def long_run(settings):
    """Enough steps to be stopped in the middle; dropout on."""
    trainer = {"train_steps": 800, "checkpoint_interval": 200, "validation_interval": 450, "summary_interval": 20}
    return settings(trainer=trainer, encoder={"dropout_rate": 0.1})


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", pytest.param("jax", marks=pytest.mark.long)])
def test_a_killed_run_started_again_ends_with_the_weights_of_an_unbroken_one(
    dataset, long_run, tmp_path, backend, capsys
):
    """SIGKILL between two checkpoints."""
    killed, unbroken = tmp_path / "killed", tmp_path / "unbroken"
    long_run["runtime"] = {"backend": backend}
    command = _command(tmp_path, long_run, dataset, killed)

    def past_a_checkpoint():
        return any(entry["step"] > 220 for entry in _history(killed))

    def run(model_dir):
        """In this process, which has TensorFlow, where Keras computes with it; what it told."""
        if backend == "tensorflow":
            _train(long_run, dataset, model_dir)
            return capsys.readouterr().err
        done = _run(_command(tmp_path, long_run, dataset, model_dir))
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stderr

    code, _ = _start_and_signal(command, signal.SIGKILL, past_a_checkpoint)
    assert code == -signal.SIGKILL
    assert not (killed / "model.json").exists()
    step = list_checkpoints(killed)[-1]
    assert 200 <= step < 800 and step % 200 == 0
    assert f"resuming at step {step:,}" in run(killed)
    run(unbroken)
    _assert_same_tensors(unbroken, killed)
    manifest, resumed = (read_json(folder / "model.json", "manifest") for folder in (unbroken, killed))
    assert {name: resumed[name] for name in ("metrics", "best_step", "steps")} == {
        name: manifest[name] for name in ("metrics", "best_step", "steps")
    }
    assert (killed / "history.json").read_bytes() == (unbroken / "history.json").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"])
def test_a_run_asked_to_stop_saves_the_step_it_is_at(dataset, long_run, tmp_path, number, status):
    command = _command(tmp_path, long_run, dataset, tmp_path / "model")
    code, stderr = _start_and_signal(command, number, lambda: _history(tmp_path / "model"))
    assert code == status, stderr[-3000:]
    assert "Traceback" not in stderr
    step = list_checkpoints(tmp_path / "model")[-1]
    assert 0 < step < 800 and step != 200
    assert not list((tmp_path / "model").rglob("*.tmp"))


def _start_workers(tree, dataset, tmp_path, name):
    """Two processes that train one model on JAX, into the folder `name`."""
    hosts, workers = f"127.0.0.1:{free_port()},127.0.0.1:1", []
    for index in range(2):
        tree["runtime"] = {
            "backend": "jax",
            "distribution_strategy": "multi_worker_mirrored",
            "worker_hosts": hosts,
            "task_index": index,
        }
        (tmp_path / str(index)).mkdir(exist_ok=True)
        command = _command(tmp_path / str(index), tree, dataset, tmp_path / name)
        workers.append(subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True))
    return workers


def _finish_workers(workers):
    """Their exit statuses, and what each told."""
    try:
        told = [worker.communicate(timeout=240)[1] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    return [worker.returncode for worker in workers], told


def _signal_the_second_worker(tree, dataset, tmp_path, number):
    """Lets one of two workers have a signal; their exit statuses, and the step that they saved."""
    workers, end = _start_workers(tree, dataset, tmp_path, "stopped"), time.monotonic() + 120
    while not _history(tmp_path / "stopped") and time.monotonic() < end and workers[0].poll() is None:
        time.sleep(0.01)
    workers[1].send_signal(number)
    codes, told = _finish_workers(workers)
    assert all("stopping after this step" in text and "Traceback" not in text for text in told), told
    step = list_checkpoints(tmp_path / "stopped")[-1]
    assert 0 < step < tree["trainer"]["train_steps"]
    return codes, step


@pytest.mark.long  # test_ctrl_c_of_one_worker_stops_all holds that they agree; this one takes minutes
def test_workers_that_train_together_stop_at_the_same_step_when_one_machine_is_to_be_taken_away(
    dataset, long_run, tmp_path
):
    """Started again they end with the weights of workers that nobody stopped."""
    long_run["trainer"] |= {"train_steps": 200, "validation_interval": 150}
    codes, step = _signal_the_second_worker(long_run, dataset, tmp_path, signal.SIGTERM)
    assert codes == [143, 143]
    for name, words in (
        ("stopped", f"resuming at step {step:,}"),
        ("unbroken", "200 steps of 8 examples on 2 replicas"),
    ):
        codes, told = _finish_workers(_start_workers(long_run, dataset, tmp_path, name))
        assert codes == [0, 0], [text[:4000] for text in told]
        assert words in told[0]
    _assert_same_tensors(tmp_path / "unbroken", tmp_path / "stopped")


@pytest.mark.slow
def test_ctrl_c_of_one_worker_stops_all(dataset, long_run, tmp_path):
    codes, _ = _signal_the_second_worker(long_run, dataset, tmp_path, signal.SIGINT)
    assert codes == [143, 130]


@pytest.mark.slow
def test_training_learns_keeps_the_best_and_says_so(dataset, settings, tmp_path, capsys):
    trainer = {"train_steps": 160, "checkpoint_interval": 40, "validation_interval": 40, "max_to_keep": 2}
    manifest = _train(settings(trainer=trainer), dataset, tmp_path / "model")
    assert manifest["metrics"]["accuracy"] >= 0.9
    assert list_checkpoints(tmp_path / "model") == [120, 160]
    validated = [entry for entry in _history(tmp_path / "model") if entry["kind"] == "validation"]
    assert [entry["step"] for entry in validated] == [40, 80, 120, 160]
    best = max(validated, key=lambda entry: entry["accuracy"])
    assert manifest["best_step"] == best["step"]
    assert manifest["metrics"]["accuracy"] == best["accuracy"]
    assert read_json(tmp_path / "model" / "best" / "state.json", "state")["step"] == best["step"]
    assert list((tmp_path / "model" / "logs").glob("events.out.tfevents.*"))
    progress = capsys.readouterr().err
    assert "train 160/160" in progress and "tokens/s" in progress and "validation at step 160" in progress

    assert _train(settings(trainer=trainer), dataset, tmp_path / "model") == manifest
    assert "already trained to step 160; nothing to do" in capsys.readouterr().err

    result = _train(settings(trainer=trainer), dataset, tmp_path / "model", "eval")
    assert result["step"] == 160
    assert result["metrics"]["accuracy"] == validated[-1]["accuracy"]
    assert read_json(tmp_path / "model" / "validation.json", "validation") == result

    def evaluate(path, to):
        task = {"init_checkpoint": str(path)}
        return _train(settings(trainer=trainer, task=task), dataset, tmp_path / to, "eval")

    last = latest_checkpoint(tmp_path / "model")
    theirs = convert(str(last), str(tmp_path / "theirs"), "model_garden").checkpoint
    for path, to in ((last, "a"), (theirs, "b")):  # an already fine-tuned model, ours or the Model Garden's
        assert evaluate(path, to) == {**result, "step": 0}
    encoder = convert(str(last), str(tmp_path / "encoder"), "hugging_face").checkpoint
    with pytest.raises(InputError, match="is not fine-tuned for this task:\n  pooler_dense/kernel: not in the check"):
        evaluate(encoder, "c")


@pytest.mark.slow
def test_a_loss_that_is_not_finite_or_above_its_bound_ends_training_with_step_and_records(dataset, settings, tmp_path):
    with pytest.raises(TrainingDiverged) as bound:
        _train(settings(trainer={"loss_upper_bound": 0.1}), dataset, tmp_path / "bound")
    assert "training diverged at step 1: the loss is 0.6" in str(bound.value)
    assert "above loss_upper_bound 0.1" in str(bound.value)
    records = str(bound.value).split("records are ")[1].split(". ")[0].split(", ")
    assert len(set(records)) == 8 and all(0 <= int(record) < 64 for record in records)
    assert not (tmp_path / "bound" / "model.json").exists()

    rate = {"optimizer_config": {"learning_rate": {"polynomial": {"initial_learning_rate": 1e38}}}}
    with pytest.raises(TrainingDiverged, match=r"training diverged at step \d+: the .* (nan|inf)"):
        _train(settings(trainer=rate), dataset, tmp_path / "infinite")


@pytest.mark.slow
def test_diverging_batches_are_left_out_where_that_is_allowed(dataset, settings, tmp_path, capsys):
    trainer = {"loss_upper_bound": 0.1, "recovery_max_trials": 2}
    with pytest.raises(TrainingDiverged, match="2 batches were left out already"):
        _train(settings(trainer=trainer), dataset, tmp_path / "model")
    assert capsys.readouterr().err.count("Going back to step 0 and on without this batch") == 2


@pytest.mark.slow
def test_a_run_set_up_otherwise_is_refused_and_nothing_is_changed(dataset, other_dataset, settings, tmp_path):
    _train(settings(), dataset, tmp_path / "model")
    before = {file: file.stat().st_mtime_ns for file in sorted((tmp_path / "model").rglob("*")) if file.is_file()}
    smaller = settings(task={"train_data": {"seq_length": 32, "global_batch_size": 4}})
    with pytest.raises(InputError, match=r"task.train_data.global_batch_size: 8 then, 4 now"):
        _train(smaller, dataset, tmp_path / "model")
    with pytest.raises(InputError, match="training files' SHA-256"):
        _train(settings(), other_dataset, tmp_path / "model")
    after = {file: file.stat().st_mtime_ns for file in sorted((tmp_path / "model").rglob("*")) if file.is_file()}
    assert after == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder": {"max_position_embeddings": 16}}, "max_position_embeddings"),
        ({"task": {"init_checkpoint": "TODO"}}, "task.init_checkpoint is 'TODO'"),
        ({"task": {"init_checkpoint": "nowhere"}}, "nowhere"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused_with_its_key(dataset, settings, tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        _train(settings(**change), dataset, tmp_path / "model")
    assert not (tmp_path / "model" / "model.json").exists()


def test_a_dataset_whose_vocabulary_was_exchanged_is_refused(dataset, settings, tmp_path):
    import shutil

    from bigbird.text.sentence_piece import train_vocabulary

    exchanged = tmp_path / "dataset"
    shutil.copytree(dataset, exchanged)
    (exchanged / "vocab.model").write_bytes(train_vocabulary(["some quite other words in here"] * 50, 60))
    with pytest.raises(InputError, match="is not the vocabulary the records were made with"):
        _train(settings(), exchanged, tmp_path / "model")


@pytest.mark.slow
def test_weights_of_another_vocabulary_or_pattern_are_refused_before_the_first_step(
    dataset, settings, tmp_path, capsys
):
    """Shapes agree all the same. Bare records and weights without a vocabulary are not compared, which the log says."""
    import shutil

    from bigbird.text.sentence_piece import train_vocabulary
    from bigbird.text.vocabulary import Vocabulary

    first = tmp_path / "first"
    _train(settings(trainer={"train_steps": 1}), dataset, first, "train")
    other = tmp_path / "dataset"
    shutil.copytree(dataset, other)
    vocabulary = Vocabulary(train_vocabulary(["some quite other words in here"] * 50, 60))
    (other / "vocab.model").write_bytes(vocabulary.serialized)
    manifest = read_json(other / "dataset.json", "manifest")
    manifest["vocabulary"] |= {"sha256": vocabulary.sha256}
    (other / "dataset.json").write_text(json.dumps(manifest))
    for path in (first, latest_checkpoint(first)):
        tree = settings(task={"init_checkpoint": str(path)})
        for mode in ("train", "eval"):
            with pytest.raises(InputError, match=f"another vocabulary than the dataset's: .*{vocabulary.sha256}"):
                _train(tree, other, tmp_path / "model", mode)
        pattern = settings(task={"init_checkpoint": str(path)}, encoder={"block_size": 8})
        with pytest.raises(InputError, match="block_size is 16 there, 8 here; set "):
            _train(pattern, dataset, tmp_path / "model", "train")
    assert latest_checkpoint(tmp_path / "model") is None

    capsys.readouterr()
    bare = {"input_path": str(next(dataset.glob("train*.tfrecord"))), "seq_length": 32, "global_batch_size": 8}
    tree = settings(task={"init_checkpoint": str(first), "train_data": bare}, trainer={"train_steps": 1})
    tree["task"]["model"] |= {"num_classes": 2}
    tree["task"]["model"]["encoder"]["bigbird"]["vocab_size"] = read_json(dataset / "dataset.json", "")["vocabulary"][
        "size"
    ]
    _train(tree, dataset, tmp_path / "bare", "train")
    assert (
        "the records carry no vocabulary: whether it is the checkpoint's cannot be compared" in capsys.readouterr().err
    )


def test_the_command_line_ends_with_2_and_one_message_on_bad_input(settings, tmp_path):
    result = _run(_command(tmp_path, settings(), tmp_path / "nowhere", tmp_path / "model"))
    assert result.returncode == 2
    assert result.stderr.count("error:") == 1 and "nowhere" in result.stderr and "Traceback" not in result.stderr
    assert not (tmp_path / "model").exists()
