"""The training stage as a function: dataset/ to model/."""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

from bigbird.checkpoints import native
from bigbird.checkpoints.beside import check_vocabulary
from bigbird.checkpoints.checkpoint import Checkpoint
from bigbird.checkpoints.initialize import initialize_from
from bigbird.config import PLACEHOLDER, Experiment
from bigbird.data.record_files import checksum
from bigbird.manifests import ModelManifest
from bigbird.optimization import build_schedule
from bigbird.support import integrity
from bigbird.support.artifacts import MANIFESTS
from bigbird.support.errors import DamagedError, InputError
from bigbird.support.locks import locked
from bigbird.support.new_folders import remove_left_over
from bigbird.support.precision import slow_here
from bigbird.support.progress import format_duration
from bigbird.support.safe_paths import folder_here, inside, resolved
from bigbird.text.files import STORED as VOCABULARY_FILES
from bigbird.text.vocabulary import Vocabulary
from bigbird.version import provenance
from bigbird_components.train.backend import build_steps
from bigbird_components.train.interruption import Interruption
from bigbird_components.train.logs import HISTORY, LOG_FILES
from bigbird_components.train.loop import LoopPlan, TrainingLoop
from bigbird_components.train.sources import MODES, Mode, Sources, resolve
from bigbird_components.train.start import with_start
from bigbird_components.train.state import State, check_setup, describe_setup
from bigbird_components.train.validation import Validator
from bigbird_components.train.validation_modes import validate_continuously, validate_once

_log = logging.getLogger(__name__)


def train(
    experiment: Experiment, model_dir: str | Path, mode: Mode = "train_and_eval", dataset: str | None = None
) -> ModelManifest | dict[str, Any]:
    """Fine-tunes, or goes on where an interrupted run stopped, or validates.

    Args:
        experiment: the configuration.
        model_dir: the model/ folder to write; if it holds checkpoints of the same run, training resumes exactly.
        mode: train; eval (validates the newest checkpoint, or without one task.init_checkpoint); train_and_eval; or
            continuous_eval (validates each checkpoint that a run in mode train leaves, up to its last). The modes
            that only validate write validation.json.
        dataset: a dataset/ folder; gives the input paths, classes, label type and vocabulary size that the
            configuration leaves open.

    Returns:
        The manifest as in model.json; in modes eval and continuous_eval, what validation.json holds.

    Raises:
        InputError: the configuration, the dataset or the model folder cannot be used.
        TrainingDiverged: the loss is not finite or above its bound.
        KeyboardInterrupt, SystemExit(143): Ctrl-C or SIGTERM; a checkpoint was written.
    """
    model_dir = folder_here(model_dir, "copy it there afterwards")
    model_dir = resolved(model_dir) if model_dir.is_symlink() else model_dir
    if mode not in MODES:
        raise InputError(f"mode {mode!r}: expected one of {', '.join(MODES)}")
    _check_places(experiment, model_dir)
    patience = experiment.trainer.early_stopping.patience
    if patience and mode == "train":
        raise InputError(
            f"trainer.early_stopping.patience is {patience}, but mode train validates nothing; expected mode train_and_eval, or 0"
        )
    with tempfile.TemporaryDirectory(prefix="bigbird-") as scratch, Interruption().listen() as interruption:
        experiment, checkpoint = with_start(experiment, model_dir)
        experiment, sources = resolve(experiment, dataset, mode, Path(scratch), _buckets_before(model_dir))
        if mode == "continuous_eval":  # beside a run in mode train, which has the folder's own lock
            model_dir.mkdir(parents=True, exist_ok=True)
            with locked(model_dir / "validation", "continuous validation") as held:
                return validate_continuously(experiment, sources, model_dir, interruption, held.check)
        if mode == "eval":
            with locked(model_dir, "validation", inside=True) if model_dir.is_dir() else nullcontext() as held:
                check_lock = held.check if held else lambda: None
                return validate_once(experiment, sources, model_dir, interruption, checkpoint, check_lock)
        return _Run(experiment, sources, model_dir, interruption, checkpoint).train()


# What a model folder holds besides the best checkpoint, which must not take its place.
_OWN_NAMES = (
    native.CHECKPOINTS,
    "logs",
    "validation",
    "config.yaml",
    *VOCABULARY_FILES,
    *LOG_FILES,
    "model.json",
)


def _check_places(experiment: Experiment, model_dir: Path) -> None:
    """Refuses a model folder that cannot be one, and a best checkpoint outside of it or in the place of something else."""
    if model_dir.exists() and not model_dir.is_dir():
        raise InputError(f"{model_dir}: is a file; expected a folder to write the model to")
    subdir = experiment.trainer.best_checkpoint_export_subdir
    inside(model_dir, subdir, "trainer.best_checkpoint_export_subdir")
    if Path(subdir).parts[0] in _OWN_NAMES or subdir.startswith("."):
        raise InputError(
            f"trainer.best_checkpoint_export_subdir: is {subdir!r}, where a model folder keeps something else; expected another "
            "name, such as best"
        )


