"""metrics.json: what evaluation wrote."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, StrictBool, StrictInt

from bigbird.manifests.base import Figure, Manifest, Part
from bigbird.support.errors import InputError


class Primary(Part):
    """The metric that counts."""

    name: str = Field(description="Of the metric.")
    value: Figure = Field(description="Its value.")


class Interval(Part):
    """A bootstrap interval of the metric that counts."""

    metric: str = Field(description="Of which metric.")
    low: Figure | None = Field(description="The lower end; None where too few draws of the examples define the metric.")
    high: Figure | None = Field(description="The upper end; None likewise.")
    confidence: Figure = Field(0.95, description="Share of 1.")


class BaselineFacts(Part):
    """The best constant answer."""

    description: str = Field(description="What it answers, in words.")
    value: Figure = Field(description="Its value of the metric that counts.")
    metrics: dict[str, Figure] = Field(default_factory=dict, description="All its metrics.")


class ComparisonFacts(Part):
    """A simpler model on the same examples."""

    name: str = Field(description="Short, for tables.")
    description: str = Field(description="What it is, in words.")
    metrics: dict[str, Figure] = Field(description="As the model's.")
    seconds: Figure = Field(description="To fit and to answer.")


class LengthFacts(Part):
    """The model where it may read less."""

    metrics: dict[str, Figure] = Field(description="As the whole split's.")
    interval: Interval | None = Field(None, description="Of the metric that counts.")
    records_changed: StrictInt = Field(description="Records that were cut or left out.")
    seconds: Figure = Field(description="It took.")


class EvaluationManifest(Manifest):
    """metrics.json. What a task family adds (`Evaluation.details`) are keys besides these."""

    KIND: ClassVar[str] = "evaluation"

    task: str = Field(description="The dataset's.")
    split: str = Field(description="Of the dataset.")
    labelled: StrictBool = Field(True, description="Whether the split has labels; without there are no metrics.")
    metrics: dict[str, Figure] = Field(
        default_factory=dict, description="By name; fractions of 1 where they are shares."
    )
    primary: Primary | None = Field(None, description="The metric that counts; None without labels.")
    baseline: BaselineFacts | None = Field(None, description="The best constant answer; None without labels.")
    examples: StrictInt = Field(0, description="That were scored.")
    interval: Interval | None = Field(None, description="Of the metric that counts; None where the family gives none.")
    comparisons: list[ComparisonFacts] = Field(default_factory=list, description="Simpler models on the same examples.")
    comparisons_unavailable: dict[str, str] | None = Field(None, description="Simpler model -> why it is not there.")
    confusion: dict[str, Any] | None = Field(None, description="labels, and counts as [right][answered].")
    checkpoint: StrictInt = Field(0, description="Step of the checkpoint.")
    which: str = Field("best", description="Which checkpoint: best or last.")
    precision: str | None = Field(
        None, description="What the model computed in, float32 or bfloat16; None in earlier versions."
    )
    answering_seconds: Figure = Field(0.0, description="To load the model and to answer.")
    at_lengths: dict[str, LengthFacts] = Field(
        default_factory=dict, description="Tokens that may be read -> the model there; as --at-lengths asked."
    )
    files: list[str] = Field(default_factory=list, description="Files of predictions.")
    seconds: Figure = Field(0.0, description="All in all.")

    def scored(self) -> tuple[Primary, BaselineFacts]:
        """The metric that counts, and the best constant answer.

        Raises:
            InputError: the split has no labels, so there is neither.
        """
        if self.primary is None or self.baseline is None:
            raise InputError(f"the evaluation of split {self.split!r} holds no metric: the split has no labels")
        return self.primary, self.baseline
