"""The seeds of a model's dropout."""

from __future__ import annotations

import keras
from keras import ops

from bigbird.config import BigBirdEncoderConfig
from bigbird.layers.dropout import fold_seed
from bigbird.layers.types import Tensor


def seed_generator(config: BigBirdEncoderConfig, first: int) -> keras.random.SeedGenerator | None:
    """What gives an encoder a seed for each step that brings none; None where nothing is dropped.

    Args:
        config: its dropout.
        first: what its seeds begin with.
    """
    return keras.random.SeedGenerator(first) if config.dropout_rate or config.attention_dropout_rate else None


def training_seed(training: bool, seed: Tensor | None, generator: keras.random.SeedGenerator | None) -> Tensor | None:
    """The step's seed, int32[2 or 3], while training; None otherwise.

    Args:
        training: whether the model trains.
        seed: the step's own seed; None takes the next one of the generator.
        generator: as `seed_generator` gives it; without one the seed is zeros, as gradient checkpointing needs one even without
            dropout.
    """
    if not training:
        return None
    if seed is not None:
        return seed
    return ops.zeros((2,), "int32") if generator is None else ops.cast(generator.next(), "int32")


def head_seed(seed: Tensor | None, site: int = 0) -> Tensor | None:
    """The seed of a dropout above the encoder; `site` tells several of one head apart."""
    return None if seed is None else fold_seed(seed, 900 + site)
