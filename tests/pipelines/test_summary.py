"""The table that closes a run says what metrics.json says."""

import json

import pytest

from bigbird.support.artifacts import write_manifest
from bigbird_components.gate import NO_THRESHOLD
from bigbird_pipelines.local_runs.summary import summary_lines
from bigbird_pipelines.platforms.local_steps import LocalRun

INTERVAL = {"metric": "accuracy", "value": 0.967, "low": 0.9412, "high": 0.9888, "confidence": 0.95}
COMPARISONS = [
    {"name": "tfidf", "description": "TF-IDF of whole texts", "metrics": {"accuracy": 0.97}, "seconds": 1.0},
    {"name": "other", "description": "has another metric", "metrics": {"f1": 0.5}, "seconds": 1.0},
]


@pytest.fixture
def table(tmp_path):
    """Function (more of the evaluation's manifest) -> label -> the rest of its line."""

    def build(more):
        run = LocalRun(tmp_path / "run", {"preprocess": 1.0, "train": 2.0, "evaluate": 3.0})
        run.path("evaluation").mkdir(parents=True)
        result = {
            "task": "own",
            "split": "validation",
            "examples": 180,
            "primary": {"name": "accuracy", "value": 0.967},
            "baseline": {"value": 0.25, "description": "always “a”"},
        }
        write_manifest(run.path("evaluation"), "evaluation", result | more)
        assert json.loads((run.path("evaluation") / "metrics.json").read_text())["examples"] == 180
        return [tuple(line.split(maxsplit=1)) for line in summary_lines(run, NO_THRESHOLD)]

    return build


def test_the_interval_and_the_simpler_models_stand_beside_the_metric(table):
    assert table({"interval": INTERVAL, "comparisons": COMPARISONS})[:4] == [
        ("accuracy", "0.9670, 95 % interval 0.941 to 0.989 on 180 examples of validation"),
        ("baseline", "0.2500 (always “a”)"),
        ("tfidf", "0.9700 (TF-IDF of whole texts)"),
        ("threshold", "none was set"),
    ]


@pytest.mark.parametrize("more", [{}, {"interval": INTERVAL | {"metric": "f1"}}, {"interval": None, "comparisons": []}])
def test_without_an_interval_of_this_metric_the_line_is_short(table, more):
    assert table(more)[:3] == [
        ("accuracy", "0.9670 on 180 examples of validation"),
        ("baseline", "0.2500 (always “a”)"),
        ("threshold", "none was set"),
    ]


def test_an_interval_that_cannot_be_had_is_told(table):
    (_, told), *_ = table({"interval": INTERVAL | {"low": None, "high": None}})
    assert told == "0.9670, no interval, as too few draws of the examples define it on 180 examples of validation"
