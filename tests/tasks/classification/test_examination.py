"""What evaluation adds to metrics."""

import json

import pytest

from bigbird.tasks.classification import examination
from bigbird.tasks.classification.examination import compare
from tests import manifests
from tests.tasks.classification.outcomes import outcome


@pytest.mark.parametrize(("most", "texts"), [(50_000, 240), (80, 80)])
def test_the_comparisons_are_fitted_on_all_parts_of_a_sorted_table(tmp_path, monkeypatch, most, texts):
    monkeypatch.setattr(examination, "MOST_TRAINING_LINES", most)
    labels = ["no"] * 80 + ["yes"] * 160
    lines = [{"id": i, "text_a": f"it says {label}", "text_b": None, "label": label} for i, label in enumerate(labels)]
    (tmp_path / "train.examples.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    manifests.dataset(splits={"train": {"examples": len(lines)}}, labels=["no", "yes"]).write(tmp_path)
    constant, tfidf, _ = compare(outcome("single")[0], tmp_path).measured
    assert constant.description.startswith("always “yes”, the most frequent label in training")
    assert constant.predicted[0] == pytest.approx([1 / 3, 2 / 3], abs=0.1)
    assert f"; {texts} training texts" in tfidf.description
