"""From a recipe and the pipeline's parameters to one experiment. Preprocessing and training read the same one."""

from __future__ import annotations

from typing import Any

from bigbird.config import TREE, Experiment, load_experiment
from bigbird.config.overrides import merge, parse_override
from bigbird.support.errors import InputError
from bigbird.support.text_files import shown
from bigbird.support.yaml_files import parse_yaml_mapping
from bigbird.tasks.registry import family_of, family_of_task


def resolve_experiment(task: str, recipe: str = "", *, init_checkpoint: str = "", overrides: str = "") -> Experiment:
    """Lays the weights over the recipe, then the overrides over both.

    Args:
        task: a task's name, such as `sst2` or `squad_v1`.
        recipe: the text of a recipe in YAML.
        init_checkpoint: the weights to start from; "" leaves the recipe's.
        overrides: `key.path=value,key.path=value`.

    Raises:
        InputError: the recipe or an override is not usable; every problem is named with its full key.
    """
    family = family_of_task(task)
    tree = parse_yaml_mapping(recipe, "recipe", TREE, place="recipe, line {line}")
    if tree.get("type") not in (None, family.experiment_type):
        raise InputError(
            f"the recipe is of type {shown(tree['type'])}, and --task {task} needs {family.experiment_type}; choose another --recipe, or another --task"
        )
    tree = merge(family.task_defaults(task), tree)
    if init_checkpoint:
        tree = merge(tree, {"task": {"init_checkpoint": init_checkpoint}})
    return load_experiment(family.experiment_type, overrides=[tree, parse_override(overrides)])


def epochs_to_train(experiment: Experiment) -> float:
    """`trainer.epochs`; 0 where `trainer.train_steps` says how long to train.

    Raises:
        InputError: neither is set.
    """
    trainer = experiment.trainer
    if trainer.train_steps:
        return 0.0
    if trainer.epochs is None:
        raise InputError(
            "neither trainer.train_steps nor trainer.epochs is set; set one of them, for example trainer.epochs=3 in the recipe"
        )
    return trainer.epochs


def preprocessing_settings(task: str, recipe: str = "", overrides: str = "") -> dict[str, Any]:
    """What the experiment says about preprocessing, as the preprocessing stage's keyword arguments (in tokens)."""
    experiment = resolve_experiment(task, recipe, overrides=overrides)
    return family_of(experiment.task).preprocessing_settings(experiment.task)
