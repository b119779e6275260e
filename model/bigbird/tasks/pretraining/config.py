"""The configuration of masked-language modelling."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bigbird.config import DataConfig, Number, PlainModelConfig, Positive, Task


class PretrainingDataConfig(DataConfig):
    seq_length: Positive = Field(4096, description="tokens; longer records are refused")
    vocab_file: str = Field("", description="what the records were made with; default the dataset's")
    masking: Literal["whole_word", "piece"] = Field("whole_word", description="what is drawn at once")
    masked_share: Annotated[Number, Field(gt=0.0, lt=1.0)] = Field(0.15, description="of the tokens, as published")


class PretrainingTask(Task):
    """Masked-language modelling; its checkpoints are what the other tasks start from."""

    model: PlainModelConfig = PlainModelConfig()
    train_data: PretrainingDataConfig = PretrainingDataConfig()
    validation_data: PretrainingDataConfig = PretrainingDataConfig(is_training=False, drop_remainder=False)
