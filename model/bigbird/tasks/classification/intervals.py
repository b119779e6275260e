"""How far a metric would move with other examples: 95 % intervals by the bootstrap.

The percentile bootstrap (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13): the N examples are drawn
N times with replacement, again and again, the metric is computed on each draw, and the interval goes from the 2.5th to
the 97.5th percentile of what came out. Examples are drawn one by one, so it is too narrow where they belong together
(paragraphs of one document), and where there are few of them. It tells nothing about training a second time.

A draw is kept as how often each example is in it. Every metric is written for such counts, many draws at a time.

Shapes: N examples, C labels, R draws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bigbird.tasks.classification.metrics import (
    CALIBRATION_BINS,
    calibration_bin,
    checked_numbers,
    checked_one_label,
    checked_several_labels,
    of_sum_one,
    quiet,
)

RESAMPLES = 1000
CONFIDENCE = 0.95
LEAST_DEFINED = 0.9  # share of the draws on which the metric must be defined

_CELLS_AT_ONCE = 4_000_000  # examples times draws in memory: 32 MB an array

Statistic = Callable[[np.ndarray], np.ndarray]
"""A metric of many draws: float64[R] from counts float64[R, N], NaN where it is not defined."""


@dataclass(frozen=True)
class Interval:
    """An interval of one metric.

    Attributes:
        metric: its name.
        value: on the examples themselves; None where it is not defined.
        low: lower end, None where there is no interval.
        high: upper end.
        confidence: the share of intervals like this one that hold the true value, about.
        resamples: how many draws.
        undefined: of how many the metric is not defined; they are left out. More than a tenth, and there is no interval.
        seed: of the draws.
        method: in words.
    """

    metric: str
    value: float | None
    low: float | None
    high: float | None
    confidence: float
    resamples: int
    undefined: int
    seed: int
    method: str = "percentile bootstrap over examples"

    def record(self) -> dict[str, Any]:
        """As it is written to JSON."""
        return asdict(self)


def one_label_interval(
    metric: str, gold: np.ndarray, probabilities: np.ndarray, *, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """The interval of a metric of texts with one label each.

    Args:
        metric: one of `metrics.ONE_LABEL`.
        gold: int64[N] label indices.
        probabilities: float64[N, C]; each row sums to 1.
        resamples: how many draws.
        seed: of the draws; the same seed gives the same interval.

    Raises:
        KeyError: there is no such metric.
        ValueError: as `metrics.one_label_metrics`.
    """
    gold, probabilities = checked_one_label(gold, probabilities, np.shape(probabilities)[-1])
    return _interval(metric, _ONE_LABEL[metric](gold, probabilities), len(gold), resamples, seed)


def several_labels_interval(
    metric: str,
    gold: np.ndarray,
    probabilities: np.ndarray,
    thresholds: np.ndarray,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """The interval of a metric of texts with any number of labels each.

    Args:
        metric: one of `metrics.SEVERAL_LABELS`.
        gold: bool[N, C].
        probabilities: float64[N, C], each from 0 to 1.
        thresholds: float64[C].
        resamples: how many draws.
        seed: of the draws; the same seed gives the same interval.

    Raises:
        KeyError: there is no such metric.
        ValueError: as `metrics.several_labels_metrics`.
    """
    gold, probabilities, thresholds = checked_several_labels(gold, probabilities, thresholds, np.shape(gold)[-1])
    statistic = _SEVERAL_LABELS[metric](gold, probabilities, probabilities >= thresholds)
    return _interval(metric, statistic, len(gold), resamples, seed)


def number_interval(
    metric: str, gold: np.ndarray, predicted: np.ndarray, *, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """The interval of a metric of texts with a number each.

    Args:
        metric: one of `metrics.NUMBERS`.
        gold: float64[N].
        predicted: float64[N].
        resamples: how many draws.
        seed: of the draws; the same seed gives the same interval.

    Raises:
        KeyError: there is no such metric.
        ValueError: as `metrics.number_metrics`.
    """
    gold, predicted = checked_numbers(gold, predicted)
    return _interval(metric, _NUMBERS[metric](gold, predicted), len(gold), resamples, seed)


def _interval(metric: str, statistic: Statistic, examples: int, resamples: int, seed: int) -> Interval:
    with quiet():
        value = float(statistic(np.ones((1, examples)))[0])
        drawn = np.concatenate([statistic(counts) for counts in _draws(examples, resamples, seed)])
    defined = drawn[np.isfinite(drawn)]
    undefined = resamples - len(defined)
    low, high = None, None
    if np.isfinite(value) and len(defined) >= LEAST_DEFINED * resamples:
        tail = (1 - CONFIDENCE) / 2
        low, high = (float(end) for end in np.quantile(defined, [tail, 1 - tail]))
    return Interval(metric, value if np.isfinite(value) else None, low, high, CONFIDENCE, resamples, undefined, seed)


def _draws(examples: int, resamples: int, seed: int) -> Any:
    """Yields counts float64[some draws, N], each row summing to N."""
    generator = np.random.default_rng(seed)
    at_once = max(1, _CELLS_AT_ONCE // examples)
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        drawn = generator.integers(0, examples, (rows, examples)) + examples * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * examples).reshape(rows, examples)
        yield counts.astype(np.float64)


# ------------------------------------------------------------------------------------- metrics of counted examples


def _mean(values: np.ndarray) -> Statistic:
    """The mean of float64[N]."""
    values = np.asarray(values, np.float64)
    return lambda counts: counts @ values / counts.sum(axis=1)


def _totals(gold: np.ndarray, predicted: np.ndarray) -> Callable[[np.ndarray], tuple[np.ndarray, ...]]:
    """Counts of each label, of bool[N, C] and bool[N, C]: right answers, examples that have it, answers; each [R, C]."""
    columns = np.hstack([gold & predicted, gold, predicted]).astype(np.float64)
    return lambda counts: tuple(np.split(counts @ columns, 3, axis=1))


def _f1(gold: np.ndarray, predicted: np.ndarray, average: str) -> Statistic:
    """F1 over labels of bool[N, C] and bool[N, C]; `average` as in scikit-learn."""
    totals = _totals(gold, predicted)

    def statistic(counts: np.ndarray) -> np.ndarray:
        hits, support, answers = totals(counts)
        if average == "micro":
            return 2 * hits.sum(axis=1) / (support + answers).sum(axis=1)
        each = 2 * hits / (support + answers)
        if average == "macro":
            return np.nanmean(each, axis=1)
        return np.nansum(each * support, axis=1) / support.sum(axis=1)

    return statistic


def _matthews_of_classes(gold: np.ndarray, predicted: np.ndarray) -> Statistic:
    """Matthews' correlation for any number of classes (Gorodkin's R_K) of indicators bool[N, C] and bool[N, C]."""
    totals = _totals(gold, predicted)

    def statistic(counts: np.ndarray) -> np.ndarray:
        hits, support, answers = totals(counts)
        n = support.sum(axis=1)
        covariance = hits.sum(axis=1) * n - (support * answers).sum(axis=1)
        spread = (n**2 - (support**2).sum(axis=1)) * (n**2 - (answers**2).sum(axis=1))
        return covariance / np.sqrt(spread)

    return statistic


def _matthews_of_labels(gold: np.ndarray, predicted: np.ndarray) -> Statistic:
    """The mean of each label's Matthews correlation, of bool[N, C] and bool[N, C]."""
    totals = _totals(gold, predicted)

    def statistic(counts: np.ndarray) -> np.ndarray:
        hits, support, answers = totals(counts)
        n = counts.sum(axis=1, keepdims=True)
        spread = support * (n - support) * answers * (n - answers)
        return np.nanmean((hits * n - support * answers) / np.sqrt(spread), axis=1)

    return statistic


