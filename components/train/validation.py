"""Validation while training: the model over the validation split, scored as the evaluate stage scores it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from bigbird.config import Experiment
from bigbird.manifests import DatasetManifest
from bigbird.scoring import Scorer, default_metric
from bigbird.support.errors import InputError
from bigbird.support.progress import Progress
from bigbird.tasks.registry import family_of
from bigbird_components.train.interruption import Interruption
from bigbird_components.train.sources import Split
from bigbird_components.train.steps import TrainingSteps


class Validated(NamedTuple):
    """What a validation found.

    Attributes:
        metrics: by name, the mean loss among them.
        value: of the metric that decides.
        decide: chooses what the task's family chooses on the validation split; JSON, None where it is nothing.
    """

    metrics: dict[str, float]
    value: float
    decide: Callable[[], dict[str, Any] | None]


class Validator:
    """Scores the weights as they are.

    Args:
        steps: the model.
        experiment: resolved.
        split: the validation split.

    Raises:
        InputError: the split lacks what scoring needs, or the limits on its records leave nothing to score.
    """

    def __init__(self, steps: TrainingSteps, experiment: Experiment, split: Split):
        self._steps, self._files, self._task = steps, split.files, experiment.task
        self._scorer = Scorer(experiment.task, split.manifest, split.folder, split.name)
        self._metric = experiment.trainer.best_checkpoint_eval_metric or _default(experiment, split.manifest)
        self._scorer.check_metric(self._metric, "trainer.best_checkpoint_eval_metric")
        errors = family_of(experiment.task).lower_is_better
        if self._metric in errors and experiment.trainer.best_checkpoint_metric_comp == "higher":
            raise InputError(
                f"trainer.best_checkpoint_eval_metric is {self._metric}, an error, and trainer.best_checkpoint_metric_comp is higher, so the worst "
                "checkpoint would be kept as the best; set trainer.best_checkpoint_metric_comp to lower"
            )
        data, batches = experiment.task.validation_data, experiment.trainer.validation_steps
        # validation_steps counts batches of consecutive records; bucketed batches would cut another set off.
        self._limit = 0 if batches < 0 else batches * data.global_batch_size
        self._total = min(filter(None, (self._limit, data.max_records, split.records)), default=None)
        self._check_limits(batches, data.max_records, data.global_batch_size)

    def _check_limits(self, batches: int, max_records: int, batch_size: int) -> None:
        """Refuses limits under which no question has all its windows; said now, and not after hours of training."""
        least = self._scorer.least_records
        reason = (
            "that many records do not contain all windows of any question of the validation split; expected at least"
        )
        if 0 < self._limit < least:
            raise InputError(
                f"trainer.validation_steps is {batches}, batches of {batch_size}: {reason} {-(-least // batch_size)}, "
                "or -1 for all"
            )
        if 0 < max_records < least:
            raise InputError(f"task.validation_data.max_records is {max_records}: {reason} {least}, or 0 for all")

    def __call__(self, interruption: Interruption) -> Validated:
        """Scores the split.

        Raises:
            Interrupted: the process was asked to stop.
        """
        self._scorer.reset()
        progress, seen, loss = Progress("validate", self._total), 0, 0.0
        for prediction in self._steps.predictions(self._files, labels=True, max_records=self._limit):
            interruption.check()
            self._scorer.add(prediction.record_ids, prediction.outputs, prediction.weight, prediction.labels)
            seen += int(prediction.weight.sum())
            if prediction.losses is not None:
                loss += float((prediction.losses * prediction.weight).sum())
            progress.update(seen)
        progress.finish()
        evaluation = self._scorer.result()
        task = self._task
        return Validated(
            {"loss": loss / seen, **evaluation.metrics},
            evaluation.metric(self._metric),
            lambda: family_of(task).decide(task, evaluation),
        )


def _default(experiment: Experiment, manifest: DatasetManifest | None) -> str:
    return manifest.metrics[0] if manifest else default_metric(experiment.task)
