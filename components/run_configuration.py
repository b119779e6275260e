"""From a recipe and the pipeline's parameters to one experiment. Preprocessing and training read the same one."""

from __future__ import annotations

from typing import Any

from bigbird.config import TREE, Experiment, load_experiment
from bigbird.config.overrides import merge, parse_override
from bigbird.support.yaml_files import parse_yaml_mapping
from bigbird.tasks.registry import family_of, family_of_task


def resolve_experiment(
    task: str,
    recipe: str = "",
    *,
    max_length: int = 0,
    batch_size: int = 0,
    learning_rate: float = 0.0,
    epochs: float = 0.0,
    init_checkpoint: str = "",
    overrides: str = "",
) -> Experiment:
    """Lays the parameters over the recipe, then the overrides over both. Zero and "" leave the recipe's value.

    Args:
        task: a task's name, such as `sst2` or `squad_v1`.
        recipe: the text of a recipe in YAML.
        max_length: tokens of the longest input.
        batch_size: examples of a training step, over all replicas; validation takes the same.
        learning_rate: the peak.
        epochs: passes over the training examples; replaces the recipe's steps, decay and warm-up.
        init_checkpoint: the weights to start from.
        overrides: `key.path=value,key.path=value`.

    Raises:
        InputError: the recipe or an override is not usable; every problem is named with its full key.
    """
    family = family_of_task(task)
    tree = parse_yaml_mapping(recipe, "recipe", TREE, place="recipe, line {line}")
    tree = merge(family.task_defaults(task), tree)
    changes = _parameter_changes(max_length, batch_size, learning_rate, epochs, init_checkpoint)
    tree = merge(tree, changes)
    if max_length:
        tree = _fit_buckets(tree, max_length)
    return load_experiment(family.experiment_type, overrides=[tree, parse_override(overrides)])


def _parameter_changes(
    max_length: int, batch_size: int, learning_rate: float, epochs: float, init_checkpoint: str
) -> dict[str, Any]:
    changes: dict[str, Any] = {}

    def set_key(path: str, value: Any) -> None:
        nonlocal changes
        for key in reversed(path.split(".")):
            value = {key: value}
        changes = merge(changes, value)

    for split in ("train_data", "validation_data"):
        if max_length:
            set_key(f"task.{split}.seq_length", max_length)
        if batch_size:
            set_key(f"task.{split}.global_batch_size", batch_size)
    rates = "trainer.optimizer_config.learning_rate"
    if learning_rate:
        set_key(f"{rates}.polynomial.initial_learning_rate", learning_rate)
        set_key(f"{rates}.constant.learning_rate", learning_rate)
    if epochs:
        set_key("trainer.epochs", epochs)
        set_key("trainer.train_steps", 0)
        set_key(f"{rates}.polynomial.decay_steps", None)
        set_key("trainer.optimizer_config.warmup.polynomial.warmup_steps", None)
        set_key("trainer.optimizer_config.warmup.linear.warmup_steps", None)
    if init_checkpoint:
        set_key("task.init_checkpoint", init_checkpoint)
    return changes


def _fit_buckets(tree: dict[str, Any], max_length: int) -> dict[str, Any]:
    """A recipe's own buckets, cut off at another longest length."""
    task = tree.get("task")
    buckets = task.get("bucket_lengths") if isinstance(task, dict) else None
    if not isinstance(buckets, list) or not all(isinstance(length, int) for length in buckets):
        return tree
    return merge(tree, {"task": {"bucket_lengths": [b for b in buckets if b < max_length] + [max_length]}})


def preprocessing_options(task: str, recipe: str = "", *, max_length: int = 0, overrides: str = "") -> dict[str, Any]:
    """What the experiment says about preprocessing, as the preprocessing stage's keyword arguments (in tokens)."""
    experiment = resolve_experiment(task, recipe, max_length=max_length, overrides=overrides)
    return family_of(experiment.task).preprocessing_settings(experiment.task)
