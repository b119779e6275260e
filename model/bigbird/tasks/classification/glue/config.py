"""The configuration of GLUE's tasks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bigbird.config import DataConfig
from bigbird.tasks.classification.config import ClassifierTask


class ClassifierDataConfig(DataConfig):
    label_type: Literal["int", "float"] = Field("int", description="int for classes, float for a number")


class GlueTask(ClassifierTask):
    """Sentence or sentence-pair classification or regression."""

    metric_type: Literal["accuracy", "f1", "matthews_corrcoef", "pearson_spearman_corr"] = Field(
        "accuracy", description="the metric that decides, for records without a dataset folder"
    )
    train_data: ClassifierDataConfig = ClassifierDataConfig()
    validation_data: ClassifierDataConfig = ClassifierDataConfig(is_training=False, drop_remainder=False)
