"""Metrics of spans: seqeval's on the same tags, and overlaps by their definition."""

import json
from pathlib import Path

import pytest

from bigbird.tasks.token_labels.metrics import METRICS, all_metrics, count, interval, per_label
from bigbird.tasks.token_labels.spans import Span

RECORDED = json.loads(Path(__file__).with_name("seqeval.json").read_text())


def spans(tags):
    """The spans of valid BIO tags; the places are those of the tags."""
    found = []
    for at, tag in enumerate(tags.split()):
        if tag[0] == "B":
            found.append(Span(at, at + 1, tag[2:]))
        elif tag[0] == "I":
            found[-1] = found[-1]._replace(end=at + 1)
    return found


def test_they_equal_seqevals_on_500_sequences():
    assert len(RECORDED["sequences"]) == 500
    for recorded in RECORDED["sequences"]:
        found = all_metrics(count([(spans(recorded["right"]), spans(recorded["found"]))]))
        assert [found["precision"], found["recall"], found["f1"]] == pytest.approx(recorded["micro"], abs=1e-12)
        macro = [found["macro_precision"], found["macro_recall"], found["macro_f1"]]
        assert macro == pytest.approx(recorded["macro"], abs=1e-12)


def test_they_equal_seqevals_on_all_of_them_together():
    together = RECORDED["together"]
    counts = count([(spans(each["right"]), spans(each["found"])) for each in RECORDED["sequences"]])
    found = all_metrics(counts)
    assert [found["precision"], found["recall"], found["f1"]] == pytest.approx(together["micro"], abs=1e-12)
    assert [found["macro_precision"], found["macro_recall"], found["macro_f1"]] == pytest.approx(together["macro"])
    for label, scores in per_label(counts).items():
        expected = together["labels"][label]
        assert [scores["precision"], scores["recall"], scores["f1"], scores["spans"]] == pytest.approx(expected)


def test_overlaps_of_one_label_count_half_and_each_once():
    gold = [Span(0, 10, "A"), Span(20, 30, "A"), Span(40, 50, "B"), Span(60, 70, "B")]
    found = [Span(0, 10, "A"), Span(20, 24, "A"), Span(25, 30, "A"), Span(40, 50, "A"), Span(69, 75, "B")]
    metrics = all_metrics(count([(gold, found)]))
    assert tuple(metrics) == METRICS
    assert (metrics["precision"], metrics["recall"]) == (1 / 5, 1 / 4)
    # 1 right; 20 to 24 and 69 to 75 overlap; 25 to 30 finds its span taken; 40 to 50 is another label.
    assert (metrics["partial_precision"], metrics["partial_recall"]) == (2 / 5, 2 / 4)
    assert metrics["partial_f1"] == pytest.approx(2 * 0.4 * 0.5 / 0.9)


def test_nothing_to_divide_by_is_0():
    assert set(all_metrics(count([([], [])])).values()) == {0.0}
    assert set(all_metrics(count([([Span(0, 1, "A")], [])])).values()) == {0.0}
    assert set(all_metrics(count([([], [Span(0, 1, "A")])])).values()) == {0.0}


def test_the_interval_draws_documents():
    a, b = Span(0, 1, "A"), Span(2, 3, "A")
    documents = [([a], [a]), ([a, b], [a]), ([a], []), ([], [])] * 10
    found = interval(documents)
    assert found == interval(documents)
    assert found.value == pytest.approx(2 * 20 / 60) and found.metric == "f1"
    assert 0.4 < found.low < found.value < found.high < 0.9
    one = interval([([a], [a])])
    assert (one.value, one.low, one.high) == (1.0, 1.0, 1.0)
    assert interval([([], [])]).low is None
