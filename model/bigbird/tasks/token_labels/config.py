"""The configuration of labels inside documents."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from bigbird.config import Amount, DataConfig, Number, PlainModelConfig, Positive, Task
from bigbird.tasks.token_labels.data_section import SpanData
from bigbird.tasks.token_labels.decoding import Transitions
from bigbird.tasks.token_labels.words import Unit


class TokenLabelsTask(Task):
    """Spans of a document, each with a label."""

    model: PlainModelConfig = PlainModelConfig()
    data: SpanData = Field(SpanData(), description="the documents: files, columns, splits; read by preprocessing")
    units: Unit = Field(
        "words",
        description="words: a word is labelled at its first piece, and only first pieces are in the loss; pieces: each piece of the vocabulary is "
        "labelled, and all are in the loss",
    )
    window_stride: Positive | None = Field(
        None, description="tokens from one window to the next; default: three quarters of seq_length"
    )
    class_weights: Literal["balanced"] | dict[str, Amount] | None = Field(
        None,
        description="weights of the labels in the loss; balanced: rare labels weigh more; labels left out, and no label, weigh 1",
    )
    transition_weight: Amount = Field(
        1.0,
        description="how much it counts how tags follow each other in training; 0: only what cannot follow is left out",
    )
    transitions: dict[str, Number] = Field(
        {},
        description="log of how much likelier a tag is behind another than anywhere, by name; default: the dataset's",
    )
    labels: list[str] = Field([], description="names of the labels, in order; default: the dataset's")
    train_data: DataConfig = DataConfig()
    validation_data: DataConfig = DataConfig(is_training=False, drop_remainder=False)

    @model_validator(mode="after")
    def _check_transitions(self) -> TokenLabelsTask:
        if unknown := set(self.transitions) - set(Transitions._fields):
            raise ValueError(f"transitions has {min(unknown)}; expected some of {', '.join(Transitions._fields)}")
        return self

    @property
    def weighted_transitions(self) -> Transitions:
        """As decoding takes them."""
        return Transitions.weighted(self.transitions, self.transition_weight)

    @model_validator(mode="after")
    def _check_stride(self) -> TokenLabelsTask:
        longest = max(self.train_data.seq_length, self.validation_data.seq_length)
        if self.window_stride is not None and self.window_stride > longest:
            raise ValueError(
                f"window_stride {self.window_stride} is above seq_length {longest}: text between two windows would not be read"
            )
        return self
