"""The metrics of all examples together, by kind of answer.

Shapes: N examples, C labels.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bigbird.tasks.classification.metrics.calibration import expected_calibration_error
from bigbird.tasks.classification.metrics.checks import (
    checked_numbers,
    checked_one_label,
    checked_several_labels,
    of_sum_one,
    require_distinct,
)
from bigbird.tasks.classification.metrics.per_label import matthews_corrcoef_of, metrics_of_labels
from bigbird.tasks.classification.metrics.undefined import Undefined, computed, quiet

# The metrics of all examples together, by kind of answer. The first of each decides where nothing else is asked for, such as
# which checkpoint is the best.
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
# Of errors in a unit nobody knows which are good; an R2 of 0 is the mean's, 1 is perfect.
NUMBERS = ("r2", "mean_absolute_error", "root_mean_squared_error", "pearson", "spearman")
LOWER_IS_BETTER = frozenset(
    {"hamming_loss", "log_loss", "calibration_error", "mean_absolute_error", "root_mean_squared_error"}
)


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

    require_distinct(labels)
    gold, probabilities = checked_one_label(gold, probabilities, len(labels))
    predicted = probabilities.argmax(axis=1)
    indices = np.arange(len(labels))
    with quiet():
        table = metrics_of_labels(
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
            "matthews_corrcoef": lambda: matthews_corrcoef_of(gold, predicted),
            "macro_roc_auc": lambda: table.mean("roc_auc"),
            "macro_pr_auc": lambda: table.mean("pr_auc"),
            "log_loss": lambda: sk.log_loss(gold, of_sum_one(probabilities), labels=indices),
            "calibration_error": lambda: expected_calibration_error(probabilities.max(axis=1), predicted == gold),
        }
        values, undefined = computed(functions)
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

    require_distinct(labels)
    gold, probabilities, thresholds = checked_several_labels(gold, probabilities, thresholds, len(labels))
    predicted = probabilities >= thresholds
    with quiet():
        table = metrics_of_labels(
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
        values, undefined = computed(functions)
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
        return computed(functions)


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
        values, undefined = computed(functions)
    return Metrics(values, {}, undefined)


def _refuse_constant(*sides: np.ndarray) -> None:
    for values, whose in zip(sides, ("gold", "predicted"), strict=False):
        if (values == values[0]).all():
            raise Undefined(f"the {whose} numbers are all the same")
