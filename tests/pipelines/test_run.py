"""`bigbird run` as a user starts it: every stage, the gate, the files it leaves, and asking the exported model."""

import json
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RECIPE = {
    "task": {
        "model": {"encoder": {"bigbird": {
            "hidden_size": 16, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
            "max_position_embeddings": 64, "block_size": 16, "num_rand_blocks": 1,
        }}},
        "bucket_lengths": [64],
        "train_data": {"seq_length": 64, "global_batch_size": 8},
        "validation_data": {"seq_length": 64, "global_batch_size": 8},
    },
    "trainer": {
        "epochs": 12, "checkpoint_interval": 50, "validation_interval": 50,
        "optimizer_config": {"learning_rate": {"polynomial": {"initial_learning_rate": 0.01}}},
    },
}  # fmt: skip


def _bigbird(folder, *arguments):
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'model'}{os.pathsep}{ROOT}"}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    code = "import sys; from bigbird_pipelines.cli import cli; sys.argv[0] = 'bigbird'; cli()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


@pytest.fixture
def recipe(tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(RECIPE), encoding="utf-8")
    return file


def _pairs(size, seed):
    """RTE's format: the second sentence follows from the first where both name the same colour."""
    rng, colours = random.Random(seed), ["red", "blue", "green"]
    rows = ["index\tsentence1\tsentence2\tlabel"]
    for i in range(size):
        first = rng.choice(colours)
        second = first if i % 2 else rng.choice([colour for colour in colours if colour != first])
        label = "entailment" if i % 2 else "not_entailment"
        rows.append(f"{i}\tthe {first} house {'stands ' * rng.randint(1, 30)}\tit is {second}\t{label}")
    return "\n".join(rows) + "\n"


