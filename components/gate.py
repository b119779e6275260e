"""The gate before export: whether a model's metric is good enough."""

from __future__ import annotations

NO_THRESHOLD = -1.0
"""A threshold from here down is none: no primary metric means less, a correlation is worst at -1."""


def is_set(threshold: float) -> bool:
    """Whether a threshold keeps any model back."""
    return threshold > NO_THRESHOLD


def passes(metric: float, threshold: float) -> bool:
    """Whether a model of this primary metric is exported; without a threshold every model is, whatever its metric."""
    return not is_set(threshold) or metric >= threshold
