"""Metrics for texts with one label, with several labels, and with a number.

The values are scikit-learn's and SciPy's. A metric that is not defined for the examples at hand is left out of the result and
named in `Metrics.undefined` with the reason: nothing is NaN, nothing is replaced by 0, and no warning is printed.

A mean over labels (`macro_...`) is the mean over the labels for which the metric is defined.

Shapes: N examples, C labels.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

# The metrics of all examples together, by kind of answer. The first of each decides where nothing else is asked for.
ONE_LABEL = (
    "accuracy",
    "macro_f1",
    "micro_f1",
    "weighted_f1",
    "matthews_corrcoef",
    "macro_roc_auc",
    "macro_pr_auc",
    "log_loss",
    "calibration_error",
)
SEVERAL_LABELS = (
    "micro_f1",
    "macro_f1",
    "weighted_f1",
    "subset_accuracy",
    "hamming_loss",
    "macro_matthews_corrcoef",
    "macro_roc_auc",
    "macro_pr_auc",
    "log_loss",
    "calibration_error",
)
NUMBERS = ("mean_absolute_error", "root_mean_squared_error", "r2", "pearson", "spearman")
LOWER_IS_BETTER = frozenset(
    {"hamming_loss", "log_loss", "calibration_error", "mean_absolute_error", "root_mean_squared_error"}
)

# The metrics of each label. `support` is the number of examples that have the label.
PER_LABEL = ("precision", "recall", "f1", "support", "matthews_corrcoef", "roc_auc", "pr_auc")

CALIBRATION_BINS = 15

# How far probabilities over the labels may be from a sum of 1: float32 arithmetic over many labels.
_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Metrics:
    """What was measured.

    Attributes:
        values: by name, as in `ONE_LABEL`, `SEVERAL_LABELS` or `NUMBERS`; all finite.
        per_label: label -> name, as in `PER_LABEL` -> value; empty for numbers.
        undefined: why a metric is absent, by its name; `name[label]` for one of a label.
    """

    values: dict[str, float]
    per_label: dict[str, dict[str, float]]
    undefined: dict[str, str]


class Undefined(Exception):
    """A metric is not defined for these examples; the message is the reason."""


def one_label_metrics(gold: np.ndarray, probabilities: np.ndarray, labels: Sequence[str]) -> Metrics:
    """Metrics of texts with one label each; the label of the highest probability is the prediction.

    Args:
        gold: int64[N] label indices.
        probabilities: float64[N, C]; each row sums to 1.
        labels: the C names, all different.

    Returns:
        Values named in `ONE_LABEL`. `log_loss` is in nats and the mean over the examples. `calibration_error` is
        `expected_calibration_error` of the predicted label's probability.

    Raises:
        ValueError: shapes do not fit, there is no example, or a value is outside its range.
    """
    from sklearn import metrics as sk

    _require_distinct(labels)
    gold, probabilities = checked_one_label(gold, probabilities, len(labels))
    predicted = probabilities.argmax(axis=1)
    indices = np.arange(len(labels))
    with quiet():
        table = _per_label(
            labels,
            sk.precision_recall_fscore_support(gold, predicted, labels=indices, average=None, zero_division=np.nan),
            gold[:, None] == indices,
            predicted[:, None] == indices,
            probabilities,
        )
        functions: dict[str, Callable[[], Any]] = {
            "accuracy": lambda: sk.accuracy_score(gold, predicted),
            "macro_f1": lambda: sk.f1_score(gold, predicted, average="macro"),
            "micro_f1": lambda: sk.f1_score(gold, predicted, average="micro"),
            "weighted_f1": lambda: sk.f1_score(gold, predicted, average="weighted"),
            "matthews_corrcoef": lambda: _matthews_corrcoef(gold, predicted),
            "macro_roc_auc": lambda: table.mean("roc_auc"),
            "macro_pr_auc": lambda: table.mean("pr_auc"),
            "log_loss": lambda: sk.log_loss(gold, of_sum_one(probabilities), labels=indices),
            "calibration_error": lambda: expected_calibration_error(probabilities.max(axis=1), predicted == gold),
        }
        values, undefined = _computed(functions)
    return Metrics(values, table.values, undefined | table.undefined)


def several_labels_metrics(
    gold: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray, labels: Sequence[str]
) -> Metrics:
    """Metrics of texts with any number of labels each; a label is predicted where its probability reaches its threshold.

    Args:
        gold: bool[N, C].
        probabilities: float64[N, C], each from 0 to 1.
        thresholds: float64[C].
        labels: the C names, all different.

    Returns:
        Values named in `SEVERAL_LABELS`. `subset_accuracy` is the share of examples whose labels are all right,
        `hamming_loss` the share of the N x C decisions that are wrong. `log_loss` (nats) and `calibration_error` are over
        the N x C decisions together; the latter compares the probability of a label with how often it applies.

    Raises:
        ValueError: shapes do not fit, there is no example, or a value is outside its range.
    """
    from sklearn import metrics as sk

    _require_distinct(labels)
    gold, probabilities, thresholds = checked_several_labels(gold, probabilities, thresholds, len(labels))
    predicted = probabilities >= thresholds
    with quiet():
        table = _per_label(
            labels,
            sk.precision_recall_fscore_support(*_as_columns(gold, predicted), average=None, zero_division=np.nan),
            gold,
            predicted,
            probabilities,
        )
        functions: dict[str, Callable[[], Any]] = {
            "macro_matthews_corrcoef": lambda: table.mean("matthews_corrcoef"),
            "macro_roc_auc": lambda: table.mean("roc_auc"),
            "macro_pr_auc": lambda: table.mean("pr_auc"),
            "log_loss": lambda: sk.log_loss(gold.ravel(), probabilities.ravel(), labels=[False, True]),
            "calibration_error": lambda: expected_calibration_error(probabilities.ravel(), gold.ravel()),
        }
        values, undefined = _computed(functions)
    decided, undecided = label_set_metrics(gold, predicted)
    return Metrics(decided | values, table.values, undecided | undefined | table.undefined)


def label_set_metrics(gold: np.ndarray, predicted: np.ndarray) -> tuple[dict[str, float], dict[str, str]]:
    """Those of `SEVERAL_LABELS` that need no probabilities: F1, subset accuracy, Hamming loss.

    Args:
        gold: bool[N, C].
        predicted: bool[N, C].

    Returns:
        Values by name, and the reasons why others are absent.
    """
    from sklearn import metrics as sk

    columns = _as_columns(gold, predicted)
    found, answered = bool(gold.any()), bool(predicted.any())

    def f1(average: str, defined: bool, reason: str) -> Any:
        if not defined:
            raise Undefined(reason)
        return sk.f1_score(*columns, average=average, zero_division=np.nan)

    none = "no example has any of the labels"
    functions: dict[str, Callable[[], Any]] = {
        "micro_f1": lambda: f1("micro", found or answered, f"{none}, and none is predicted"),
        "macro_f1": lambda: f1("macro", found or answered, f"{none}, and none is predicted"),
        "weighted_f1": lambda: f1("weighted", found, none),
        "subset_accuracy": lambda: sk.accuracy_score(gold, predicted),
        "hamming_loss": lambda: sk.hamming_loss(gold, predicted),
    }
    with quiet():
        return _computed(functions)


def _as_columns(gold: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as scikit-learn needs them: one column alone it takes for two classes, not for one label that applies or not.

    Twice the same column has the same means over labels.
    """
    if gold.shape[1] > 1:
        return gold, predicted
    return np.hstack([gold, gold]), np.hstack([predicted, predicted])


