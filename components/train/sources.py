"""From an experiment and perhaps a dataset folder to the files of both splits and a configuration without gaps."""

from __future__ import annotations

import logging
import math
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bigbird.config import ENCODER_KEY, PLACEHOLDER, DataConfig, Experiment, replace, with_sections
from bigbird.config.overrides import merge
from bigbird.data.buckets import choose_buckets
from bigbird.data.dataset import count_batches
from bigbird.data.record_checks import check_records
from bigbird.data.record_files import check_not_empty, count_records, find_files, split_files
from bigbird.manifests import DatasetManifest
from bigbird.support.artifacts import MANIFESTS
from bigbird.support.errors import InputError
from bigbird.support.safe_paths import inside
from bigbird.tasks.registry import family_of
from bigbird_components.run_configuration import epochs_to_train

Mode = Literal["train", "eval", "train_and_eval", "continuous_eval"]
MODES: tuple[Mode, ...] = typing.get_args(Mode)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Split:
    """A split's files; `folder` and `manifest` are those of its dataset folder, None for bare TFRecords."""

    name: str
    files: list[str]
    folder: Path | None = None
    manifest: DatasetManifest | None = None

    @property
    def records(self) -> int | None:
        """Records, where the manifest says so."""
        return self.manifest.splits[self.name].records if self.manifest else None


@dataclass(frozen=True)
class Sources:
    """What a run reads.

    Attributes:
        train: None in the modes that only validate.
        validation: None in mode train.
        manifest: the dataset's, None where all is bare TFRecords.
        vocabulary: the dataset's vocabulary, where there is one.
    """

    train: Split | None
    validation: Split | None
    manifest: DatasetManifest | None
    vocabulary: Path | None


def resolve(
    experiment: Experiment, dataset: str | None, mode: Mode, scratch: Path, buckets: Sequence[int] = ()
) -> tuple[Experiment, Sources]:
    """Finds the files and fills in what the dataset knows and the configuration leaves open.

    Args:
        experiment: as configured.
        dataset: a dataset/ folder, for the input paths that are not set.
        mode: which splits are needed.
        scratch: a folder for records made from raw SQuAD JSON.
        buckets: the lengths with which the run was begun, for where the configuration gives none.

    Raises:
        InputError: files are missing or hold no record, the dataset is another task's, or it contradicts the configuration.
    """
    task = experiment.task
    trains = mode in ("train", "train_and_eval")
    train = _open("train", task.train_data, experiment, dataset, scratch) if trains else None
    validation = None if mode == "train" else _open("validation", task.validation_data, experiment, dataset, scratch)
    found = [split for split in (train, validation) if split is not None]
    splits = [split for split in found if split.manifest is not None]
    manifest = splits[0].manifest if splits else None
    vocabulary = None
    for split in found:
        check_not_empty(split.files)
    for split in splits:
        _check_manifest(split, experiment)
        if split.manifest.vocabulary.sha256 != manifest.vocabulary.sha256:  # type: ignore[union-attr]
            raise InputError(f"{split.folder}: was made with another vocabulary than {splits[0].folder}")
    if manifest is not None:
        vocabulary = _vocabulary(splits[0].folder or Path(), manifest)
        experiment = _set_buckets(_fill(experiment, manifest, vocabulary), manifest, buckets)
    else:
        family_of(task).check_without_dataset(task, [split.name for split in found])
    for split in found:
        _check_length(split, experiment)
    return _count_steps(experiment, train), Sources(train, validation, manifest, vocabulary)


def _open(name: str, data: DataConfig, experiment: Experiment, dataset: str | None, scratch: Path) -> Split:
    path = data.input_path
    if not path or path == PLACEHOLDER:
        if not dataset:
            raise InputError(
                f"task.{name}_data.input_path is {path!r}; set it, or give a dataset folder with --dataset"
            )
        path = dataset
    if isinstance(path, str) and Path(path).is_dir():
        return _open_folder(name, Path(path))
    if isinstance(path, str) and path.endswith(".json"):
        if name == "train":
            raise InputError(
                f"task.{name}_data.input_path is {path!r}; expected TFRecords: run the preprocess stage first"
            )
        manifest = family_of(experiment.task).raw_validation(path, experiment.task.validation_data, scratch)
        return Split(name, split_files(scratch, manifest, name), scratch, manifest)
    return Split(name, find_files(path))


