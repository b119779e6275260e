"""Flipped bits and cuts of every file that a later stage reads: each is named, and none is used."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bigbird.support.errors import InputError

# A kind of file -> the folder of the stage that wrote it, the file inside, and how a later stage reads it.
Read = Callable[["Copies"], None]


@dataclass(frozen=True)
class Copies:
    """Folders of one trial, copied from the unbroken run's."""

    dataset: Path
    model: Path
    evaluation: Path
    saved_model: Path
    out: Path


def train_again(copies: Copies) -> None:
    """The training stage, from the beginning, as far as reading its input."""
    from bigbird.config import load_experiment
    from bigbird_components.train.sources import resolve

    experiment = load_experiment("bigbird/glue", overrides=["trainer.train_steps=1"])
    _, sources = resolve(experiment, str(copies.dataset), "train_and_eval", copies.out)
    from bigbird.scoring import Scorer

    assert sources.validation is not None
    Scorer(experiment.task, sources.validation.manifest, sources.validation.folder, "validation")


def resume(copies: Copies) -> None:
    """The training stage, from its newest checkpoint on; an older one takes its place where that one is damaged."""
    from bigbird.checkpoints import native

    native._said.clear()
    newest = native.newest_checkpoint(copies.model)
    found = native.latest_checkpoint(copies.model)
    if found != newest:
        raise InputError("; ".join(native._said))  # what the log told


def evaluate(copies: Copies) -> None:
    from bigbird_components.evaluate.evaluate import evaluate as run

    run(str(copies.model), str(copies.dataset), str(copies.out / "evaluation"))


def export(copies: Copies) -> None:
    """What the export stage reads before it does anything that takes long."""
    from bigbird.checkpoints.native import load_model
    from bigbird.manifests import DatasetManifest, ModelManifest
    from bigbird.tasks.registry import answering_family
    from bigbird_components.export.request import recorded_request

    load_model(copies.model)
    ModelManifest.read(copies.model).check_files(copies.model)
    recorded_request(answering_family("sst2"), str(copies.dataset), DatasetManifest.read(copies.dataset), ["text_a"])


def start_from(copies: Copies) -> None:
    """Training that starts from these weights."""
    from bigbird.checkpoints.reading import read_checkpoint

    read_checkpoint(str(copies.model), 2)


def answer(copies: Copies) -> None:
    from bigbird.serving.saved_model import open_saved_model

    open_saved_model(copies.saved_model)


def take_evaluation(copies: Copies) -> None:
    """What registration, the submission and a run's summary read of an evaluation."""
    from bigbird.manifests import EvaluationManifest

    EvaluationManifest.read(copies.evaluation).check_files(copies.evaluation)


KINDS: dict[str, tuple[str, str, Read]] = {
    "TFRecords": ("dataset", "train-*.tfrecord", train_again),
    "validation TFRecords": ("dataset", "validation-*.tfrecord", evaluate),
    "examples.jsonl": ("dataset", "validation.examples.jsonl", evaluate),
    "examples.jsonl, by export": ("dataset", "validation.examples.jsonl", export),
    "the dataset's vocabulary": ("dataset", "vocab.model", train_again),
    "dataset.json": ("dataset", "dataset.json", train_again),
    "a checkpoint's weights": ("model", "checkpoints/*/model.safetensors", resume),
    "a checkpoint's optimizer": ("model", "checkpoints/*/optimizer.safetensors", resume),
    "a checkpoint's state": ("model", "checkpoints/*/state.json", resume),
    "the best weights": ("model", "best/model.safetensors", evaluate),
    "the best weights, by export": ("model", "best/model.safetensors", export),
    "the best weights, as a start": ("model", "best/model.safetensors", start_from),
    "the best state": ("model", "best/state.json", evaluate),
    "the model's config.yaml": ("model", "config.yaml", evaluate),
    "the model's vocabulary": ("model", "vocab.model", export),
    "the model's history": ("model", "history.json", evaluate),
    "model.json": ("model", "model.json", evaluate),
    "saved_model.pb": ("saved_model", "saved_model.pb", answer),
    "the SavedModel's variables": ("saved_model", "variables/variables.data-*", answer),
    "the SavedModel's index": ("saved_model", "variables/variables.index", answer),
    "the SavedModel's vocabulary": ("saved_model", "assets/*", answer),
    "the recorded request": ("saved_model", "request.json", answer),
    "the recorded response": ("saved_model", "response.json", answer),
    "signature.json": ("saved_model", "signature.json", answer),
    "metrics.json": ("evaluation", "metrics.json", take_evaluation),
    "predictions": ("evaluation", "predictions.tsv", take_evaluation),
}


def damage(stages: Path, kind: str, rng: random.Random, trial: Path, *, cut: bool) -> list[str]:
    """One file is changed in a copy of all folders; whoever reads it must refuse it, and name it.

    Args:
        stages: the folder that holds dataset, model, evaluation and saved_model of one run.
        kind: a key of `KINDS`.
        rng: chooses what is changed.
        trial: a new folder, gone afterwards.
        cut: cuts the file in place of flipping a bit.
    """
    part, pattern, read = KINDS[kind]
    copies = Copies(*(trial / name for name in ("dataset", "model", "evaluation", "saved_model", "out")))
    for name in ("dataset", "model", "evaluation", "saved_model"):
        shutil.copytree(stages / name, trial / name)
    copies.out.mkdir()
    files = sorted((trial / part).glob(pattern))
    file = files[-1] if pattern.startswith("checkpoints/") else rng.choice(files)  # the newest checkpoint is read
    before = file.read_bytes()
    after = before
    while _value(file, after) == _value(file, before):  # a flipped bit may turn a blank of JSON into another one
        after = _cut(file, before, rng) if cut else _flipped(before, rng)
    file.write_bytes(after)
    try:
        read(copies)
    except InputError as error:
        message = str(error)
        problems = [] if file.name in message else [f"the message does not name {file.name}: {message[:200]}"]
    except Exception as error:  # noqa: BLE001 - what must not happen
        problems = [f"{type(error).__name__}: {str(error)[:300]}"]
    else:
        problems = ["it was used"]
    shutil.rmtree(trial)
    return [f"{kind}: {problem}" for problem in problems]


def _flipped(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut(file: Path, content: bytes, rng: random.Random) -> bytes:
    if file.suffix == ".tfrecord" and rng.random() < 0.5:  # between two records
        return content[: rng.choice(_bounds(content)[:-1])]
    return content[: rng.randrange(len(content))]


def _bounds(content: bytes) -> list[int]:
    """Where records of a TFRecord file end."""
    at, bounds = 0, [0]
    while at < len(content):
        at += int.from_bytes(content[at : at + 8], "little") + 16
        bounds.append(at)
    return bounds


def _value(file: Path, content: bytes) -> Any:
    """What a file says: the value of JSON, else its bytes."""
    if file.suffix == ".json":
        with contextlib.suppress(ValueError):
            return json.loads(content)
    return content
