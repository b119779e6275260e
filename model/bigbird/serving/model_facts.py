"""What a model's folder says of itself, read without loading the model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bigbird.config import load_experiment
from bigbird.manifests import DatasetManifest, ModelManifest, SavedModelManifest
from bigbird.serving.saved_model import find_saved_model
from bigbird.support.artifacts import MANIFESTS
from bigbird.support.errors import InputError

SIGNATURE = "serving_default"


@dataclass(frozen=True)
class ModelFacts:
    """A model that answers raw text.

    Attributes:
        folder: of its files: a SavedModel's, or a trained model's.
        task: what it was trained for.
        fields: names of its inputs, sorted; None of a trained model, which has to be loaded to tell.
        dataset: the manifest of the dataset that it was trained on, with `max_length` at most the model's longest bucket; None
            where an earlier version exported it.
        digest: the same for the same files.
        vocabulary: its SentencePiece file; None where there is none.
        lower_case: whether text is lower-cased.
    """

    folder: Path
    task: str
    fields: tuple[str, ...] | None
    dataset: DatasetManifest | None
    digest: str
    vocabulary: Path | None
    lower_case: bool


def read_facts(folder: Path) -> ModelFacts:
    """Reads the manifest of a run's, a SavedModel's or a trained model's folder.

    Raises:
        InputError: there is none, or it is damaged.
    """
    if (folder / MANIFESTS["model"]).exists():
        trained = ModelManifest.read(folder)
        if trained.task is None or trained.dataset is None:
            raise InputError(
                f"{folder}: was trained without a dataset folder, so its texts' layout is not known; pass --dataset to training"
            )
        buckets = load_experiment(config_files=[folder / "config.yaml"]).task.buckets
        return _facts(folder, trained, trained.task, None, trained.dataset, buckets, folder)
    folder = find_saved_model(folder)
    exported = SavedModelManifest.read(folder)
    if SIGNATURE not in exported.signatures:
        raise InputError(
            f"{folder}: its {MANIFESTS['saved_model']} names no function {SIGNATURE}; export the model again"
        )
    fields = tuple(sorted(exported.signatures[SIGNATURE].inputs))
    dataset = exported.dataset or _trained_on(exported)
    return _facts(folder, exported, exported.task, fields, dataset, exported.buckets, folder / "assets")


def _facts(
    folder: Path,
    manifest: ModelManifest | SavedModelManifest,
    task: str,
    fields: tuple[str, ...] | None,
    dataset: DatasetManifest | None,
    buckets: Sequence[int],
    vocabulary_folder: Path,
) -> ModelFacts:
    # The manifest's own checksum stands for all files, whose checksums it has; earlier versions' have none.
    digest = manifest.manifest_sha256 or hashlib.sha256(json.dumps(manifest.to_json()).encode()).hexdigest()
    facts = dataset.vocabulary if dataset else getattr(manifest, "vocabulary", None)
    vocabulary = vocabulary_folder / facts.file if facts else None
    known = vocabulary is not None and vocabulary.is_file()
    if dataset is not None and buckets and buckets[-1] < dataset.max_length:
        dataset = dataset.with_values(max_length=buckets[-1])
    return ModelFacts(
        folder, task, fields, dataset, digest, vocabulary if known else None, bool(facts and facts.lower_case)
    )


def _trained_on(manifest: SavedModelManifest) -> DatasetManifest | None:
    """What the trained model beside an export says, where it is still there."""
    folder = manifest.trained_model
    if not folder or "://" in folder or not (Path(folder) / MANIFESTS["model"]).is_file():
        return None
    try:
        dataset = ModelManifest.read(folder).dataset
    except InputError:
        return None
    same = (
        dataset is not None
        and manifest.vocabulary is not None
        and dataset.vocabulary.sha256 == manifest.vocabulary.sha256
    )
    return dataset if same else None
