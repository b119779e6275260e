"""The metrics of masked-language modelling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bigbird.support.errors import InputError
from bigbird.tasks.evaluation import Collector, Evaluation
from bigbird.tasks.pretraining.examples import METRICS


@dataclass(frozen=True)
class PretrainingResults:
    """How many records were scored, and how many masked tokens in them."""

    records: int
    predictions: int


class PretrainingCollector(Collector):
    """Sums over the masked tokens."""

    metric_names = METRICS

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.sums: dict[int, np.ndarray] = {}

    @property
    def missing(self) -> int:
        """None: any part of a text measures the model."""
        return 0

    def add(self, ids: np.ndarray, outputs: dict[str, np.ndarray], label_ids: np.ndarray | None) -> None:
        """Takes the sums that the family's `summarize` gives, float32[B], of the records int64[B]."""
        del label_ids
        names = ("masked_lm_loss", "masked_lm_correct", "masked_lm_count")
        self.sums.update(zip(ids.tolist(), np.stack([outputs[name] for name in names], axis=1), strict=True))

    def result(self) -> Evaluation:
        loss, correct, count = np.array([*self.sums.values(), [0, 0, 0]], np.float64).sum(axis=0).tolist()
        if not count:
            raise InputError("nothing to score: no token was masked")
        perplexity = float(np.exp(min(loss / count, 700.0)))
        values = dict(zip(METRICS, (correct / count, loss / count, perplexity), strict=True))
        return Evaluation(values, METRICS[0], {}, "", PretrainingResults(len(self.sums), int(count)))
