"""Every task's predictions to the benchmark's zip."""

import zipfile

import numpy as np
import pytest
from click.testing import CliRunner

from bigbird.support.artifacts import write_json
from bigbird.tasks.classification.glue import GLUE_TASKS
from bigbird.tasks.classification.glue.predictions import write_predictions
from bigbird.tasks.classification.glue.scoring import GlueResults
from bigbird_pipelines.cli import cli
from bigbird_pipelines.submission import ROWS

INTEGERS = {"CoLA.tsv", "SST-2.tsv", "MRPC.tsv", "QQP.tsv", "WNLI.tsv"}


def _evaluate(folder, spec, split, rows):
    """An evaluation folder as the stage leaves it, of a model that answers at random."""
    folder.mkdir()
    logits = np.random.default_rng(rows).normal(2, 3, (rows, spec.num_classes)).astype("float32")
    files = write_predictions(folder, GlueResults(np.arange(rows), [], spec.labels, None, logits), spec, split)
    write_json(folder / "metrics.json", {"format": 1, "task": spec.name, "split": split, "files": files})
    return folder


@pytest.fixture(scope="module")
def evaluations(tmp_path_factory):
    """One evaluation folder per test set, of the official sizes."""
    root = tmp_path_factory.mktemp("evaluations")
    return {
        name: _evaluate(root / name.removesuffix(".tsv"), spec, split, ROWS[name])
        for spec in GLUE_TASKS.values()
        for split, name in spec.submissions.items()
    }


def _submit(folders, *options):
    return CliRunner().invoke(cli, ["submission", *map(str, folders), *map(str, options)])


def test_every_task_goes_into_one_flat_zip(evaluations, tmp_path):
    assert evaluations.keys() == ROWS.keys() and len(ROWS) == 11
    result = _submit(evaluations.values(), "--output", tmp_path / "submission.zip")
    assert result.exit_code == 0, result.output
    with zipfile.ZipFile(tmp_path / "submission.zip") as archive:
        assert set(archive.namelist()) == ROWS.keys()
        for name, rows in ROWS.items():
            header, *lines = archive.read(name).decode().splitlines()
            assert header == "index\tprediction" and len(lines) == rows
            assert [line.split("\t")[0] for line in lines] == [str(i) for i in range(rows)]
            answers = {line.split("\t")[1] for line in lines}
            if name == "STS-B.tsv":
                assert {"0.000", "5.000"} <= answers and all(len(answer) == 5 for answer in answers)
            elif name in INTEGERS:
                assert answers == {"0", "1"}
            elif name in ("QNLI.tsv", "RTE.tsv"):
                assert answers == {"entailment", "not_entailment"}
            else:
                assert answers == {"entailment", "neutral", "contradiction"}


def test_what_is_missing_or_not_whole_is_named(evaluations, tmp_path):
    short = _evaluate(tmp_path / "rte", GLUE_TASKS["rte"], "test", 7)
    folders, zipped = [evaluations["CoLA.tsv"], short], tmp_path / "some.zip"
    result = _submit(folders, "--output", zipped)
    assert result.exit_code == 2 and not zipped.exists()
    assert "SST-2.tsv: no evaluation holds it" in result.stderr
    assert "RTE.tsv: has 7 predictions; the test set has 3,000" in result.stderr
    assert _submit(folders, "--output", zipped, "--partial").exit_code == 0
    assert set(zipfile.ZipFile(zipped).namelist()) == {"CoLA.tsv", "RTE.tsv"}
    assert "exists; choose another name" in _submit(folders, "--output", zipped, "--partial").stderr
    assert _submit(folders, "--output", zipped, "--partial", "--overwrite").exit_code == 0


def test_what_the_benchmark_would_refuse_is_refused_here(evaluations, tmp_path):
    dev = tmp_path / "dev"
    dev.mkdir()
    write_json(dev / "metrics.json", {"format": 1, "task": "mnli", "split": "validation_matched"})
    message = _submit([dev], "--output", tmp_path / "x.zip").stderr
    assert "the benchmark takes its test_matched and test_mismatched splits" in message
    assert "both hold CoLA.tsv" in _submit([evaluations["CoLA.tsv"]] * 2, "--output", tmp_path / "x.zip").stderr
    wrong = _evaluate(tmp_path / "wnli", GLUE_TASKS["wnli"], "test", 5)
    text = (wrong / "WNLI.tsv").read_text().splitlines()
    (wrong / "WNLI.tsv").write_text("\n".join([*text[:3], "2\tentailment", *text[4:]]))
    message = _submit([wrong], "--output", tmp_path / "x.zip", "--partial").stderr
    assert "WNLI.tsv:4: has '2\\tentailment'; expected 2, a tab and 0 or 1" in message
    for content, problem in ((b"", "has the header ''"), (b"\xff", "not UTF-8 at byte 0")):
        (wrong / "WNLI.tsv").write_bytes(content)
        message = _submit([wrong], "--output", tmp_path / "x.zip", "--partial").stderr
        assert "WNLI.tsv" in message
        assert problem in message
    assert "expected a file name that ends in .zip" in _submit([wrong], "--output", tmp_path / "x").stderr
    assert _submit([tmp_path / "nowhere"], "--output", tmp_path / "x.zip").exit_code == 2
    assert not (tmp_path / "x.zip").exists()
