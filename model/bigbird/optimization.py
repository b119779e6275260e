"""AdamW with warm-up and decay, as the Model Garden's BigBird recipes train."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from bigbird.config import AdamWConfig, MovingAverageConfig, OptimizerConfig, PolynomialDecay, TrainerConfig
from bigbird.layers.types import Tensor
from bigbird.support.errors import InputError


class WarmupDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Polynomial decay with a polynomial warm-up laid over its beginning.

    The decay runs from step 0 also while the warm-up is on, and the warm-up climbs to the value the decay has when
    it ends (Model Garden, official/modeling/optimization/lr_schedule.py, PolynomialWarmUp):

        decay(s) = (initial - end) * (1 - min(s, decay_steps) / decay_steps) ** power + end
        rate(s)  = decay(warmup_steps) * (max(s, 1) / warmup_steps) ** warmup_power   for s < warmup_steps
        rate(s)  = decay(s)                                                           otherwise

    `s` is the number of updates already made. A constant rate is a decay whose end is its beginning.
    """

    def __init__(
        self,
        *,
        initial: float,
        end: float,
        power: float,
        decay_steps: int,
        warmup_steps: int,
        warmup_power: float,
    ):
        super().__init__()
        self.initial, self.end, self.power, self.decay_steps = initial, end, power, decay_steps
        self.warmup_steps, self.warmup_power = warmup_steps, warmup_power

    def __call__(self, step: Tensor) -> Tensor:
        """The rate of the update after `step` others: int[] -> float32[]."""
        return self._rate(ops.cast(step, "float32"), ops)

    def at(self, step: int) -> float:
        """The same of a plain number, for logs: no backend is asked, which JAX would compile each operation for."""
        return float(self._rate(np.float32(step), np))

    def _rate(self, step: Tensor, numeric: Any) -> Tensor:
        """`numeric` computes: `keras.ops`, or NumPy, whose functions have the same names."""
        rate = self._decay(step, numeric)
        if not self.warmup_steps:
            return rate
        progress = numeric.maximum(step, 1.0) / self.warmup_steps
        highest = self._decay(0 * step + self.warmup_steps, numeric)  # a float32 of `numeric`, as `step` is
        rising = highest * numeric.power(progress, self.warmup_power)
        return numeric.where(step < self.warmup_steps, rising, rate)

    def _decay(self, step: Tensor, numeric: Any) -> Tensor:
        """The decay at a step, both float32[]."""
        left = 1.0 - numeric.minimum(step, float(self.decay_steps)) / self.decay_steps
        return (self.initial - self.end) * numeric.power(left, self.power) + self.end

    def get_config(self) -> dict[str, Any]:
        return {
            name: getattr(self, name)
            for name in ("initial", "end", "power", "decay_steps", "warmup_steps", "warmup_power")
        }


def build_schedule(config: OptimizerConfig, train_steps: int) -> WarmupDecay:
    """The learning rate of every step.

    Args:
        config: decay and warm-up.
        train_steps: the run's updates; the decay lasts so long and the warm-up a tenth of it unless the
            configuration says otherwise.

    Raises:
        InputError: the warm-up does not end before the decay does, so that the rate would never be what was asked for, and mostly 0.
    """
    warmup_steps, warmup_power = 0, 1.0
    if config.warmup.type is not None:
        warmup = getattr(config.warmup, config.warmup.type)
        warmup_steps = train_steps // 10 if warmup.warmup_steps is None else warmup.warmup_steps
        warmup_power = 1.0 if config.warmup.type == "linear" else warmup.power
    if config.learning_rate.type == "constant":
        rate = config.learning_rate.constant.learning_rate
        decay = PolynomialDecay(initial_learning_rate=rate, end_learning_rate=rate)
    else:
        decay = config.learning_rate.polynomial
    decay_steps = decay.decay_steps or max(1, train_steps)
    if warmup_steps >= decay_steps and decay.initial_learning_rate > decay.end_learning_rate:
        raise InputError(
            f"the warm-up lasts {warmup_steps:,} steps, but the decay has ended after {decay_steps:,}, so the learning rate would never be above its "
            f"end, {decay.end_learning_rate:g}; expected a shorter warm-up. Set trainer.optimizer_config.warmup.{config.warmup.type}.warmup_steps, "
            f"for example to {max(1, decay_steps // 10):,}, or leave it out: the warm-up is then a tenth of the run"
        )
    return WarmupDecay(
        initial=decay.initial_learning_rate,
        end=decay.end_learning_rate,
        power=decay.power,
        decay_steps=decay_steps,
        warmup_steps=warmup_steps,
        warmup_power=warmup_power,
    )


