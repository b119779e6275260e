"""Training and prediction steps in TensorFlow, on one device or many.

Shapes: B global batch, b rows of one replica.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext

import keras
import numpy as np
import tensorflow as tf

from bigbird.config import Experiment
from bigbird.data.dataset import Rows, evaluation_dataset, explain_bad_records, training_dataset
from bigbird.layers.own_gradient import without_gradients
from bigbird.models import build_model, has_targets, per_example_loss, summarize
from bigbird.optimization import AdamW, WarmupDecay, clip_by_global_norm, freeze
from bigbird.support.errors import InputError
from bigbird.support.precision import policy
from bigbird_components.train.distribution import build_strategy
from bigbird_components.train.steps import HOST_ONLY, Batch, Prediction

REPLICA_STRIDE = 15_485_863  # a prime between the dropout seeds of two replicas


class TensorFlowSteps:
    """`TrainingSteps` in TensorFlow. One function is traced, and under XLA compiled, per bucket length.

    Args:
        experiment: resolved; `task.model.num_classes` is known.
        schedule: the learning rate.
        files: the training split's TFRecord files.
    """

    def __init__(self, experiment: Experiment, schedule: WarmupDecay, files: Sequence[str]):
        self._experiment, self._files = experiment, list(files)
        self._task, self._seed = experiment.task, experiment.runtime.seed
        optimization = experiment.trainer.optimizer_config
        config = optimization.optimizer.adamw
        self._clip_norm, self._batch_size = config.gradient_clip_norm, self._task.train_data.global_batch_size
        keras.utils.set_random_seed(self._seed)
        self.strategy = build_strategy(experiment.runtime)
        self.replicas: int = self.strategy.num_replicas_in_sync
        self.is_chief: bool = self.strategy.extended.should_checkpoint
        if self._batch_size % self.replicas:
            raise InputError(
                f"task.train_data.global_batch_size {self._batch_size} is not a multiple of the {self.replicas} replicas"
            )
        with self.strategy.scope():
            self.model = build_model(self._task, dtype=policy(experiment.runtime.mixed_precision_dtype))
            freeze(self.model, experiment.trainer)
            self.optimizer = AdamW(schedule, config, optimization.ema)
            self.optimizer.build(self.model.trainable_variables)
        self._on_tpu = experiment.runtime.distribution_strategy == "tpu"
        self._compile(experiment.runtime.enable_xla and not self._on_tpu)

    def _compile(self, xla: bool) -> None:
        """On one device XLA takes the whole step, on several each replica's part between two collectives."""
        whole = xla and self.replicas == 1
        self._gradients = (
            tf.function(self._replica_gradients, jit_compile=True, autograph=False)
            if xla and not whole
            else self._replica_gradients
        )
        self.train_function = tf.function(self._train_step, jit_compile=whole or None, autograph=False)
        self._predict_function = tf.function(self._predict_step, jit_compile=whole or None, autograph=False)

    # ---------------------------------------------------------------------------------------------- training

    def training_batches(self, skip: int, without: Sequence[int]) -> Iterator[Batch]:
        def worker_dataset(context: tf.distribute.InputContext) -> tf.data.Dataset:
            local = self.replicas // context.num_input_pipelines
            first = context.input_pipeline_id * local
            rows = Rows(first, first + local, self.replicas)
            return training_dataset(
                self._files, self._task, seed=self._data_seed, skip=skip, without=without, rows=rows
            )

        batches = iter(self.strategy.distribute_datasets_from_function(worker_dataset))
        while True:
            with explain_bad_records(self._files, self._task, self._task.train_data):
                batch = next(batches)
            yield batch

    @property
    def _data_seed(self) -> int:
        seed = self._task.train_data.seed
        return self._seed if seed is None else seed

    def train(self, batch: Batch) -> tf.Tensor:
        return self.train_function({name: value for name, value in batch.items() if name not in HOST_ONLY})

    def wait(self, handles: Sequence[tf.Tensor]) -> np.ndarray:
        return np.array([self.strategy.experimental_local_results(handle)[0].numpy() for handle in handles], np.float64)

    def record_ids(self, batch: Batch) -> np.ndarray:
        return np.concatenate([ids.numpy() for ids in self.strategy.experimental_local_results(batch["record_id"])])

    def _train_step(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        """One update; float32[3] per replica, the same on each: loss, gradient norm, tokens."""
        return self.strategy.run(self._replica_step, args=(batch,))

    def _replica_step(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        replica = tf.cast(context.replica_id_in_sync_group, tf.int32)
        step = tf.cast(self.optimizer.iterations.value, tf.int32)
        seed = tf.stack([self._seed + REPLICA_STRIDE * replica, step])
        gradients, loss, tokens = self._gradients(batch, seed)
        *gradients, loss, tokens = context.all_reduce(tf.distribute.ReduceOp.SUM, [*gradients, loss, tokens])
        clipped, norm = clip_by_global_norm(gradients, self._clip_norm)
        self.optimizer.apply(clipped)
        return tf.stack([loss, norm, tokens])

    def _replica_gradients(
        self, batch: dict[str, tf.Tensor], seed: tf.Tensor
    ) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]:
        """This replica's share of the gradient and loss of the global batch's mean, and its tokens."""
        variables = [variable.value for variable in self.model.trainable_variables]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)  # tensors, where the step is lowered as a function of its weights
            outputs = self.model(batch, training=True, seed=seed)
            examples = batch["input_mask"].shape[0] * self.replicas  # of the global batch; buckets may differ in it
            loss = tf.reduce_sum(per_example_loss(self._task, outputs, batch)) / examples
        # The embeddings' gradients come as slices whose rows may repeat; a norm needs the sum of each row.
        gradients = [tf.convert_to_tensor(gradient) for gradient in tape.gradient(loss, variables)]
        return gradients, loss, tf.cast(tf.reduce_sum(batch["input_mask"]), tf.float32)

    # -------------------------------------------------------------------------------------------- prediction

    def predictions(self, files: Sequence[str], *, labels: bool, max_records: int = 0) -> Iterator[Prediction]:
        data = self._task.validation_data
        size = -(-data.global_batch_size // self.replicas) * self.replicas
        dataset = evaluation_dataset(files, self._task, labels=labels, batch_size=size, max_records=max_records)
        running: tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]] | None = (
            None  # one batch is computed while the last is read
        )
        with explain_bad_records(files, self._task, data, labels=labels):
            for batch in dataset:
                started = batch, self._predict_function(self._spread(batch))
                if running is not None:
                    yield _fetch(*running)
                running = started
            if running is not None:
                yield _fetch(*running)

    def _spread(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Each replica's rows of a batch."""
        inputs = {name: value for name, value in batch.items() if name not in HOST_ONLY}
        if self.replicas == 1:
            return inputs
        rows = batch["record_id"].shape[0] // self.replicas

        def share(context: tf.distribute.ValueContext) -> dict[str, tf.Tensor]:
            first = context.replica_id_in_sync_group * rows
            return {name: value[first : first + rows] for name, value in inputs.items()}

        return self.strategy.experimental_distribute_values_from_function(share)

    def _predict_step(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        results = self.strategy.run(self._replica_forward, args=(batch,))
        if self.replicas == 1:
            return results
        return {name: self.strategy.gather(value, axis=0) for name, value in results.items()}

    def _replica_forward(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        with nullcontext() if self._on_tpu else without_gradients():  # not tried on TPUs
            outputs = self.model(batch, training=False)
        results = summarize(self._task, outputs, batch)
        if has_targets(self._task, batch):
            results = {**results, "loss": per_example_loss(self._task, outputs, batch)}
        return results


def _fetch(batch: dict[str, tf.Tensor], results: dict[str, tf.Tensor]) -> Prediction:
    arrays = {name: value.numpy() for name, value in results.items()}
    losses = arrays.pop("loss", None)
    labels = batch["label_ids"].numpy() if "label_ids" in batch else None
    return Prediction(batch["record_id"].numpy(), batch["weight"].numpy(), arrays, losses, labels)
