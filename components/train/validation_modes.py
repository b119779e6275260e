"""The modes that only validate: the newest checkpoint once, or every new one until training ends."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bigbird.checkpoints import native
from bigbird.checkpoints.beside import check_vocabulary
from bigbird.checkpoints.checkpoint import Checkpoint
from bigbird.checkpoints.initialize import initialize_from
from bigbird.config import PLACEHOLDER, Experiment
from bigbird.manifests import ModelManifest
from bigbird.optimization import WarmupDecay
from bigbird.support import integrity
from bigbird.support.artifacts import MANIFESTS, write_json
from bigbird.support.errors import InputError
from bigbird.support.locks import locked
from bigbird.support.new_folders import remove_left_over
from bigbird.support.safe_paths import inside
from bigbird_components.train.backend import build_steps
from bigbird_components.train.interruption import Interruption
from bigbird_components.train.logs import HISTORY, LOG_FILES, Logs
from bigbird_components.train.loop import is_better
from bigbird_components.train.sources import Sources
from bigbird_components.train.steps import TrainingSteps
from bigbird_components.train.validation import Validator

_log = logging.getLogger(__name__)

VALIDATION_FILE = "validation.json"
POLL_S = 1.0  # seconds between two looks for a new checkpoint

_NO_TRAINING = WarmupDecay(initial=0.0, end=0.0, power=1.0, decay_steps=1, warmup_steps=0, warmup_power=1.0)


def validate_once(
    experiment: Experiment,
    sources: Sources,
    model_dir: Path,
    interruption: Interruption,
    checkpoint: Checkpoint | None = None,
    check_lock: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Metrics of the newest checkpoint, or without one of task.init_checkpoint, head and all.

    Args:
        experiment: the configuration, whole.
        sources: the records.
        model_dir: the model folder.
        interruption: how the run is stopped.
        checkpoint: what was read from task.init_checkpoint already.
        check_lock: called before anything is written; raises `LockLost` where another process writes the folder by now.

    Returns:
        What validation.json then holds.

    Raises:
        InputError: there are no weights to validate.
    """
    folder = native.latest_checkpoint(model_dir)
    if folder is None and experiment.task.init_checkpoint in ("", PLACEHOLDER):
        raise InputError(
            f"{model_dir}: holds no checkpoint to validate; train first, or name a fine-tuned one as task.init_checkpoint"
        )
    steps = build_steps(experiment, _NO_TRAINING, [], interruption)
    if folder is None:
        step = 0
        check_vocabulary(experiment.task.init_checkpoint, sources.manifest)
        _initialize_whole(experiment, steps, checkpoint)
        model_dir.mkdir(parents=True, exist_ok=True)
    else:
        step = native.restore_checkpoint(folder, steps.model).step
    result = _measure(_validator(steps, experiment, sources), sources, step, interruption)
    if steps.is_chief:
        check_lock()
        write_json(model_dir / VALIDATION_FILE, result)
        Logs(model_dir, sys.maxsize).write("validation", step, result["metrics"])
        _tell_of_history(model_dir)
    return result


def _tell_of_history(model_dir: Path) -> None:
    """Notes the new history.json in the manifest of a run that has ended."""
    if (model_dir / MANIFESTS["model"]).exists():
        manifest = ModelManifest.read(model_dir)
        facts = {HISTORY: integrity.facts_of_file(model_dir / HISTORY)}
        manifest.write(model_dir, (manifest.checksums or {}) | facts)


def validate_continuously(
    experiment: Experiment,
    sources: Sources,
    model_dir: Path,
    interruption: Interruption,
    check_lock: Callable[[], None],
) -> dict[str, Any]:
    """Validates each new checkpoint of a run in mode train, keeps the best, and ends with the run's last.

    The figures go to validation/ in the model folder, as the run itself writes history.json and logs/. When the run's
    model.json is there, it is told of the best checkpoint. `check_lock` is as in `validate_once`.

    Returns:
        What validation.json then holds: the last checkpoint's figures.

    Raises:
        InputError: trainer.train_steps is not set, or no checkpoint came for trainer.continuous_eval_timeout seconds.
    """
    trainer = experiment.trainer
    if not trainer.train_steps:
        raise InputError(
            "mode continuous_eval ends with the run's last step: set trainer.train_steps, as the run has it"
        )
    steps = build_steps(experiment, _NO_TRAINING, [], interruption)
    validator = _validator(steps, experiment, sources)
    if steps.is_chief:
        remove_left_over(model_dir, (VALIDATION_FILE, trainer.best_checkpoint_export_subdir))
        remove_left_over(model_dir / "validation", LOG_FILES)
    logs = Logs(model_dir / "validation", trainer.train_steps, enabled=steps.is_chief)
    best = _kept(inside(model_dir, trainer.best_checkpoint_export_subdir, "trainer.best_checkpoint_export_subdir"))
    result: dict[str, Any] = {}
    for folder in _new_checkpoints(model_dir, trainer.train_steps, trainer.continuous_eval_timeout, interruption):
        try:
            state = native.restore_checkpoint(folder, steps.model)
        except (InputError, OSError):
            if folder.exists():
                raise
            continue  # the run has more than max_to_keep by now and deleted it
        result = _measure(validator, sources, state.step, interruption)
        better = is_better(
            result["value"], None if best is None else best["value"], trainer.best_checkpoint_metric_comp
        )
        if better:
            best = {name: result[name] for name in ("step", "value", "metrics", "decisions")}
        if steps.is_chief:
            check_lock()
            logs.write("validation", result["step"], result["metrics"])
            write_json(model_dir / VALIDATION_FILE, result)
            if better:
                folder = inside(
                    model_dir, trainer.best_checkpoint_export_subdir, "trainer.best_checkpoint_export_subdir"
                )
                native.save_best(folder, steps.model, {**state.content(), "best": best})
    if steps.is_chief:
        _tell_manifest(model_dir, trainer.best_checkpoint_export_subdir, best, interruption, check_lock)
    return result


