"""Metrics against scikit-learn and SciPy, and against counts made by hand, on generated examples, degenerate ones included."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from bigbird.tasks.classification import metrics, scoring

CASES = range(200)
pytestmark = pytest.mark.filterwarnings("error")


def names(count):
    return [f"label {i}" for i in range(count)]


def one_label_case(seed):
    """Few examples of up to five labels, tied scores in some, so that labels are missing in many."""
    rng = np.random.default_rng(seed)
    examples, labels = int(rng.choice([1, 2, 3, 10, 60])), int(rng.integers(2, 6))
    gold = rng.integers(0, labels if seed % 5 else 1, examples)
    scores = rng.random((examples, labels)) + 0.02 + (rng.random() < 0.7) * np.eye(labels)[gold]
    if seed % 3 == 0:
        scores = np.ceil(scores * 2)
    if seed % 7 == 0:
        scores[:, 0] += 10  # one answer for every example
    return gold, scores / scores.sum(axis=1, keepdims=True)


def several_labels_case(seed):
    rng = np.random.default_rng(seed)
    examples, labels = int(rng.choice([1, 2, 3, 10, 60])), int(rng.integers(1, 6))
    gold = rng.random((examples, labels)) < rng.choice([0.0, 0.1, 0.5, 1.0], labels)
    scores = np.clip(rng.random((examples, labels)) * 0.7 + 0.3 * gold, 0, 1)
    if seed % 3 == 0:
        scores = np.round(scores * 4) / 4
    thresholds = rng.choice([0.0, 0.25, 0.5, 0.75, 1.0], labels)
    return gold, scores, thresholds


def f1_by_hand(gold, predicted):
    """Of bool[N] and bool[N]; NaN where neither holds anything."""
    total = int(gold.sum() + predicted.sum())
    return 2 * int((gold & predicted).sum()) / total if total else math.nan


def matthews_by_hand(gold, predicted):
    cells = [int(((gold == g) & (predicted == p)).sum()) for g, p in ((1, 1), (0, 0), (0, 1), (1, 0))]
    hit, reject, false, miss = cells
    spread = (hit + false) * (hit + miss) * (reject + false) * (reject + miss)
    return (hit * reject - false * miss) / math.sqrt(spread) if spread else math.nan


def roc_by_hand(gold, scores):
    """The share of pairs in the right order, ties half."""
    pairs = [(p > n) + (p == n) / 2 for p in scores[gold] for n in scores[~gold]]
    return sum(pairs) / len(pairs) if pairs else math.nan


def average_precision_by_hand(gold, scores):
    """The mean, over the positives, of the precision among all that score as high."""
    found = [gold[scores >= score].mean() for score in scores[gold]]
    return float(np.mean(found)) if found else math.nan


def check(values, undefined, expected, key=lambda name: name):
    """Each metric has the expected value, or is absent and explained where that is NaN."""
    for name, value in expected.items():
        if math.isnan(value):
            assert name not in values, name
            assert undefined[key(name)], name
        else:
            assert values[name] == pytest.approx(value, abs=1e-12), name
            assert key(name) not in undefined, name


def check_labels(result, gold, predicted, scores):
    """Every label's metrics; gives the means of those that are defined."""
    found = {"f1": [], "matthews_corrcoef": [], "roc_auc": [], "pr_auc": []}
    for i, label in enumerate(names(gold.shape[1])):
        hits = int((gold[:, i] & predicted[:, i]).sum())
        expected = {
            "precision": hits / predicted[:, i].sum() if predicted[:, i].any() else math.nan,
            "recall": hits / gold[:, i].sum() if gold[:, i].any() else math.nan,
            "f1": f1_by_hand(gold[:, i], predicted[:, i]),
            "support": float(gold[:, i].sum()),
            "matthews_corrcoef": matthews_by_hand(gold[:, i], predicted[:, i]),
            "roc_auc": roc_by_hand(gold[:, i], scores[:, i]),
            "pr_auc": average_precision_by_hand(gold[:, i], scores[:, i]),
        }
        assert tuple(expected) == metrics.PER_LABEL
        check(result.per_label[label], result.undefined, expected, lambda name, label=label: f"{name}[{label}]")
        assert set(result.per_label[label]) <= set(expected)
        for name, values in found.items():
            if not math.isnan(expected[name]):
                values.append(expected[name])
    return {name: float(np.mean(values)) if values else math.nan for name, values in found.items()}


def calibration_by_hand(confidence, right, bins=15):
    """Bin by bin, each from its lower edge, not included, to its upper one."""
    total = 0.0
    for i in range(bins):
        inside = [k for k, c in enumerate(confidence) if (i / bins < c or (i == 0 and c == 0)) and c <= (i + 1) / bins]
        if inside:
            total += abs(sum(right[k] for k in inside) - sum(confidence[k] for k in inside))
    return total / len(confidence)


