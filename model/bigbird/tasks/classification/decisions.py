"""From logits to probabilities and labels: a temperature and thresholds, chosen on the validation split.

`fit_one_label` and `fit_several_labels` choose; `Decisions` holds what was chosen, applies it in NumPy, and is kept as JSON beside
the model, so that evaluation and serving decide alike.

Temperature: logits are divided by it before the softmax or sigmoid (Guo et al., "On Calibration of Modern Neural Networks",
2017). It changes how sure the model is, not the order of its answers.

Shapes: N examples, C labels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from bigbird.support.errors import InputError
from bigbird.support.text_files import shown
from bigbird.tasks.classification.metrics import label_set_metrics

Activation = Literal["softmax", "sigmoid"]

# Fewer say too little: among 100 examples an accuracy is known to about 8 points, and with fewer than ten positives
# a label's threshold would follow single examples.
LEAST_EXAMPLES = 100
LEAST_POSITIVES = 10

TEMPERATURES = (0.05, 20.0)
DEFAULT_THRESHOLD = 0.5

_ROUNDS = 20  # of going through all labels, for a metric that no label decides alone


@dataclass(frozen=True)
class Choice:
    """A metric on the validation split before and after something was chosen for it.

    Attributes:
        metric: its name.
        before: with temperature 1, or with thresholds of 0.5.
        after: with what was chosen.
        examples: how many it was chosen on.
    """

    metric: str
    before: float
    after: float
    examples: int


@dataclass(frozen=True)
class Decisions:
    """How logits become answers.

    Attributes:
        activation: softmax for one label a text, sigmoid for several.
        labels: the C names.
        temperature: divides the logits.
        thresholds: of each label, several labels only: it is given where its probability reaches this.
        kept: labels whose threshold stays at 0.5, and why.
        temperature_choice: how the temperature was chosen; None if it was not.
        thresholds_choice: how the thresholds were chosen; None if they were not.
    """

    activation: Activation
    labels: tuple[str, ...]
    temperature: float = 1.0
    thresholds: tuple[float, ...] | None = None
    kept: Mapping[str, str] | None = None
    temperature_choice: Choice | None = None
    thresholds_choice: Choice | None = None

    @property
    def at_a_bound(self) -> bool:
        """Whether the temperature is an end of `TEMPERATURES`: no answer was wrong, or none better than chance."""
        return self.temperature in TEMPERATURES

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Probabilities float64[N, C] of logits [N, C]."""
        return (softmax if self.activation == "softmax" else sigmoid)(logits, self.temperature)

    def threshold_array(self) -> np.ndarray:
        """Thresholds float64[C], 0.5 where none were chosen."""
        return np.array(self.thresholds or (DEFAULT_THRESHOLD,) * len(self.labels))

    def answers(self, logits: np.ndarray) -> np.ndarray:
        """The likeliest label int64[N], or the labels that reach their thresholds bool[N, C], of logits [N, C]."""
        if self.activation == "softmax":
            return np.asarray(logits).argmax(axis=1)
        return self.probabilities(logits) >= self.threshold_array()

    def record(self) -> dict[str, Any]:
        """As it is written to JSON; `from_record` reads it."""
        record: dict[str, Any] = {"activation": self.activation, "temperature": {"value": self.temperature}}
        if self.temperature_choice:
            record["temperature"] |= vars(self.temperature_choice)
        if self.activation == "sigmoid":
            values = self.threshold_array().tolist()
            record["thresholds"] = {
                "values": dict(zip(self.labels, values, strict=True)),
                "kept": dict(self.kept or {}),
            }
            if self.thresholds_choice:
                record["thresholds"] |= vars(self.thresholds_choice)
        return record


