"""Collecting a model's outputs over a split, and what scoring gives.

Letters: B examples of a batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bigbird.support.errors import InputError

Outputs = Mapping[str, np.ndarray]
"""A model's, by name: arrays [N, ...], a row for each example."""


@dataclass(frozen=True)
class Comparison:
    """What another, simpler model reaches on the same examples.

    Attributes:
        name: short, for files and tables.
        description: what it is, in words.
        metrics: as the model's.
        seconds: it took to fit and to answer.
    """

    name: str
    description: str
    metrics: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class Evaluation:
    """What scoring gives.

    Attributes:
        metrics: fractions of 1 by name; empty where the split has no labels.
        primary: the name of the metric that counts.
        baseline: the same metrics for the best constant answer.
        baseline_answer: what that answer is, in words.
        results: the outcome of every example, in the family's own form.
        other_names: names that recipes may use -> the metrics whose mean they are.
        undefined: metrics that these examples do not define -> why.
        details: what metrics.json says besides.
        comparisons: what other models reach on the same examples.
    """

    metrics: dict[str, float]
    primary: str
    baseline: dict[str, float]
    baseline_answer: str
    results: Any
    other_names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    undefined: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    comparisons: Sequence[Comparison] = ()

    def metric(self, name: str) -> float:
        """A metric by its own name or a recipe's (`cls_accuracy`, `final_f1`, `pearson_spearman_corr`).

        Returns:
            The value; NaN where the examples do not define it.

        Raises:
            InputError: there is no such metric; lists those there are.
        """
        if name in self.undefined:
            return float("nan")
        parts = self.other_names.get(name, ()) if name not in self.metrics else (name,)
        if not parts or not self.metrics.keys() >= set(parts):
            known = ", ".join(self.metrics) or "none, as the split has no labels"
            raise InputError(f"metric {name!r} is not one of this task's; it has {known}")
        return float(np.mean([self.metrics[part] for part in parts]))


class Collector(ABC):
    """Collects a model's outputs over a split, and scores them.

    Attributes:
        metric_names: the metrics that may be asked for, recipes' names for them too; None where only scoring tells.
    """

    metric_names: Collection[str] | None = None

    @property
    def least_records(self) -> int:
        """How many of the split's first records it takes to have all windows of at least one example."""
        return 1

    @property
    @abstractmethod
    def missing(self) -> int:
        """Examples of the split that are not scored yet, wholly or in part."""

    @abstractmethod
    def reset(self) -> None:
        """Forgets what was added."""

    @abstractmethod
    def add(self, ids: np.ndarray, outputs: dict[str, np.ndarray], label_ids: np.ndarray | None) -> None:
        """Takes a batch's outputs.

        Args:
            ids: int64[B], the records'.
            outputs: what the family's `summarize` gave by name, float32[B, ...].
            label_ids: int32[B] or float32[B] where the records hold only the labels, else None.
        """

    @abstractmethod
    def result(self) -> Evaluation:
        """Predictions and metrics over the examples that were added whole; `InputError` where there are none."""
