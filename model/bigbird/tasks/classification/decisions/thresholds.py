"""The thresholds that make a metric best on given examples.

Shapes: N examples, C labels, K candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bigbird.tasks.classification.decisions.decided import DEFAULT_THRESHOLD

_ROUNDS = 20  # of going through all labels, for a metric that no label decides alone


@dataclass(frozen=True)
class _Candidates:
    """All thresholds that tell a label's examples apart in different ways, and what each would give.

    Attributes:
        thresholds: float64[K].
        hits: int64[K], examples with the label that reach the threshold.
        answers: int64[K], examples that reach it.
        support: examples with the label.
    """

    thresholds: np.ndarray
    hits: np.ndarray
    answers: np.ndarray
    support: int

    def best(self, scores: np.ndarray) -> int:
        """The candidate of the highest score [K]; among equals that nearest to 0.5."""
        best = np.flatnonzero(scores >= scores.max() - 1e-12)
        return int(best[np.abs(self.thresholds[best] - DEFAULT_THRESHOLD).argmin()])


def _candidates(applies: np.ndarray, probabilities: np.ndarray) -> _Candidates:
    """Of a label, of bool[N] and float64[N]: 0.5 where it lies between two probabilities, otherwise the middle of them."""
    values = np.unique(probabilities)
    low, high = np.concatenate([[0.0], values]), np.concatenate([values, [1.0]])
    middle = (low + high) / 2
    thresholds = np.where(middle > low, middle, high)  # neighbours in floating point have no middle
    # A threshold of 0.5 takes what is 0.5 or more: it belongs to the step that ends at 0.5 or above it.
    thresholds = np.where((low < DEFAULT_THRESHOLD) & (high >= DEFAULT_THRESHOLD), DEFAULT_THRESHOLD, thresholds)
    thresholds = np.unique(thresholds)
    all_scores, hit_scores = np.sort(probabilities), np.sort(probabilities[applies])
    return _Candidates(
        thresholds,
        len(hit_scores) - np.searchsorted(hit_scores, thresholds),
        len(all_scores) - np.searchsorted(all_scores, thresholds),
        len(hit_scores),
    )


def _each_label(
    score: Callable[[_Candidates, int], np.ndarray],
) -> Callable[[np.ndarray, np.ndarray, Sequence[int]], np.ndarray]:
    """Thresholds for a metric that is a mean over labels, so that each label's best makes the best of all."""

    def choose(gold: np.ndarray, probabilities: np.ndarray, free: Sequence[int]) -> np.ndarray:
        thresholds = np.full(gold.shape[1], DEFAULT_THRESHOLD)
        for i in free:
            candidates = _candidates(gold[:, i], probabilities[:, i])
            thresholds[i] = candidates.thresholds[candidates.best(score(candidates, len(gold)))]
        return thresholds

    return choose


def _f1_scores(candidates: _Candidates, examples: int) -> np.ndarray:
    del examples
    return 2 * candidates.hits / (candidates.answers + candidates.support)


def _accuracy_scores(candidates: _Candidates, examples: int) -> np.ndarray:
    return (examples - candidates.answers - candidates.support + 2 * candidates.hits) / examples


def _for_micro_f1(gold: np.ndarray, probabilities: np.ndarray, free: Sequence[int]) -> np.ndarray:
    """The best thresholds for micro F1 = 2 hits / (answers + support), counted over all labels.

    A ratio of sums is made largest by Dinkelbach's method ("On Nonlinear Fractional Programming", 1967): for a guess of
    the ratio each label by itself makes 2 hits - guess * answers largest; what comes out is the next guess, until
    it stays. The result is the best there is.
    """
    thresholds = np.full(gold.shape[1], DEFAULT_THRESHOLD)
    candidates = {i: _candidates(gold[:, i], probabilities[:, i]) for i in free}
    ratio = -1.0
    while True:
        predicted = probabilities >= thresholds
        counted = int(predicted.sum() + gold.sum())
        current = 2 * int((predicted & gold).sum()) / counted if counted else 0.0
        if current <= ratio:
            return thresholds
        ratio, thresholds = current, thresholds.copy()
        for i, found in candidates.items():
            thresholds[i] = found.thresholds[found.best(2 * found.hits - ratio * found.answers)]


def _for_subset_accuracy(gold: np.ndarray, probabilities: np.ndarray, free: Sequence[int]) -> np.ndarray:
    """Thresholds for subset accuracy, one label after the other until none can be bettered alone.

    No label decides alone whether an example is right, so this need not be the best there is.
    """
    thresholds = np.full(gold.shape[1], DEFAULT_THRESHOLD)
    wrong = (probabilities >= thresholds) != gold
    for _ in range(_ROUNDS):
        moved = False
        for i in free:
            others_right = wrong.sum(axis=1) == wrong[:, i]
            applies, scores = gold[others_right, i], probabilities[others_right, i]
            found = _candidates(gold[:, i], probabilities[:, i])
            hits = applies.sum() - np.searchsorted(np.sort(scores[applies]), found.thresholds)
            rejected = np.searchsorted(np.sort(scores[~applies]), found.thresholds)
            best = found.best(hits + rejected)
            current = int((~wrong[others_right, i]).sum())
            if (hits + rejected)[best] > current:
                thresholds[i], moved = found.thresholds[best], True
                wrong[:, i] = (probabilities[:, i] >= thresholds[i]) != gold[:, i]
        if not moved:
            break
    return thresholds


THRESHOLD_METRICS: dict[str, Callable[[np.ndarray, np.ndarray, Sequence[int]], np.ndarray]] = {
    "micro_f1": _for_micro_f1,
    "macro_f1": _each_label(_f1_scores),
    "weighted_f1": _each_label(_f1_scores),
    "subset_accuracy": _for_subset_accuracy,
    "hamming_loss": _each_label(_accuracy_scores),
}
"""The metrics that thresholds can be chosen for: gold bool[N, C], probabilities float64[N, C], labels to choose for -> float64[C]."""
