"""The training loop: batches, checkpoints, validation, progress, resumption. It knows no backend."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bigbird.checkpoints import native
from bigbird.config import TrainerConfig
from bigbird.layers.types import Tensor
from bigbird.optimization import WarmupDecay
from bigbird.support.errors import TrainingDiverged
from bigbird.support.progress import Progress
from bigbird.support.text_files import amount
from bigbird_components.train.input_wait import InputWait, waited
from bigbird_components.train.interruption import Interrupted, Interruption
from bigbird_components.train.logs import Logs
from bigbird_components.train.state import State
from bigbird_components.train.steps import Batch, TrainingSteps
from bigbird_components.train.validation import Validated

# The host looks at the loss at least about this often; between two looks the device runs ahead without waiting.
LOOK_EVERY_S = 1.0


Validate = Callable[[Interruption], Validated]


@dataclass(frozen=True)
class LoopPlan:
    """What a run is to do.

    Attributes:
        trainer: intervals and bounds; `train_steps` is known.
        schedule: the learning rate, for the log.
        model_dir: where checkpoints go.
        validate: scores the weights as they are; None does not validate.
        check_lock: called before a checkpoint is written; raises `LockLost` where another process trains in the folder by now.
    """

    trainer: TrainerConfig
    schedule: WarmupDecay
    model_dir: Path
    validate: Validate | None
    check_lock: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class _Started:
    """An update whose loss the host has not seen: its step and batch numbers, the batch, its figures to come.

    `waited` is how long the host waited for the batch, in seconds.
    """

    step: int
    number: int
    batch: Batch
    waited: float
    handle: Tensor


class _Diverged(Exception):
    """Becomes TrainingDiverged unless training may go back."""

    def __init__(self, number: int, message: str):
        super().__init__(message)
        self.number = number


class TrainingLoop:
    """Trains from `state` to the plan's last step.

    Args:
        steps: the model, already holding the state's weights.
        plan: what to do.
        state: where training stands.
        interruption: asked between steps.
    """

    def __init__(self, steps: TrainingSteps, plan: LoopPlan, state: State, interruption: Interruption):
        self.steps, self.plan, self.state, self._interruption = steps, plan, state, interruption
        self._total = plan.trainer.train_steps
        self._logs = Logs(plan.model_dir, state.step, self._known_history(), enabled=steps.is_chief)
        self._progress = Progress("train", self._total)
        self._saved = state.step if native.list_checkpoints(plan.model_dir) else -1
        self._batches: Iterator[Batch] | None = None
        self._look_after = 1  # updates between two looks at the loss; follows the speed
        self._interval, self._input_wait = _Interval(state.sums), InputWait()

    def _known_history(self) -> list[dict[str, Any]] | None:
        """What the run's history is up to its state; a state that an earlier version wrote does not say."""
        return [] if self.state.step == 0 else self.state.history

    def run(self) -> None:
        """Trains, validates and saves until the last step is done and saved, or early stopping ends it.

        Raises:
            TrainingDiverged: the loss or the gradient is not finite, or the loss is above its bound.
            Interrupted: the process was asked to stop; a checkpoint of the current step is written first.
        """
        if self.state.step == 0 and self.plan.trainer.recovery_max_trials:
            self._save()  # so that there is something to go back to
        try:
            self._settle()
            if not self._is_over():
                self._progress.prepare(self.state.step, "compiling the step")
            while not self._is_over():
                try:
                    self._advance()
                except _Diverged as diverged:
                    self._go_back(diverged)
                    continue
                self._settle()
        except Interrupted:
            self._save()
            raise
        finally:
            self._progress.finish()
        if self.state.stops_early(self.plan.trainer):
            self._tell_early_stop()

    def _is_over(self) -> bool:
        return self.state.is_over(self.plan.trainer)

    # ------------------------------------------------------------------------------------------------ updates

    def _advance(self) -> None:
        """Updates up to the next step at which something else is due."""
        stop, state = self._next_stop(), self.state
        if self._batches is None:
            self._batches = self.steps.training_batches(state.batches, state.left_out)
        started: list[_Started] = []
        ahead = State(step=state.step, batches=state.batches, left_out=state.left_out)
        clock = time.monotonic()
        while ahead.step < stop:
            number, asked = ahead.next_batch, time.monotonic()
            batch = next(self._batches)
            wait = time.monotonic() - asked
            ahead.take_batch()
            started.append(_Started(ahead.step, number, batch, wait, self.steps.train(batch)))
            interrupted = self._interruption.due()
            if len(started) >= self._look_after or ahead.step == stop or interrupted:
                self._look(started, clock)
                started, clock = [], time.monotonic()
            if interrupted:
                raise Interrupted

    def _look(self, started: list[_Started], clock: float) -> None:
        """Waits for the started updates, checks their losses and shows the last one's."""
        figures = self.steps.wait([update.handle for update in started])
        seconds = time.monotonic() - clock
        for update, (loss, norm, _) in zip(started, figures, strict=True):
            self._check(update, loss, norm)
        for _ in started:
            self.state.take_batch()
        self.state.seconds += seconds
        per_second = len(started) / max(seconds, 1e-9)
        self._look_after = int(np.clip(per_second * LOOK_EVERY_S, 1, self.plan.trainer.steps_per_loop))
        idle = waited([update.waited for update in started])
        self._input_wait.add(len(started), idle, seconds)
        self._interval.add(figures, seconds, idle)
        rate, tokens = self._rate(), figures[:, 2].sum() / max(seconds, 1e-9)
        detail = f"loss {figures[-1, 0]:.4f}  lr {rate:.2e}  {_count(tokens)} tokens/s"
        self._progress.update(self.state.step, detail, force=self.state.step == self._total)

    def _check(self, update: _Started, loss: float, norm: float) -> None:
        bound = self.plan.trainer.loss_upper_bound
        if math.isfinite(loss) and math.isfinite(norm) and loss <= bound:
            return
        what = f"the loss is {loss:g}, above loss_upper_bound {bound:g}" if loss > bound else f"the loss is {loss:g}"
        if math.isfinite(loss) and loss <= bound:
            what = f"the loss is {loss:g} but the gradient's norm is {norm:g}"
        ids = ", ".join(str(number) for number in self.steps.record_ids(update.batch))
        message = f"training diverged at step {update.step}: {what}; the batch's records are {ids}"
        raise _Diverged(update.number, message)

    def _go_back(self, diverged: _Diverged) -> None:
        """Returns to the last checkpoint, to go on without the batch."""
        allowed = self.plan.trainer.recovery_max_trials
        left_out = sorted({*self.state.left_out, diverged.number})
        if len(left_out) > allowed:
            advice = f" ({allowed} batches were left out already)" if allowed else ""
            raise TrainingDiverged(
                f"{diverged}{advice}. Lower the learning rate, lengthen the warm-up or look at these records; "
                "trainer.recovery_max_trials lets training leave such batches out"
            ) from None
        folder = native.latest_checkpoint(self.plan.model_dir)
        if folder is None:
            raise TrainingDiverged(f"{diverged}; there is no checkpoint to go back to") from None
        restored = State.of(native.restore_checkpoint(folder, self.steps.model, self.steps.optimizer))
        restored.left_out, restored.seconds = left_out, self.state.seconds
        restored.best = self.state.best  # of what is kept as the best checkpoint, which stays
        self.state = restored
        self._batches, self._interval = None, _Interval(restored.sums)
        self._logs.truncate(self.state.step)
        self._progress.finish(f"{diverged}. Going back to step {self.state.step} and on without this batch")

    # --------------------------------------------------------------------------------- what is due at a step

    def _next_stop(self) -> int:
        trainer, step = self.plan.trainer, self.state.step
        intervals = [trainer.checkpoint_interval, trainer.summary_interval]
        if self.plan.validate is not None:
            intervals.append(trainer.validation_interval)
        return min(self._total, *((step // interval + 1) * interval for interval in intervals))

    def _due(self, interval: int) -> bool:
        step = self.state.step
        return self._is_over() or (step > 0 and step % interval == 0)

    def _settle(self) -> None:
        """Summary, validation and checkpoint where they are due, each once; a resumed run makes up for what it owes."""
        trainer, state = self.plan.trainer, self.state
        if self._due(trainer.summary_interval):
            self._summarize()
        if self.plan.validate is not None and self._due(trainer.validation_interval) and state.validated != state.step:
            with self._averaged():
                self._validate(self.plan.validate)
            if self._is_over():
                self._summarize()  # the steps since the last summary, where validation ended training
        if self._due(trainer.checkpoint_interval):
            self._save()

    def _summarize(self) -> None:
        if self._interval.steps:
            figures = {**self._interval.figures(), "learning_rate": self._rate()}
            self._logs.write("train", self.state.step, figures, self._interval.speed())
            self._interval = _Interval()

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Inside, the model has the averages of its weights, where training keeps them."""
        if not self.plan.trainer.optimizer_config.ema.average_decay:
            yield
            return
        self.steps.optimizer.swap_averages()
        try:
            yield
        finally:
            self.steps.optimizer.swap_averages()

    def _validate(self, validate: Validate) -> None:
        clock = time.monotonic()
        metrics, value, decide = validate(self._interruption)
        self.state.seconds += time.monotonic() - clock
        self._wait(value)
        self.state.validated, self._saved = self.state.step, -1
        self._logs.write("validation", self.state.step, metrics)
        best = self.state.best["value"] if self.state.best else None
        if is_better(value, best, self.plan.trainer.best_checkpoint_metric_comp):
            self.state.best = {"step": self.state.step, "value": value, "metrics": metrics, "decisions": decide()}
            if self.steps.is_chief:
                folder = self.plan.model_dir / self.plan.trainer.best_checkpoint_export_subdir
                self.plan.check_lock()
                native.save_best(folder, self.steps.model, self.state.to_json())
        shown = "  ".join(f"{name} {figure:.4f}" for name, figure in metrics.items())
        note = "  (best so far)" if self.state.best and self.state.best["step"] == self.state.step else ""
        self._progress.finish(f"validation at step {self.state.step:,}  {shown}{note}")

    def _wait(self, value: float) -> None:
        """Notes for early stopping whether a validation was better than those before."""
        config = self.plan.trainer.early_stopping
        before = self.state.waiting or {"value": None, "validations": 0}
        if not config.patience:
            self.state.waiting = None
        elif is_better(value, before["value"], self.plan.trainer.best_checkpoint_metric_comp, config.min_delta):
            self.state.waiting = {"value": value, "validations": 0}
        else:
            self.state.waiting = {**before, "validations": before["validations"] + 1}

    def _tell_early_stop(self) -> None:
        """Says why training ended. No checkpoint has it, as a run with more patience goes on from there."""
        waiting, config = self.state.waiting or {}, self.plan.trainer.early_stopping
        self._logs.write("early_stopping", self.state.step, waiting)
        by = f" by more than {config.min_delta:g}" if config.min_delta else ""
        count = waiting["validations"]
        found = "was not a number" if waiting["value"] is None else f"did not improve on {waiting['value']:.4f}{by}"
        self._progress.finish(
            f"early stopping at step {self.state.step:,} of {self._total:,}: in {amount(count, 'validation')} the metric {found}"
        )

    def _save(self) -> None:
        if self.steps.is_chief and self._saved != self.state.step:
            self.state.sums, self.state.history = self._interval.sums(), self._logs.history
            keep = self.plan.trainer.max_to_keep
            self.plan.check_lock()
            native.save_checkpoint(
                self.plan.model_dir, self.steps.model, self.steps.optimizer, self.state.to_json(), max_to_keep=keep
            )
        self._saved = self.state.step

    def _rate(self) -> float:
        """The learning rate of the last update."""
        return self.plan.schedule.at(max(0, self.state.step - 1))


def is_better(value: float, best: float | None, comparison: str, by: float = 0.0) -> bool:
    """Whether a validation's metric beats the best so far, by more than `by`; `comparison` is "higher" or "lower"."""
    if math.isnan(value):
        return False
    sign = 1 if comparison == "higher" else -1
    return best is None or sign * value - by > sign * best


class _Interval:
    """Figures since the last summary.

    Args:
        sums: of an interval that a checkpoint interrupted, as `sums` gave them.
    """

    def __init__(self, sums: Mapping[str, float] | None = None) -> None:
        self._sums = {"steps": 0, "loss": 0.0, "gradient_norm": 0.0, **(sums or {})}
        self._timed, self._tokens, self._seconds, self._waited = 0, 0.0, 0.0, 0.0

    @property
    def steps(self) -> int:
        return int(self._sums["steps"])

    def add(self, figures: np.ndarray, seconds: float, waited_s: float) -> None:
        """Takes the figures of updates, float64[n, 3] as `TrainingSteps.wait` gives them, and the seconds they took and waited."""
        for loss, norm, tokens in figures.tolist():  # one by one: the sums do not depend on when the host looked
            self._sums["steps"] += 1
            self._sums["loss"] += loss
            self._sums["gradient_norm"] += norm
            self._tokens += tokens
        self._timed += len(figures)
        self._seconds, self._waited = self._seconds + seconds, self._waited + waited_s

    def sums(self) -> dict[str, float]:
        """What a checkpoint keeps of the interval."""
        return dict(self._sums)

    def figures(self) -> dict[str, float]:
        """Means over the steps."""
        return {name: float(self._sums[name] / self._sums["steps"]) for name in ("loss", "gradient_norm")}

    def speed(self) -> dict[str, float]:
        """Real tokens and steps per second, and the share of time without a batch, since this process began or resumed."""
        seconds = max(self._seconds, 1e-9)
        return {
            "tokens_per_second": float(self._tokens / seconds),
            "steps_per_second": float(self._timed / seconds),
            "input_wait": float(self._waited / seconds),
        }


def _count(number: float) -> str:
    """A rate in few characters: 950, 41.2k, 3.1M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f}{letter}"
    return f"{number:.0f}"