def _buckets_before(model_dir: Path) -> list[int]:
    """The padded lengths of the run whose checkpoints the folder holds; it keeps them."""
    folder = native.latest_checkpoint(model_dir)
    return [] if folder is None else native.read_state(folder).setup["task.bucket_lengths"]


class _Run:
    """A model folder being made."""

    def __init__(
        self,
        experiment: Experiment,
        sources: Sources,
        model_dir: Path,
        interruption: Interruption,
        checkpoint: Checkpoint | None,
    ):
        assert sources.train is not None  # noqa: S101 - modes that train have a training split
        self.experiment, self.sources, self.model_dir = experiment, sources, model_dir
        self.files = sources.train.files
        self.schedule = build_schedule(experiment.trainer.optimizer_config, experiment.trainer.train_steps)
        if self.schedule.warmup_steps >= experiment.trainer.train_steps:
            _log.warning(
                f"the warm-up lasts {self.schedule.warmup_steps:,} steps, but training only {experiment.trainer.train_steps:,}, so the learning rate does not reach "
                "its peak. Set warmup_steps and decay_steps of trainer.optimizer_config to null, to have them follow the run's length"
            )
        self._interruption, self._checkpoint = interruption, checkpoint
        self._check_lock: Callable[[], None] = lambda: None
        self.steps = build_steps(experiment, self.schedule, self.files, interruption)

    def train(self) -> ModelManifest:
        """Trains what is left to train and returns the manifest."""
        with ExitStack() as stack:
            if self.steps.is_chief:  # the only one that writes
                self.model_dir.mkdir(parents=True, exist_ok=True)
                self._check_lock = stack.enter_context(locked(self.model_dir, "training", inside=True)).check
            return self._train()

    def _train(self) -> ModelManifest:
        state = self._start()
        if self._is_done(state):
            early = ", where early stopping ended it" if state.stops_early(self.experiment.trainer) else ""
            _say(f"{self.model_dir}: already trained to step {state.step:,}{early}; nothing to do")
            return ModelManifest.read(self.model_dir)
        if self.steps.is_chief:
            self._prepare_folder()
        self._announce(state)
        split = self.sources.validation
        validator = None if split is None else Validator(self.steps, self.experiment, split)
        plan = LoopPlan(self.experiment.trainer, self.schedule, self.model_dir, validator, self._check_lock)
        loop = TrainingLoop(self.steps, plan, state, self._interruption)
        loop.run()
        return self._finish(loop.state)

    def _start(self) -> State:
        """Restores the newest checkpoint, or prepares the weights for the first step."""
        replicas = self.steps.replicas
        setup = describe_setup(self.experiment, self.schedule, self.files, checksum(self.files), replicas)
        folder = native.latest_checkpoint(self.model_dir)
        if folder is not None:
            check_setup(self.model_dir, native.read_state(folder).setup, setup)
        if self.steps.is_chief:
            self._remove_unfinished()
        if folder is not None:
            state = State.of(native.restore_checkpoint(folder, self.steps.model, self.steps.optimizer))
            self._restore_best(state)
            return state
        self._initialize()
        self.steps.optimizer.start_averages()
        return State(setup=setup)

    def _remove_unfinished(self) -> None:
        """Removes what killed trainings left; a continuous validation beside this one may be writing what is its own."""
        native.remove_unfinished(self.model_dir)
        ours = [*LOG_FILES, MANIFESTS["model"]]
        if self.sources.validation is not None:  # else the best checkpoint is the continuous validation's
            ours.append(self.experiment.trainer.best_checkpoint_export_subdir)
        remove_left_over(self.model_dir, ours)

    def _prepare_folder(self) -> None:
        """Writes what the run needs beside its checkpoints. Training goes on, so the folder is not whole until it ends."""
        vocabulary = self._vocabulary()
        (self.model_dir / MANIFESTS["model"]).unlink(missing_ok=True)
        (self.model_dir / "config.yaml").write_text(self.experiment.to_yaml(), encoding="utf-8")
        if vocabulary is not None:
            name, content = vocabulary
            (self.model_dir / name).write_bytes(content)

    def _vocabulary(self) -> tuple[str, bytes] | None:
        """Name and content of the dataset's vocabulary, where there is one."""
        if self.sources.vocabulary is None or self.sources.manifest is None:
            return None
        expected, content = self.sources.manifest.vocabulary.sha256, self.sources.vocabulary.read_bytes()
        if Vocabulary(content, name=str(self.sources.vocabulary)).sha256 != expected:
            raise DamagedError(
                f"{self.sources.vocabulary}: is not the vocabulary the records were made with; expected SHA-256 {expected}"
            )
        return self.sources.manifest.vocabulary.file, content

    def _restore_best(self, state: State) -> None:
        """Looks whether the best checkpoint is whole and the state's; if not, it is written again from that of its step, or forgotten.

        A process that was killed after a validation may have left a newer one than the checkpoint it goes on from knows.
        """
        if state.best is None or not self.steps.is_chief:
            return
        best = self.model_dir / self.experiment.trainer.best_checkpoint_export_subdir
        try:
            found = native.check_checkpoint(best).step
            if found == state.best["step"]:
                return
            problem = (
                f"{best}: is of step {found}, but the best one up to step {state.step} is of step {state.best['step']}"
            )
        except InputError as error:
            problem = str(error)
        same = native.step_folder(self.model_dir, state.best["step"])
        try:
            native.copy_best(same, best)
            _say(f"{problem}. Written again from {same}")
        except InputError:
            _say(
                f"{problem}. The best step's own checkpoint is gone too: the best of the validations to come will be kept"
            )
            state.best = None

    def _initialize(self) -> None:
        task = self.experiment.task
        if not task.init_checkpoint:
            return
        if task.init_checkpoint == PLACEHOLDER:
            raise InputError("task.init_checkpoint is 'TODO'; name a checkpoint, or set it to '' to start from scratch")
        cls_pooler = getattr(task, "init_cls_pooler", False)  # only classifiers have a pooler
        notes = check_vocabulary(task.init_checkpoint, self.sources.manifest)
        notes += _unused_rows(self.experiment, self.sources)
        notes += initialize_from(
            task.init_checkpoint,
            self.steps.model,
            cls_pooler=cls_pooler,
            checkpoint=self._checkpoint,
            longest=task.train_data.seq_length,
        )
        self._checkpoint = None  # its arrays are in the model now
        _say(f"weights from {task.init_checkpoint}" + "".join(f"\n  {note}" for note in notes))

    def _is_done(self, state: State) -> bool:
        whole = (self.model_dir / MANIFESTS["model"]).exists()
        validated = self.sources.validation is None or state.validated == state.step
        return whole and validated and state.is_over(self.experiment.trainer)

    def _announce(self, state: State) -> None:
        trainer, data = self.experiment.trainer, self.experiment.task.train_data
        devices = f"{self.steps.replicas} replicas" if self.steps.replicas > 1 else "one device"
        lengths = ", ".join(map(str, self.experiment.task.buckets))
        size = f"{data.global_batch_size} examples"
        if data.tokens_per_batch is not None:
            size = f"up to {data.tokens_per_batch:,} tokens"
        resumed = f", resuming at step {state.step:,}" if state.step else ""
        trained = f"{self.steps.model.count_params():,} parameters"
        if trainer.freeze_embeddings or trainer.freeze_layers:
            free = sum(math.prod(variable.shape) for variable in self.steps.model.trainable_variables)
            trained = f"{free:,} of {trained}, the others frozen,"
        _say(
            f"training {trained} for {trainer.train_steps:,} steps of {size} on {devices}, padded to {lengths} tokens{resumed}"
        )
        runtime = self.experiment.runtime
        this_machine = runtime.backend == "tensorflow" and runtime.distribution_strategy != "tpu"
        if this_machine and (slow := slow_here(runtime.mixed_precision_dtype)):
            _log.warning(f"{slow}; `bigbird run --precision float32` trains in float32 instead")
        if trainer.optimizer_config.ema.average_decay:
            _say(
                f"validated, kept as best and exported are averages of the weights (decay {trainer.optimizer_config.ema.average_decay:g})"
            )

    def _finish(self, state: State) -> ModelManifest:
        """Writes model.json, last."""
        dataset, best = self.sources.manifest, state.best
        later: dict[str, Any] = {}  # what most runs do not have
        if state.stops_early(self.experiment.trainer):
            later["early_stopping"] = {"step": state.step, **(state.waiting or {})}
        if decay := self.experiment.trainer.optimizer_config.ema.average_decay:
            later["average_decay"] = decay
        manifest = ModelManifest(
            task=dataset.task if dataset else None,
            experiment_type=self.experiment.type,
            labels=dataset.labels if dataset else None,
            num_classes=getattr(self.experiment.task.model, "num_classes", None),  # type: ignore[attr-defined]
            metrics=best["metrics"] if best else {},
            decisions=best.get("decisions") if best else None,
            best_step=best["step"] if best else None,
            steps=state.step,
            seconds=round(state.seconds, 1),
            parameters=self.steps.model.count_params(),
            best=self.experiment.trainer.best_checkpoint_export_subdir if best else None,
            dataset=dataset,
            **later,
            **provenance(),
        )
        if self.steps.is_chief:
            files = (file for file in ("config.yaml", *VOCABULARY_FILES, HISTORY) if (self.model_dir / file).exists())
            checksums = {file: integrity.facts_of_file(self.model_dir / file) for file in files}
            self._check_lock()
            manifest = manifest.write(self.model_dir, checksums)
        _say(f"trained {state.step:,} steps in {format_duration(state.seconds)}: {self.model_dir}")
        return manifest


def _unused_rows(experiment: Experiment, sources: Sources) -> list[str]:
    """A sentence where the word embeddings have rows that no piece of the dataset's vocabulary has."""
    rows, pieces = experiment.task.encoder.vocab_size, sources.manifest.vocabulary.size if sources.manifest else 0
    if not pieces or rows == pieces:
        return []
    return [
        f"the word embeddings have {rows:,} rows, the dataset's vocabulary {pieces:,} pieces: the others stay unused"
    ]


def _say(message: str) -> None:
    _log.info(message)
