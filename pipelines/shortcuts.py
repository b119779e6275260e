"""Options for what is set most often: each is short for overrides of the configuration.

A new one is an entry of `SHORTCUTS`. The pipeline knows nothing of them: its parameters are the recipe and the overrides.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import click

from bigbird.config import ENCODER_KEY, TREE, BigBirdEncoderConfig
from bigbird.config.overrides import assignment, merge
from bigbird.support.precision import PRECISIONS
from bigbird.support.yaml_files import parse_yaml_mapping
from bigbird.tasks.registry import family_of_task
from bigbird_components.command_line import flag


class Finite(click.FloatRange):
    """A number that is neither infinite nor NaN, which the ranges of click let through."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number, or a usage error."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number", param, ctx)
        return number


@dataclass(frozen=True)
class Shortcut:
    """An option.

    Attributes:
        type: of its value.
        told: what help says.
        keys: of the configuration, which take the value.
        also: keys that it sets besides, and to what.
    """

    type: click.ParamType
    told: str
    keys: tuple[str, ...]
    also: Mapping[str, Any] = field(default_factory=dict)


MOST_EPOCHS = 1e6
"""Of `--epochs`: more is a slip."""

MOST_TOKENS = 1_000_000
"""Of `--max-length`: a model that reads so many takes more memory than machines have."""

_RATES = "trainer.optimizer_config.learning_rate"
_WARMUP = "trainer.optimizer_config.warmup"

SHORTCUTS = {
    "max_length": Shortcut(
        click.IntRange(min=16, max=MOST_TOKENS),
        "Tokens; the recipe's by default. A model from scratch, or from a BERT, gets more positions where it needs them.",
        ("task.train_data.seq_length", "task.validation_data.seq_length"),
    ),
    "batch_size": Shortcut(
        click.IntRange(min=1),
        "Examples of a training step, all chips together; the recipe's by default.",
        ("task.train_data.global_batch_size", "task.validation_data.global_batch_size"),
        {
            "task.train_data.tokens_per_batch": None,
            "task.validation_data.tokens_per_batch": None,
        },  # which would go on counting
    ),
    "learning_rate": Shortcut(
        Finite(min=0, min_open=True),
        "The peak; the recipe's by default.",
        (f"{_RATES}.polynomial.initial_learning_rate", f"{_RATES}.constant.learning_rate"),
    ),
    "epochs": Shortcut(
        Finite(min=0, min_open=True, max=MOST_EPOCHS),
        "Passes over the data; the recipe's by default.",
        ("trainer.epochs",),
        {  # the recipe's steps, decay and warm-up follow from it
            "trainer.train_steps": 0,
            f"{_RATES}.polynomial.decay_steps": None,
            f"{_WARMUP}.polynomial.warmup_steps": None,
            f"{_WARMUP}.linear.warmup_steps": None,
        },
    ),
    "precision": Shortcut(
        click.Choice(PRECISIONS),
        "What the model computes in; the recipe's by default.",
        ("runtime.mixed_precision_dtype",),
    ),
}
"""Name -> option, in the order in which help lists them."""


def shortcut_options(command: Any) -> Any:
    """Gives a command the options."""
    for name, shortcut in reversed(SHORTCUTS.items()):
        command = click.option(flag(name), name, type=shortcut.type, help=shortcut.told)(command)
    return command


def shortcut_overrides(options: Mapping[str, Any], task: str, recipe: str) -> list[str]:
    """What was given of the options, as overrides.

    Args:
        options: a command's; None and 0 were not given.
        task: its name.
        recipe: the recipe's text.

    Raises:
        InputError: the recipe is no YAML.
    """
    found: dict[str, Any] = {}
    for name, shortcut in SHORTCUTS.items():
        if value := options.get(name):
            found |= {**dict.fromkeys(shortcut.keys, value), **shortcut.also}
    if length := options.get("max_length"):
        found |= _fitting_model(task, recipe, length)
    return [assignment(key, value) for key, value in found.items()]


def _fitting_model(task: str, recipe: str, length: int) -> dict[str, Any]:
    """What else a recipe needs at another longest length: its own length buckets cut off there, and positions up to it."""
    tree = parse_yaml_mapping(recipe, "recipe", TREE, place="recipe, line {line}")
    tree = merge(family_of_task(task).task_defaults(task), tree)
    found: dict[str, Any] = {}
    buckets = _value(tree, "task.bucket_lengths")
    if isinstance(buckets, list) and all(isinstance(bucket, int) for bucket in buckets):
        found["task.bucket_lengths"] = [bucket for bucket in buckets if bucket < length] + [length]
    key = f"{ENCODER_KEY}.max_position_embeddings"
    positions = _value(tree, key) or BigBirdEncoderConfig.model_fields["max_position_embeddings"].default
    if isinstance(positions, int) and positions < length:
        found[key] = length
    return found


def _value(tree: Mapping[str, Any], key: str) -> Any:
    """The value of a dotted key; None where it is not there."""
    value: Any = tree
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
