"""Metrics of spans.

Strict: a span is right where one with its start, end and label is right; precision, recall and F1 over all spans (micro), for each label,
and their means over the labels that are in either (macro). They are seqeval's on the same tags; 0 where nothing is to
divide by.

Partial, after SemEval 2013 task 9.1 (Segura-Bedmar et al.): a right span counts 1, one that overlaps a right span of its label counts 1/2;
each right span is matched once, equal ones first, then in the order of the text. Precision is the sum over the spans that were found,
recall over those that are right. (The task's own "partial" does not ask for the label.)
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from bigbird.tasks.classification.intervals import CONFIDENCE, RESAMPLES, Interval
from bigbird.tasks.token_labels.spans import Span

METRICS = (
    "f1", "precision", "recall", "macro_f1", "macro_precision", "macro_recall", "partial_f1", "partial_precision", "partial_recall",
)  # fmt: skip
"""The first picks the best checkpoint."""


@dataclass
class Counts:
    """Spans of some documents, by label.

    Attributes:
        right: that were found and are right.
        found: all that were found.
        gold: all that are right.
        partial: found ones that overlap a right one of their label and are not right.
    """

    right: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    gold: Counter[str] = field(default_factory=Counter)
    partial: Counter[str] = field(default_factory=Counter)

    def add(self, gold: Sequence[Span], found: Sequence[Span]) -> None:
        """Counts a document's spans, each in the order of the text."""
        self.gold.update(span.label for span in gold)
        self.found.update(span.label for span in found)
        equal = set(gold) & set(found)
        self.right.update(span.label for span in equal)
        left: dict[str, deque[Span]] = {}
        for span in gold:
            if span not in equal:
                left.setdefault(span.label, deque()).append(span)
        for span in found:
            if span in equal or not (others := left.get(span.label)):
                continue
            while others and others[0].end <= span.start:
                others.popleft()
            if others and others[0].start < span.end:
                others.popleft()
                self.partial[span.label] += 1

    def labels(self) -> list[str]:
        """Those that are in either, sorted."""
        return sorted(set(self.gold) | set(self.found))


def count(documents: Iterable[tuple[Sequence[Span], Sequence[Span]]]) -> Counts:
    """Counts of (right, found) spans of each document."""
    counts = Counts()
    for gold, found in documents:
        counts.add(gold, found)
    return counts


def all_metrics(counts: Counts) -> dict[str, float]:
    """The metrics by name, in the order of `METRICS`."""
    right, found, gold = (sum(each.values()) for each in (counts.right, counts.found, counts.gold))
    micro = scores(right, found, gold)
    each = [tuple(values.values())[:3] for values in per_label(counts).values()]
    macro = np.mean(each, axis=0) if each else np.zeros(3)
    partial = scores(right + 0.5 * sum(counts.partial.values()), found, gold)
    values = [*_f1_first(micro), *_f1_first(macro), *_f1_first(partial)]
    return dict(zip(METRICS, map(float, values), strict=True))


def per_label(counts: Counts) -> dict[str, dict[str, float]]:
    """Label -> precision, recall, f1, and how many spans are right (`spans`) and were found."""
    found = {}
    for label in counts.labels():
        precision, recall, f1 = scores(counts.right[label], counts.found[label], counts.gold[label])
        found[label] = {
            "precision": precision,
            "recall": recall,
            "f1": f1,
            "spans": counts.gold[label],
            "found": counts.found[label],
        }
    return found


def scores(right: float, found: int, gold: int) -> tuple[float, float, float]:
    """Precision, recall and F1; 0 where nothing is to divide by."""
    precision, recall = right / found if found else 0.0, right / gold if gold else 0.0
    return precision, recall, 2 * precision * recall / (precision + recall) if right else 0.0


def interval(documents: Sequence[tuple[Sequence[Span], Sequence[Span]]], seed: int = 0) -> Interval:
    """The 95 % interval of micro F1: documents are drawn with replacement, as their spans belong together.

    Args:
        documents: (right, found) spans of each.
        seed: of the draws.
    """
    table = np.array([[len(set(gold) & set(found)), len(found) + len(gold)] for gold, found in documents], np.float64)
    draws = np.random.default_rng(seed).multinomial(len(table), np.full(len(table), 1 / len(table)), RESAMPLES) @ table
    defined = draws[draws[:, 1] > 0]
    values = 2 * defined[:, 0] / defined[:, 1]
    right, both = table.sum(axis=0)
    undefined = RESAMPLES - len(values)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1 - tail]).tolist() if undefined * 10 <= RESAMPLES else (None, None)
    return Interval(
        "f1",
        2 * right / both if both else 0.0,
        low,
        high,
        CONFIDENCE,
        RESAMPLES,
        undefined,
        seed,
        "percentile bootstrap over documents",
    )


def _f1_first(values: Sequence[float] | np.ndarray) -> tuple[float, float, float]:
    precision, recall, f1 = values
    return f1, precision, recall
