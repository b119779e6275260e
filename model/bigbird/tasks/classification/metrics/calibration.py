"""How far the probabilities that a model states are from how often it is right.

Shapes: N examples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CALIBRATION_BINS = 15


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
