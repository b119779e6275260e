"""Temperature and thresholds: a known temperature is found again, thresholds are those of a search through all of them."""

import itertools
import json

import numpy as np
import pytest
from scipy import special
from sklearn import metrics as sk

from bigbird.support.errors import InputError
from bigbird.tasks.classification import decisions, metrics

pytestmark = pytest.mark.filterwarnings("error")
LABELS = ("a", "b", "c")


def sampled(rng, logits):
    """Labels int64[N] drawn with the probabilities of the logits [N, C]."""
    return (special.softmax(logits, axis=1).cumsum(axis=1) < rng.random((len(logits), 1))).sum(axis=1)


def test_softmax_and_sigmoid_are_scipys_also_where_they_would_overflow():
    logits = np.array([[1000.0, -1000.0, 3.0], [0.0, 0.0, 0.0], [-5.0, 2.0, 700.0]])
    np.testing.assert_allclose(decisions.softmax(logits, 2.0), special.softmax(logits / 2, axis=1), atol=1e-15)
    np.testing.assert_allclose(decisions.sigmoid(logits, 2.0), special.expit(logits / 2), atol=1e-15)


@pytest.mark.parametrize("temperature", [0.2, 0.7, 1.0, 2.5, 8.0])
def test_a_known_temperature_is_found_one_label(temperature):
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(20_000, 3)) * 2
    gold = sampled(rng, logits)
    found = decisions.fit_one_label(gold, logits * temperature, LABELS)
    assert found.temperature == pytest.approx(temperature, rel=0.05)
    choice = found.temperature_choice

    def loss(t):
        return -special.log_softmax(logits * temperature / t, axis=1)[range(20_000), gold].mean()

    assert (choice.before, choice.after) == pytest.approx((loss(1.0), loss(found.temperature)))
    assert choice.after <= choice.before
    assert choice.after < min(loss(found.temperature * 0.98), loss(found.temperature * 1.02))
    assert not found.at_a_bound


@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_a_known_temperature_is_found_several_labels(temperature):
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(8000, 3)) * 2 - 1
    gold = rng.random(logits.shape) < special.expit(logits)
    found = decisions.fit_several_labels(gold, logits * temperature, LABELS)
    assert found.temperature == pytest.approx(temperature, rel=0.05)
    probabilities = special.expit(logits * temperature / found.temperature)
    assert found.temperature_choice.after == pytest.approx(sk.log_loss(gold.ravel(), probabilities.ravel()))
    np.testing.assert_allclose(found.probabilities(logits * temperature), probabilities, rtol=1e-9)


def test_answers_that_are_all_right_end_at_a_bound_which_is_told():
    gold = np.arange(150) % 3
    found = decisions.fit_one_label(gold, np.eye(3)[gold], LABELS)
    assert found.temperature == decisions.TEMPERATURES[0]
    assert found.at_a_bound
    found = decisions.fit_one_label(gold, np.eye(3)[gold] * -5, LABELS)
    assert found.temperature == decisions.TEMPERATURES[1]


def test_logits_that_say_nothing_keep_temperature_1():
    found = decisions.fit_one_label(np.arange(120) % 3, np.zeros((120, 3)), LABELS)
    assert found.temperature == 1.0
    assert found.temperature_choice.after == found.temperature_choice.before == pytest.approx(np.log(3))


def small_case(seed, labels=2):
    """Few examples, so that all thresholds can be tried; ties and exact 0.5 in some."""
    rng = np.random.default_rng(seed)
    gold = rng.random((int(rng.integers(3, 9)), labels)) < 0.5
    scores = rng.random(gold.shape).round(1 if seed % 2 else 6) * 0.7 + 0.3 * gold * (seed % 3 > 0)
    return gold, np.clip(scores, 0, 1)


def all_thresholds(scores):
    """One threshold for each way to tell the scores apart."""
    return [0.0, *np.unique(scores), min(1.0, float(scores.max() + 1e-6))]


def f1(gold, predicted):
    """Of each column, or of the whole of one; 0 where there is nothing."""
    total = gold.sum(axis=0) + predicted.sum(axis=0)
    return 2 * (gold & predicted).sum(axis=0) / np.maximum(total, 1)


