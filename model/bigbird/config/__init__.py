"""What is trained and how: the configuration's tree, its files and its overrides."""

from bigbird.config.experiment import PLACEHOLDER, TREE, Experiment, load_experiment, read_yaml, replace, with_sections
from bigbird.config.model import (
    ENCODER_KEY,
    SIZES,
    AttentionConfig,
    BigBirdEncoderConfig,
    EncoderConfig,
    Head,
    PlainModelConfig,
    Pooling,
    check_encoder_pooler,
    full_attention_blocks,
)
from bigbird.config.overrides import parse_override
from bigbird.config.section import Amount, Count, Fraction, Integer, Number, Positive, Section
from bigbird.config.task import DataConfig, Task
from bigbird.config.training import (
    AdamWConfig,
    MovingAverageConfig,
    OptimizerConfig,
    PolynomialDecay,
    RuntimeConfig,
    TrainerConfig,
)

__all__ = [
    "ENCODER_KEY",
    "PLACEHOLDER",
    "SIZES",
    "TREE",
    "AdamWConfig",
    "Amount",
    "AttentionConfig",
    "BigBirdEncoderConfig",
    "Count",
    "DataConfig",
    "EncoderConfig",
    "Experiment",
    "Fraction",
    "Head",
    "Integer",
    "MovingAverageConfig",
    "Number",
    "OptimizerConfig",
    "PlainModelConfig",
    "PolynomialDecay",
    "Pooling",
    "Positive",
    "RuntimeConfig",
    "Section",
    "Task",
    "TrainerConfig",
    "check_encoder_pooler",
    "full_attention_blocks",
    "load_experiment",
    "parse_override",
    "read_yaml",
    "replace",
    "with_sections",
]