@pytest.mark.parametrize("seed", CASES)
def test_metrics_of_one_label_are_those_of_their_formulas(seed):
    gold, probabilities = one_label_case(seed)
    labels = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    result = metrics.one_label_metrics(gold, probabilities, names(labels))
    indicators = np.eye(labels, dtype=bool)
    means = check_labels(result, indicators[gold], indicators[predicted], probabilities)
    constant = len(set(gold)) == 1 or len(set(predicted)) == 1
    losses = [-math.log(max(probabilities[i, k], 2.3e-16)) for i, k in enumerate(gold)]
    expected = {
        "accuracy": float(np.mean(gold == predicted)),
        "macro_f1": sk.f1_score(gold, predicted, average="macro"),
        "micro_f1": float(np.mean(gold == predicted)),
        "weighted_f1": sk.f1_score(gold, predicted, average="weighted"),
        "matthews_corrcoef": math.nan if constant else sk.matthews_corrcoef(gold, predicted),
        "macro_roc_auc": means["roc_auc"],
        "macro_pr_auc": means["pr_auc"],
        "log_loss": float(np.mean(losses)),
        "calibration_error": calibration_by_hand(probabilities.max(axis=1), gold == predicted),
    }
    assert tuple(expected) == metrics.ONE_LABEL
    assert expected["macro_f1"] == pytest.approx(means["f1"])
    check(result.values, result.undefined, expected)
    assert set(result.values) <= set(expected)


@pytest.mark.parametrize("seed", CASES)
def test_metrics_of_several_labels_are_those_of_their_formulas(seed):
    gold, probabilities, thresholds = several_labels_case(seed)
    predicted = probabilities >= thresholds
    result = metrics.several_labels_metrics(gold, probabilities, thresholds, names(gold.shape[1]))
    means = check_labels(result, gold, predicted, probabilities)
    each = [f1_by_hand(gold[:, i], predicted[:, i]) for i in range(gold.shape[1])]
    support = gold.sum(axis=0)
    weighted = sum(f1 * count for f1, count in zip(each, support, strict=True) if count)
    clipped = np.clip(np.where(gold, probabilities, 1 - probabilities), np.finfo(float).eps, 1)
    expected = {
        "micro_f1": f1_by_hand(gold.ravel(), predicted.ravel()),
        "macro_f1": means["f1"],
        "weighted_f1": weighted / support.sum() if support.any() else math.nan,
        "subset_accuracy": float(np.mean([list(a) == list(b) for a, b in zip(gold, predicted, strict=True)])),
        "hamming_loss": float((gold != predicted).mean()),
        "macro_matthews_corrcoef": means["matthews_corrcoef"],
        "macro_roc_auc": means["roc_auc"],
        "macro_pr_auc": means["pr_auc"],
        "log_loss": float(-np.log(clipped).mean()),
        "calibration_error": calibration_by_hand(probabilities.ravel(), gold.ravel()),
    }
    assert set(expected) == set(metrics.SEVERAL_LABELS)
    check(result.values, result.undefined, expected)
    assert set(result.values) <= set(expected)


@pytest.mark.parametrize("seed", CASES)
def test_metrics_of_numbers_are_those_of_their_formulas(seed):
    rng = np.random.default_rng(seed)
    examples = int(rng.choice([1, 2, 3, 10, 60]))
    gold, predicted = rng.normal(5, 3, (2, examples))
    if seed % 3 == 0:
        gold, predicted = gold.round(), predicted.round()
    if seed % 5 == 0:
        gold[:] = gold[0]
    if seed % 7 == 0:
        predicted[:] = predicted[0]
    result = metrics.number_metrics(gold, predicted)
    flat = [len(set(values)) == 1 for values in (gold, predicted)]
    errors = predicted - gold
    ranks = [stats.rankdata(values) for values in (gold, predicted)]
    expected = {
        "r2": math.nan if flat[0] else 1 - (errors**2).sum() / ((gold - gold.mean()) ** 2).sum(),
        "mean_absolute_error": float(np.abs(errors).mean()),
        "root_mean_squared_error": math.sqrt((errors**2).mean()),
        "pearson": math.nan if any(flat) else float(np.corrcoef(gold, predicted)[0, 1]),
        "spearman": math.nan if any(flat) else float(np.corrcoef(*ranks)[0, 1]),
    }
    assert tuple(expected) == metrics.NUMBERS
    check(result.values, result.undefined, expected)
    assert result.per_label == {}


def test_the_first_metric_of_each_kind_decides_and_more_of_it_is_better():
    assert {kind: names[0] for kind, names in scoring.METRICS.items()} == {
        "single": "accuracy",
        "multi": "micro_f1",
        "number": "r2",
    }
    assert scoring.METRICS["number"] == metrics.NUMBERS
    assert not {names[0] for names in scoring.METRICS.values()} & metrics.LOWER_IS_BETTER


