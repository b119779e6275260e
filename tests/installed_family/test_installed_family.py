"""A task family that an installed package brings: from its raw files to an answer of the server, and no file of ours touched."""

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bigbird.tasks.registry import OWN
from tests.components.serve.conftest import RunningServer

pytestmark = pytest.mark.slow  # a fixture that its tests share takes more than 10 s

ROOT = Path(__file__).parents[2]
PACKAGE = Path(__file__).parent / "package"


def install(folder, entry="moods.family:FAMILY"):
    """What an installer leaves of a package's entry points; gives the variables with which a process finds it."""
    facts = folder / "moods-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: moods\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(f"[bigbird.tasks]\nmoods = {entry}\n")
    return {"PYTHONPATH": os.pathsep.join(map(str, (ROOT / "model", ROOT, PACKAGE, folder)))}


def command(environment, *arguments):
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from bigbird_pipelines.cli import main; sys.argv[0] = 'bigbird'; main()",
            *map(str, arguments),
        ],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def write_diary(file, lines, seed):
    rng = random.Random(seed)
    words = {"+": ["sun", "song", "feast"], "-": ["rain", "toil", "loss"]}
    marks = ["+", "-"] * (lines // 2)
    file.write_text("".join(f"{mark} a day of {rng.choice(words[mark])} and of bread\n" for mark in marks))


@pytest.fixture(scope="module")
def moods(tmp_path_factory):
    """(variables, folder of a finished run)."""
    folder = tmp_path_factory.mktemp("moods")
    environment = install(folder / "installed")
    (folder / "data").mkdir()
    for split, lines in (("train", 80), ("validation", 20)):
        write_diary(folder / "data" / f"{split}.diary", lines, split)
    done = command(
        environment,
        "run",
        "--task",
        "moods",
        "--data",
        folder / "data",
        "--vocabulary-size",
        "60",
        "--runs",
        folder,
        "--name",
        "run",
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return environment, folder / "run", done.stdout


@pytest.mark.integration
@pytest.mark.slow
def test_a_run_goes_from_the_raw_files_to_a_model_that_has_learnt(moods):
    _, run, told = moods
    metrics = json.loads((run / "evaluate" / "evaluation" / "metrics.json").read_text())
    assert (metrics["task"], metrics["examples"]) == ("moods", 20)
    assert metrics["metrics"]["share_right"] == 1.0 and metrics["baseline"]["value"] == 0.5
    assert re.search(r"share.right +1\.0", told)
    report = (run / "evaluate" / "evaluation" / "report.html").read_text()
    assert "a day of" in report and "always the more common mood" in report
    predicted = (run / "evaluate" / "evaluation" / "predicted.diary").read_text().splitlines()
    raw = (run.parent / "data" / "validation.diary").read_text().splitlines()
    assert sorted(predicted) == sorted(raw)


@pytest.mark.integration
@pytest.mark.slow
def test_predict_and_the_server_answer(moods):
    environment, run, _ = moods
    done = command(environment, "predict", "--model", run, "--text", "a day of rain and of bread")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["label"] == "sad" and answer["probabilities"]["sad"] > 0.5
    server = RunningServer("--model", run / "export" / "saved_model", environment=environment)
    try:
        server.until("ready")
        status, served, _ = server.post({"instances": ["a day of rain and of bread", "a day of song and of bread"]})
        assert (status, [one["label"] for one in served["predictions"]]) == (200, ["sad", "glad"])
        assert served["predictions"][0]["probabilities"] == pytest.approx(answer["probabilities"], abs=1e-5)
    finally:
        server.stop()


def test_a_bad_line_is_told_with_its_place(tmp_path):
    environment = install(tmp_path / "installed")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.diary").write_text("+ a day\n* another\n")
    done = subprocess.run(
        [sys.executable, "-m", "bigbird_components.preprocess", "--task=moods", f"--input={tmp_path / 'data'}", f"--output={tmp_path / 'out'}"],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and not (tmp_path / "out").exists()
    assert "train.diary:2" in done.stderr and "begins with '*'; expected + or -" in done.stderr


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("moods.nowhere:FAMILY", "it cannot be loaded (ModuleNotFoundError: No module named 'moods.nowhere')"),
        ("moods.unfinished:FAMILY", "it cannot be loaded (TypeError: Can't instantiate abstract class Unfinished with"),
        ("moods.family:LABELS", "it is a tuple; expected an instance of bigbird.tasks.family.TaskFamily"),
        (
            "bigbird.tasks.classification.glue.family:FAMILY",
            "the name 'ax' is another family's or task's; expected a new one",
        ),
    ],
)
def test_an_entry_point_that_cannot_be_used_is_left_out_with_a_warning(tmp_path, entry, told):
    code = "from bigbird.tasks.registry import families; print(len(families()))"
    environment = {**os.environ, **install(tmp_path, entry)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) == len(OWN)
    assert done.stderr.startswith(f"warning: task family 'moods' ({entry}) is left out: {told}")
