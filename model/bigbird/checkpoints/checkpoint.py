"""A checkpoint as it was read, under our names, and what reading every kind of it takes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from bigbird.checkpoints import names, places, settings
from bigbird.checkpoints.settings import BERT_CONFIG_FILE, CONFIG_FILE
from bigbird.support.errors import InputError
from bigbird.support.text_files import decode, parse_json_object

BERT_POSITIONS = 512  # of every published BERT; what says nothing of its kind and has no more is one
NUMBER = r"\d{1,6}"
"""A layer's number, in patterns: Python reads no number of any length."""
_FLOATS = ("float16", "bfloat16", "float32", "float64")


@dataclass
class Checkpoint:
    """A checkpoint as read.

    Attributes:
        kind: who wrote it.
        source: the file, folder or prefix, for messages.
        weights: arrays by our names.
        left_out: their names of what has no place here, optimizer slots not among them.
        settings: Hugging Face's config.json, or a bert_config.json; empty where there is none.
        settings_file: its name.
        notes: what was done to the weights since they were read, and what had to be taken for granted, a sentence each.
        learnt: rows of a BERT's table of positions, before it is lengthened.
        task: whose head a published checkpoint has, as its names tell; None where there is none, and of ours.
    """

    kind: Literal["bigbird"] | names.Theirs
    source: str
    weights: dict[str, np.ndarray]
    left_out: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    settings_file: str = CONFIG_FILE
    notes: list[str] = field(default_factory=list)
    learnt: int = 0
    task: names.Task | None = None


def ours(source: str, stored: dict[str, np.ndarray]) -> Checkpoint:
    """A checkpoint under our own names."""
    count_layers(source, re.compile(rf"encoder/layer_({NUMBER})/"), stored)
    found = Checkpoint("bigbird", source, {})
    found.weights = {name: as_float32(found, name, array) for name, array in stored.items()}
    return found


def as_float32(checkpoint: Checkpoint, name: str, array: np.ndarray) -> np.ndarray:
    """A weight as float32, which all are computed from; the checkpoint's notes tell where that rounds."""
    if array.dtype.name not in _FLOATS:
        raise InputError(
            f"{checkpoint.source}: {name} is of {array.dtype.name}; expected floating-point weights ({', '.join(_FLOATS)}): quantized ones "
            "are not read"
        )
    note = "weights of float64: rounded to float32"
    if array.dtype.name == "float64" and note not in checkpoint.notes:
        checkpoint.notes.append(note)
    return array.astype(np.float32, copy=False)


def count_layers(source: str, layer: re.Pattern[str], stored: Iterable[str]) -> int:
    """How many layers there are among names of which the pattern's group is a layer's number from 0.

    Raises:
        InputError: one between two others is missing.
    """
    numbers = sorted({int(match[1]) for name in stored if (match := layer.match(name))})
    missing = next((number for number, found in enumerate(numbers) if found != number), None)
    if missing is not None:
        raise InputError(
            f"{source}: holds layer {numbers[-1]}, counted from 0, but no layer {missing}; a part of the weights is missing"
        )
    return len(numbers)


def renamed(
    kind: names.Theirs, source: str, stored: dict[str, np.ndarray], inner: re.Pattern[str], layers: int, num_heads: int
) -> Checkpoint:
    """Their arrays under our names and in our layout; what the table does not know is left out."""
    table = {weight.theirs: weight for weight in names.encoder_weights(kind, layers)}
    heads = {weight.theirs: weight for weight in names.head_weights(kind)}
    found, left_out = Checkpoint(kind, source, {}, task=names.task_of(kind, stored)), []
    for name, array in stored.items():
        match = inner.match(name)
        weight = heads.get(name) or (table.get(name[match.end() :]) if match else None)
        if weight is None:
            left_out.append(name)
        else:
            found.weights[weight.ours] = names.to_ours(kind, weight.sort, as_float32(found, name, array), num_heads)
    if not any(name.startswith("encoder/") for name in found.weights):
        raise InputError(
            f"{source}: holds no encoder of a BigBird or BERT that is known here; expected {names.prefix_of(kind)}"
            f"{names.encoder_weights(kind, 0)[0].theirs} and the like, found {', '.join(sorted(stored)[:5]) or 'nothing'}"
        )
    found.left_out = sorted(left_out)
    return found


def finish_bert(found: Checkpoint, classifies: bool) -> Checkpoint:
    """A BERT's checkpoint with what its names do not show.

    Args:
        found: as read; changed. Other kinds stay as they are.
        classifies: whether its logits are a classifier's.
    """
    if found.kind not in names.BERTS:
        return found
    if not found.settings:
        file = f"{found.source.rpartition('/')[0] or '.'}/{BERT_CONFIG_FILE}"
        if not found.kind.startswith("hugging_face") and places.exists(file):
            found.settings, found.settings_file = read_json(file), BERT_CONFIG_FILE
            settings.check_config(found.settings, file)
    skipped = settings.unused_positions(found.settings, found.kind, f"{found.source}: {found.settings_file}")
    if names.POSITIONS in found.weights:
        rows = len(found.weights[names.POSITIONS])
        if skipped >= rows > 0:
            raise InputError(
                f"{found.source}: {found.settings_file}: pad_token_id is {skipped - 1}, but the table of positions, whose first row is "
                f"that after it, has {rows} rows. Correct the file"
            )
        found.weights[names.POSITIONS] = found.weights[names.POSITIONS][skipped:]
        found.learnt = len(found.weights[names.POSITIONS])
    if classifies:  # on the encoder's pooler, which computes what a classifier's own does
        for part in ("kernel", "bias"):
            pooler = found.weights.get(f"encoder/pooler/{part}")
            if pooler is not None:
                found.weights.setdefault(f"pooler_dense/{part}", pooler)
    return found


def read_json(path: str) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises:
        InputError: it cannot be read, or holds something else.
    """
    expected = "JSON in UTF-8"
    return parse_json_object(decode(places.read(path), path, expected), path, expected, place="{source}")
