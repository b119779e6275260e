"""A task's model and its loss, as the task's family has them.

Shapes: B batch.
"""

from __future__ import annotations

from typing import Any

import keras

from bigbird.config import Task
from bigbird.tasks.registry import family_of


def build_model(task: Task, *, num_classes: int | None = None, dtype: str = "float32") -> keras.Model:
    """A built model for a task, weights freshly initialised (`keras.utils.set_random_seed` makes them repeatable).

    Args:
        task: the task's configuration.
        num_classes: for classification, 1 for regression; default `task.model.num_classes`.
        dtype: "float32" or "mixed_bfloat16" (float32 weights, bfloat16 arithmetic).

    Raises:
        ValueError: a classifier without a number of classes.
    """
    family = family_of(task)
    model: keras.Model = family.build_model(task, num_classes=num_classes, dtype=dtype)
    # Symbolic, for JAX would compile each operation of a call with numbers.
    model({name: keras.KerasTensor((1, task.encoder.block_size), "int32", name=name) for name in family.model_inputs})
    return model


def per_example_loss(task: Task, outputs: dict[str, Any], batch: dict[str, Any]) -> Any:
    """The loss of each example, unweighted, as its task family has it.

    Returns:
        float32[B].
    """
    return family_of(task).loss(task, outputs, batch)


def has_targets(task: Task, batch: dict[str, Any]) -> bool:
    """Whether a batch can be compared with what is right."""
    return family_of(task).target in batch


def summarize(task: Task, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Any]:
    """What scoring needs of a batch's outputs, as its task family has it; a row for each example."""
    return family_of(task).summarize(task, outputs, batch)
