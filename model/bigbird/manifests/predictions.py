"""summary.json: what answering a table wrote."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, StrictInt

from bigbird.manifests.base import Figure, Manifest, Part


class InputFacts(Part):
    """A file that was answered."""

    path: str = Field(description="As it was given, or found in the folder that was given.")
    bytes: StrictInt = Field(description="Its size.")
    digest: str = Field(
        description="SHA-256 of its content; of an object in a bucket the version that the service names."
    )


class PredictionsManifest(Manifest):
    """summary.json."""

    KIND: ClassVar[str] = "predictions"

    task: str = Field(description="The model's.")
    model: str = Field(description="Where the model was.")
    model_digest: str = Field(description="Of all its files; equal where models are the same.")
    input: list[InputFacts] = Field(description="The files, in the order in which they were read.")
    fields: dict[str, list[str]] = Field(description="Input of the model -> the columns that it was read from.")
    files: list[str] = Field(description="Names of the files of answers.")
    answered: StrictInt = Field(0, description="Rows that have an answer.")
    cut: StrictInt | None = Field(
        None, description="Rows of which the model did not read all text; None where it does not say how it reads."
    )
    rejected: StrictInt = Field(0, description="Rows that could not be used; they are in rejected.jsonl.")
    labels: dict[str, StrictInt] = Field(default_factory=dict, description="Label -> rows that it was given to.")
    renamed: dict[str, str] = Field(
        default_factory=dict, description="Kept column -> its name beside the answers, where an answer has its own."
    )
    job: str | None = Field(None, description="Digest of what the answers depend on: model, files, settings.")
    seconds: Figure = Field(0.0, description="Of answering, all processes together.")
    rows_per_second: Figure = Field(0.0, description="Answered in one of these seconds.")
