"""A task's model and its loss, as the task's family has them.

Shapes: B batch.
"""

from __future__ import annotations

import keras

from bigbird.config import Task
from bigbird.layers.types import Tensor
from bigbird.tasks.registry import family_of


def build_model(task: Task, *, num_classes: int | None = None, dtype: str = "float32") -> keras.Model:
    """A built model for a task, weights freshly initialised (`keras.utils.set_random_seed` makes them repeatable).

    Args:
        task: the task's configuration.
        num_classes: for classification, 1 for regression; default `task.model.num_classes`.
        dtype: "float32" or "mixed_bfloat16" (float32 weights, bfloat16 arithmetic).

    Raises:
        ValueError: a classifier without a number of classes.

    Example:
        >>> import numpy as np
        >>> from bigbird.config import load_experiment
        >>> from bigbird.models import build_model
        >>> encoder = "task.model.encoder.bigbird.size=small,task.model.encoder.bigbird.vocab_size=100"
        >>> task = load_experiment("bigbird/glue", overrides=[encoder, "task.model.num_classes=2"]).task
        >>> model = build_model(task)
        >>> tuple(model.logits.kernel.shape)
        (128, 2)
    """
    family = family_of(task)
    model: keras.Model = family.build_model(task, num_classes=num_classes, dtype=dtype)
    # Symbolic, for JAX would compile each operation of a call with numbers.
    model({name: keras.KerasTensor((1, task.encoder.block_size), "int32", name=name) for name in family.model_inputs})
    return model


def per_example_loss(task: Task, outputs: dict[str, Tensor], batch: dict[str, Tensor]) -> Tensor:
    """The loss of each example, unweighted, as its task family has it.

    Args:
        task: the task's configuration.
        outputs: the model's.
        batch: with what is right.

    Returns:
        float32[B].

    Example:
        >>> import numpy as np
        >>> from bigbird.config import load_experiment
        >>> from bigbird.models import build_model, per_example_loss
        >>> encoder = "task.model.encoder.bigbird.size=small,task.model.encoder.bigbird.vocab_size=100"
        >>> task = load_experiment("bigbird/glue", overrides=[encoder, "task.model.num_classes=2"]).task
        >>> model, ids = build_model(task), np.ones((3, 16), "int32")
        >>> batch = {"input_word_ids": ids, "input_mask": ids, "input_type_ids": 0 * ids, "label_ids": np.array([0, 1, 0])}
        >>> per_example_loss(task, model(batch), batch).shape[0]
        3
    """
    return family_of(task).loss(task, outputs, batch)


def has_targets(task: Task, batch: dict[str, Tensor]) -> bool:
    """Whether a batch can be compared with what is right.

    Example:
        >>> import numpy as np
        >>> from bigbird.config import load_experiment
        >>> from bigbird.models import has_targets
        >>> encoder = "task.model.encoder.bigbird.size=small,task.model.encoder.bigbird.vocab_size=100"
        >>> task = load_experiment("bigbird/glue", overrides=[encoder, "task.model.num_classes=2"]).task
        >>> has_targets(task, {"label_ids": np.array([0, 1])}), has_targets(task, {})
        (True, False)
    """
    return family_of(task).target in batch


def summarize(task: Task, outputs: dict[str, Tensor], batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """What scoring needs of a batch's outputs, as its task family has it; a row for each example.

    Example:
        >>> import numpy as np
        >>> from bigbird.config import load_experiment
        >>> from bigbird.models import build_model, summarize
        >>> encoder = "task.model.encoder.bigbird.size=small,task.model.encoder.bigbird.vocab_size=100"
        >>> task = load_experiment("bigbird/glue", overrides=[encoder, "task.model.num_classes=2"]).task
        >>> model, ids = build_model(task), np.ones((3, 16), "int32")
        >>> batch = {"input_word_ids": ids, "input_mask": ids, "input_type_ids": 0 * ids, "label_ids": np.array([0, 1, 0])}
        >>> {name: value.shape[0] for name, value in summarize(task, model(batch), batch).items()}
        {'logits': 3}
    """
    return family_of(task).summarize(task, outputs, batch)
