"""What was decided, applied in NumPy.

Shapes: N examples, C labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bigbird.tasks.classification.decisions.probabilities import sigmoid, softmax

Activation = Literal["softmax", "sigmoid"]
TEMPERATURES = (0.05, 20.0)
DEFAULT_THRESHOLD = 0.5


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
