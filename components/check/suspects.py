"""Rows whose label is probably wrong, by a model's own probabilities: confident learning.

Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels" (2021), equations 1 and 2. A label's
threshold is the mean probability that the model gives it on the rows that have it. A row counts for the likeliest of the labels
whose threshold it reaches; where that is another than its own, and the likeliest of all, its own is probably wrong. Of several
labels each is looked at by itself, as there or not there.

The package cleanlab does this and more (its `filter_by="confident_learning"` gives the same rows); it brings pandas and three more
packages, which the image would hold for these few lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bigbird.tasks.table_rows import Answer, Answers


class Suspect(NamedTuple):
    """A row whose label is probably wrong.

    Attributes:
        answer: what the model said of it.
        label: its label that is probably wrong; empty where one is probably missing.
        suggested: what the model takes to be right; empty where it takes the label to be one too many.
        given: the probability of what the data say.
        better: the probability of what the model says.
    """

    answer: Answer
    label: str
    suggested: str
    given: float
    better: float


def suspects(answers: Answers) -> list[Suspect]:
    """The rows whose label is probably wrong, the least likely label first."""
    rows = list(answers.answers())
    place = {label: at for at, label in enumerate(answers.labels)}
    probabilities = np.zeros((len(rows), len(place)))
    given = np.zeros((len(rows), len(place)), bool)
    for number, row in enumerate(rows):
        for label, probability in row.probabilities.items():
            probabilities[number, place[label]] = probability
        for label in row.labels:
            given[number, place[label]] = True
    find = _of_one if answers.kind == "single" else _of_several
    found = find(rows, answers.labels, probabilities, given)
    return sorted(found, key=lambda suspect: (suspect.given, suspect.answer.id))


def _of_one(
    rows: Sequence[Answer], labels: Sequence[str], probabilities: np.ndarray, given: np.ndarray
) -> list[Suspect]:
    own = given.argmax(1)
    other = confident(probabilities, own)
    return [
        Suspect(
            rows[at],
            labels[own[at]],
            labels[other[at]],
            float(probabilities[at, own[at]]),
            float(probabilities[at, other[at]]),
        )
        for at in np.flatnonzero(other != own).tolist()
    ]


def _of_several(
    rows: Sequence[Answer], labels: Sequence[str], probabilities: np.ndarray, given: np.ndarray
) -> list[Suspect]:
    found = []
    for at, label in enumerate(labels):
        there = given[:, at].astype(np.int64)
        two = np.stack([1 - probabilities[:, at], probabilities[:, at]], 1)
        for row in np.flatnonzero(confident(two, there) != there).tolist():
            has = bool(there[row])
            right = float(two[row, there[row]])
            found.append(Suspect(rows[row], label if has else "", "" if has else label, right, 1 - right))
    return found


def confident(probabilities: np.ndarray, own: np.ndarray) -> np.ndarray:
    """The label that each row is confidently of; its own where there is none, or where the model's likeliest is its own.

    Args:
        probabilities: float64 [rows, labels].
        own: the rows' labels. int64 [rows].
    """
    labels = probabilities.shape[1]
    counts = np.bincount(own, minlength=labels)
    sums = np.bincount(own, weights=probabilities[np.arange(len(own)), own], minlength=labels)
    thresholds = np.divide(sums, counts, out=np.full(labels, np.inf), where=counts > 0)
    reached = np.where(probabilities >= thresholds - 1e-9, probabilities, -1.0)
    best = reached.argmax(1)
    surely = (reached.max(1) >= 0) & (probabilities.argmax(1) != own)
    return np.where(surely, best, own)
