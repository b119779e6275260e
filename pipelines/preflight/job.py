"""A run, from its recipe and one step: how many steps, how long, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bigbird.config import Experiment, replace, with_sections
from bigbird.config.overrides import merge
from bigbird.manifests import DatasetManifest
from bigbird.support.errors import InputError
from bigbird.tasks.registry import family_of, family_of_task
from bigbird_components.run_configuration import epochs_to_train


@dataclass(frozen=True)
class RunEstimate:
    """What a run takes, as far as its steps go.

    Attributes:
        step_s: seconds of a step.
        tokens_per_s: padding included, all chips together.
        steps: updates; None where the recipe counts epochs and the examples are not known.
        seconds: of all steps, None without their number.
        chip_hours: of all chips, None likewise.
        price: in the currency of the price of a chip-hour, None without one.
    """

    step_s: float
    tokens_per_s: float
    steps: int | None = None
    seconds: float | None = None
    chip_hours: float | None = None
    price: float | None = None


def plan(
    cycles: int,
    *,
    clock_hz: float,
    batch: int,
    length: int,
    chips: int,
    steps: int | None,
    price_per_chip_hour: float | None = None,
) -> RunEstimate:
    """Works out a run.

    Args:
        cycles: of one step on one chip.
        clock_hz: of the chip.
        batch: examples of a step, all chips together.
        length: tokens of each, padding included.
        chips: of the machine.
        steps: of the run, where they are known.
        price_per_chip_hour: of one chip for an hour.
    """
    step_s = cycles / clock_hz
    tokens_per_s = batch * length / step_s if step_s else 0.0
    if steps is None:
        return RunEstimate(step_s, tokens_per_s)
    seconds = steps * step_s
    chip_hours = chips * seconds / 3600
    price = None if price_per_chip_hour is None else chip_hours * price_per_chip_hour
    return RunEstimate(step_s, tokens_per_s, steps, seconds, chip_hours, price)


def count_steps(experiment: Experiment, examples: int | None) -> int | None:
    """The run's updates: `trainer.train_steps`, or from `trainer.epochs` as training counts them.

    Args:
        experiment: the run.
        examples: of the training split, where that is known.

    Raises:
        InputError: the recipe gives neither.
    """
    trainer, data = experiment.trainer, experiment.task.train_data
    if trainer.train_steps:
        return trainer.train_steps
    epochs = epochs_to_train(experiment)
    if examples is None:
        return None
    total = min(examples, data.max_records or examples)
    # Batches of shorter inputs may be larger (tokens_per_batch); at the longest all have this size.
    batch = data.batch_size_at(padded_length(experiment))
    return max(1, -(-round(epochs * total) // batch))


def padded_length(experiment: Experiment) -> int:
    """Tokens to which the longest training batches are padded."""
    task = experiment.task
    return next(length for length in task.buckets if length >= task.train_data.seq_length)


def with_manifest(experiment: Experiment, folder: Path) -> tuple[Experiment, int]:
    """The experiment with what a dataset knows, and the examples of its training split.

    Raises:
        InputError: the folder is no dataset, or is another task's, or has no training split.
    """
    manifest = DatasetManifest.read(folder)
    if manifest.experiment_type != experiment.type:
        raise InputError(
            f"--dataset {folder}: is for {manifest.experiment_type}, but the experiment's type is {experiment.type}"
        )
    splits = manifest.splits
    name = next((split for split in splits if split == "train" or split.startswith("train_")), None)
    if name is None:
        raise InputError(f"--dataset {folder}: has no train split; it has {', '.join(splits)}")
    changes: dict[str, Any] = {}
    if "vocab_size" not in experiment.task.encoder.model_fields_set:
        changes["model"] = {"encoder": {"bigbird": {"vocab_size": manifest.vocabulary.size}}}
    if not getattr(experiment.task.model, "num_classes", 1):  # type: ignore[attr-defined]
        changes = merge(changes, family_of(experiment.task).from_dataset(experiment.task, manifest, ""))
    if changes:
        experiment = with_sections(experiment, task=replace(experiment.task, **changes))
    return experiment, splits[name].records


def with_classes(experiment: Experiment, task: str) -> Experiment:
    """The experiment with the task's own number of classes, where the recipe leaves that to the dataset."""
    if getattr(experiment.task.model, "num_classes", 1):  # type: ignore[attr-defined]
        return experiment
    number = family_of_task(task).num_classes(task)
    if number is None:
        raise InputError(
            "--dataset is not given, which says how many labels there are; give it, or --override task.model.num_classes=NUMBER (1 "
            "for a number)"
        )
    classes = {"num_classes": number}
    return with_sections(experiment, task=replace(experiment.task, model=classes))
