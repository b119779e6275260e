"""Training and prediction steps on JAX, on one device or many, of one process or many.

Shapes: B global batch, b rows of one process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence

import jax
import keras
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding

from bigbird.config import DataConfig, Experiment, replace
from bigbird.data.dataset import Rows, evaluation_dataset, explain_bad_records, training_dataset
from bigbird.models import build_model
from bigbird.optimization import AdamW, WarmupDecay, freeze
from bigbird.support.errors import InputError
from bigbird.support.precision import policy
from bigbird_components.train.jax_ahead import Ahead, in_background, is_known_at_other_lengths, resized
from bigbird_components.train.jax_devices import build_mesh
from bigbird_components.train.jax_update import (
    SPREAD,
    WHOLE,
    TrainingState,
    build_prediction,
    build_update,
    give_state,
    take_state,
)
from bigbird_components.train.steps import HOST_ONLY, Batch, Prediction

_log = logging.getLogger(__name__)


class JaxSteps:
    """`TrainingSteps` on JAX. One function is compiled per bucket length.

    Between updates weights and moments are JAX's, each update taking the memory of the last one's. Whoever asks for `model` or
    `optimizer` finds them in the variables; the next update takes them from there, changed or not. So ask anew after it.

    Args:
        experiment: resolved; `task.model.num_classes` is known.
        schedule: the learning rate.
        files: the training split's TFRecord files.
    """

    def __init__(self, experiment: Experiment, schedule: WarmupDecay, files: Sequence[str]):
        self._task, self._files, self._seed = experiment.task, list(files), experiment.runtime.seed
        optimization = experiment.trainer.optimizer_config
        config = optimization.optimizer.adamw
        keras.utils.set_random_seed(self._seed)
        self._mesh = build_mesh(experiment.runtime)
        if self._mesh.devices.flat[0].platform == "cpu" and self._task.encoder.attention.implementation == "pallas":
            _log.warning("attention.implementation is pallas, which a CPU only interprets, slowly")
        self._spread = NamedSharding(self._mesh, SPREAD)
        self.replicas: int = self._mesh.size
        self.is_chief: bool = jax.process_index() == 0
        # Of several workers: whether the n-th time that each asks is the one at which all stop, as one got SIGTERM.
        self.agreed_to_stop = multihost_utils.reached_preemption_sync_point if jax.process_count() > 1 else None
        batch_size = self._task.train_data.global_batch_size
        if batch_size % self.replicas:
            raise InputError(
                f"task.train_data.global_batch_size {batch_size} is not a multiple of the {self.replicas} devices"
            )
        with jax.default_device(self._mesh.local_devices[0]):  # attention's kernel is chosen for it
            self._model = build_model(self._task, dtype=policy(experiment.runtime.mixed_precision_dtype))
        freeze(self._model, experiment.trainer)
        self._optimizer = AdamW(schedule, config, optimization.ema)
        self._optimizer.build(self._model.trainable_variables)
        self._state: TrainingState | None = None  # None: the variables hold it
        self._update = Ahead(
            build_update(self._model, self._optimizer, self._task, config.gradient_clip_norm, self._mesh)
        )
        self._predict = Ahead(build_prediction(self._model, self._task, self._mesh))
        # A GPU's compiler tries kernels on the GPU, and those of several processes must agree, so there nothing is made ahead.
        self._is_prepared = jax.process_count() > 1 or self._mesh.devices.flat[0].platform == "gpu"

    # ------------------------------------------------------------------------------------------------- state

    @property
    def model(self) -> keras.Model:
        """The model with its present weights."""
        self._give_state()
        return self._model

    @property
    def optimizer(self) -> AdamW:
        """The optimizer with its present state."""
        self._give_state()
        return self._optimizer

    def _give_state(self) -> None:
        if self._state is not None:
            give_state(self._state, self._model, self._optimizer)
            self._state = None

    def _take_state(self) -> TrainingState:
        if self._state is None:
            self._state = take_state(self._model, self._optimizer, self._mesh)
        return self._state

    # ---------------------------------------------------------------------------------------------- training

    def training_batches(self, skip: int, without: Sequence[int]) -> Iterator[Batch]:
        data, process = self._task.train_data, jax.process_index()
        seed = self._seed if data.seed is None else data.seed
        rows = Rows(process, process + 1, jax.process_count())
        batches = training_dataset(
            self._files, self._task, seed=seed, skip=skip, without=without, rows=rows
        ).as_numpy_iterator()
        while True:
            with explain_bad_records(self._files, self._task, data):
                batch = next(batches)
            yield batch

    def train(self, batch: Batch) -> jax.Array:
        inputs = {
            name: jax.make_array_from_process_local_data(self._spread, value)
            for name, value in batch.items()
            if name not in HOST_ONLY
        }
        if not self._is_prepared:
            self._is_prepared = True
            self._prepare(inputs)
        self._state, figures = self._update(self._take_state(), inputs, np.int32(self._seed))
        return figures

    def _prepare(self, first: Mapping[str, jax.Array]) -> None:
        """Has the programs of the other lengths compiled, and those of validation, while training goes on.

        Args:
            first: the first batch's inputs.
        """
        if not is_known_at_other_lengths(first, getattr(self._task.model, "num_classes", None)):  # type: ignore[attr-defined]
            return
        whole = NamedSharding(self._mesh, WHOLE)
        state = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=whole), self._take_state())
        lengths, own = self._task.buckets, first["input_word_ids"].shape[1]

        def batches(lengths: Sequence[int], rows: Callable[[int], int]) -> Iterator[dict[str, jax.ShapeDtypeStruct]]:
            for shapes in resized(first, lengths, rows):
                yield {name: jax.ShapeDtypeStruct(*each, sharding=self._spread) for name, each in shapes.items()}

        others = batches([length for length in lengths if length != own], self._task.train_data.batch_size_at)
        jobs = [self._update.expect(state, batch, np.int32(self._seed)) for batch in others]
        if self._task.validation_data.input_path:
            batches_to_answer = batches(lengths, self._validation_data().batch_size_at)
            jobs += [self._predict.expect(state.model, batch) for batch in batches_to_answer]
        in_background(jobs)

    def wait(self, handles: Sequence[jax.Array]) -> np.ndarray:
        return np.array([np.asarray(handle) for handle in handles], np.float64)

    def record_ids(self, batch: Batch) -> np.ndarray:
        ids: np.ndarray = batch["record_id"]
        return ids

    # -------------------------------------------------------------------------------------------- prediction

    def predictions(self, files: Sequence[str], *, labels: bool, max_records: int = 0) -> Iterator[Prediction]:
        data = self._task.validation_data
        size = self._validation_data().global_batch_size
        dataset = evaluation_dataset(files, self._task, labels=labels, batch_size=size, max_records=max_records)
        weights = self._take_state().model
        # One batch is computed while the last is read.
        running: tuple[dict[str, np.ndarray], dict[str, jax.Array]] | None = None
        with explain_bad_records(files, self._task, data, labels=labels):
            for batch in dataset.as_numpy_iterator():
                inputs = {name: self._share(value) for name, value in batch.items() if name not in HOST_ONLY}
                started = batch, self._predict(weights, inputs)
                if running is not None:
                    yield _fetch(*running)
                running = started
            if running is not None:
                yield _fetch(*running)

    def _validation_data(self) -> DataConfig:
        """Validation's, of batches that the devices can share."""
        data = self._task.validation_data
        size = -(-data.global_batch_size // self.replicas) * self.replicas
        return replace(data, global_batch_size=size)

    def _share(self, value: np.ndarray) -> jax.Array:
        """An array that every process has whole, spread over the devices."""
        return jax.make_array_from_callback(value.shape, self._spread, lambda rows: value[rows])


def _fetch(batch: dict[str, np.ndarray], results: dict[str, jax.Array]) -> Prediction:
    arrays = {name: np.asarray(value) for name, value in results.items()}
    losses = arrays.pop("loss", None)
    return Prediction(batch["record_id"], batch["weight"], arrays, losses, batch.get("label_ids"))
