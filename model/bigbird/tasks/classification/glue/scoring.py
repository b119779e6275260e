"""From logits to labels or numbers, and their metrics.

Shapes: C classes, N examples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bigbird.manifests import DatasetManifest
from bigbird.scoring import read_examples
from bigbird.support.errors import InputError
from bigbird.tasks import metrics as metric
from bigbird.tasks.classification.glue.config import GlueTask
from bigbird.tasks.evaluation import Collector, Evaluation

METRIC_TYPES = {"pearson_spearman_corr": ("pearson", "spearman")}
OTHER_NAMES = {"cls_accuracy": ("accuracy",), **METRIC_TYPES}  # names that recipes may use


@dataclass(frozen=True)
class GlueResults:
    """Every example's outcome, in the split's order.

    Attributes:
        ids: int64[N] example ids.
        texts: (text_a, text_b or None) of each example; empty where no dataset folder was given.
        labels: class names by index, None for regression.
        gold: int64[N] classes or float32[N], None where the split has no labels.
        logits: float32[N, C].
    """

    ids: np.ndarray
    texts: list[tuple[str, str | None]]
    labels: tuple[str, ...] | None
    gold: np.ndarray | None
    logits: np.ndarray

    @cached_property
    def predicted(self) -> np.ndarray:
        """int64[N] classes, or float32[N] for regression."""
        return self.logits[:, 0] if self.logits.shape[1] == 1 else self.logits.argmax(axis=1)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """float64[N, C], the softmax of the logits; meaningless for regression."""
        shifted = self.logits.astype(np.float64) - self.logits.max(axis=1, keepdims=True)
        return np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)


class GlueCollector(Collector):
    """Keeps each example's logits."""

    def __init__(self, task: GlueTask, manifest: DatasetManifest | None, folder: Path | None, split: str):
        self.examples: dict[int, dict[str, Any]] | None = None
        self.labels: tuple[str, ...] | None = None
        if manifest is None or folder is None:
            self.names: Sequence[str] = METRIC_TYPES.get(task.metric_type, (task.metric_type,))
        else:
            self.names = manifest.metrics
            self.labels = tuple(manifest.labels) if manifest.labels else None
            self.examples = {line["id"]: line for line in read_examples(folder, split)}
        known = set(self.names)
        self.metric_names = (*self.names, *(name for name, parts in OTHER_NAMES.items() if known >= set(parts)))
        self.reset()

    def reset(self) -> None:
        self.logits: dict[int, np.ndarray] = {}
        self.given: dict[int, float] = {}

    @property
    def missing(self) -> int:
        return 0 if self.examples is None else len(self.examples) - len(self.logits)

    def add(self, ids: np.ndarray, outputs: dict[str, np.ndarray], label_ids: np.ndarray | None) -> None:
        """Takes logits, float32[B, C], of the records int64[B], and bare records' labels [B]."""
        if self.examples is not None and (unknown := [int(i) for i in ids if int(i) not in self.examples]):
            raise InputError(
                f"records {unknown[:8]} are not among the split's examples; are the dataset's files of one run?"
            )
        self.logits.update(zip(ids.tolist(), outputs["logits"], strict=True))
        if label_ids is not None:
            self.given.update(zip(ids.tolist(), label_ids.tolist(), strict=True))

    def result(self) -> Evaluation:
        ids = list(self.logits) if self.examples is None else [i for i in self.examples if i in self.logits]
        if not ids:
            raise InputError("nothing to score: no example was evaluated")
        logits = np.stack([self.logits[i] for i in ids])
        texts = [(self.examples[i]["text_a"], self.examples[i].get("text_b")) for i in ids] if self.examples else []
        results = GlueResults(np.array(ids), texts, self.labels, self._gold(ids, logits.shape[1] == 1), logits)
        if results.gold is None:
            return Evaluation({}, self.names[0], {}, "", results, OTHER_NAMES)
        scored = {name: metric.GLUE_METRICS[name](results.gold, results.predicted) for name in self.names}
        answer, baseline = self._baseline(results.gold, logits.shape[1])
        return Evaluation(scored, self.names[0], baseline, answer, results, OTHER_NAMES)

    def _gold(self, ids: list[int], regression: bool) -> np.ndarray | None:
        """Gold labels, or None where one or more are not known."""
        if self.examples is None:
            values: list[Any] = [self.given.get(i) for i in ids]
        else:
            values = [self.examples[i].get("label") for i in ids]
            if self.labels is not None:
                values = [None if value is None else self.labels.index(value) for value in values]
        if any(value is None for value in values):
            return None
        return np.array(values, np.float32 if regression else np.int64)

    def _baseline(self, gold: np.ndarray, num_classes: int) -> tuple[str, dict[str, float]]:
        """The best constant answer by the primary metric, in words, and its metrics."""
        mean = float(gold.mean())
        constants = [mean] if num_classes == 1 else range(num_classes)
        tried = {
            value: {name: metric.GLUE_METRICS[name](gold, np.full_like(gold, value)) for name in self.names}
            for value in constants
        }
        best = max(tried, key=lambda value: (tried[value][self.names[0]], np.sum(gold == value)))
        if num_classes == 1:
            return f"always the mean, {mean:.2f}", tried[best]
        return f"always “{self.labels[int(best)] if self.labels else int(best)}”", tried[best]


def score_answers(
    lines: Sequence[dict[str, Any]], outputs: Mapping[str, np.ndarray], labels: Sequence[str] | None, name: str
) -> float:
    """A metric from an exported model's answers.

    Args:
        lines: the examples with their labels.
        outputs: the exported model's, a row for each of N: `label`, bytes[N]; or `score`, float32[N].
        labels: of the dataset; None for numbers.
        name: the metric.

    Raises:
        InputError: the model answers labels that the dataset does not have.
    """
    gold = [line["label"] for line in lines]
    if labels is None:
        return metric.GLUE_METRICS[name](np.array(gold, np.float32), outputs["score"])
    # By name: an older model may have its classes in another order.
    index = {label: number for number, label in enumerate(labels)}
    predicted = [value.decode("utf-8") for value in outputs["label"]]
    if unknown := set(predicted) - index.keys():
        raise InputError(f"the model answers {', '.join(sorted(unknown))}; the dataset has {', '.join(labels)}")
    as_classes = [np.array([index[label] for label in column], np.int64) for column in (gold, predicted)]
    return metric.GLUE_METRICS[name](*as_classes)