def _kept(folder: Path) -> dict[str, Any] | None:
    """What an earlier call found to be the best and kept; None without one."""
    try:
        found: dict[str, Any] | None = native.check_checkpoint(folder).content().get("best")
    except InputError:
        return None
    return found


def _new_checkpoints(model_dir: Path, last: int, timeout: int, interruption: Interruption) -> Iterator[Path]:
    """The newest checkpoint whenever there is a newer one than before, up to that of step `last`."""
    seen, waited_since = -1, time.monotonic()
    while seen < last:
        interruption.check()
        step = max(native.list_checkpoints(model_dir), default=-1)
        if step > seen:
            yield native.step_folder(model_dir, step)
            seen, waited_since = step, time.monotonic()
        elif time.monotonic() - waited_since > timeout:
            found = f"step {seen:,} is the last" if seen >= 0 else "there is none"
            raise InputError(
                f"{model_dir}: no new checkpoint for {timeout:,} s ({found}, and the run goes to {last:,}); "
                "is it running? trainer.continuous_eval_timeout sets how long to wait"
            )
        else:
            time.sleep(POLL_S)


def _tell_manifest(
    model_dir: Path,
    subdir: str,
    best: dict[str, Any] | None,
    interruption: Interruption,
    check_lock: Callable[[], None],
) -> None:
    """Adds the best checkpoint to the run's model.json, which it writes before it gives the folder's lock back."""
    if best is None:
        return

    said = False

    def wait() -> None:
        nonlocal said
        interruption.check()
        if not said:
            _log.info(f"{model_dir}: waiting until training ends, to name the best checkpoint in {MANIFESTS['model']}")
        said = True
        time.sleep(POLL_S)

    with locked(model_dir, "continuous validation", inside=True, while_held=wait) as held:
        if not (model_dir / MANIFESTS["model"]).exists():
            _log.warning(
                f"{model_dir}: training has not ended, as there is no {MANIFESTS['model']}, which was to name {subdir} as the best "
                "checkpoint. Start training again with the same model_dir; when it has ended, start mode continuous_eval again"
            )
            return
        manifest = ModelManifest.read(model_dir)
        told = manifest.with_values(
            metrics=best["metrics"], best_step=best["step"], best=subdir, decisions=best["decisions"]
        )
        check_lock()
        held.check()
        told.write(model_dir, manifest.checksums or {})


def _validator(steps: TrainingSteps, experiment: Experiment, sources: Sources) -> Validator:
    assert sources.validation is not None  # noqa: S101 - these modes have a validation split
    return Validator(steps, experiment, sources.validation)


def _measure(validator: Validator, sources: Sources, step: int, interruption: Interruption) -> dict[str, Any]:
    """The figures of the weights as they are."""
    metrics, value, decide = validator(interruption)
    name = sources.validation.name if sources.validation else ""
    shown = "  ".join(f"{metric} {figure:.4f}" for metric, figure in metrics.items())
    _log.info(f"step {step:,} on {name}: {shown}")
    decisions = decide()
    return {"format": 1, "step": step, "split": name, "value": value, "metrics": metrics, "decisions": decisions}


def _initialize_whole(experiment: Experiment, steps: TrainingSteps, checkpoint: Checkpoint | None) -> None:
    """Gives the model every weight of task.init_checkpoint; what would start fresh has nothing to be validated."""
    path = experiment.task.init_checkpoint
    notes = initialize_from(path, steps.model, checkpoint=checkpoint)
    fresh = [note for note in notes if note.endswith("starts fresh")]
    if fresh:
        why = [note for note in notes if ": left out, as task.model." in note]
        raise InputError(f"{path}: is not fine-tuned for this task:\n  " + "\n  ".join([*why, *fresh]))