def number_metrics(gold: np.ndarray, predicted: np.ndarray) -> Metrics:
    """Metrics of texts with a number each.

    Args:
        gold: float64[N].
        predicted: float64[N].

    Returns:
        Values named in `NUMBERS`. The errors are in the unit of the numbers. `r2` is the coefficient of determination,
        1 minus the squared errors over those of the gold numbers' mean; it is negative where that mean is better.

    Raises:
        ValueError: shapes do not fit, there is no example, or a number is not finite.
    """
    from scipy import stats
    from sklearn import metrics as sk

    gold, predicted = checked_numbers(gold, predicted)

    def correlation(function: Callable[[np.ndarray, np.ndarray], Any]) -> Any:
        _refuse_constant(gold, predicted)
        warnings.simplefilter("error", stats.NearConstantInputWarning)
        try:
            return function(gold, predicted).statistic
        except stats.NearConstantInputWarning:
            raise Undefined("the gold or the predicted numbers differ by rounding only") from None

    def r2() -> Any:
        _refuse_constant(gold)
        return sk.r2_score(gold, predicted)

    with quiet():
        functions: dict[str, Callable[[], Any]] = {
            "mean_absolute_error": lambda: sk.mean_absolute_error(gold, predicted),
            "root_mean_squared_error": lambda: sk.root_mean_squared_error(gold, predicted),
            "r2": r2,
            "pearson": lambda: correlation(stats.pearsonr),
            "spearman": lambda: correlation(stats.spearmanr),
        }
        values, undefined = _computed(functions)
    return Metrics(values, {}, undefined)


# --------------------------------------------------------------------------------------------------- calibration


