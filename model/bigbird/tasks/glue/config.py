"""The configuration of classification and regression."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bigbird.config import DataConfig, Task
from bigbird.tasks.classification.config import ClassifierModelConfig


class ClassifierDataConfig(DataConfig):
    label_type: Literal["int", "float"] = "int"


class GlueTask(Task):
    """Sentence or sentence-pair classification or regression."""

    model: ClassifierModelConfig = ClassifierModelConfig()
    init_cls_pooler: bool = Field(False, description="starts the head's pooler from the checkpoint's pooler")
    metric_type: Literal["accuracy", "f1", "matthews_corrcoef", "pearson_spearman_corr"] = "accuracy"
    train_data: ClassifierDataConfig = ClassifierDataConfig()
    validation_data: ClassifierDataConfig = ClassifierDataConfig(is_training=False, drop_remainder=False)
