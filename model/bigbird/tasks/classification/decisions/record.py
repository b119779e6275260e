"""Decisions read from JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bigbird.support.errors import InputError
from bigbird.support.text_files import shown
from bigbird.tasks.classification.decisions.decided import TEMPERATURES, Choice, Decisions


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
