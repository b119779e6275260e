"""The configuration of classification and regression."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from bigbird.config import Count, DataConfig, EncoderConfig, Head, Section, Task


class ClassifierModelConfig(Section):
    num_classes: Count = Field(0, description="1 is regression; 0 takes it from the dataset's manifest")
    use_encoder_pooler: bool = Field(False, description="the encoder's pooler under the head instead of a new one")
    head: Head = Field(
        "model_garden", description="a tanh layer and logits, or Hugging Face's with the hidden activation"
    )
    encoder: EncoderConfig = EncoderConfig()

    @model_validator(mode="after")
    def _check_head(self) -> ClassifierModelConfig:
        if self.head == "hugging_face" and self.use_encoder_pooler:
            raise ValueError("use_encoder_pooler goes with head: model_garden; Hugging Face's head has its own layer")
        return self


class ClassifierDataConfig(DataConfig):
    label_type: Literal["int", "float"] = "int"


class GlueTask(Task):
    """Sentence or sentence-pair classification or regression."""

    model: ClassifierModelConfig = ClassifierModelConfig()
    init_cls_pooler: bool = Field(False, description="starts the head's pooler from the checkpoint's pooler")
    metric_type: Literal["accuracy", "f1", "matthews_corrcoef", "pearson_spearman_corr"] = "accuracy"
    train_data: ClassifierDataConfig = ClassifierDataConfig()
    validation_data: ClassifierDataConfig = ClassifierDataConfig(is_training=False, drop_remainder=False)
