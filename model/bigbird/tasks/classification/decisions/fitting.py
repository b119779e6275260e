"""Temperature and thresholds, chosen on labelled examples.

Shapes: N examples, C labels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from bigbird.support.errors import InputError
from bigbird.support.text_files import shown
from bigbird.tasks.classification.decisions.decided import DEFAULT_THRESHOLD, TEMPERATURES, Choice, Decisions
from bigbird.tasks.classification.decisions.probabilities import log_sigmoid, log_softmax, sigmoid
from bigbird.tasks.classification.decisions.thresholds import THRESHOLD_METRICS
from bigbird.tasks.classification.metrics import label_set_metrics

# Fewer say too little: among 100 examples an accuracy is known to about 8 points, and with fewer than ten positives
# a label's threshold would follow single examples.
LEAST_EXAMPLES = 100
LEAST_POSITIVES = 10


def fit_one_label(gold: np.ndarray, logits: np.ndarray, labels: Sequence[str], split: str = "validation") -> Decisions:
    """Chooses the temperature for texts with one label each.

    Args:
        gold: int64[N] label indices.
        logits: float[N, C], finite.
        labels: the C names.
        split: where the examples are from, for messages.

    Raises:
        InputError: there are fewer than `LEAST_EXAMPLES`.
        ValueError: shapes do not fit, or a logit is not finite.
    """
    gold, logits = np.asarray(gold), _checked_logits(logits, len(labels), len(gold), split)
    rows = np.arange(len(gold))

    def loss(temperature: float) -> float:
        return float(-log_softmax(logits, temperature)[rows, gold].mean())

    temperature, choice = _fit_temperature(loss, len(gold))
    return Decisions("softmax", tuple(labels), temperature, temperature_choice=choice)


def fit_several_labels(
    gold: np.ndarray,
    logits: np.ndarray,
    labels: Sequence[str],
    metric: str = "micro_f1",
    split: str = "validation",
) -> Decisions:
    """Chooses one temperature, and then a threshold for each label, for texts with any number of labels each.

    Args:
        gold: bool[N, C].
        logits: float[N, C], finite.
        labels: the C names.
        metric: what the thresholds make best: one of `THRESHOLD_METRICS`.
        split: where the examples are from, for messages.

    Returns:
        What was chosen. A label with fewer than `LEAST_POSITIVES` examples with it, or without it, keeps 0.5 and is in
        `kept`.

    Raises:
        InputError: there are fewer than `LEAST_EXAMPLES`, or thresholds cannot be chosen for the metric.
        ValueError: shapes do not fit, or a logit is not finite.
    """
    if metric not in THRESHOLD_METRICS:
        known = ", ".join(THRESHOLD_METRICS)
        raise InputError(f"thresholds cannot be chosen for the metric {shown(metric)}; choose one of {known}")
    gold, logits = np.asarray(gold, bool), _checked_logits(logits, len(labels), len(gold), split)
    if gold.shape != logits.shape:
        raise ValueError(f"gold has shape {gold.shape}; expected {logits.shape}")
    signs = np.where(gold, 1.0, -1.0)

    def loss(temperature: float) -> float:
        return float(-log_sigmoid(signs * logits / temperature).mean())

    temperature, choice = _fit_temperature(loss, len(gold))
    probabilities = sigmoid(logits, temperature)
    kept = _kept(gold, labels)
    free = [i for i, label in enumerate(labels) if label not in kept]
    thresholds = THRESHOLD_METRICS[metric](gold, probabilities, free)
    default = np.full(len(labels), DEFAULT_THRESHOLD)
    # F1 is not defined where nothing is there and nothing was found: that is no success.
    before, after = (
        label_set_metrics(gold, probabilities >= each)[0].get(metric, 0.0) for each in (default, thresholds)
    )
    return Decisions(
        "sigmoid",
        tuple(labels),
        temperature,
        tuple(thresholds.tolist()),
        kept,
        choice,
        Choice(metric, before, after, len(gold)),
    )


def _checked_logits(logits: np.ndarray, labels: int, examples: int, split: str) -> np.ndarray:
    logits = np.asarray(logits, np.float64)
    if logits.shape != (examples, labels):
        raise ValueError(f"logits have shape {logits.shape}; expected {(examples, labels)}")
    if not np.isfinite(logits).all():
        raise ValueError("a logit is not finite")
    if examples < LEAST_EXAMPLES:
        raise InputError(
            f"split {shown(split)} has {examples} examples with labels; a temperature and thresholds need {LEAST_EXAMPLES} "
            "or more. Give more examples, or go without: temperature 1, thresholds 0.5"
        )
    return logits


def _fit_temperature(loss: Callable[[float], float], examples: int) -> tuple[float, Choice]:
    """The temperature in `TEMPERATURES` with the least loss, which has one valley: it is convex in 1 / temperature."""
    from scipy.optimize import minimize_scalar

    bounds = tuple(math.log(temperature) for temperature in TEMPERATURES)
    found = minimize_scalar(lambda x: loss(math.exp(x)), bounds=bounds, method="bounded", options={"xatol": 1e-6})
    # The search ends beside a bound, never on it; and where the loss is flat it is no better than 1.
    tried = {temperature: loss(temperature) for temperature in (1.0, float(math.exp(found.x)), *TEMPERATURES)}
    best = min(tried, key=lambda temperature: tried[temperature])
    return best, Choice("log_loss", tried[1.0], tried[best], examples)


def _kept(gold: np.ndarray, labels: Sequence[str]) -> dict[str, str]:
    """Labels whose threshold cannot be chosen, and why."""
    kept = {}
    for label, positives in zip(labels, gold.sum(axis=0).tolist(), strict=True):
        for count, which in ((positives, "with"), (len(gold) - positives, "without")):
            if count < LEAST_POSITIVES:
                kept[label] = f"{count} examples {which} it; a threshold needs {LEAST_POSITIVES} or more"
    return kept
