"""What the training loop needs of a backend. TensorFlow's is in `tensorflow_step`, JAX's in `jax_step`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

from bigbird.layers.types import Tensor

if TYPE_CHECKING:
    import keras

    from bigbird.optimization import AdamW


Batch: TypeAlias = Mapping[str, Tensor]
"""Of B rows and L tokens, by name: inputs int32[B, L], targets as the records have them, record_id int64[B], weight float32[B]."""

# Not inputs of a step: what the records are called, and a weight that is 1 throughout training.
HOST_ONLY = ("record_id", "weight")


@dataclass(frozen=True)
class Prediction:
    """The model's answer to one evaluation batch, on the host. B rows.

    Attributes:
        record_ids: int64[B].
        weight: float32[B], 0 for rows that only fill the batch up.
        outputs: the model's, float32 arrays of B rows.
        losses: float32[B], or None where the records have no targets.
        labels: int32[B] or float32[B] of a labelled GLUE split, else None.
    """

    record_ids: np.ndarray
    weight: np.ndarray
    outputs: dict[str, np.ndarray]
    losses: np.ndarray | None
    labels: np.ndarray | None


class TrainingSteps(Protocol):
    """A model and its optimizer, and the compiled steps that move them.

    A training step is a pure function of (weights, optimizer state, batch, seed, step); the step's number is the
    optimizer's own count of its updates.
    """

    replicas: int
    is_chief: bool  # the one worker that writes files

    @property
    def model(self) -> keras.Model:
        """The model with its present weights; ask for it anew after an update."""

    @property
    def optimizer(self) -> AdamW:
        """The optimizer with its present state, likewise."""

    def training_batches(self, skip: int, without: Sequence[int]) -> Iterator[Batch]:
        """The endless stream of batches from number `skip` on, without the numbered ones."""

    def train(self, batch: Batch) -> Tensor:
        """Starts one update and returns a handle to its figures, float32[3], without waiting for them."""

    def wait(self, handles: Sequence[Tensor]) -> np.ndarray:
        """Figures of started updates, float64[n, 3]: loss, norm of the gradient before clipping, real tokens."""

    def record_ids(self, batch: Batch) -> np.ndarray:
        """The ids of this worker's records in a batch, int64[n]."""

    def predictions(self, files: Sequence[str], *, labels: bool, max_records: int = 0) -> Iterator[Prediction]:
        """Runs the model over a split's files, in order."""
