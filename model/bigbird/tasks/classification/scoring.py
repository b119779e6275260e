"""From logits of records to answers for documents, and their metrics.

Shapes: B records, C classes, N documents.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bigbird.manifests import DatasetManifest
from bigbird.scoring import least_records, read_examples, read_split
from bigbird.support.errors import InputError
from bigbird.tasks.classification import metrics as metric
from bigbird.tasks.classification.config import ClassificationTask, ResolvedKind, WindowPooling
from bigbird.tasks.classification.decisions import Decisions
from bigbird.tasks.classification.encoding import MOST_WINDOWS, Layout
from bigbird.tasks.evaluation import Collector, Evaluation

METRICS: dict[ResolvedKind, tuple[str, ...]] = {
    "single": metric.ONE_LABEL,
    "multi": metric.SEVERAL_LABELS,
    "number": metric.NUMBERS,
}
"""Kind of answer -> its metrics; the first picks the best checkpoint."""
_ANSWERS: dict[ResolvedKind, str] = {"single": "label", "multi": "labels", "number": "number"}
"""Kind of answer -> the exported model's output that holds it."""

OTHER_NAMES = {"cls_accuracy": ("accuracy",)}  # names that recipes may use


@dataclass(frozen=True)
class Scale:
    """What a number's target is: (number - mean) / deviation, of the training split."""

    mean: float = 0.0
    deviation: float = 1.0


@dataclass(frozen=True)
class ClassificationResults:
    """Every document's outcome, in the split's order.

    Attributes:
        kind: single, multi or number.
        ids: int64[N].
        names: what the user calls each document: an id, or file and line.
        texts: (text_a, text_b or None) of each; empty where no dataset folder was given.
        labels: class names by index, none for numbers.
        gold: int64[N], bool[N, C] or float64[N]; None where the split has no labels.
        logits: float32[N, C], windows pooled.
        scale: of numbers.
        chosen: the temperature and thresholds; None where labels are numbers.
        places: (file, line) of each; empty where no dataset folder was given.
        layout: how the documents became records; None where no dataset folder was given.
    """

    kind: ResolvedKind
    ids: np.ndarray
    names: list[str]
    texts: list[tuple[str, str | None]]
    labels: tuple[str, ...]
    gold: np.ndarray | None
    logits: np.ndarray
    scale: Scale = field(default_factory=Scale)
    chosen: Decisions | None = None
    places: list[tuple[str, int]] = field(default_factory=list)
    layout: Layout | None = None

    @cached_property
    def decisions(self) -> Decisions:
        """What was chosen, or what holds without a choice. Of labels only."""
        return self.chosen or Decisions("softmax" if self.kind == "single" else "sigmoid", self.labels)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """float64[N, C]. Of labels only."""
        return self.decisions.probabilities(self.logits)

    @cached_property
    def predicted(self) -> np.ndarray:
        """int64[N] classes, bool[N, C], or float64[N] numbers."""
        if self.kind == "number":
            return self.logits[:, 0].astype(np.float64) * self.scale.deviation + self.scale.mean
        return self.decisions.answers(self.logits)

    @cached_property
    def metrics(self) -> metric.Metrics:
        """Of a split with labels."""
        assert self.gold is not None  # noqa: S101 - asked of labelled splits
        if self.kind == "number":
            return metric.number_metrics(self.gold, self.predicted)
        if self.kind == "single":
            return metric.one_label_metrics(self.gold, self.probabilities, self.labels)
        thresholds = self.decisions.threshold_array()
        return metric.several_labels_metrics(self.gold, self.probabilities, thresholds, self.labels)

    def with_decisions(self, chosen: Decisions | None) -> ClassificationResults:
        """The same logits, decided otherwise."""
        return replace(self, chosen=chosen)

    def evaluation(self) -> Evaluation:
        """Metrics, in the order of `METRICS`."""
        names = METRICS[self.kind]
        if self.gold is None:
            return Evaluation({}, names[0], {}, "", self)
        found = self.metrics
        values = {name: found.values[name] for name in names if name in found.values}
        undefined = {name: found.undefined[name] for name in names if name in found.undefined}
        return Evaluation(values, names[0], {}, "", self, OTHER_NAMES, undefined)


