"""`bigbird run` begun, failed and gone on with: what it takes over from before. Its steps end at once, with an error."""

import json
import os
import re
import signal
from pathlib import Path

import pytest

from bigbird.support.locks import locked
from bigbird_pipelines.images import Images
from bigbird_pipelines.platforms.docker.platform import Docker
from bigbird_pipelines.platforms.local import processes
from bigbird_pipelines.platforms.local_steps import Ended
from tests.weights import SMALL, weights_file

FAILED = 7
TABLE = "text,label\n" + "".join(f"text {row},{'good' if row % 2 else 'bad'}\n" for row in range(40))


@pytest.fixture(autouse=True)
def failing_steps(monkeypatch, tmp_path):
    """Every step that is started fails; the names of those that were."""
    started = []

    def execute(command, environment, log):
        started.append(command[list(command).index("--function_to_execute") + 1])
        return Ended(FAILED)

    monkeypatch.setattr(processes.Processes, "begin", lambda _: None)  # what it loads is never needed
    monkeypatch.setattr(processes.Processes, "execute", lambda _, *given: execute(*given))
    monkeypatch.chdir(tmp_path)
    return started


@pytest.fixture
def table(tmp_path):
    file = tmp_path / "reviews.csv"
    file.write_text(TABLE)
    return file


@pytest.fixture
def sst2(tmp_path):
    folder = tmp_path / "SST-2"
    folder.mkdir()
    for name in ("train.tsv", "dev.tsv"):
        (folder / name).write_text("sentence\tlabel\ngood\t1\n")
    return folder


def begun(folder):
    """What a run leaves whose preprocessing ended and whose training did not; returns the files."""
    left = [folder / name for name in (".finished/preprocess.json", "train/model/checkpoints/step-5/x")]
    for file in left:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
    return left


def test_a_run_whose_table_was_corrected_begins_anew(bigbird, table, tmp_path):
    command = ("run", "--data", table, "--text", "text", "--label", "label", "--name", "x")
    bigbird(*command, code=FAILED)
    _, checkpoint = begun(tmp_path / "runs/x")
    (tmp_path / "reviews.csv.bak").write_text("another file")
    os.utime(table, (1, 1))
    assert "have changed" not in bigbird(*command, code=FAILED).stderr
    assert checkpoint.exists()

    table.write_text(TABLE + "one more,good\n")
    told = bigbird("run", "--resume", "--name", "x", code=2).stderr
    assert "have changed since it began, and its training has left checkpoints" in told and "--overwrite" in told
    assert checkpoint.exists()

    checkpoint.unlink()
    checkpoint.parent.rmdir()
    record, *_ = begun(tmp_path / "runs/y")
    record = record.rename(tmp_path / "runs/x/.finished/check.json")  # of a step that this run does not have
    told = bigbird("run", "--resume", "--name", "x", code=FAILED).stderr
    assert "warning: files that this run reads have changed since it began: all its steps run again" in told
    assert not record.exists()


@pytest.mark.parametrize("kind", ["folder", "file", "pattern", "vocabulary", "weights"])
def test_whatever_a_run_reads_is_looked_at_and_nothing_else(bigbird, sst2, tmp_path, pieces, kind):
    (sst2 / "more").mkdir()
    weights, vocabulary = sst2 / "weights", sst2 / "vocab.model"
    weights.mkdir()
    vocabulary.write_bytes(pieces)
    (weights / "vocab.model").write_bytes(pieces)
    (weights / "model.json").write_text("{}")
    (weights / "model.safetensors").write_bytes(weights_file(**SMALL))
    csv = sst2 / "a1.csv"
    csv.write_text(TABLE)
    official = ("--task", "sst2", "--recipe", "small_sst2")
    options, changed = {
        "folder": ((*official, "--data", sst2), sst2 / "dev.tsv"),
        "file": ((*official, "--data", sst2, "--train-file", sst2 / "more.tsv"), sst2 / "more.tsv"),
        "pattern": (("--data", sst2 / "a*.csv", "--text", "text", "--label", "label"), csv),
        "vocabulary": ((*official, "--data", sst2, "--vocabulary", vocabulary), vocabulary),
        "weights": (
            (*official, "--data", sst2, "--vocabulary", vocabulary, "--init-checkpoint", weights),
            weights / "model.json",
        ),
    }[kind]
    (sst2 / "more.tsv").write_text("sentence\tlabel\ngood\t1\n")
    command = ("run", *options, "--name", "x", "--runs", sst2 / "runs")
    bigbird(*command, code=FAILED)
    for noise in ("notes.txt", "more/train.tsv", "runs/y.json"):
        (sst2 / noise).write_text("x")
    assert "have changed" not in bigbird(*command, code=FAILED).stderr
    if kind == "vocabulary":
        from bigbird.text.sentence_piece import train_vocabulary

        changed.write_bytes(train_vocabulary(["quite another text stands in this one"] * 20, 35))
    else:
        changed.write_text(changed.read_text() + "\n")
    assert "have changed" in bigbird(*command, code=FAILED).stderr