def _open_folder(name: str, folder: Path) -> Split:
    if not (folder / MANIFESTS["dataset"]).exists():
        records = sorted(str(file) for file in folder.glob(f"{name}*.tfrecord*"))
        if records:
            return Split(name, records)
    manifest = DatasetManifest.read(folder)
    names = [split for split in manifest.splits if split == name or split.startswith(f"{name}_")]
    if not names:
        remedy = "; --mode train needs none" if name == "validation" else ""
        raise InputError(f"{folder}: has no {name} split; it has {', '.join(manifest.splits)}{remedy}")
    return Split(names[0], split_files(folder, manifest, names[0]), folder, manifest)


def _vocabulary(folder: Path, manifest: DatasetManifest) -> Path:
    """The dataset's vocabulary; `InputError` where it is damaged, or the manifest's name for it leads out of the folder."""
    name = manifest.vocabulary.file
    path = inside(folder, name, f"{folder / MANIFESTS['dataset']}: vocabulary")
    manifest.check_files(folder, [name])
    return path


def _check_manifest(split: Split, experiment: Experiment) -> None:
    found = split.manifest.experiment_type  # type: ignore[union-attr]
    if found != experiment.type:
        raise InputError(f"{split.folder}: is a dataset for {found}, but the experiment's type is {experiment.type}")


def _check_length(split: Split, experiment: Experiment) -> None:
    """Finds records that are too long before training begins, where the manifest tells."""
    task = experiment.task
    data = task.train_data if split.name == "train" else task.validation_data
    if split.manifest and split.manifest.splits[split.name].longest > data.seq_length:
        check_records(split.files, task, data, labels=False)


def _fill(experiment: Experiment, manifest: DatasetManifest, vocabulary: Path) -> Experiment:
    """The experiment with the dataset's classes, labels and vocabulary, where it leaves them open."""
    task, size = experiment.task, manifest.vocabulary.size
    changes: dict[str, Any] = {}
    if "vocab_size" not in task.encoder.model_fields_set:
        changes = {"model": {"encoder": {"bigbird": {"vocab_size": size}}}}
    elif task.encoder.vocab_size < size:
        raise InputError(
            f"{ENCODER_KEY}.vocab_size is {task.encoder.vocab_size}, but the dataset's vocabulary has {size} "
            "pieces; expected at least as many"
            + (
                f". {task.init_checkpoint} has {task.encoder.vocab_size} rows of word embeddings: preprocess with the vocabulary that it was "
                "trained with"
                if task.init_checkpoint
                else ""
            )
        )
    changes = merge(changes, family_of(task).from_dataset(task, manifest, str(vocabulary)))
    return with_sections(experiment, task=replace(task, **changes))


def _set_buckets(experiment: Experiment, manifest: DatasetManifest, before: Sequence[int]) -> Experiment:
    """The experiment with `task.bucket_lengths` set: as given, as the run began, or by the dataset's own lengths."""
    task, splits = experiment.task, manifest.splits.values()
    if task.bucket_lengths is not None:
        return experiment
    if before and before[-1] == task.buckets[-1]:
        chosen = list(before)
    else:
        histogram = sorted(pair for split in splits for pair in split.lengths)
        longest = max(split.longest for split in splits)
        chosen = choose_buckets(histogram, longest, task.buckets, task.encoder)
    return with_sections(experiment, task=replace(task, bucket_lengths=chosen))


def _count_steps(experiment: Experiment, train: Split | None) -> Experiment:
    """The experiment with `trainer.train_steps` set, from `trainer.epochs` if need be."""
    trainer, data = experiment.trainer, experiment.task.train_data
    if trainer.train_steps or train is None:
        if trainer.train_steps and trainer.epochs is not None:
            _log.warning(
                f"trainer.train_steps is {trainer.train_steps:,}, so trainer.epochs, {trainer.epochs:g}, is not used; set train_steps to 0 to count epochs"
            )
        return experiment
    epochs = epochs_to_train(experiment)
    if data.tokens_per_batch is not None:
        steps = max(1, math.ceil(epochs * count_batches(train.files, experiment.task)))
    else:
        records = count_records(train.files) if train.records is None else train.records
        total = min(records, data.max_records or records)
        steps = max(1, -(-round(epochs * total) // data.global_batch_size))
    return with_sections(experiment, trainer=replace(trainer, train_steps=steps))
