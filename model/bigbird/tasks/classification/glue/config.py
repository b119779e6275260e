"""The configuration of GLUE's tasks."""

from __future__ import annotations

from typing import Literal

from bigbird.config import DataConfig
from bigbird.tasks.classification.config import ClassifierTask


class ClassifierDataConfig(DataConfig):
    label_type: Literal["int", "float"] = "int"


class GlueTask(ClassifierTask):
    """Sentence or sentence-pair classification or regression."""

    metric_type: Literal["accuracy", "f1", "matthews_corrcoef", "pearson_spearman_corr"] = "accuracy"
    train_data: ClassifierDataConfig = ClassifierDataConfig()
    validation_data: ClassifierDataConfig = ClassifierDataConfig(is_training=False, drop_remainder=False)