def test_an_input_that_is_gone_is_told_before_anything_starts(bigbird, table, failing_steps, tmp_path):
    bigbird("run", "--data", table, "--text", "text", "--label", "label", "--name", "x", code=FAILED)
    failing_steps.clear()
    table.unlink()
    assert "reviews.csv: " in bigbird("run", "--resume", "--name", "x", code=2).stderr
    assert not failing_steps


def test_the_command_that_goes_on_names_where_the_runs_are(bigbird, table, tmp_path):
    command = ("run", "--data", table, "--text", "text", "--label", "label", "--name", "x")
    assert "`bigbird run --resume --name x` goes on from there" in bigbird(*command, code=FAILED).stderr
    told = bigbird(*command, "--runs", tmp_path / "my runs", code=FAILED).stderr
    assert f"`bigbird run --resume --name x --runs '{tmp_path}/my runs'` goes on from there" in told


def test_a_run_goes_on_where_it_was_begun_with_the_same_options(bigbird, table, monkeypatch, tmp_path):
    taken = []

    def place(self, inputs, backend, options):
        taken.append(dict(options))
        return processes.Processes(), Images.named(tag="t1")

    monkeypatch.setattr(Docker, "place", place)
    images = tmp_path / "images.json"
    command = ("run", "--data", table, "--text", "text", "--label", "label", "--name", "x")
    bigbird(*command, "--docker", "--gpus", "--memory", "8g", "--images", "images.json", code=FAILED)
    record = json.loads((tmp_path / "runs/x/run.json").read_text())
    assert (record["platform"], record["platform_options"]["images"]) == ("docker", str(images))
    bigbird("run", "--resume", code=FAILED)
    bigbird("run", "--resume", "--memory", "9g", code=FAILED)
    assert [(one["gpus"], one["memory"], str(one["images"])) for one in taken[1:]] == [
        (True, "8g", str(images)),
        (True, "9g", str(images)),
    ]
    bigbird(*command, code=FAILED)
    assert len(taken) == 3
    assert json.loads((tmp_path / "runs/x/run.json").read_text())["platform"] == "local"
    misused = bigbird("run", "--resume", "--gpus", code=2).stderr
    assert "--gpus is given without --docker" in misused


def test_what_a_resumed_run_does_not_take_is_named_as_it_is_given(bigbird):
    told = bigbird("run", "--resume", "--override", "trainer.epochs=1", code=2).stderr
    assert re.search(r"leave --override out", told)


def test_what_waits_for_steps_ends_also_where_the_run_is_refused(bigbird, table, monkeypatch):
    told = []
    monkeypatch.setattr(processes.Processes, "begin", lambda _: told.append("begin"))
    monkeypatch.setattr(processes.Processes, "close", lambda _: told.append("close"))
    Path("runs").mkdir()
    with locked(Path("runs/x"), "another run"):
        bigbird("run", "--data", table, "--text", "text", "--label", "label", "--name", "x", code=2)
    assert told == ["begin", "close"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 130)])
def test_a_run_that_is_told_to_stop_ends_with_the_signals_code(bigbird, table, monkeypatch, number, code):
    def execute(command, environment, log):
        os.kill(os.getpid(), number)
        raise AssertionError("the signal was not heeded")

    monkeypatch.setattr(processes.Processes, "execute", lambda _, *given: execute(*given))
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        command = ("run", "--data", table, "--text", "text", "--label", "label", "--name", "x")
        told = bigbird(*command, code=code).stderr
    finally:
        signal.signal(signal.SIGTERM, before)
    assert "stopped; `bigbird run --resume --name x` goes on from there" in told
