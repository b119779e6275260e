"""A registry on this machine, and small folders as a run leaves them."""

import json

import pytest

from bigbird.support.artifacts import write_json
from bigbird_components.register import api_errors
from tests import manifests
from tests.cloud import PROJECT, REGION
from tests.components.register.fake_registry import FakeRegistry

SERVING_IMAGE = f"{REGION}-docker.pkg.dev/{PROJECT}/images/bigbird-serve@sha256:{'0' * 64}"


@pytest.fixture
def registry(monkeypatch):
    """An empty registry; the environment names it."""
    monkeypatch.setattr(api_errors, "FIRST_WAIT_S", 0.01)
    with FakeRegistry() as server:
        monkeypatch.setenv("BIGBIRD_API_ENDPOINT", server.url)
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        yield server


@pytest.fixture
def trained(tmp_path):
    """Function (metric's value, examples, run) -> `register`'s arguments; manifests alone, which nobody can ask."""

    def build(value, examples="a", run="first", task="cola"):
        root = tmp_path / run
        for name in ("saved_model", "evaluation", "dataset"):
            (root / name).mkdir(parents=True)
        primary = {"name": "matthews_corrcoef", "value": value}
        write_json(root / "saved_model" / "signature.json", {"task": task})
        write_json(root / "evaluation" / "metrics.json", {"task": task, "split": "validation", "primary": primary})
        splits = {"validation": {"examples": 1}}
        manifest = manifests.dataset(task=task, splits=splits, labels=["0", "1"], revision=run)
        write_json(root / "dataset" / "dataset.json", manifest.to_json())
        line = {"id": 0, "text_a": examples, "label": "1"}
        (root / "dataset" / "validation.examples.jsonl").write_text(json.dumps(line) + "\n")
        return arguments(root, run)

    return build


def arguments(root, run, **more):
    """`register`'s arguments for a run's folders."""
    return {
        "project": PROJECT, "location": REGION, "model_name": "judge of grammar", "serving_image": SERVING_IMAGE,
        "margin": 0.0, "saved_model": str(root / "saved_model"), "artifact_uri": f"gs://bucket/{run}/saved_model",
        "evaluation": str(root / "evaluation"), "dataset": str(root / "dataset"),
        "pipeline": f"projects/1/locations/{REGION}/pipelineJobs/{run}", **more,
    }  # fmt: skip
