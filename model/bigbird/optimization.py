"""AdamW with warm-up and decay, as the Model Garden's BigBird recipes train."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from bigbird.config import AdamWConfig, OptimizerConfig, PolynomialDecay
from bigbird.layers.types import Tensor


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
    return WarmupDecay(
        initial=decay.initial_learning_rate,
        end=decay.end_learning_rate,
        power=decay.power,
        decay_steps=decay.decay_steps or max(1, train_steps),
        warmup_steps=warmup_steps,
        warmup_power=warmup_power,
    )


class AdamW(keras.optimizers.AdamW):
    """Keras' AdamW that leaves the weights whose path matches an exclusion undecayed.

    Bias-corrected; decay is decoupled and scaled by the learning rate. Gradients must already be summed across
    replicas and clipped (`clip_by_global_norm`): Keras clips each replica's own before it sums them.
    """

    def __init__(self, schedule: WarmupDecay, config: AdamWConfig):
        super().__init__(
            learning_rate=schedule,
            weight_decay=config.weight_decay_rate,
            beta_1=config.beta_1,
            beta_2=config.beta_2,
            epsilon=config.epsilon,
            name="adamw",
        )
        self._exclusions = config.exclude_from_weight_decay

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Creates the moments. Exclusions match paths, where Keras would look at the last part of a name only."""
        if not self.built:
            self.exclude_from_weight_decay(var_list=[v for v in variables if not decays(v.path, self._exclusions)])
        super().build(list(variables))

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        """Keras on TensorFlow would sum the gradients across replicas here; they are summed already."""
        return grads_and_vars


def decays(path: str, exclusions: Sequence[str]) -> bool:
    """Whether weight decay applies to the variable at `path`; exclusions are regular expressions."""
    return not any(re.search(pattern, path) for pattern in exclusions)


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
