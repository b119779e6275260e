"""The gate before export: whether a model's metric is good enough."""

from __future__ import annotations

NO_THRESHOLD = -1e30
"""A threshold that keeps no model back, as a pipeline's parameter must be a number: far below any metric. R2 has no least value."""


def is_set(threshold: float) -> bool:
    """Whether a threshold keeps any model back."""
    return threshold > NO_THRESHOLD


def passes(metric: float, threshold: float) -> bool:
    """Whether a model of this primary metric is exported; without a threshold every model is, whatever its metric."""
    return not is_set(threshold) or metric >= threshold
