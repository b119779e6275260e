"""model.json: what training wrote."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, StrictInt

from bigbird.manifests.base import Figure, Manifest, Part
from bigbird.manifests.dataset import DatasetManifest
from bigbird.support.errors import InputError


class EarlyStoppingFacts(Part):
    """Why training ended before its last step."""

    step: StrictInt = Field(description="At which it ended.")
    validations: StrictInt = Field(description="Validations in a row that were no better.")
    value: Figure | None = Field(description="Of the metric that they did not beat.")


class ModelManifest(Manifest):
    """model.json."""

    KIND: ClassVar[str] = "model"

    task: str | None = Field(None, description="The dataset's; None for bare records, which state none.")
    experiment_type: str | None = Field(None, description="Of the configuration, as bigbird/glue.")
    labels: list[str] | None = Field(None, description="Names of the classes in the order of their ids; None without.")
    num_classes: StrictInt | None = Field(None, description="A classifier's outputs, 1 for a number; None without.")
    metrics: dict[str, Figure] = Field(
        default_factory=dict, description="Of the best checkpoint on the validation split; empty where none was made."
    )
    decisions: dict[str, Any] | None = Field(
        None, description="What the task family chose on validation for the best checkpoint, such as thresholds."
    )
    best_step: StrictInt | None = Field(None, description="Step of the best checkpoint.")
    steps: StrictInt = Field(0, description="Updates of the weights.")
    seconds: Figure = Field(0.0, description="Of training, over all interruptions.")
    early_stopping: EarlyStoppingFacts | None = Field(
        None, description="Why training ended before its last step; None where it did not."
    )
    average_decay: Figure | None = Field(
        None,
        description="Of the averaged weights that were validated, kept as best and exported; None: they are not averaged.",
    )
    parameters: StrictInt = Field(0, description="Weights of the model, counted one by one.")
    best: str | None = Field(
        None, description="The best checkpoint's folder, inside this one; None where none was made."
    )
    dataset: DatasetManifest | None = Field(None, description="The dataset's manifest; None for bare records.")

    def trained_on(self) -> DatasetManifest:
        """The dataset's manifest.

        Raises:
            InputError: the model was trained on bare records.
        """
        if self.dataset is None:
            raise InputError(
                "the model was trained on bare records, and its model.json says nothing of a dataset; train with --dataset"
            )
        return self.dataset
