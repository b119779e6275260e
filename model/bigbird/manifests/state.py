"""state.json: where training stood at a checkpoint."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, StrictInt

from bigbird.manifests.base import Figure, Manifest, Part


class BestFacts(Part):
    """The best validation so far."""

    step: StrictInt = Field(description="Of the weights.")
    value: Figure = Field(description="Of the metric that decides.")
    metrics: dict[str, Figure] = Field(description="All metrics, and the loss.")
    decisions: dict[str, Any] | None = Field(None, description="What the task family chose, such as thresholds.")


class WaitingFacts(Part):
    """Where early stopping stands."""

    value: Figure | None = Field(description="Of the metric that is to be beaten; None before one that is a number.")
    validations: StrictInt = Field(description="Validations in a row that have not beaten it.")


class CheckpointState(Manifest):
    """state.json."""

    KIND: ClassVar[str] = "state"

    step: StrictInt = Field(description="Updates made.")
    batches: StrictInt = Field(0, description="Batches taken from the stream; above step by those left out.")
    left_out: list[StrictInt] = Field(default_factory=list, description="Batches at which the loss diverged.")
    validated: StrictInt = Field(-1, description="Step of the last validation; -1 before any.")
    best: BestFacts | None = Field(None, description="The best validation; None before any.")
    waiting: WaitingFacts | None = Field(None, description="Where early stopping stands; None without it.")
    seconds: Figure = Field(0.0, description="Of training, over all interruptions.")
    sums: dict[str, Figure] = Field(default_factory=dict, description="Of the figures since the last summary.")
    history: list[dict[str, Any]] | None = Field(None, description="What history.json holds up to this step.")
    setup: dict[str, Any] = Field(default_factory=dict, description="Everything that the weights depend on, by key.")