# `AdamW._in_common` of the update that is being made: of each thread its own, as updates for several lengths are traced at a time.
_UPDATE = threading.local()


def _common() -> tuple[Tensor, Tensor, Tensor] | None:
    return getattr(_UPDATE, "common", None)


class AdamW(keras.optimizers.AdamW):
    """Keras' AdamW that leaves the weights whose path matches an exclusion undecayed.

    Bias-corrected; decay is decoupled and scaled by the learning rate. Gradients must already be summed across
    replicas and clipped (`clip_by_global_norm`): Keras clips each replica's own before it sums them.

    Two things are off by default. With `config.layer_decay` below 1 a layer learns slower than the one above it, see
    `layer_shares`; its weights decay slower too. With `ema.average_decay` above 0 there is an average a of each weight w, float32
    as they are, which update n moves after the weight:

        a -= (1 - d) * (a - w),   d = min(average_decay, (1 + n) / (10 + n)) or, without dynamic_decay, average_decay

    (Model Garden, official/modeling/optimization/ema_optimizer.py.) Keras' own `use_ema` is not taken: its averages are
    zeros until the first update, and have no dynamic decay.

    Args:
        schedule: the learning rate, the head's where layers have different ones.
        config: AdamW's.
        ema: the averages'; default none.
    """

    def __init__(self, schedule: WarmupDecay, config: AdamWConfig, ema: MovingAverageConfig | None = None):
        super().__init__(
            learning_rate=schedule,
            weight_decay=config.weight_decay_rate,
            beta_1=config.beta_1,
            beta_2=config.beta_2,
            epsilon=config.epsilon,
            name="adamw",
        )
        self._exclusions, self._layer_decay = config.exclude_from_weight_decay, config.layer_decay
        self._ema = ema or MovingAverageConfig()
        self._shares: list[float] = []
        self._averages: list[keras.Variable] = []

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[keras.Variable] | None = None) -> None:
        """Updates all weights.

        What all have in common is computed once. Keras computes it for every weight: without that, tracing the updates of 25 weights took 1.0 in
        place of 1.4 s, under a profiler.
        """
        _UPDATE.common = self._in_common()
        try:
            super().apply(grads, trainable_variables)
        finally:
            _UPDATE.common = None

    def _in_common(self) -> tuple[Tensor, Tensor, Tensor]:
        """The learning rate, and what corrects the bias of the moments: sqrt(1 - beta_2 ** n), 1 - beta_1 ** n. All float32[]."""
        update = ops.cast(self.iterations + 1, "float32")
        first, second = (ops.power(ops.cast(beta, "float32"), update) for beta in (self.beta_1, self.beta_2))
        return super()._get_current_learning_rate(), ops.sqrt(1 - second), 1 - first

    def _get_current_learning_rate(self) -> Any:
        common = _common()
        return super()._get_current_learning_rate() if common is None else common[0]

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Creates moments and averages. Exclusions match paths, where Keras would look at the last part of a name only."""
        if self.built:
            return
        variables = list(variables)
        self.exclude_from_weight_decay(var_list=[v for v in variables if not decays(v.path, self._exclusions)])
        super().build(variables)
        self._shares = layer_shares([variable.path for variable in variables], self._layer_decay)
        if self._ema.average_decay:
            self._averages = self.add_optimizer_variables(variables, "average")

    def _apply_weight_decay(self, variables: Sequence[keras.Variable]) -> None:
        if self._layer_decay == 1.0:  # otherwise each weight decays in its own step, by its own rate
            super()._apply_weight_decay(variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one weight, and its average; float32, as all weights are, by Keras' own formula in its own order."""
        place = self._get_variable_index(variable)
        if self._layer_decay != 1.0:
            learning_rate = ops.cast(learning_rate, variable.dtype) * self._shares[place]
            if self._use_weight_decay(variable):
                self.assign_sub(variable, variable * self.weight_decay * learning_rate)
        _, root, rest = _common() or self._in_common()
        moment, velocity = self._momentums[place], self._velocities[place]
        self.assign_add(moment, ops.multiply(ops.subtract(gradient, moment), 1 - self.beta_1))
        self.assign_add(velocity, ops.multiply(ops.subtract(ops.square(gradient), velocity), 1 - self.beta_2))
        size = ops.cast(learning_rate, "float32") * root / rest
        self.assign_sub(variable, ops.divide(ops.multiply(moment, size), ops.add(ops.sqrt(velocity), self.epsilon)))
        if self._averages:
            average = self._averages[place]
            self.assign_sub(average, ops.subtract(average, variable) * self._share_of_the_new())

    def _share_of_the_new(self) -> Any:
        """1 - d of this update."""
        least = 1.0 - self._ema.average_decay
        if not self._ema.dynamic_decay:
            return least
        updates = ops.cast(self.iterations + 1, "float32")
        return ops.maximum(least, 9.0 / (10.0 + updates))

    @property
    def averages(self) -> list[tuple[keras.Variable, keras.Variable]]:
        """Each trained weight with its average; empty where none are kept."""
        return list(zip(self._trainable_variables, self._averages, strict=True)) if self._averages else []

    def start_averages(self) -> None:
        """Lets the averages be the weights as they are before the first update."""
        for variable, average in self.averages:
            average.assign(_copied(variable))

    def swap_averages(self) -> None:
        """Lets each weight and its average change places; twice, and every bit is where it was."""
        for variable, average in self.averages:
            weight = _copied(variable)
            variable.assign(_copied(average))
            average.assign(weight)

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        """Keras on TensorFlow would sum the gradients across replicas here; they are summed already."""
        return grads_and_vars