BY_HAND = {
    "micro_f1": lambda g, p: f1(g.ravel(), p.ravel()),
    "weighted_f1": lambda g, p: f1(g, p) @ g.sum(axis=0) / g.sum(),
    "macro_f1": lambda g, p: f1(g, p).mean(),
    "hamming_loss": lambda g, p: -(g != p).mean(),
    "subset_accuracy": lambda g, p: (g == p).all(axis=1).mean(),
}


@pytest.mark.parametrize("metric", sorted(set(decisions.THRESHOLD_METRICS) - {"subset_accuracy"}))
def test_thresholds_are_the_best_of_all(metric):
    score = BY_HAND[metric]
    for seed in range(60):
        gold, scores = small_case(seed)
        if not gold.any(axis=0).all():
            continue
        chosen = decisions.THRESHOLD_METRICS[metric](gold, scores, range(2))
        assert ((chosen >= 0) & (chosen <= 1)).all()
        grid = itertools.product(*(all_thresholds(scores[:, i]) for i in range(2)))
        best = max(score(gold, scores >= np.array(thresholds)) for thresholds in grid)
        assert score(gold, scores >= chosen) == pytest.approx(best, abs=1e-12), seed


def test_thresholds_for_subset_accuracy_cannot_be_bettered_one_by_one():
    score, gains = BY_HAND["subset_accuracy"], 0
    for seed in range(60):
        gold, scores = small_case(seed, labels=3)
        chosen = decisions.THRESHOLD_METRICS["subset_accuracy"](gold, scores, range(3))
        reached = score(gold, scores >= chosen)
        gains += reached > score(gold, scores >= 0.5)
        for i in range(3):
            for threshold in all_thresholds(scores[:, i]):
                other = np.where(np.arange(3) == i, threshold, chosen)
                assert score(gold, scores >= other) <= reached + 1e-12, seed
    assert gains > 20


def test_labels_that_are_not_chosen_for_keep_a_half_and_count():
    for seed in range(20):
        gold, scores = small_case(seed)
        if not gold[:, 0].any():
            continue
        chosen = decisions.THRESHOLD_METRICS["micro_f1"](gold, scores, [0])
        assert chosen[1] == 0.5
        best = max(
            BY_HAND["micro_f1"](gold, scores >= np.array([threshold, 0.5]))
            for threshold in all_thresholds(scores[:, 0])
        )
        assert BY_HAND["micro_f1"](gold, scores >= chosen) == pytest.approx(best)


def test_a_half_stays_where_it_is_as_good_as_any():
    gold = np.array([[False]] * 20 + [[True]] * 20)
    scores = np.where(gold, 0.9, 0.2)
    assert decisions.THRESHOLD_METRICS["macro_f1"](gold, scores, [0]).tolist() == [0.5]
    assert decisions.THRESHOLD_METRICS["macro_f1"](gold, scores * 0.5, [0])[0] == pytest.approx((0.1 + 0.45) / 2)
    neighbours = np.where(gold, np.nextafter(0.3, 1), 0.3)  # have no number between them
    chosen = decisions.THRESHOLD_METRICS["macro_f1"](gold, neighbours, [0])
    assert ((neighbours >= chosen) == gold).all()


def several(examples=400, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(examples, 3)) - np.array([0.0, 1.5, 1.0])
    return rng.random(logits.shape) < special.expit(logits), logits * 1.5 - 0.5


@pytest.mark.parametrize("metric", decisions.THRESHOLD_METRICS)
def test_the_record_has_the_metric_before_and_after(metric):
    gold, logits = several()
    found = decisions.fit_several_labels(gold, logits, LABELS, metric)
    probabilities = special.expit(logits / found.temperature)
    before, after = (
        metrics.several_labels_metrics(gold, probabilities, np.array(thresholds), LABELS).values[metric]
        for thresholds in ([0.5] * 3, found.thresholds)
    )
    assert (found.thresholds_choice.before, found.thresholds_choice.after) == pytest.approx((before, after))
    assert after <= before if metric in metrics.LOWER_IS_BETTER else after >= before
    record = json.loads(json.dumps(found.record()))
    assert record["thresholds"]["metric"] == metric
    again = decisions.from_record(record, LABELS, "model.json: decisions")
    assert again == found
    assert (again.answers(logits) == (probabilities >= np.array(found.thresholds))).all()


