"""signature.json: what export wrote."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, StrictInt

from bigbird.manifests.base import Figure, Manifest, Part
from bigbird.manifests.dataset import DatasetManifest, VocabularyFacts


class TensorFacts(Part):
    """An input or output of a signature."""

    dtype: str = Field(description="TensorFlow's name of it, as float32.")
    shape: list[StrictInt | None] | None = Field(description="None in the list is any size.")
    meaning: str = Field(description="In words.")


class SignatureFacts(Part):
    """A function of the SavedModel."""

    inputs: dict[str, TensorFacts] = Field(description="By name.")
    outputs: dict[str, TensorFacts] = Field(description="By name.")


class SavedModelManifest(Manifest):
    """signature.json."""

    KIND: ClassVar[str] = "saved_model"

    task: str = Field(description="The model's.")
    labels: list[str] | None = Field(None, description="Names of the classes in the order of their ids; None without.")
    decisions: dict[str, Any] | None = Field(None, description="What training chose, such as thresholds.")
    metrics: dict[str, Figure] = Field(default_factory=dict, description="The model's, on its validation split.")
    buckets: list[StrictInt] = Field(default_factory=list, description="Lengths in tokens to which inputs are padded.")
    max_length: StrictInt = Field(0, description="Most tokens of an input, special pieces included.")
    vocabulary: VocabularyFacts | None = Field(None, description="Of the dataset that the model was trained on.")
    dataset: DatasetManifest | None = Field(
        None, description="The manifest of the dataset that the model was trained on; None in earlier versions."
    )
    precision: str | None = Field(
        None, description="What it computes in, float32 or bfloat16; None in earlier versions."
    )
    trained_model: str | None = Field(None, description="Where the model folder lies.")
    signatures: dict[str, SignatureFacts] = Field(default_factory=dict, description="Functions by name.")
    example: str = Field("", description="Python that asks the model.")
