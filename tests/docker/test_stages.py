"""The stages by hand, one `docker run` each as docs/how_to/docker.md has them, for a caller whom no image knows."""

import json
import os
import time

import pytest

HARDENED = ("--read-only", "--network", "none", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")


@pytest.fixture
def stage(engine, callers_folder, caller):
    """Runs a stage as docs/how_to/docker.md does, its root file system read-only and nothing but the caller's folder to write to."""

    def run(name, *arguments, check=True, options=()):
        user = ("--user", f"{caller[0]}:{caller[1]}", "-v", f"{callers_folder}:/work")
        return engine("run", "--rm", *HARDENED, *user, *options, engine.image(name), *arguments, check=check)

    return run


def owners(folder):
    return {(status.st_uid, status.st_gid) for path in (folder, *folder.rglob("*")) for status in [path.lstat()]}


@pytest.mark.integration
def test_four_commands_make_a_model_that_the_caller_owns(engine, stage, callers_folder, caller, data, recipe):
    data(callers_folder / "data")
    recipe(callers_folder / "recipe.yaml")
    stage("preprocess", "--task", "sst2", "--input", "data", "--output", "out/dataset", "--vocabulary_size", 50)
    stage(
        "train",
        "--experiment_type",
        "bigbird/glue",
        "--config_file",
        "recipe.yaml",
        "--dataset",
        "out/dataset",
        "--model_dir",
        "out/model",
    )
    stage("evaluate", "--model", "out/model", "--dataset", "out/dataset", "--output", "out/evaluation")
    stage("export", "--model", "out/model", "--dataset", "out/dataset", "--output", "out/saved_model")
    out = callers_folder / "out"
    metrics = json.loads((out / "evaluation/metrics.json").read_text())
    assert metrics["primary"] == {"name": "accuracy", "value": 1.0}
    assert owners(out) == {caller}
    manifests = ["dataset/dataset.json", "model/model.json", "evaluation/metrics.json", "saved_model/signature.json"]
    revisions = {json.loads((out / manifest).read_text())["revision"] for manifest in manifests}
    label = engine.inspect("train")["Config"]["Labels"]["org.opencontainers.image.revision"]
    assert revisions == {label}
    assert sorted(path.name for path in callers_folder.iterdir()) == ["data", "out", "recipe.yaml"]


def test_an_input_that_cannot_be_used_is_one_message_and_code_2(stage):
    done = stage("preprocess", "--task", "sst2", "--input", "absent", "--output", "dataset", check=False)
    assert (done.returncode, done.stderr.count("error:")) == (2, 1)
    assert "absent" in done.stderr and "Traceback" not in done.stderr


def test_an_output_that_is_not_mounted_is_refused_with_the_reason(engine, callers_folder, data):
    folder = data(callers_folder / "data")
    callers_folder.chmod(0o755)
    mounted = ("-v", f"{folder}:/data:ro")
    done = engine(
        "run",
        "--rm",
        *mounted,
        engine.image("preprocess"),
        "--task",
        "sst2",
        "--input",
        "/data",
        "--output",
        "dataset",
        "--vocabulary_size",
        50,
        check=False,
    )
    assert (done.returncode, done.stderr.count("error:")) == (2, 1)
    assert "/work" in done.stderr and "may not be written to" in done.stderr


@pytest.mark.integration
def test_docker_stop_ends_training_with_a_checkpoint_to_go_on_from(engine, stage, callers_folder, caller, data, recipe):
    data(callers_folder / "data")
    recipe(callers_folder / "recipe.yaml")
    stage("preprocess", "--task", "sst2", "--input", "data", "--output", "dataset", "--vocabulary_size", 50)
    name = f"bigbird-test-{os.getpid()}"
    engine(
        "run",
        "--detach",
        "--name",
        name,
        "--user",
        f"{caller[0]}:{caller[1]}",
        "-v",
        f"{callers_folder}:/work",
        engine.image("train"),
        "--experiment_type",
        "bigbird/glue",
        "--config_file",
        "recipe.yaml",
        "--dataset",
        "dataset",
        "--model_dir",
        "model",
        "--params_override",
        "trainer.epochs=4000",
    )
    try:
        until = time.monotonic() + 120
        while "train 1/" not in (log := engine("logs", name).stderr) and time.monotonic() < until:
            time.sleep(0.2)
        assert "train 1/" in log
        users = engine("top", name, "-eo", "uid,pid,comm").stdout.splitlines()[1:]
        assert users and {line.split()[0] for line in users} == {str(caller[0])}
        engine("stop", "--time", 60, name)
        assert engine("inspect", "--format", "{{.State.ExitCode}}", name).stdout.strip() == "143"
        assert list((callers_folder / "model/checkpoints").iterdir())
        assert owners(callers_folder / "model") == {caller}
    finally:
        engine("rm", "--force", name)
