"""From the scores of windows' tokens to the spans of documents, and their metrics.

Shapes: B records, L tokens, T tags, U units of a document.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bigbird.manifests import DatasetManifest
from bigbird.scoring import least_records, read_examples, read_split
from bigbird.support.errors import InputError
from bigbird.tasks.evaluation import Collector, Evaluation
from bigbird.tasks.token_labels.decoding import Transitions, decode
from bigbird.tasks.token_labels.encoding import MOST_WINDOWS
from bigbird.tasks.token_labels.metrics import METRICS, Counts, all_metrics, count
from bigbird.tasks.token_labels.spans import Span


@dataclass(frozen=True)
class LabelledDocument:
    """A document's outcome.

    Attributes:
        name: what the user calls it: an id, or file and line.
        file: where it stands.
        line: in the file.
        text: as it stands.
        gold: what is right; None where that is not known.
        found: the model's.
        scores: of the model's.
        units: how many of its words or pieces are labelled.
        records: ids of its windows.
    """

    name: str
    file: str
    line: int
    text: str
    gold: tuple[Span, ...] | None
    found: tuple[Span, ...]
    scores: tuple[float, ...]
    units: int
    records: tuple[int, ...]

    def objects(self) -> list[dict[str, Any]]:
        """The model's spans as it answers them."""
        return [
            {
                "start": span.start,
                "end": span.end,
                "label": span.label,
                "text": self.text[span.start : span.end],
                "score": round(score, 6),
            }
            for span, score in zip(self.found, self.scores, strict=True)
        ]


@dataclass(frozen=True)
class SpanResults:
    """Every document's outcome, in the split's order, and the labels in the order of their numbers."""

    documents: list[LabelledDocument]
    labels: tuple[str, ...]

    @property
    def labelled(self) -> bool:
        return all(document.gold is not None for document in self.documents)

    def pairs(self) -> list[tuple[tuple[Span, ...], tuple[Span, ...]]]:
        """(right, found) spans of each document; of a split with labels."""
        return [(document.gold or (), document.found) for document in self.documents]

    def counts(self) -> Counts:
        """Of a split with labels."""
        return count(self.pairs())


@dataclass(frozen=True)
class _Window:
    """Where a record has units: positions int64[u] of its tokens, and their characters int64[u] each."""

    positions: np.ndarray
    starts: np.ndarray
    ends: np.ndarray


class SpanCollector(Collector):
    """Keeps of each record the scores of the units that it is to label.

    Args:
        labels: in the order of their numbers.
        transitions: how tags follow each other.
        manifest, folder: of the dataset.
        split: of the dataset.

    Raises:
        InputError: there is no dataset folder, or it lacks what decoding needs.
    """

    metric_names = METRICS

    def __init__(
        self,
        labels: Sequence[str],
        transitions: Transitions,
        manifest: DatasetManifest | None,
        folder: Path | None,
        split: str,
    ):
        if manifest is None or folder is None:
            raise InputError("spans are scored against texts: give a dataset folder, not bare TFRecords")
        self.labels, self.transitions = tuple(labels), transitions
        self.lines = {line["id"]: line for line in read_examples(folder, split)}
        self.windows: dict[int, _Window] = {}
        self.of_document: dict[int, list[int]] = {i: [] for i in self.lines}
        for record in read_split(folder, manifest, split, ("record_id", "unit_starts", "unit_ends")):
            i = int(record["record_id"][0])
            at = np.flatnonzero(record["unit_starts"] >= 0)
            self.windows[i] = _Window(at, record["unit_starts"][at], record["unit_ends"][at])
            if i // MOST_WINDOWS not in self.lines:
                raise InputError(f"{folder}: record {i} of split {split!r} is of no document; write the dataset again")
            self.of_document[i // MOST_WINDOWS].append(i)
        for ids in self.of_document.values():
            ids.sort()  # the order of the windows, whatever the order of the files
        self.reset()

    def reset(self) -> None:
        self.logits: dict[int, np.ndarray] = {}

    @property
    def least_records(self) -> int:
        return least_records(self.windows, (ids for ids in self.of_document.values() if ids))

    @property
    def missing(self) -> int:
        return len(self.lines) - len(self._whole())

    def add(self, ids: np.ndarray, outputs: dict[str, np.ndarray], label_ids: np.ndarray | None) -> None:
        del label_ids  # what is right is the dataset's
        for i, logits in zip(ids.tolist(), outputs["logits"], strict=True):
            if i not in self.windows:
                raise InputError(f"record {i} is not among the split's records; are the dataset's files of one run?")
            self.logits[i] = logits[self.windows[i].positions]

    def _whole(self) -> list[int]:
        """The documents all of whose windows were added, in the split's order."""
        return [i for i, ids in self.of_document.items() if ids and all(window in self.logits for window in ids)]

    def result(self) -> Evaluation:
        whole = self._whole()
        if not whole:
            raise InputError("nothing to score: no document was evaluated with all its windows")
        results = SpanResults([self._document(i) for i in whole], self.labels)
        if not results.labelled:
            return Evaluation({}, METRICS[0], {}, "", results)
        return Evaluation(all_metrics(results.counts()), METRICS[0], {}, "", results)

    def _document(self, i: int) -> LabelledDocument:
        ids, line = self.of_document[i], self.lines[i]
        windows = [self.windows[each] for each in ids]
        starts, ends = (np.concatenate([getattr(each, name) for each in windows]) for name in ("starts", "ends"))
        found = decode(np.concatenate([self.logits[each] for each in ids]), self.transitions)
        return LabelledDocument(
            line["name"],
            line["file"],
            line["line"],
            line["text_a"],
            None if line["spans"] is None else tuple(Span(*span) for span in line["spans"]),
            tuple(Span(int(starts[span.first]), int(ends[span.last]), self.labels[span.label]) for span in found),
            tuple(span.score for span in found),
            len(starts),
            tuple(ids),
        )


def score_answers(lines: Sequence[Mapping[str, Any]], outputs: Mapping[str, np.ndarray], name: str) -> float:
    """A metric from an exported model's answers.

    Args:
        lines: the documents with what is right.
        outputs: the model's, a row for each.
        name: the metric.
    """
    columns = (outputs[f"spans/{field}"] for field in ("start", "end", "label"))
    pairs = []
    for line, starts, ends, labels in zip(lines, *columns, strict=True):
        found = [
            Span(int(start), int(end), label.decode())
            for start, end, label in zip(starts, ends, labels, strict=True)
            if label
        ]
        pairs.append(([Span(*span) for span in line["spans"]], found))
    return all_metrics(count(pairs))[name]
