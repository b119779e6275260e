"""Registers an exported model: as the default version where it beats the one there is, else as a candidate."""

from __future__ import annotations

import logging
import math
from decimal import Decimal
from typing import Any

from bigbird.support.errors import InputError
from bigbird.version import provenance
from bigbird_components.model_names import check_model_name
from bigbird_components.register.challenger import Challenger, read_challenger
from bigbird_components.register.champion import ChampionMetric, champion_metric, from_labels
from bigbird_components.register.registry import CANDIDATE, DEFAULT, Registry, Upload, Version

_log = logging.getLogger(__name__)


def register(
    *,
    project: str,
    location: str,
    model_name: str,
    serving_image: str,
    margin: float,
    saved_model: str,
    artifact_uri: str,
    evaluation: str,
    dataset: str,
    pipeline: str = "",
    dry_run: bool = False,
) -> dict[str, Any]:
    """Uploads a model as a version of the model of a name, once for every run.

    Args:
        project: id of the project.
        location: of the registry, as us-central1.
        model_name: display name in the registry.
        serving_image: the image that answers requests with it.
        margin: by how much it must beat the default version to become the default, in fractions of 1.
        saved_model: the exported model's folder, here or in a bucket.
        artifact_uri: the same folder as Vertex AI finds it: gs://BUCKET/FOLDER.
        evaluation: the evaluation folder.
        dataset: the dataset folder that was evaluated.
        pipeline: the pipeline job that made it; "" where there was none.
        dry_run: compares, and uploads nothing.

    Returns:
        The registration, as in registration.json; of a dry run with `upload`, the arguments, and no version.

    Raises:
        InputError: a folder is not whole, or the default version cannot be compared.
        ServiceError: an API refuses.
    """
    check_model_name(model_name)
    if not math.isfinite(margin) or margin < 0:
        raise InputError(f"margin {margin}: expected 0 or more")
    challenger = read_challenger(saved_model, artifact_uri, evaluation, dataset, pipeline)
    registry = Registry(project, location)
    parent = registry.find_model(model_name)
    done = registry.find_run(parent, challenger.run) if parent else None
    if done:
        _log.info(f"this run registered {done} before; nothing is uploaded")
        return _registration(model_name, challenger, from_labels(done.labels), margin, done.is_default, done)
    champion = None
    if parent:
        champion = champion_metric(registry.get(parent, DEFAULT), challenger)
    default = champion is None or is_better(challenger.value, champion.value, margin)
    upload = Upload(
        name=model_name,
        parent=parent,
        default=default,
        artifact_uri=artifact_uri.rstrip("/"),
        serving_image=serving_image,
        description=challenger.description(),
        labels=challenger.labels() | (champion.labels() if champion else {}),
    )
    version = None if dry_run else registry.upload(upload)
    registration = _registration(model_name, challenger, champion, margin, default, version)
    return {**registration, "upload": upload.arguments()} if dry_run else registration


def is_better(challenger: Decimal, champion: Decimal, margin: float) -> bool:
    """Whether the challenger beats the champion, and by at least the margin."""
    return challenger > champion and challenger >= champion + Decimal(str(margin))


def _registration(
    model_name: str,
    challenger: Challenger,
    champion: ChampionMetric | None,
    margin: float,
    default: bool,
    version: Version | None,
) -> dict[str, Any]:
    """What registration.json says."""
    compared = champion and {
        "version": champion.version,
        "value": float(champion.value),
        "found": champion.found,
    }
    return {
        "format": 1,
        "model": model_name,
        "resource": version and version.model,
        "model_version": version and version.version,
        "default": default,
        "alias": DEFAULT if default else CANDIDATE,
        "task": challenger.task,
        "split": challenger.split,
        "metric": {"name": challenger.metric, "value": float(challenger.value)},
        "champion": compared,
        "margin": margin,
        **provenance(),
    }
