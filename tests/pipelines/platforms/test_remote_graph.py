"""The graph that goes to a cluster, run on this machine: what a target adds is real too."""

import dataclasses
import json

import pytest
import yaml

from bigbird_pipelines.finetune import build_pipeline
from bigbird_pipelines.images import Images
from bigbird_pipelines.platforms import local_steps
from bigbird_pipelines.platforms.kubeflow.target import kubeflow_target
from bigbird_pipelines.platforms.local.processes import Processes
from bigbird_pipelines.team_settings import TeamSettings
from tests.kubeflow import Kubeflow
from tests.loopback import LoopbackServer
from tests.pipelines.test_run import RECIPE

pytestmark = pytest.mark.integration

DAY = "2026-01-05"


@pytest.fixture(scope="module")
def pipeline():
    """The pipeline of a cluster that tells a webhook, submitted on the day."""
    settings = TeamSettings(notify_webhook="hook", host="http://kfp")
    target = kubeflow_target(Images.named(tag="none"), settings, "cpu")
    return build_pipeline(dataclasses.replace(target, time=f"{DAY}T03:00:00Z"))


@pytest.fixture
def run(tmp_path, monkeypatch, pipeline):
    """Runs the pipeline with parameters; what the webhook got."""
    (tmp_path / "data" / DAY).mkdir(parents=True)
    for split, size in (("train", 64), ("dev", 16)):
        rows = "".join(f"{'good' if i % 2 else 'bad'} text of number {i}\t{i % 2}\n" for i in range(size))
        (tmp_path / "data" / DAY / f"{split}.tsv").write_text(f"sentence\tlabel\n{rows}", encoding="utf-8")
    with LoopbackServer(routes=[(r"POST /hook", lambda *_: {})]) as hook, Kubeflow() as server:
        monkeypatch.setenv("BIGBIRD_WEBHOOK", f"{hook.url}/hook")
        monkeypatch.setenv("KF_PIPELINES_ENDPOINT", server.url)
        arguments = {
            "task": "sst2",
            "data": f"{tmp_path}/data/{{date}}",
            "recipe": yaml.safe_dump(RECIPE),
            "overrides": "trainer.epochs=0.25",
            "vocabulary_size": 60,
        }

        def execute(**changes):
            try:
                local_steps.run(pipeline, arguments | changes, tmp_path / "run", Processes())
            finally:
                execute.posted = [request.body for request in hook.requests]

        yield execute


def test_the_days_data_is_trained_on_and_the_webhook_hears_of_metric_and_end(run, tmp_path):
    run(metric_threshold=1.0)
    manifest = json.loads((tmp_path / "run/preprocess/dataset/dataset.json").read_text())
    assert manifest["task"] == "sst2"
    metric = json.loads((tmp_path / "run/evaluate/evaluation/metrics.json").read_text())["primary"]
    announced, ended = run.posted
    assert announced["metrics"] == {"accuracy": pytest.approx(metric["value"])}
    assert "threshold 1.0000 missed, so nothing is exported" in announced["text"]
    assert (ended["state"], ended["step"], ended["error"]) == ("SUCCEEDED", None, None)


def test_a_step_that_fails_is_heard_of_too(run):
    with pytest.raises(local_steps.StepFailed, match=r"step 'resolve' failed: trainer\.steps: unknown key") as caught:
        run(overrides="trainer.steps=3")
    assert caught.value.exit_code == 2
    (ended,) = run.posted
    assert ended["state"] == "FAILED"
    assert ended["error"] == "Task exit-handler-1 failed."  # kfp.local's word; a cluster's API knows the step


def test_a_day_without_data_fails_before_anything_is_read_and_is_heard_of(run, tmp_path):
    with pytest.raises(
        local_steps.StepFailed, match=r"step 'resolve' failed: .*2026-01-05/none: no such file or folder"
    ):
        run(data="/data/{date}/none")
    assert not (tmp_path / "run/preprocess").exists()
    assert {file.stem for file in (tmp_path / "run/logs").iterdir()} == {"resolve", "notify", "kfp"}
    (ended,) = run.posted
    assert ended["state"] == "FAILED"