@dataclass(frozen=True)
class CalibrationBins:
    """Examples grouped by confidence.

    Attributes:
        edges: float64[bins + 1], equal steps from 0 to 1; a bin holds its upper edge, the first one 0 too.
        counts: int64[bins].
        confidence: float64[bins], mean confidence of each; 0 where a bin is empty.
        accuracy: float64[bins], share that is right; 0 where a bin is empty.
    """

    edges: np.ndarray
    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray


def calibration_bins(confidence: np.ndarray, right: np.ndarray, bins: int = CALIBRATION_BINS) -> CalibrationBins:
    """Groups examples into bins of equal width.

    Args:
        confidence: float64[N] from 0 to 1.
        right: bool[N].
        bins: how many.
    """
    edges = np.linspace(0.0, 1.0, bins + 1)
    which = calibration_bin(confidence, bins)
    counts = np.bincount(which, minlength=bins)
    filled = np.maximum(counts, 1)
    return CalibrationBins(
        edges,
        counts,
        np.bincount(which, weights=confidence, minlength=bins) / filled,
        np.bincount(which, weights=right, minlength=bins) / filled,
    )


def calibration_bin(confidence: np.ndarray, bins: int = CALIBRATION_BINS) -> np.ndarray:
    """The bin of each confidence: int64[N] from float64[N]."""
    return np.digitize(confidence, np.linspace(0.0, 1.0, bins + 1)[1:-1], right=True)


def expected_calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = CALIBRATION_BINS) -> float:
    """Mean distance between confidence and accuracy over the bins, each weighted by its share of the examples.

    Equation 3 of Guo et al., "On Calibration of Modern Neural Networks" (2017), with its 15 bins of equal width. With
    the probability of one label as confidence and whether it applies as `right` it is the error of Naeini et al.,
    "Obtaining Well Calibrated Probabilities Using Bayesian Binning" (2015).

    Args:
        confidence: float64[N] from 0 to 1.
        right: bool[N].
        bins: how many.
    """
    found = calibration_bins(confidence, right, bins)
    return float(found.counts @ np.abs(found.accuracy - found.confidence) / found.counts.sum())


# ------------------------------------------------------------------------------------------------------- checks


def checked_one_label(gold: np.ndarray, probabilities: np.ndarray, labels: int) -> tuple[np.ndarray, np.ndarray]:
    """Gold int64[N] and probabilities float64[N, C].

    Raises:
        ValueError: as in `one_label_metrics`.
    """
    gold, probabilities = np.asarray(gold), np.asarray(probabilities, np.float64)
    _require(labels >= 2, f"{labels} labels; expected 2 or more")
    _require(gold.ndim == 1 and np.issubdtype(gold.dtype, np.integer), "gold is not int[N]")
    _require_probabilities(probabilities, (len(gold), labels))
    _require(bool(((gold >= 0) & (gold < labels)).all()), f"a gold label is outside 0 to {labels - 1}")
    sums = probabilities.sum(axis=1, keepdims=True)
    _require(bool((np.abs(sums - 1) <= _SUM_TOLERANCE).all()), "the probabilities of an example do not sum to 1")
    return gold.astype(np.int64), probabilities


def of_sum_one(probabilities: np.ndarray) -> np.ndarray:
    """Rows float64[N, C] that sum to 1 as exactly as float64 can, as log loss needs them; elsewhere it would undo ties."""
    return probabilities / probabilities.sum(axis=1, keepdims=True)


