"""Intervals: every metric on counted examples is the metric on repeated ones; what they cover; the same seed, the same ends."""

import json
import math

import numpy as np
import pytest

from bigbird.tasks.classification import intervals, metrics

pytestmark = pytest.mark.filterwarnings("error")


def one_label_data(rng, examples):
    labels = int(rng.integers(2, 5))
    gold = rng.integers(0, labels, examples)
    scores = np.ceil((rng.random((examples, labels)) + 0.5 * np.eye(labels)[gold]) * rng.choice([2, 1000]))
    return gold, scores / scores.sum(axis=1, keepdims=True)


def several_labels_data(rng, examples):
    labels = int(rng.integers(1, 5))
    gold = rng.random((examples, labels)) < 0.4
    scores = np.clip(rng.random((examples, labels)) * 0.7 + 0.3 * gold, 0, 1).round(int(rng.choice([1, 5])))
    return gold, scores, np.full(labels, 0.5)


def number_data(rng, examples):
    gold = rng.normal(size=examples).round(int(rng.choice([0, 5])))
    return gold, (gold + rng.normal(size=examples)).round(int(rng.choice([0, 5])))


def compare(metric, statistic, arrays, whole):
    """The statistic of random counts against `whole` metrics of the examples that are repeated as often."""
    rng = np.random.default_rng(1)
    examples = len(arrays[0])
    counts = np.array([np.bincount(rng.integers(0, examples, examples), minlength=examples) for _ in range(3)])
    with metrics.quiet():
        found = statistic(counts.astype(np.float64))
    for row, value in zip(counts, found, strict=True):
        expected = whole(*(np.repeat(array, row, axis=0) for array in arrays)).values.get(metric)
        if expected is None:
            assert math.isnan(value), metric
        else:
            assert value == pytest.approx(expected, abs=1e-9), metric


@pytest.mark.parametrize("seed", range(12))
def test_counted_examples_are_repeated_ones(seed):
    rng = np.random.default_rng(seed)
    examples = int(rng.choice([2, 4, 40]))
    gold, scores = one_label_data(rng, examples)
    labels = [str(i) for i in range(scores.shape[1])]
    for name in metrics.ONE_LABEL:
        statistic = intervals._ONE_LABEL[name](gold, scores)
        compare(name, statistic, (gold, scores), lambda g, s, labels=labels: metrics.one_label_metrics(g, s, labels))
    gold, scores, thresholds = several_labels_data(rng, examples)
    labels = [str(i) for i in range(scores.shape[1])]
    for name in metrics.SEVERAL_LABELS:
        statistic = intervals._SEVERAL_LABELS[name](gold, scores, scores >= thresholds)
        compare(
            name,
            statistic,
            (gold, scores),
            lambda g, s, t=thresholds, labels=labels: metrics.several_labels_metrics(g, s, t, labels),
        )
    gold, predicted = number_data(rng, examples)
    for name in metrics.NUMBERS:
        compare(name, intervals._NUMBERS[name](gold, predicted), (gold, predicted), metrics.number_metrics)


def test_every_metric_has_an_interval():
    assert tuple(intervals._ONE_LABEL) == metrics.ONE_LABEL
    assert set(intervals._SEVERAL_LABELS) == set(metrics.SEVERAL_LABELS)
    assert tuple(intervals._NUMBERS) == metrics.NUMBERS


def answers_right(right):
    """One-label arrays of two labels, of which label 0 is always right."""
    sure = np.where(right, 0.9, 0.1)
    return np.zeros(len(right), int), np.column_stack([sure, 1 - sure])


def test_they_hold_the_true_accuracy_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    found = [
        intervals.one_label_interval("accuracy", *answers_right(rng.random(200) < 0.8), resamples=400, seed=trial)
        for trial in range(300)
    ]
    covered = np.mean([interval.low <= 0.8 <= interval.high for interval in found])
    assert 0.91 <= covered <= 0.98  # 0.95 give or take three standard errors of 300 trials, less what N = 200 costs


def test_the_width_is_that_of_the_normal_approximation():
    right = np.arange(10_000) < 8_000
    found = intervals.one_label_interval("accuracy", *answers_right(right))
    half = 1.96 * math.sqrt(0.8 * 0.2 / 10_000)
    assert found.value == pytest.approx(0.8)
    assert found.high - found.low == pytest.approx(2 * half, rel=0.1)
    assert (found.low + found.high) / 2 == pytest.approx(0.8, abs=half / 5)


def test_the_width_for_numbers_is_that_of_the_normal_approximation_too():
    rng = np.random.default_rng(3)
    gold = rng.normal(size=4000)
    found = intervals.number_interval("mean_absolute_error", gold, gold + rng.normal(size=4000))
    error = math.sqrt((1 - 2 / math.pi) / 4000)  # of the mean of |normal|
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_the_same_seed_gives_the_same_ends_however_the_draws_are_split(monkeypatch):
    gold, scores = one_label_data(np.random.default_rng(0), 50)
    first = intervals.one_label_interval("macro_f1", gold, scores, seed=5)
    assert intervals.one_label_interval("macro_f1", gold, scores, seed=5) == first
    assert intervals.one_label_interval("macro_f1", gold, scores, seed=6).low != first.low
    monkeypatch.setattr(intervals, "_CELLS_AT_ONCE", 50 * 7)
    again = intervals.one_label_interval("macro_f1", gold, scores, seed=5)
    assert (again.low, again.high) == pytest.approx((first.low, first.high), rel=1e-12)  # sums of another order
    assert json.loads(json.dumps(first.record()))["method"] == "percentile bootstrap over examples"


def test_one_example_and_a_constant_answer():
    found = intervals.one_label_interval("accuracy", np.array([1]), np.array([[0.2, 0.8]]))
    assert (found.low, found.value, found.high, found.undefined) == (1.0, 1.0, 1.0, 0)
    found = intervals.one_label_interval("matthews_corrcoef", np.array([0, 1]), np.array([[0.9, 0.1]] * 2))
    assert (found.low, found.value, found.high, found.undefined) == (None, None, None, 1000)


def test_draws_without_the_metric_are_counted_and_too_many_leave_no_interval():
    gold = np.array([[True]] + [[False]] * 99)
    scores = np.array([[0.9]] + [[0.1]] * 99)
    found = intervals.several_labels_interval("macro_roc_auc", gold, scores, np.array([0.5]))
    assert found.value == 1.0
    assert found.low is None
    assert 330 <= found.undefined <= 405  # the one positive is in no draw with probability 0.99 ** 100 = 0.366
    gold[:6], scores[:6] = True, 0.9
    found = intervals.several_labels_interval("macro_roc_auc", gold, scores, np.array([0.5]))
    assert (found.low, found.high) == (1.0, 1.0)
    assert 0 <= found.undefined <= 10  # 0.94 ** 100 = 0.002


def test_an_unknown_metric():
    with pytest.raises(KeyError):
        intervals.one_label_interval("bleu", np.array([0]), np.array([[0.5, 0.5]]))
