"""Where a training run stands, and what must not change between its interruptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bigbird.config import BigBirdEncoderConfig, Experiment, TrainerConfig
from bigbird.manifests import CheckpointState
from bigbird.optimization import WarmupDecay
from bigbird.support.errors import InputError


@dataclass
class State:
    """The host's part of a checkpoint.

    Attributes:
        step: updates made.
        batches: batches taken from the stream; above `step` by those left out.
        left_out: numbers of batches at which the loss diverged and that are not used.
        validated: step of the last validation, -1 before any.
        best: {"step", "value", "metrics"} of the best validation, None before any.
        waiting: {"value", "validations"} of early stopping: the metric that is to be beaten, and how many validations in a row have
            not beaten it; None before any, and without early stopping.
        seconds: time spent, over all interruptions.
        sums: of the figures since the last summary, so that a resumed run's next summary is an unbroken run's.
        history: what history.json holds up to this step.
        setup: what `describe_setup` gave.
    """

    step: int = 0
    batches: int = 0
    left_out: list[int] = field(default_factory=list)
    validated: int = -1
    best: dict[str, Any] | None = None
    waiting: dict[str, Any] | None = None
    seconds: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, Any]] | None = None
    setup: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        told = asdict(self)
        if self.waiting is None:
            del told["waiting"]
        return told

    @classmethod
    def of(cls, stored: CheckpointState) -> State:
        """Where a checkpoint stood; one that an earlier version wrote has neither sums nor history."""
        told = stored.content()
        return cls(**{name: told[name] for name in cls.__dataclass_fields__ if name in told})

    def take_batch(self) -> None:
        """Counts the next update and its batch."""
        self.step += 1
        self.batches = self.next_batch + 1

    def is_over(self, trainer: TrainerConfig) -> bool:
        """Whether training has come to its last step, or early stopping ends it."""
        return self.step >= trainer.train_steps or self.stops_early(trainer)

    def stops_early(self, trainer: TrainerConfig) -> bool:
        """Whether training ends before its last step, as `patience` validations in a row were no better."""
        if not trainer.early_stopping.patience or self.waiting is None or self.step >= trainer.train_steps:
            return False
        return bool(self.waiting["validations"] >= trainer.early_stopping.patience)

    @property
    def next_batch(self) -> int:
        """The number of the batch that the next update takes."""
        number = self.batches
        while number in self.left_out:
            number += 1
        return number


# Keys that earlier versions' checkpoints do not have, and the values that change nothing. With these they are left out, to fit such checkpoints.
_LATER = {
    "trainer.optimizer_config.optimizer.adamw.layer_decay": 1.0,
    "trainer.optimizer_config.ema.average_decay": 0.0,
    "trainer.optimizer_config.ema.dynamic_decay": True,
    "trainer.freeze_embeddings": False,
    "trainer.freeze_layers": 0,
}


# Keys of the task on which its loss depends; not every task has them. Earlier versions' checkpoints do not have them, so they are not compared there.
_OF_THE_LOSS = tuple(
    f"task.{key}" for key in ("kind", "class_weights", "label_smoothing", "number_mean", "number_deviation")
)


def describe_setup(
    experiment: Experiment, schedule: WarmupDecay, files: Sequence[str], checksum: str, replicas: int
) -> dict[str, Any]:
    """Everything that a run's weights depend on, by configuration key.

    How often it validates, saves or reports does not belong, nor does where the files lie; how long it trains does
    only through the learning rate. Nor does the backend: the other one goes on with the same steps, equal but for rounding.
    """
    task, trainer, runtime = experiment.task, experiment.trainer, experiment.runtime
    # How attention is computed may change: a run goes on where there is no TPU. What attends to what may not.
    model = task.model.model_dump(mode="json", exclude={"encoder": {"bigbird": {"attention"}}})  # type: ignore[attr-defined]
    if task.encoder.layer_norm_epsilon == BigBirdEncoderConfig.model_fields["layer_norm_epsilon"].default:
        del model["encoder"]["bigbird"]["layer_norm_epsilon"]  # runs of earlier versions do not say it
    if task.encoder.attention.implementation == "dense":
        model["encoder"]["bigbird"]["attention"] = {"implementation": "dense"}
    setup = _flatten("task.model", model)
    data = task.train_data.model_dump(
        mode="json", exclude={"input_path", "vocab_file", "is_training", "drop_remainder"}
    )
    setup |= _flatten("task.train_data", data)
    setup |= {"task.bucket_lengths": list(task.buckets)}
    told = task.model_dump(mode="json")
    setup |= {key: told[name] for key in _OF_THE_LOSS if (name := key.removeprefix("task.")) in told}
    setup |= _flatten("trainer.optimizer_config.learning_rate", schedule.get_config())
    for key in ("optimizer", "ema"):
        section = getattr(trainer.optimizer_config, key).model_dump(mode="json")
        setup |= _flatten(f"trainer.optimizer_config.{key}", section)
    setup |= {f"trainer.{key}": getattr(trainer, key) for key in ("freeze_embeddings", "freeze_layers")}
    for key, default in _LATER.items():
        if setup[key] == default:
            del setup[key]
    for key in ("seed", "mixed_precision_dtype", "enable_xla"):
        setup[f"runtime.{key}"] = getattr(runtime, key)
    setup["runtime replicas"] = replicas
    for key in ("best_checkpoint_eval_metric", "best_checkpoint_metric_comp"):
        setup[f"trainer.{key}"] = getattr(trainer, key)
    return setup | {"training files": [Path(file).name for file in files], "training files' SHA-256": checksum}


def check_setup(model_dir: str | Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuses to resume a run under another setup.

    Raises:
        InputError: names every key that differs, with both values.
    """
    keys = [
        key
        for key in {**before, **now}
        if before.get(key) != now.get(key) and (key in before or key not in _OF_THE_LOSS)
    ]
    if keys:
        lines = [f"  {key}: {before.get(key)!r} then, {now.get(key)!r} now" for key in keys]
        raise InputError(
            f"{model_dir}: holds checkpoints of a run that was set up otherwise, so it cannot be resumed exactly:\n"
            + "\n".join(lines)
            + "\nSet these back, or train into another model_dir (with task.init_checkpoint to start from these weights)"
        )


def _flatten(prefix: str, tree: Any) -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {prefix: tree}
    return {path: leaf for key, value in tree.items() for path, leaf in _flatten(f"{prefix}.{key}", value).items()}
