"""The metrics of each label, and their means.

Shapes: N examples, C labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bigbird.tasks.classification.metrics.undefined import Undefined, computed, defined

# The metrics of each label. `support` is the number of examples that have the label.
PER_LABEL = ("precision", "recall", "f1", "support", "matthews_corrcoef", "roc_auc", "pr_auc")


@dataclass(frozen=True)
class LabelTable:
    """Metrics of each label, and why some are absent."""

    values: dict[str, dict[str, float]]
    undefined: dict[str, str]

    def mean(self, name: str) -> float:
        """Mean of a metric over the labels for which it is defined."""
        found = [values[name] for values in self.values.values() if name in values]
        if not found:
            raise Undefined("it is defined for none of the labels")
        return float(np.mean(found))


def metrics_of_labels(
    labels: Sequence[str],
    counted: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    gold: np.ndarray,
    predicted: np.ndarray,
    scores: np.ndarray,
) -> LabelTable:
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
        values[label], reasons = computed(functions)
        undefined |= {f"{name}[{label}]": reason for name, reason in reasons.items()}
    return LabelTable(values, undefined)


def _label_functions(
    counted: Sequence[Any], gold: np.ndarray, predicted: np.ndarray, scores: np.ndarray
) -> dict[str, Callable[[], Any]]:
    """What computes each metric of one label; arguments as of `metrics_of_labels`, for that label."""
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
        "precision": lambda: defined(precision, "the label is never predicted"),
        "recall": lambda: defined(recall, none),
        "f1": lambda: defined(f1, f"{none}, and it is never predicted"),
        "support": lambda: int(support),
        "matthews_corrcoef": lambda: matthews_corrcoef_of(gold, predicted),
        "roc_auc": lambda: ranking(sk.roc_auc_score, no_positive, no_negative),
        "pr_auc": lambda: ranking(sk.average_precision_score, no_positive),
    }


def matthews_corrcoef_of(gold: np.ndarray, predicted: np.ndarray) -> float:
    """Matthews' correlation of labels [N]; scikit-learn gives 0 where one side is constant, where the formula is 0 / 0.

    Raises:
        Undefined: one side is constant.
    """
    from sklearn.metrics import matthews_corrcoef

    for values, whose in ((gold, "the gold label"), (predicted, "the prediction")):
        if (values == values[0]).all():
            raise Undefined(f"{whose} is the same for every example")
    return matthews_corrcoef(gold, predicted)