def checked_several_labels(
    gold: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray, labels: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gold bool[N, C], probabilities float64[N, C], thresholds float64[C].

    Raises:
        ValueError: as in `several_labels_metrics`.
    """
    gold, probabilities = np.asarray(gold), np.asarray(probabilities, np.float64)
    thresholds = np.asarray(thresholds, np.float64)
    _require(labels >= 1, "no label; expected 1 or more")
    _require(gold.ndim == 2 and gold.dtype == bool, "gold is not bool[N, C]")
    _require(gold.shape[1] == labels, f"gold has {gold.shape[-1]} columns for {labels} labels")
    _require_probabilities(probabilities, gold.shape)
    _require(thresholds.shape == (labels,), f"thresholds have shape {thresholds.shape}; expected ({labels},)")
    _require(bool(np.isfinite(thresholds).all()), "a threshold is not finite")
    return gold, probabilities, thresholds


def checked_numbers(gold: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gold float64[N] and predicted float64[N].

    Raises:
        ValueError: as in `number_metrics`.
    """
    gold, predicted = np.asarray(gold, np.float64), np.asarray(predicted, np.float64)
    _require(gold.ndim == 1, f"gold has shape {gold.shape}; expected [N]")
    _require(gold.shape == predicted.shape, f"{gold.shape} gold numbers, but {predicted.shape} predicted ones")
    _require(len(gold) > 0, "no example")
    _require(bool(np.isfinite(gold).all() and np.isfinite(predicted).all()), "a number is not finite")
    return gold, predicted


def _require_probabilities(probabilities: np.ndarray, shape: tuple[int, ...]) -> None:
    _require(probabilities.shape == shape, f"probabilities have shape {probabilities.shape}; expected {shape}")
    _require(shape[0] > 0, "no example")
    within = np.isfinite(probabilities) & (probabilities >= 0) & (probabilities <= 1 + _SUM_TOLERANCE)
    _require(bool(within.all()), "a probability is outside 0 to 1")


def _require_distinct(labels: Sequence[str]) -> None:
    _require(len(set(labels)) == len(labels), "two labels have one name")


def _require(holds: bool, problem: str) -> None:
    if not holds:
        raise ValueError(problem)


# ------------------------------------------------------------------------------------------------------ helpers


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings of NumPy, SciPy and scikit-learn: what they would say is in `Metrics.undefined`."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


@dataclass(frozen=True)
class _Table:
    """Metrics of each label, and why some are absent."""

    values: dict[str, dict[str, float]]
    undefined: dict[str, str]

    def mean(self, name: str) -> float:
        """Mean of a metric over the labels for which it is defined."""
        found = [values[name] for values in self.values.values() if name in values]
        if not found:
            raise Undefined("it is defined for none of the labels")
        return float(np.mean(found))


def _per_label(
    labels: Sequence[str],
    counted: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    gold: np.ndarray,
    predicted: np.ndarray,
    scores: np.ndarray,
) -> _Table:
    """The metrics named in `PER_LABEL`.

    Args:
        labels: the C names.
        counted: precision, recall, F1 and support, each [C] or longer, NaN where not defined.
        gold: bool[N, C].
        predicted: bool[N, C].
        scores: float64[N, C].
    """
    values: dict[str, dict[str, float]] = {}
    undefined: dict[str, str] = {}
    for i, label in enumerate(labels):
        functions = _label_functions([column[i] for column in counted], gold[:, i], predicted[:, i], scores[:, i])
        values[label], reasons = _computed(functions)
        undefined |= {f"{name}[{label}]": reason for name, reason in reasons.items()}
    return _Table(values, undefined)


def _label_functions(
    counted: Sequence[Any], gold: np.ndarray, predicted: np.ndarray, scores: np.ndarray
) -> dict[str, Callable[[], Any]]:
    """What computes each metric of one label; arguments as of `_per_label`, for that label."""
    from sklearn import metrics as sk

    precision, recall, f1, support = counted
    none = "no example has this label"

    def ranking(function: Callable[..., Any], *refused: tuple[bool, str]) -> Any:
        for holds, reason in refused:
            if holds:
                raise Undefined(reason)
        return function(gold, scores)

    no_positive, no_negative = (not gold.any(), none), (bool(gold.all()), "every example has this label")
    return {
        "precision": lambda: _defined(precision, "the label is never predicted"),
        "recall": lambda: _defined(recall, none),
        "f1": lambda: _defined(f1, f"{none}, and it is never predicted"),
        "support": lambda: int(support),
        "matthews_corrcoef": lambda: _matthews_corrcoef(gold, predicted),
        "roc_auc": lambda: ranking(sk.roc_auc_score, no_positive, no_negative),
        "pr_auc": lambda: ranking(sk.average_precision_score, no_positive),
    }


def _computed(functions: Mapping[str, Callable[[], Any]]) -> tuple[dict[str, float], dict[str, str]]:
    """The values of those that are defined, and the reasons of those that are not."""
    values: dict[str, float] = {}
    undefined: dict[str, str] = {}
    for name, function in functions.items():
        try:
            value = function()
            values[name] = value if isinstance(value, int) else float(_defined(value, "the numbers are too large"))
        except Undefined as reason:
            undefined[name] = str(reason)
    return values, undefined


def _defined(value: Any, reason: str) -> Any:
    if not np.isfinite(value):
        raise Undefined(reason)
    return value


def _matthews_corrcoef(gold: np.ndarray, predicted: np.ndarray) -> Any:
    """Matthews' correlation; scikit-learn gives 0 where one side is constant, where the formula is 0 / 0."""
    from sklearn.metrics import matthews_corrcoef

    for values, whose in ((gold, "the gold label"), (predicted, "the prediction")):
        if (values == values[0]).all():
            raise Undefined(f"{whose} is the same for every example")
    return matthews_corrcoef(gold, predicted)


def _refuse_constant(*sides: np.ndarray) -> None:
    for values, whose in zip(sides, ("gold", "predicted"), strict=False):
        if (values == values[0]).all():
            raise Undefined(f"the {whose} numbers are all the same")