def _ranking(area: Callable[..., np.ndarray]) -> Callable[[np.ndarray, np.ndarray], Statistic]:
    """The mean over labels of `_roc_auc` or `_average_precision`, of bool[N, C] and float64[N, C]."""

    def build(gold: np.ndarray, scores: np.ndarray) -> Statistic:
        def statistic(counts: np.ndarray) -> np.ndarray:
            # An example's counts side by side, so that examples are sorted by copying rows. float32 holds integers exactly
            # up to 16 million.
            rows = np.ascontiguousarray(counts.T, np.float32)
            return np.nanmean([area(gold[:, i], scores[:, i], rows) for i in range(gold.shape[1])], axis=0)

        return statistic

    return build


def _roc_auc(applies: np.ndarray, scores: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Area under the ROC curve: the share of pairs that are in the right order, pairs of equal scores half.

    Args:
        applies: bool[N], whether an example has the label.
        scores: float64[N].
        rows: float32[N, R] counts.

    Returns:
        float64[R].
    """
    positive, negatives = scores[applies], _below(scores, ~applies, rows)
    below = (negatives(positive, "left") + negatives(positive, "right")) / 2
    pairs = rows[applies].sum(axis=0, dtype=np.float64) * rows[~applies].sum(axis=0, dtype=np.float64)
    return (rows[applies] * below).sum(axis=0) / pairs


def _average_precision(applies: np.ndarray, scores: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Average precision: at the score of every example with the label, the precision of all that score as high.

    Arguments and result as of `_roc_auc`.
    """
    positive, found = scores[applies], rows[applies]
    hits, false = (_below(-scores, chosen, rows)(-positive, "right") for chosen in (applies, ~applies))
    return (found * (hits / np.maximum(hits + false, 1))).sum(axis=0) / found.sum(axis=0, dtype=np.float64)


def _below(scores: np.ndarray, chosen: np.ndarray, rows: np.ndarray) -> Callable[[np.ndarray, Any], np.ndarray]:
    """Counts float64[M, R] of chosen examples that score below each of M limits ("left"), or not above it ("right").

    Args:
        scores: float64[N].
        chosen: bool[N].
        rows: float32[N, R] counts.
    """
    order = np.flatnonzero(chosen)
    order = order[np.argsort(scores[order], kind="stable")]
    so_far = np.zeros((len(order) + 1, rows.shape[1]), np.float32)
    np.cumsum(rows[order], axis=0, out=so_far[1:])
    return lambda limits, side: so_far[np.searchsorted(scores[order], limits, side)].astype(np.float64)


def _calibration_error(confidence: np.ndarray, right: np.ndarray) -> Statistic:
    """`metrics.expected_calibration_error` of float64[N, ...] and bool[N, ...], where an example may count several times."""
    examples = len(confidence)
    which = calibration_bin(confidence.ravel()) + CALIBRATION_BINS * np.repeat(
        np.arange(examples), confidence[0].size if confidence.ndim > 1 else 1
    )
    gaps = np.bincount(which, weights=right.ravel() - confidence.ravel(), minlength=examples * CALIBRATION_BINS)
    gaps = gaps.reshape(examples, CALIBRATION_BINS)  # an example's share of the gap between accuracy and confidence
    decisions = confidence.size / examples
    return lambda counts: np.abs(counts @ gaps).sum(axis=1) / (decisions * counts.sum(axis=1))


def _log_losses(probabilities: np.ndarray) -> np.ndarray:
    """-log of the gold label's probability, which is kept as far from 0 as scikit-learn keeps it."""
    return -np.log(np.maximum(probabilities, np.finfo(np.float64).eps))


def _root_mean_square(gold: np.ndarray, predicted: np.ndarray) -> Statistic:
    mean = _mean((gold - predicted) ** 2)
    return lambda counts: np.sqrt(mean(counts))


def _r2(gold: np.ndarray, predicted: np.ndarray) -> Statistic:
    centred = gold - gold.mean()  # a shift changes nothing but the rounding
    columns = np.column_stack([centred, centred**2, (gold - predicted) ** 2])

    def statistic(counts: np.ndarray) -> np.ndarray:
        mean, square, error = (counts @ columns / counts.sum(axis=1, keepdims=True)).T
        return _unless_constant(1 - error / (square - mean**2), counts, gold)

    return statistic


def _pearson(gold: np.ndarray, predicted: np.ndarray) -> Statistic:
    def statistic(counts: np.ndarray) -> np.ndarray:
        return _unless_constant(_correlation(counts, gold[None], predicted[None]), counts, gold, predicted)

    return statistic


def _spearman(gold: np.ndarray, predicted: np.ndarray) -> Statistic:
    ranks = [_counted_ranks(gold), _counted_ranks(predicted)]

    def statistic(counts: np.ndarray) -> np.ndarray:
        return _unless_constant(_correlation(counts, *(rank(counts) for rank in ranks)), counts, gold, predicted)

    return statistic


def _correlation(counts: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson's correlation [R] of [R, N] or [1, N] numbers."""
    n = counts.sum(axis=1, keepdims=True)
    x = x - (counts * x).sum(axis=1, keepdims=True) / n
    y = y - (counts * y).sum(axis=1, keepdims=True) / n
    products = [(counts * a * b).sum(axis=1) for a, b in ((x, y), (x, x), (y, y))]
    return np.clip(products[0] / (np.sqrt(products[1]) * np.sqrt(products[2])), -1.0, 1.0)


def _counted_ranks(values: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Ranks [R, N] of float64[N], each as often as it is counted, equal ones sharing the mean of their ranks."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=-np.inf))
    group = np.empty(len(values), np.int64)
    group[order] = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(values)))

    def ranks(counts: np.ndarray) -> np.ndarray:
        sizes = np.add.reduceat(counts[:, order], starts, axis=1)
        return (np.cumsum(sizes, axis=1) - (sizes - 1) / 2)[:, group]

    return ranks


def _unless_constant(values: np.ndarray, counts: np.ndarray, *sides: np.ndarray) -> np.ndarray:
    """Values [R], NaN for draws in which all numbers of a side are equal: rounding hides that from the formulas."""
    for side in sides:
        drawn = counts > 0
        highest = np.where(drawn, side, -np.inf).max(axis=1)
        lowest = np.where(drawn, side, np.inf).min(axis=1)
        values = np.where(highest > lowest, values, np.nan)
    return values


def _one_label(function: Callable[[np.ndarray, np.ndarray, np.ndarray], Statistic]) -> Callable[..., Statistic]:
    """Gives `function` gold and predicted labels as bool[N, C], and the probabilities."""

    def build(gold: np.ndarray, probabilities: np.ndarray) -> Statistic:
        indices = np.arange(probabilities.shape[1])
        predicted = probabilities.argmax(axis=1)
        return function(gold[:, None] == indices, predicted[:, None] == indices, probabilities)

    return build


_ONE_LABEL: dict[str, Callable[[np.ndarray, np.ndarray], Statistic]] = {
    "accuracy": _one_label(lambda gold, predicted, _: _mean((gold & predicted).any(axis=1))),
    "macro_f1": _one_label(lambda gold, predicted, _: _f1(gold, predicted, "macro")),
    "micro_f1": _one_label(lambda gold, predicted, _: _f1(gold, predicted, "micro")),
    "weighted_f1": _one_label(lambda gold, predicted, _: _f1(gold, predicted, "weighted")),
    "matthews_corrcoef": _one_label(lambda gold, predicted, _: _matthews_of_classes(gold, predicted)),
    "macro_roc_auc": _one_label(lambda gold, _, scores: _ranking(_roc_auc)(gold, scores)),
    "macro_pr_auc": _one_label(lambda gold, _, scores: _ranking(_average_precision)(gold, scores)),
    "log_loss": _one_label(lambda gold, _, scores: _mean(_log_losses(of_sum_one(scores)[gold]))),
    "calibration_error": _one_label(
        lambda gold, predicted, scores: _calibration_error(scores.max(axis=1), (gold & predicted).any(axis=1))
    ),
}
_SEVERAL_LABELS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], Statistic]] = {
    "micro_f1": lambda gold, _, predicted: _f1(gold, predicted, "micro"),
    "macro_f1": lambda gold, _, predicted: _f1(gold, predicted, "macro"),
    "weighted_f1": lambda gold, _, predicted: _f1(gold, predicted, "weighted"),
    "subset_accuracy": lambda gold, _, predicted: _mean((gold == predicted).all(axis=1)),
    "hamming_loss": lambda gold, _, predicted: _mean((gold != predicted).mean(axis=1)),
    "macro_matthews_corrcoef": lambda gold, _, predicted: _matthews_of_labels(gold, predicted),
    "macro_roc_auc": lambda gold, scores, _: _ranking(_roc_auc)(gold, scores),
    "macro_pr_auc": lambda gold, scores, _: _ranking(_average_precision)(gold, scores),
    "log_loss": lambda gold, scores, _: _mean(_log_losses(np.where(gold, scores, 1 - scores)).mean(axis=1)),
    "calibration_error": lambda gold, scores, _: _calibration_error(scores, gold),
}
_NUMBERS: dict[str, Callable[[np.ndarray, np.ndarray], Statistic]] = {
    "r2": _r2,
    "mean_absolute_error": lambda gold, predicted: _mean(np.abs(gold - predicted)),
    "root_mean_squared_error": _root_mean_square,
    "pearson": _pearson,
    "spearman": _spearman,
}