def pool(windows: Sequence[np.ndarray], pooling: WindowPooling) -> np.ndarray:
    """One document's logits float32[C] from its windows'."""
    stacked = np.stack(windows)
    return stacked.mean(axis=0, dtype=np.float32) if pooling == "mean" else stacked.max(axis=0)


class ClassificationCollector(Collector):
    """Keeps each record's logits and pools those of one document.

    Args:
        config: the task's, kind and labels known.
        manifest, folder: of the dataset; None for bare records, of which each is a document.
        split: of the dataset.
    """

    def __init__(self, config: ClassificationTask, manifest: DatasetManifest | None, folder: Path | None, split: str):
        self.kind, self.labels, self.pooling = config.kind or "single", tuple(config.labels), config.window_pooling
        self.scale = Scale(config.number_mean, config.number_deviation)
        names = METRICS[self.kind]
        self.metric_names = (*names, *(name for name, parts in OTHER_NAMES.items() if set(names) >= set(parts)))
        self.lines: dict[int, dict[str, Any]] | None = None
        self.windows: Mapping[int, int] | None = None
        self.layout: Layout | None = None
        self._order: list[int] = []
        if manifest is not None and folder is not None:
            self.lines = {line["id"]: line for line in read_examples(folder, split)}
            self.windows = dict.fromkeys(self.lines, 1)
            self.layout = Layout.of(manifest)
            if manifest["long_documents"] == "windows":
                self._order = [
                    int(record["record_id"][0]) for record in read_split(folder, manifest, split, ("record_id",))
                ]
                self.windows = Counter(i // MOST_WINDOWS for i in self._order)
        self.reset()

    def reset(self) -> None:
        self.logits: dict[int, dict[int, np.ndarray]] = {}
        self.given: dict[int, np.ndarray] = {}

    @property
    def least_records(self) -> int:
        if self.lines is None or not self._order:
            return 1
        parts: dict[int, list[int]] = {}
        for i in self._order:
            parts.setdefault(i // MOST_WINDOWS, []).append(i)
        return least_records(self._order, parts.values())

    @property
    def missing(self) -> int:
        return 0 if self.lines is None else len(self.lines) - len(self._whole())

    def add(self, ids: np.ndarray, outputs: dict[str, np.ndarray], label_ids: np.ndarray | None) -> None:
        """Takes logits, float32[B, C], of the records int64[B], several of a document read in windows, and bare labels [B]."""
        documents = ids // MOST_WINDOWS
        if self.lines is not None and (unknown := [int(i) for i in documents if int(i) not in self.lines]):
            raise InputError(
                f"documents {unknown[:8]} are not among the split's examples; are the dataset's files of one run?"
            )
        for number, (i, document) in enumerate(zip(ids.tolist(), documents.tolist(), strict=True)):
            self.logits.setdefault(document, {})[i % MOST_WINDOWS] = outputs["logits"][number]
            if label_ids is not None:
                self.given[document] = label_ids[number]

    def _whole(self) -> list[int]:
        """The documents all of whose windows were added, in the split's order."""
        if self.lines is None or self.windows is None:
            return list(self.logits)
        return [i for i in self.lines if len(self.logits.get(i, ())) == self.windows[i]]

    def result(self) -> Evaluation:
        ids = self._whole()
        if not ids:
            raise InputError("nothing to score: no document was evaluated whole")
        logits = np.stack([pool([self.logits[i][at] for at in sorted(self.logits[i])], self.pooling) for i in ids])
        lines = [self.lines[i] for i in ids] if self.lines is not None else []
        labels = self.labels or (tuple(map(str, range(logits.shape[1]))) if self.kind != "number" else ())
        results = ClassificationResults(
            self.kind,
            np.array(ids),
            [line["name"] for line in lines] or [str(i) for i in ids],
            [(line["text_a"], line["text_b"]) for line in lines],
            labels,
            self._gold(ids, lines, labels),
            logits,
            self.scale,
            places=[(line["file"], line["line"]) for line in lines],
            layout=self.layout,
        )
        return results.evaluation()

    def _gold(self, ids: list[int], lines: list[dict[str, Any]], labels: Sequence[str]) -> np.ndarray | None:
        """Right answers; None where one or more are not known."""
        if not lines:
            if any(i not in self.given for i in ids):
                return None
            given = np.stack([self.given[i] for i in ids])
            return given.astype({"single": np.int64, "multi": bool, "number": np.float64}[self.kind])
        return gold_of([line["label"] for line in lines], labels, self.kind)


def gold_of(found: Sequence[Any], labels: Sequence[str], kind: ResolvedKind) -> np.ndarray | None:
    """Labels as lines hold them to int64[N], bool[N, C] or float64[N]; None where one is not known."""
    if any(label is None for label in found):
        return None
    if kind == "number":
        return np.array(found, np.float64)
    index = {label: number for number, label in enumerate(labels)}
    if kind == "single":
        return np.array([index[label] for label in found], np.int64)
    gold = np.zeros((len(found), len(labels)), bool)
    for row, names in enumerate(found):
        gold[row, [index[name] for name in names]] = True
    return gold


def score_answers(
    lines: Sequence[Mapping[str, Any]], outputs: Mapping[str, np.ndarray], manifest: DatasetManifest, name: str
) -> float:
    """A metric from an exported model's own answers.

    Args:
        lines: the documents with their labels.
        outputs: the exported model's, a row for each of N: `label`, bytes[N]; `labels`, bytes[N, most labels]; or `number`,
            float32[N].
        manifest: of the dataset.
        name: the metric; one that needs no probabilities.

    Raises:
        InputError: the model answers another kind of labels, or labels that the dataset does not have, or the metric cannot be had from answers.
    """
    kind, labels = manifest["kind"], manifest.labels or ()
    wanted = _ANSWERS[kind]
    if wanted not in outputs:
        raise InputError(
            f"the model answers {', '.join(sorted(outputs))}; the dataset's labels are of kind {kind!r}, for which a model answers {wanted}"
        )
    gold = gold_of([line["label"] for line in lines], labels, kind)
    assert gold is not None  # noqa: S101 - asked of labelled splits
    if kind == "number":
        values = metric.number_metrics(gold, outputs[wanted].astype(np.float64)).values
    else:
        answered = _answered(outputs, kind)
        if unknown := {label for row in answered for label in row} - set(labels):
            raise InputError(
                f"the model answers {', '.join(sorted(unknown)[:10])}; the dataset has {', '.join(labels[:20])}"
            )
        predicted = gold_of([row[0] if kind == "single" else row for row in answered], labels, kind)
        assert predicted is not None  # noqa: S101 - each row is answered
        if kind == "single":
            values = metric.one_label_metrics(gold, np.eye(len(labels))[predicted], labels).values
        else:
            values = metric.label_set_metrics(gold, predicted)[0]
    if name not in values:
        raise InputError(f"metric {name!r} cannot be had from answers alone; they give {', '.join(values)}")
    return values[name]


def _answered(outputs: Mapping[str, np.ndarray], kind: ResolvedKind) -> list[list[str]]:
    """Each document's labels by name, of any model of ours: "label", or "labels" with empty texts after the last one."""
    if kind == "single":
        return [[value.decode("utf-8")] for value in outputs[_ANSWERS[kind]]]
    return [[value.decode("utf-8") for value in row if value] for row in outputs[_ANSWERS[kind]]]
