"""The seeds of a model's dropout."""

from __future__ import annotations

from typing import Any

from keras import ops

from bigbird.config import BigBirdEncoderConfig
from bigbird.layers.dropout import fold_seed


def training_seed(config: BigBirdEncoderConfig, training: bool, seed: Any) -> Any:
    """The step's seed while training, None otherwise; gradient checkpointing needs one even without dropout."""
    if not training:
        return None
    if seed is None:
        if config.dropout_rate or config.attention_dropout_rate:
            raise ValueError("training with dropout needs the step's seed, int32[2]")
        return ops.zeros((2,), "int32")
    return seed


def head_seed(seed: Any, site: int = 0) -> Any:
    """The seed of a dropout above the encoder; `site` tells several of one head apart."""
    return None if seed is None else fold_seed(seed, 900 + site)
