"""What metrics are computed from, checked: shapes, types and ranges.

Shapes: N examples, C labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# How far probabilities over the labels may be from a sum of 1: float32 arithmetic over many labels.
_SUM_TOLERANCE = 1e-3


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


def of_sum_one(probabilities: np.ndarray) -> np.ndarray:
    """Rows float64[N, C] that sum to 1 as exactly as float64 can, as log loss needs them; elsewhere it would undo ties."""
    return probabilities / probabilities.sum(axis=1, keepdims=True)


def _require_probabilities(probabilities: np.ndarray, shape: tuple[int, ...]) -> None:
    _require(probabilities.shape == shape, f"probabilities have shape {probabilities.shape}; expected {shape}")
    _require(shape[0] > 0, "no example")
    within = np.isfinite(probabilities) & (probabilities >= 0) & (probabilities <= 1 + _SUM_TOLERANCE)
    _require(bool(within.all()), "a probability is outside 0 to 1")


def require_distinct(labels: Sequence[str]) -> None:
    _require(len(set(labels)) == len(labels), "two labels have one name")


def _require(holds: bool, problem: str) -> None:
    if not holds:
        raise ValueError(problem)