@pytest.mark.integration
def test_a_run_ends_with_a_table_a_report_and_a_model_that_answers(tmp_path, recipe):
    data = tmp_path / "my data"
    data.mkdir()
    for split, size in (("train", 160), ("dev", 40)):
        (data / f"{split}.tsv").write_text(_pairs(size, seed=size), encoding="utf-8")
    result = _bigbird(
        tmp_path,
        "run",
        "--task",
        "rte",
        "--data",
        data,
        "--recipe",
        recipe,
        "--name",
        "first",
        "--vocabulary_size",
        60,
        "--metric-threshold",
        0.3,
        "--override",
        "trainer.epochs=3",
        "--batch-size",
        16,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    run = tmp_path / "runs" / "first"
    table = dict(line.split(maxsplit=1) for line in result.stdout.strip().splitlines())
    facts = json.loads((run / "run.json").read_text())
    assert table["accuracy"] == f"{facts['metric']['value']:.4f} on 40 examples of validation"
    assert table["baseline"].startswith("0.5000 (always")
    assert table["threshold"] == "0.3000, reached"
    assert list(facts["seconds"]) == ["preprocess", "train", "evaluate", "export"]
    for name in ("report", "SavedModel"):
        assert (tmp_path / table[name]).exists()
    trained = yaml.safe_load((run / "train" / "model" / "config.yaml").read_text())
    assert (trained["trainer"]["epochs"], trained["task"]["train_data"]["global_batch_size"]) == (3, 16)
    assert json.loads((run / "train" / "model" / "model.json").read_text())["steps"] == 30
    for step in ("preprocess", "train", "evaluate", "export"):
        assert f"-- {step}\n" in result.stderr
    for noise in ("I0000", "WARNING", "Warning", "normalizer.cc", "cuda"):
        assert noise not in result.stderr

    asked = _bigbird(
        tmp_path, "predict", "--model", "runs/first", "--text", "the red house stands", "--text-b", "it is red"
    )
    assert asked.returncode == 0, asked.stderr[-3000:]
    answer = json.loads(asked.stdout)
    assert answer["label"] in ("entailment", "not_entailment")
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert asked.stderr == ""


@pytest.mark.integration
def test_a_model_of_a_metric_below_zero_is_exported_unless_a_threshold_is_above_it(tmp_path, recipe):
    """The validation is the opposite of the training, so that Matthews' correlation is -1. A run goes on from there."""
    data = tmp_path / "data"
    data.mkdir()
    rows = [f"x\t{number % 2}\t\t{'dog the runs' if number % 2 else 'a cat sleeps'} here\n" for number in range(16)]
    (data / "train.tsv").write_text("".join(rows), encoding="utf-8")
    (data / "dev.tsv").write_text("x\t1\t\ta cat sleeps\nx\t0\t\tdog the runs\n", encoding="utf-8")
    command = ("run", "--task", "cola", "--data", data, "--recipe", recipe)
    result = _bigbird(tmp_path, *command, "--name", "opposite", "--vocabulary-size", 30, "--epochs", 30)
    assert result.returncode == 0, result.stderr[-3000:]
    assert "threshold          none was set" in result.stdout
    facts = json.loads((tmp_path / "runs/opposite/run.json").read_text())
    assert facts["metric"] == {"name": "matthews_corrcoef", "value": pytest.approx(-1)}
    assert facts["exported"] is True and (tmp_path / "runs/opposite/export/saved_model/signature.json").exists()

    model = tmp_path / "runs/opposite/train/model"
    again = _bigbird(
        tmp_path, *command, "--name", "on", "--init-checkpoint", model, "--epochs", 1, "--metric-threshold", -0.5
    )
    assert again.returncode == 0, again.stderr[-3000:]
    assert (tmp_path / "runs/on/train/model/vocab.model").read_bytes() == (model / "vocab.model").read_bytes()
    assert "is below the threshold -0.5000" in again.stderr
    assert "threshold          -0.5000, missed, so nothing was exported" in again.stdout
    assert not (tmp_path / "runs/on/export").exists()
    assert json.loads((tmp_path / "runs/on/run.json").read_text())["exported"] is False


@pytest.mark.integration
def test_a_failing_step_is_named_with_its_reason_and_code(tmp_path, recipe):
    data = tmp_path / "data"
    data.mkdir()
    (data / "train.tsv").write_text("sentence\tlabel\na film\t1\nbad\t2\n")
    (data / "dev.tsv").write_text("sentence\tlabel\na film\t1\n")
    result = _bigbird(tmp_path, "run", "--task", "sst2", "--data", data, "--recipe", recipe, "--name", "failing")
    assert result.returncode == 2
    assert "error: step 'preprocess' failed: " in result.stderr
    assert "train.tsv:3: has the label '2'" in result.stderr
    assert result.stderr.count("error:") == 1 and "Traceback" not in result.stderr
    assert not (tmp_path / "runs" / "failing" / "preprocess" / "dataset").exists()


@pytest.mark.integration
def test_diverging_training_ends_the_run_with_3(tmp_path, recipe):
    data = tmp_path / "data"
    data.mkdir()
    for split in ("train", "dev"):
        (data / f"{split}.tsv").write_text(_pairs(40, seed=1), encoding="utf-8")
    result = _bigbird(
        tmp_path,
        "run",
        "--task",
        "rte",
        "--data",
        data,
        "--recipe",
        recipe,
        "--name",
        "diverging",
        "--vocabulary-size",
        60,
        "--override",
        "trainer.loss_upper_bound=0.01",
    )
    assert result.returncode == 3
    assert "error: step 'train' failed: training diverged at step 1: the loss is" in result.stderr
    assert (tmp_path / "runs" / "diverging" / "preprocess" / "dataset" / "dataset.json").exists()
    assert not (tmp_path / "runs" / "diverging" / "train" / "model").exists()


@pytest.mark.integration
def test_a_killed_run_ends_with_its_step_and_the_same_command_goes_on_where_it_stopped(
    tmp_path, recipe, bigbird, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    for split, size in (("train", 160), ("dev", 40)):
        (data / f"{split}.tsv").write_text(_pairs(size, seed=size), encoding="utf-8")
    command = [
        "run", "--task", "rte", "--data", str(data), "--recipe", str(recipe), "--name", "mine", "--vocabulary-size", "60",
        "--override", "trainer.checkpoint_interval=5", "--override", "trainer.epochs=20",
    ]  # fmt: skip
    run = tmp_path / "runs" / "mine"
    code = "import sys; from bigbird_pipelines.cli import cli; sys.argv[0] = 'bigbird'; cli()"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'model'}{os.pathsep}{ROOT}", "TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    killed = subprocess.Popen(
        [sys.executable, "-c", code, *command], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + 300
        while not (run / "train/model/checkpoints/step-00000020").exists():
            assert killed.poll() is None and time.monotonic() < until
            time.sleep(0.02)
        second = bigbird(*command, code=2)
        assert f"mine: is being written by bigbird run, process {killed.pid} on" in second.stderr
    finally:
        killed.kill()
        killed.wait()
    mark = f"TMPDIR={tmp_path / 'tmp'}".encode()
    until = time.monotonic() + 30
    while [pid for pid in Path("/proc").iterdir() if pid.name.isdigit() and mark in _environment_of(pid)]:
        assert time.monotonic() < until, "the killed run's step goes on"
        time.sleep(0.05)

    other = bigbird(*command, "--epochs", "1", code=2)
    assert "a run of this name exists, begun with other options (trainer.train_steps, " in other.stderr
    assert "--resume goes on with its own" in other.stderr
    misused = bigbird("run", "--resume", "--epochs", "1", code=2)
    assert "--resume goes on with the run's own options; leave --epochs out" in misused.stderr

    again = _bigbird(tmp_path, "run", "--resume")
    assert again.returncode == 0, again.stderr[-3000:]
    assert f"going on with the run in {run}, which did not end" in again.stderr
    assert "-- preprocess: done before" in again.stderr
    assert re.search(r"resuming at step \d+", again.stderr)
    assert not [
        path for path in (*run.rglob("*"), *run.parent.iterdir()) if path.name.endswith((".lock", ".tmp", ".old"))
    ]
    assert "this run has ended" in bigbird("run", "--resume", "--name", "mine", code=2).stderr
    assert "a run of this name exists" in bigbird(*command, code=2).stderr


def _environment_of(process):
    try:
        state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        return b"" if state == "Z" else (process / "environ").read_bytes()
    except OSError:
        return b""
