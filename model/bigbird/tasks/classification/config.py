"""The configuration of classifiers, and of a user's own documents."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from bigbird.config import (
    Amount,
    Count,
    DataConfig,
    EncoderConfig,
    Fraction,
    Head,
    Number,
    Pooling,
    Positive,
    Section,
    Task,
    check_encoder_pooler,
)
from bigbird.tasks.classification.data_section import TableData

LongDocuments = Literal["head", "head_tail", "windows"]
WindowPooling = Literal["mean", "max"]
Share = Annotated[Number, Field(gt=0.0, le=1.0)]
ResolvedKind = Literal["single", "multi", "number"]
WINDOWS_OF_PAIRS = (
    "long_documents is windows and text_b is given: windows are cut from one text; expected long_documents head or head_tail "
    "(--long-documents), or no text_b"
)


class ClassifierModelConfig(Section):
    num_classes: Count = Field(0, description="1 is regression; 0 takes it from the dataset's manifest")
    use_encoder_pooler: bool = Field(False, description="the encoder's pooler under the head instead of a new one")
    head: Head = Field(
        "model_garden", description="a tanh layer and logits, or Hugging Face's with the hidden activation"
    )
    pooling: Pooling = Field("cls", description="what the head sees: the first token, or the mean of all tokens")
    encoder: EncoderConfig = EncoderConfig()

    @model_validator(mode="after")
    def _check_head(self) -> ClassifierModelConfig:
        check_encoder_pooler(self.use_encoder_pooler, self.head, self.pooling)
        return self


class DecisionsConfig(Section):
    """What is chosen on the validation split after training: a temperature, and thresholds of several labels."""

    fit: Literal["auto", "always", "never"] = Field(
        "auto", description="auto: where validation has enough examples; always: otherwise training is refused"
    )
    metric: str = Field("micro_f1", description="several labels: what the thresholds make best")


class ClassifierTask(Task):
    """What all classifiers have."""

    model: ClassifierModelConfig = ClassifierModelConfig()
    init_cls_pooler: bool = Field(False, description="starts the head's pooler from the checkpoint's pooler")
    class_weights: Literal["balanced"] | dict[str, Amount] | None = Field(
        None, description="weights of the labels in the loss; balanced: rare labels weigh more; labels left out weigh 1"
    )
    label_smoothing: Fraction = Field(0.0, description="of one label or several labels; as in Keras' losses")
    labels: list[str] = Field([], description="names of the classes, in order; default: the dataset's")


class ClassificationTask(ClassifierTask):
    """One label, several labels or a number for each document."""

    data: TableData = Field(TableData(), description="the table: files, columns, splits; read by preprocessing")
    long_documents: LongDocuments = Field(
        "head",
        description="of documents above seq_length, head: the beginning is read; head_tail: beginning and end; windows: all, "
        "in parts whose scores are pooled",
    )
    window_stride: Positive | None = Field(
        None, description="tokens from one window to the next; default: three quarters of seq_length"
    )
    window_pooling: WindowPooling = Field("mean", description="of the windows' logits, label by label")
    decisions: DecisionsConfig = DecisionsConfig()
    kind: ResolvedKind | None = Field(None, description="what the records' labels are; default: the dataset's")
    label_shares: dict[str, Share] = Field(
        {},
        description="share of the training documents that have each label; the logits' bias starts at what answers so; default: the "
        "dataset's",
    )
    number_mean: Number = Field(0.0, description="of the training split's numbers; default: the dataset's")
    number_deviation: Number = Field(1.0, gt=0, description="standard deviation of the same")
    train_data: DataConfig = DataConfig()
    validation_data: DataConfig = DataConfig(is_training=False, drop_remainder=False)

    @model_validator(mode="after")
    def _check_pairs(self) -> ClassificationTask:
        if self.long_documents == "windows" and self.data.text_b is not None:
            raise ValueError(WINDOWS_OF_PAIRS)
        return self

    @model_validator(mode="after")
    def _check_stride(self) -> ClassificationTask:
        longest = max(self.train_data.seq_length, self.validation_data.seq_length)
        if self.window_stride is not None and self.window_stride > longest:
            raise ValueError(
                f"window_stride {self.window_stride} is above seq_length {longest}: text between two windows would not be read"
            )
        return self
