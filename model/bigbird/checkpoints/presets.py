"""Builds a model of the package from any checkpoint: `from_preset` of the models, and the checkpoint's vocabulary."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from bigbird.checkpoints.beside import RUN_CONFIG_FILE, Disk, folders, head_facts, vocabulary_of
from bigbird.checkpoints.checkpoint import Checkpoint
from bigbird.checkpoints.encoders import read_with_encoder
from bigbird.checkpoints.initialize import initialize_from
from bigbird.config import BigBirdEncoderConfig, load_experiment, replace
from bigbird.manifests import ModelManifest
from bigbird.support.artifacts import MANIFESTS, RUN_RECORD, TRAINED_IN_RUN
from bigbird.support.errors import InputError
from bigbird.support.text_files import decode, parse_json_object
from bigbird.support.yaml_files import parse_yaml_mapping
from bigbird.tasks.registry import family_of
from bigbird.text.files import read_vocabulary
from bigbird.text.vocabulary import Vocabulary

Model = TypeVar("Model")

_log = logging.getLogger(__name__)


def load_preset(kind: type[Model], path: str, given: Mapping[str, Any]) -> Model:
    """A model of a class, built, with the weights of a checkpoint.

    Args:
        kind: the encoder's class, or a task model's.
        path: a run's folder, or a checkpoint as `read_checkpoint` takes it.
        given: arguments of the class and of `BigBirdEncoderConfig`, which go before what the checkpoint says.

    Raises:
        InputError: there is no checkpoint, it says other settings, or a classifier's number of classes is not known.
    """
    path = trained_folder(path)
    asked = {name: value for name, value in given.items() if name in BigBirdEncoderConfig.model_fields}
    checkpoint, encoder = read_with_encoder(path, num_heads=asked.get("num_attention_heads"), given=asked)
    changes: dict[str, Any] = {}
    if encoder.attention.implementation == "pallas" and "attention" not in asked:
        changes["attention"] = {"implementation": "auto"}  # the kernel it was trained with may not suit this machine
    arguments = _head_arguments(kind, path, checkpoint)
    arguments |= {name: value for name, value in given.items() if name not in asked}
    if "num_classes" in _parameters(kind) and arguments.get("num_classes") is None:
        raise InputError(
            f"{path}: holds no classifier whose classes could be counted; expected num_classes to be given"
        )
    build: Any = kind
    model = build(replace(encoder, **changes), **arguments)
    model.build()
    for note in initialize_from(path, model, checkpoint=checkpoint):
        _log.info("%s: %s", path, note)
    return cast(Model, model)


def load_vocabulary(path: str | os.PathLike[str]) -> Vocabulary:
    """The vocabulary that a checkpoint was trained with.

    Args:
        path: a run's folder, a dataset's, or a checkpoint's that has its vocabulary beside it: a trained model, or what
            `bigbird convert` made of one. Published BigBird checkpoints have none.

    Raises:
        InputError: there is none.

    Example:
        >>> import bigbird
        >>> vocabulary = bigbird.load_vocabulary("runs/reviews")
        >>> [len(pieces) for pieces in vocabulary.encode(["", "a tree"])]
        [0, 2]
    """
    folder = trained_folder(os.fspath(path))
    carried = vocabulary_of(folder)
    if carried is None or not carried.file:
        raise InputError(
            f"{folder}: has no vocabulary beside its weights; expected a model that was trained here. Give the file that it "
            "was published with to bigbird.Vocabulary"
        )
    _, content = read_vocabulary(carried.file, Disk())
    return Vocabulary(content, carried.lower_case, name=carried.file)


def trained_folder(path: str) -> str:
    """The folder of the trained model, where a run's folder is given; else `path` itself."""
    if (Path(path) / RUN_RECORD).exists() and (Path(path) / TRAINED_IN_RUN).is_dir():
        return str(Path(path) / TRAINED_IN_RUN)
    return path


def _parameters(kind: type) -> Mapping[str, Any]:
    return inspect.signature(kind.__init__).parameters  # type: ignore[misc]


def _head_arguments(kind: type, path: str, checkpoint: Checkpoint) -> dict[str, Any]:
    """What a checkpoint says of the head, as arguments of the model's class."""
    trained = _trained_arguments(kind, path) if checkpoint.kind == "bigbird" else None
    if trained is not None:
        return trained
    facts, known = head_facts(path, checkpoint), dict[str, Any]()
    if facts.head and not (facts.head == "triviaqa" and "num_classes" in _parameters(kind)):  # no classifier has that
        known |= {"head": facts.head, "pooling": facts.pooling}
    if "pooler_dense/kernel" in checkpoint.weights:  # without it the logits may be a span's
        known["num_classes"] = checkpoint.weights["logits/kernel"].shape[1]
    return {name: value for name, value in known.items() if name in _parameters(kind)}


def _trained_arguments(kind: type, path: str) -> dict[str, Any] | None:
    """The arguments that a model of ours was trained with; None where it is of another class, or not a run's."""
    folder = folders(path, Disk())[-1]
    if not {MANIFESTS["model"], RUN_CONFIG_FILE} <= Disk().names(folder):
        return None
    tree = parse_yaml_mapping(_text(f"{folder}/{RUN_CONFIG_FILE}"), f"{folder}/{RUN_CONFIG_FILE}", "a configuration")
    file, what = f"{folder}/{MANIFESTS['model']}", "a model's manifest"
    manifest = ModelManifest.checked(parse_json_object(_text(file), file, what), file)
    # The kernel cannot be had everywhere, and is no part of the head.
    task = load_experiment(
        overrides=[tree, {"runtime": {"backend": "tensorflow"}, "task": {"model": _WITHOUT_KERNEL}}]
    ).task
    model: Any = family_of(task).build_model(task, num_classes=manifest.num_classes, dtype="float32")
    same = type(model) is kind
    others = ("name", "trainable", "dtype", "config", "first_bias")  # weights stand in for the last
    return {name: value for name, value in model.get_config().items() if name not in others} if same else None


_WITHOUT_KERNEL = {"encoder": {"bigbird": {"attention": {"implementation": "auto"}}}}


def _text(file: str) -> str:
    return decode(Disk().read(file), file, "text in UTF-8")