def _copied(variable: keras.Variable) -> np.ndarray:
    """A variable's value in memory of its own; JAX's, of which two variables hold one, could not be given to an update."""
    return np.array(ops.convert_to_numpy(variable))


def decays(path: str, exclusions: Sequence[str]) -> bool:
    """Whether weight decay applies to the variable at `path`; exclusions are regular expressions."""
    return not any(re.search(pattern, path) for pattern in exclusions)


_PLACE = re.compile(r"(?:^|/)encoder/(?:embeddings|layer_(\d+))/")


def depth(path: str) -> int | None:
    """How far up in the encoder the weight at `path` is: 0 in the embeddings, i + 1 in layer i; None in a pooler or a head."""
    found = _PLACE.search(path)
    if found is None:
        return None
    return 0 if found[1] is None else int(found[1]) + 1


def layer_shares(paths: Sequence[str], layer_decay: float) -> list[float]:
    """The share of the learning rate that each weight has.

    1 in the head and pooler, `layer_decay` in the last layer, `layer_decay` ** 2 in the one before, down to
    `layer_decay` ** (layers + 1) in the embeddings: BEiT's rule (unilm, beit/optim_factory.py, LayerDecayValueAssigner), which timm
    has too. ELECTRA's (model/optimization.py, _get_layer_lrs) begins with the square in the last layer.

    Args:
        paths: of all weights that are trained.
        layer_decay: above 0; 1 gives all the whole rate.
    """
    depths = [depth(path) for path in paths]
    head = 1 + max((found for found in depths if found is not None), default=0)
    return [1.0 if found is None else layer_decay ** (head - found) for found in depths]


def freeze(model: keras.Model, trainer: TrainerConfig) -> None:
    """Keeps what `freeze_embeddings` and `freeze_layers` say as it is: no part of `model.trainable_variables` any more.

    Frozen layers take the embeddings below them along, whose gradients would have to come through the layers: nothing would be
    saved. Dropout stays.

    Args:
        model: built.
        trainer: says what is frozen.
    """
    if not trainer.freeze_embeddings and not trainer.freeze_layers:
        return
    for variable in model.weights:
        found = depth(variable.path)
        if found is not None and found <= trainer.freeze_layers:
            variable.trainable = False


def clip_by_global_norm(gradients: Sequence[Tensor], norm: float) -> tuple[list[Tensor], Tensor]:
    """Scales gradients down together so that their joint norm is at most `norm`.

    Args:
        gradients: float32 tensors of any shapes.
        norm: the bound; 0 or infinity does not clip.

    Returns:
        The gradients in their shapes, and their norm before clipping, float32[].
    """
    total = ops.sqrt(sum(ops.sum(ops.square(gradient)) for gradient in gradients))
    if norm <= 0 or math.isinf(norm):
        return list(gradients), total
    scale = norm / ops.maximum(total, norm)
    return [gradient * scale for gradient in gradients], total