def test_a_record_of_one_label_and_its_answers():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(200, 3))
    found = decisions.fit_one_label(sampled(rng, logits), logits * 2, LABELS)
    again = decisions.from_record(json.loads(json.dumps(found.record())), LABELS, "x")
    assert again == found
    assert (again.answers(logits) == logits.argmax(axis=1)).all()
    np.testing.assert_allclose(again.probabilities(logits).sum(axis=1), 1.0)


def test_rare_labels_keep_a_half_and_are_named():
    gold, logits = several()
    gold[:, 1] = np.arange(400) < 9
    gold[:, 2] = np.arange(400) >= 4
    found = decisions.fit_several_labels(gold, logits, LABELS)
    assert found.thresholds[1:] == (0.5, 0.5)
    assert found.kept == {
        "b": "9 examples with it; a threshold needs 10 or more",
        "c": "4 examples without it; a threshold needs 10 or more",
    }
    assert found.record()["thresholds"]["kept"] == found.kept


def test_too_few_examples_are_refused():
    gold, logits = several(99)
    with pytest.raises(InputError, match=r"split 'validation' has 99 examples with labels; .* need 100 or more"):
        decisions.fit_several_labels(gold, logits, LABELS)
    with pytest.raises(InputError, match="split 'dev' has 99 examples"):
        decisions.fit_one_label(gold[:, 0].astype(int), logits, LABELS, split="dev")


def test_a_metric_without_thresholds_is_refused():
    gold, logits = several()
    with pytest.raises(InputError, match="cannot be chosen for the metric 'macro_roc_auc'; choose one of micro_f1, "):
        decisions.fit_several_labels(gold, logits, LABELS, "macro_roc_auc")


def test_logits_that_do_not_fit():
    gold, logits = several()
    with pytest.raises(ValueError, match="not finite"):
        decisions.fit_several_labels(gold, logits * np.inf, LABELS)
    with pytest.raises(ValueError, match="logits have shape"):
        decisions.fit_several_labels(gold, logits[:, :2], LABELS)


def damaged(path, value):
    gold, logits = several()
    record = json.loads(json.dumps(decisions.fit_several_labels(gold, logits, LABELS).record()))
    *parents, last = path
    place = record
    for key in parents:
        place = place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return record


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (["activation"], "tanh", "activation: is 'tanh'; expected softmax or sigmoid"),
        (["temperature", "value"], 0, "temperature.value: is 0; expected a number from 0.05 to 20.0"),
        (["temperature", "value"], float("nan"), "temperature.value: is nan"),
        (["temperature", "value"], True, "temperature.value: is True"),
        (["temperature"], None, "temperature: is None; expected an object"),
        (["temperature", "metric"], 3, "temperature.metric: is 3; expected a metric's name"),
        (["temperature", "after"], None, "temperature.after: is None; expected a number"),
        (["thresholds"], [0.5], r"thresholds: is \[0.5\]; expected an object"),
        (["thresholds", "values", "b"], None, "thresholds.values: has no label 'b'"),
        (["thresholds", "values", "b"], 1.5, r"thresholds.values\['b'\]: is 1.5; expected a number from 0 to 1"),
        (["thresholds", "values", "x" * 5000], 0.5, "thresholds.values: has the label 'xxx"),
        (["thresholds", "kept"], {"a": 3}, "thresholds.kept: is {'a': 3}; expected reasons by label"),
        (["thresholds", "examples"], "many", "thresholds.examples: is 'many'; expected a number"),
        (["thresholds", "examples"], float("nan"), "thresholds.examples: is nan; expected a number"),
        (["thresholds", "examples"], float("inf"), "thresholds.examples: is inf; expected a number"),
    ],
)
def test_a_record_that_was_changed_is_refused(path, value, problem):
    with pytest.raises(InputError, match=rf"model\.json: decisions\.{problem}") as raised:
        decisions.from_record(damaged(path, value), LABELS, "model.json: decisions")
    assert str(raised.value).endswith("The file was changed: restore it, or train again")
    assert len(str(raised.value)) < 1000


def test_no_record_at_all():
    with pytest.raises(InputError, match=r"model\.json: decisions: is None; expected an object"):
        decisions.from_record(None, LABELS, "model.json: decisions")