def test_a_hand_worked_table():
    gold = np.array([0, 0, 0, 1, 1, 2])
    probabilities = np.array(
        [[0.8, 0.2, 0.0], [0.6, 0.4, 0.0], [0.3, 0.7, 0.0], [0.1, 0.9, 0.0], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6]]
    )
    result = metrics.one_label_metrics(gold, probabilities, ["a", "b", "c"])
    assert result.values["accuracy"] == pytest.approx(4 / 6)
    assert result.per_label["a"]["precision"] == pytest.approx(2 / 3)
    assert result.per_label["b"]["recall"] == pytest.approx(1 / 2)
    assert result.per_label["c"] == pytest.approx(
        {"precision": 1, "recall": 1, "f1": 1, "support": 1, "matthews_corrcoef": 1, "roc_auc": 1, "pr_auc": 1}
    )
    assert result.values["macro_f1"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert result.undefined == {}


def test_calibration_error_by_the_papers_formula():
    # Two bins: 0.5 to 1 holds four of confidence 0.8, three right; 0 to 0.5 holds one of 0.5, wrong.
    confidence, right = np.array([0.8, 0.8, 0.8, 0.8, 0.5]), np.array([True, True, True, False, False])
    assert metrics.expected_calibration_error(confidence, right, bins=2) == pytest.approx(0.8 * 0.05 + 0.2 * 0.5)
    bins = metrics.calibration_bins(confidence, right, bins=2)
    assert bins.counts.tolist() == [1, 4]
    assert bins.accuracy.tolist() == [0.0, 0.75]
    assert bins.confidence.tolist() == pytest.approx([0.5, 0.8])


def test_an_absent_metric_says_why():
    gold, probabilities = np.array([0, 0]), np.array([[0.9, 0.1], [0.8, 0.2]])
    result = metrics.one_label_metrics(gold, probabilities, ["yes", "no"])
    assert result.undefined["matthews_corrcoef"] == "the gold label is the same for every example"
    assert result.undefined["roc_auc[yes]"] == "every example has this label"
    assert result.undefined["roc_auc[no]"] == "no example has this label"
    assert result.undefined["precision[no]"] == "the label is never predicted"
    result = metrics.number_metrics(np.array([2.0, 2.0]), np.array([1.0, 3.0]))
    assert result.undefined["r2"] == "the gold numbers are all the same"


def test_numbers_that_differ_by_rounding_or_overflow_give_no_nan():
    gold = np.array([1.0, 1.0 + 2e-16, 1.0, 1.0 + 4e-16])
    result = metrics.number_metrics(gold, np.array([1.0, 2.0, 3.0, 4.0]))
    assert result.undefined["pearson"] == "the gold or the predicted numbers differ by rounding only"
    huge = metrics.number_metrics(np.array([1e300, -1e300]), np.array([2.0, 3.0]))
    assert huge.values["mean_absolute_error"] == pytest.approx(1e300)
    assert huge.undefined["root_mean_squared_error"] == "the numbers are too large"
    assert all(map(math.isfinite, huge.values.values()))


HALF = np.full((2, 2), 0.5)


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: metrics.one_label_metrics(np.array([0, 2]), HALF, ["a", "b"]), "outside 0 to 1"),
        (lambda: metrics.one_label_metrics(np.array([0, 1]), HALF * 1.5, ["a", "b"]), "do not sum to 1"),
        (lambda: metrics.one_label_metrics(np.array([0, 1]), HALF * np.nan, ["a", "b"]), "a probability is outside"),
        (lambda: metrics.one_label_metrics(np.array([0, 1]), HALF, ["a", "a"]), "two labels have one name"),
        (lambda: metrics.one_label_metrics(np.array([], int), HALF[:0], ["a", "b"]), "no example"),
        (lambda: metrics.one_label_metrics(np.array([0.0, 1.0]), HALF, ["a", "b"]), "gold is not int"),
        (lambda: metrics.several_labels_metrics(HALF, HALF, HALF[0], ["a", "b"]), "gold is not bool"),
        (lambda: metrics.several_labels_metrics(HALF > 0, HALF, HALF[0, :1], ["a", "b"]), "thresholds have shape"),
        (lambda: metrics.number_metrics(np.array([1.0]), np.array([1.0, 2.0])), "gold numbers, but"),
        (lambda: metrics.number_metrics(np.array([math.inf]), np.array([1.0])), "a number is not finite"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(call, problem):
    with pytest.raises(ValueError, match=problem):
        call()


def test_probabilities_of_float32_are_taken_as_they_are():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(50, 40)).astype(np.float32)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    gold = rng.integers(0, 40, 50)
    result = metrics.one_label_metrics(gold, probabilities, names(40))
    assert result.values["log_loss"] == pytest.approx(-np.log(probabilities[range(50), gold]).mean(), abs=1e-5)
