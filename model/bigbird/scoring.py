"""From a model's outputs, batch by batch, to predictions and metrics: training's validation and the evaluate stage.

    scorer = Scorer(task, manifest, folder, "validation")
    for batch in batches:
        scorer.add(batch["record_id"], outputs, batch["weight"])
    evaluation = scorer.result()

Shapes: B batch, N examples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bigbird.config import Task
from bigbird.manifests import DatasetManifest
from bigbird.records import features
from bigbird.support.errors import InputError, TrainingDiverged
from bigbird.support.safe_paths import inside
from bigbird.support.text_files import read_json_lines
from bigbird.tasks.evaluation import Evaluation
from bigbird.tasks.family import AnsweringFamily
from bigbird.tasks.registry import family_of


def default_metric(task: Task) -> str:
    """The metric that decides where none is named and no dataset's manifest states one."""
    return family_of(task).default_metric(task)


class Scorer:
    """Collects a model's outputs over a split.

    Args:
        task: the task's configuration: decoding limits, or the metric where there is no manifest.
        manifest: of the dataset; None for bare records, whose labels `add` is then given.
        folder: the dataset folder, None for bare records.
        split: a split of the manifest.

    Raises:
        InputError: the dataset lacks what scoring needs; names the file and line.
    """

    def __init__(self, task: Task, manifest: DatasetManifest | None, folder: str | Path | None, split: str):
        family = family_of(task)
        if manifest is not None and folder is not None and isinstance(family, AnsweringFamily):
            manifest.check_files(folder, [f"{split}.examples.jsonl"])
        self._collector = family.collector(task, manifest, None if folder is None else Path(folder), split)

    def add(
        self,
        record_ids: np.ndarray,
        outputs: Mapping[str, np.ndarray],
        weight: np.ndarray | None = None,
        label_ids: np.ndarray | None = None,
    ) -> None:
        """Takes one batch.

        Args:
            record_ids: int64[B].
            outputs: what `models.summarize` gives of the model's by name, float32[B, ...].
            weight: float32[B]; rows of weight 0 only fill the batch and are left out. Default all count.
            label_ids: int32[B] or float32[B], gold labels of bare records; a dataset folder has its own.

        Raises:
            TrainingDiverged: an output is NaN or infinite; names the records.
        """
        rows = np.flatnonzero(np.ones(len(record_ids)) if weight is None else np.asarray(weight))
        ids = np.asarray(record_ids)[rows]
        values = {name: np.asarray(value, np.float32)[rows] for name, value in outputs.items()}
        for name, value in values.items():
            broken = ids[~np.isfinite(value.reshape(len(ids), -1)).all(axis=1)]
            if len(broken):
                raise TrainingDiverged(f"the model's {name} are not finite for records {broken[:8].tolist()}")
        self._collector.add(ids, values, None if label_ids is None else np.asarray(label_ids)[rows])

    def reset(self) -> None:
        """Forgets what was added, so that the same split can be scored again."""
        self._collector.reset()

    def check_metric(self, name: str, key: str) -> None:
        """Refuses a metric that no examples of the split can have.

        Args:
            name: of the metric.
            key: of the configuration that names it.

        Raises:
            InputError: lists those that there are.
        """
        known = self._collector.metric_names
        if known is not None and name not in known:
            raise InputError(
                f"{key} is {name!r}, which is no metric of this task; expected one of {', '.join(dict.fromkeys(known))}"
            )

    @property
    def missing(self) -> int:
        """Examples or questions of the split that are not scored yet, wholly or in part."""
        return self._collector.missing

    @property
    def least_records(self) -> int:
        """How many of the split's first records it takes to have all windows of at least one example."""
        return self._collector.least_records

    def result(self) -> Evaluation:
        """Predictions and metrics over the examples that were added whole.

        Raises:
            InputError: there are none.
        """
        return self._collector.result()


# ------------------------------------------------------------------------------------------------- reading


def read_examples(folder: str | Path, split: str) -> Iterator[dict[str, Any]]:
    """The lines of a split's examples.jsonl.

    Raises:
        InputError: the file is missing or a line is not JSON.
    """
    path = inside(folder, f"{split}.examples.jsonl", f"{folder}: split {split[:100]!r}")
    if not path.exists():
        raise InputError(f"{path}: no such file; only evaluation splits have one, and {split!r} needs it to be scored")
    for _, example in read_json_lines(path, "JSON lines as preprocessing writes them; write the dataset again"):
        yield example


def least_records(order: Iterable[int], parts: Iterable[Iterable[int]]) -> int:
    """How many records hold one of the parts whole: the records' ids in their order, and the ids of each part."""
    place = {i: number for number, i in enumerate(order, 1)}
    return min((max(place[i] for i in ids) for ids in parts), default=1)


def read_split(
    folder: Path,
    manifest: DatasetManifest,
    split: str,
    needed: Sequence[str] = ("example_id", "offset_starts", "offset_ends", "max_context"),
) -> Iterator[dict[str, Any]]:
    """A split's records, with the features that decoding needs.

    Yields:
        By feature int64[values] or float32[values], or bytes; see `features.decode`.

    Raises:
        InputError: there is no such split, or a record lacks a feature that is needed.
        DamagedError: a file is missing, damaged or was changed.
    """
    if split not in manifest.splits:
        raise InputError(f"{folder}: has no split {split!r}; it has {', '.join(manifest.splits)}")
    names = manifest.splits[split].files
    manifest.check_files(folder, names)
    for name in names:
        file = inside(folder, name, f"{folder}: split {split!r}")
        for number, data in enumerate(features.read_records(file), 1):
            record: dict[str, Any] = features.decode(data)
            if absent := set(needed) - record.keys():
                raise InputError(
                    f"{file}: record {number} lacks {', '.join(sorted(absent))}, which evaluation needs; "
                    "preprocess the data as an evaluation split"
                )
            yield record
