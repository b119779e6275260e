"""A metric from an exported model's own answers to raw examples, equal to what the evaluation stage measures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from bigbird.manifests import DatasetManifest
from bigbird.scoring import read_examples
from bigbird.serving.saved_model import Predictor
from bigbird.support.errors import InputError
from bigbird.support.progress import Progress, format_duration
from bigbird.tasks.registry import answering_family

BATCH = 16  # examples sent to the model at once

Example = dict[str, Any]
Outputs = dict[str, np.ndarray]


def measure(predictor: Predictor, dataset: str, manifest: DatasetManifest, split: str, name: str) -> float:
    """Asks a model every example of a split and scores what it answers.

    Args:
        predictor: the model.
        dataset: the dataset folder.
        manifest: of the folder.
        split: one with labels.
        name: the metric, one of the task's.

    Raises:
        InputError: the model takes other texts, knows other labels, or gives numbers that are not finite.
    """
    lines = list(read_examples(dataset, split))
    family = answering_family(manifest.task)
    return family.score_answers(lines, lambda examples: _ask(predictor, examples, split), manifest, name)


def _ask(predictor: Predictor, examples: Sequence[Example], split: str) -> Outputs:
    """The model's outputs for all examples, a row each."""
    absent = set(predictor.fields) - {name for name, value in examples[0].items() if isinstance(value, str)}
    if absent:
        raise InputError(f"the model expects {', '.join(sorted(absent))}, which the examples of {split!r} do not have")
    progress, started = Progress(f"champion on {split}", len(examples)), time.monotonic()
    parts = []
    for start in range(0, len(examples), BATCH):
        parts.append(predictor.outputs(examples[start : start + BATCH]))
        progress.update(min(start + BATCH, len(examples)))
    progress.finish(f"champion on {split}: {len(examples):,} examples in {format_duration(time.monotonic() - started)}")
    outputs = {name: _joined([part[name] for part in parts]) for name in parts[0]}
    for name, values in outputs.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise InputError(f"the model's {name} are not all finite")
    return outputs


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Batches of one output, one after the other; lists are padded to the longest, with empty texts or 0."""
    shape = np.max([part.shape[1:] for part in parts], axis=0, initial=0).astype(int)
    padded = []
    for part in parts:
        width = [(0, 0), *((0, most - size) for size, most in zip(part.shape[1:], shape, strict=True))]
        padded.append(np.pad(part, width, constant_values=b"" if part.dtype == object else 0))
    return np.concatenate(padded)