def from_record(record: Any, labels: Sequence[str], where: str) -> Decisions:
    """Reads what `Decisions.record` gave.

    Args:
        record: JSON, of a file that may have been changed.
        labels: the model's.
        where: file and key, for messages: "model/model.json: decisions".

    Raises:
        InputError: it is not such a record, or not of these labels.
    """
    fields = _mapping(record, where)
    activation = fields.get("activation")
    if activation not in ("softmax", "sigmoid"):
        raise InputError(f"{where}.activation: is {shown(activation)}; expected softmax or sigmoid. {_REMEDY}")
    chosen = _mapping(fields.get("temperature"), f"{where}.temperature")
    low, high = TEMPERATURES
    decisions = Decisions(
        activation,
        tuple(labels),
        _number(chosen.get("value"), f"{where}.temperature.value", low, high),
        temperature_choice=_choice(chosen, f"{where}.temperature"),
    )
    if activation == "softmax":
        return decisions
    chosen = _mapping(fields.get("thresholds"), f"{where}.thresholds")
    values = _mapping(chosen.get("values"), f"{where}.thresholds.values")
    if missing := [label for label in labels if label not in values]:
        raise InputError(
            f"{where}.thresholds.values: has no label {shown(missing[0])}; expected the model's. {_REMEDY}"
        )
    if foreign := [label for label in values if label not in labels]:
        raise InputError(f"{where}.thresholds.values: has the label {shown(foreign[0])}, not the model's. {_REMEDY}")
    thresholds = tuple(_number(values[label], f"{where}.thresholds.values[{shown(label)}]", 0, 1) for label in labels)
    kept = _mapping(chosen.get("kept", {}), f"{where}.thresholds.kept")
    if not all(label in labels and isinstance(reason, str) for label, reason in kept.items()):
        raise InputError(f"{where}.thresholds.kept: is {shown(kept)}; expected reasons by label. {_REMEDY}")
    choice = _choice(chosen, f"{where}.thresholds")
    return replace(decisions, thresholds=thresholds, kept=kept, thresholds_choice=choice)


_REMEDY = "The file was changed: restore it, or train again"


def decisions_of(kind: str | None, labels: Sequence[str], record: Any) -> Decisions | None:
    """How a model's logits become labels.

    Args:
        kind: "single", "multi" or "number".
        labels: in the order of their ids.
        record: what model.json says under "decisions"; None where nothing was chosen.

    Returns:
        What was chosen, or what holds without a choice; None of numbers.

    Raises:
        InputError: the record is damaged.
    """
    if kind == "number":
        return None
    if record is None:
        return Decisions("softmax" if kind == "single" else "sigmoid", tuple(labels))
    return from_record(record, tuple(labels), "model.json: decisions")


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{where}: is {shown(value)}; expected an object. {_REMEDY}")
    return value


def _number(value: Any, where: str, low: float = -math.inf, high: float = math.inf) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not low <= value <= high or math.isinf(value):
        bounds = "a number" if math.isinf(low) else f"a number from {low} to {high}"
        raise InputError(f"{where}: is {shown(value)}; expected {bounds}. {_REMEDY}")
    return float(value)


def _choice(fields: dict[str, Any], where: str) -> Choice | None:
    if "metric" not in fields:
        return None
    metric = fields["metric"]
    if not isinstance(metric, str):
        raise InputError(f"{where}.metric: is {shown(metric)}; expected a metric's name. {_REMEDY}")
    before, after, examples = (_number(fields.get(name), f"{where}.{name}") for name in ("before", "after", "examples"))
    return Choice(metric, before, after, int(examples))


# ------------------------------------------------------------------------------------------------- probabilities


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Softmax of logits [N, C] divided by the temperature; float64[N, C], rows sum to 1."""
    return np.exp(_log_softmax(logits, temperature))


def sigmoid(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Sigmoid of logits [N, C] divided by the temperature; float64[N, C]."""
    return np.exp(_log_sigmoid(np.asarray(logits, np.float64) / temperature))


def _log_softmax(logits: np.ndarray, temperature: float) -> np.ndarray:
    scaled = np.asarray(logits, np.float64) / temperature
    shifted = scaled - scaled.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def _log_sigmoid(logits: np.ndarray) -> np.ndarray:
    return -np.logaddexp(0.0, -logits)


# --------------------------------------------------------------------------------------------------- temperature


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
        return float(-_log_softmax(logits, temperature)[rows, gold].mean())

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
        return float(-_log_sigmoid(signs * logits / temperature).mean())

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


# ---------------------------------------------------------------------------------------------------- thresholds


def _kept(gold: np.ndarray, labels: Sequence[str]) -> dict[str, str]:
    """Labels whose threshold cannot be chosen, and why."""
    kept = {}
    for label, positives in zip(labels, gold.sum(axis=0).tolist(), strict=True):
        for count, which in ((positives, "with"), (len(gold) - positives, "without")):
            if count < LEAST_POSITIVES:
                kept[label] = f"{count} examples {which} it; a threshold needs {LEAST_POSITIVES} or more"
    return kept


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
