"""From the scores of units to spans.

Spans are those of the best sequence of tags in which no I stands but behind a B or an I of its label (Viterbi's algorithm), so they are
whole, do not overlap and have one label. A sequence scores the sum over its units of log p(tag), and of how much likelier each tag is
behind the one before it than it is anywhere, as the training split's spans have it: a hidden Markov model whose emissions are a
network's probabilities divided by the tags' frequencies (Bourlard and Morgan, "Connectionist Speech Recognition", 1994, chapter 7). Each
unit is scored by itself, so without the second part a doubtful word in the middle of a long span would end it, and begin another.

A span's score is the mean over its units of the probability that they are of its label, B and I together.

`bigbird.tasks.token_labels.serving` does the same in the exported model's graph; a change here is one there.

Shapes: U units of a text, C labels, 1 + 2C tags.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

NEVER = -1e9
"""The score of what cannot be."""


class FoundSpan(NamedTuple):
    """A span in units.

    Attributes:
        first: its first unit.
        last: its last unit.
        label: number of its label.
        score: mean probability over its units that they are of the label; 0 to 1.
    """

    first: int
    last: int
    label: int
    score: float


class Transitions(NamedTuple):
    """Log of how much likelier a tag is behind another than anywhere; O outside, B at a span's beginning, I in one, of any label."""

    outside_outside: float = 0.0
    outside_begin: float = 0.0
    inside_inside: float = 0.0
    inside_outside: float = 0.0
    inside_begin: float = 0.0

    @classmethod
    def counted(cls, units: int, inside: int, spans: int, neighbours: int) -> Transitions:
        """Of what was counted in some documents, half of one added to each count.

        Args:
            units: all of them.
            inside: those in spans.
            spans: how many.
            neighbours: spans directly behind another one.
        """
        outside = units - inside
        anywhere = [(count + 0.5) / (units + 1.5) for count in (outside, spans, inside - spans)]
        begins = (spans - neighbours + 0.5) / (outside + 1.0)
        behind = [count + 0.5 for count in (inside - spans, spans - neighbours, neighbours)]
        goes_on, ends, again = (count / sum(behind) for count in behind)
        o, b, i = anywhere
        found = (max(1.0 - begins, 1e-6) / o, min(begins, 1.0) / b, goes_on / i, ends / o, again / b)
        return cls(*map(math.log, found))

    @classmethod
    def weighted(cls, values: Mapping[str, float], weight: float) -> Transitions:
        """Of values by name, each times a weight; 0 where none is named."""
        return cls(**{name: weight * values.get(name, 0.0) for name in cls._fields})


_NONE = Transitions()


def decode(logits: np.ndarray, transitions: Transitions = _NONE) -> list[FoundSpan]:
    """The spans of a text.

    Args:
        logits: float32[U, 1 + 2C].
        transitions: how tags follow each other.
    """
    if not len(logits):
        return []
    scaled = logits.astype(np.float64)
    scaled -= scaled.max(axis=1, keepdims=True)
    logs = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
    tags = best_tags(logs, transitions)
    by_label = np.exp(logs[:, 1::2]) + np.exp(logs[:, 2::2])
    found: list[FoundSpan] = []
    starts = np.flatnonzero(tags % 2 == 1)
    for first, limit in zip(starts.tolist(), np.append(starts, len(tags))[1:].tolist(), strict=True):
        outside = np.flatnonzero(tags[first:limit] == 0)
        end = first + int(outside[0]) if len(outside) else limit
        label = int(tags[first] - 1) // 2
        found.append(FoundSpan(first, end - 1, label, float(by_label[first:end, label].mean())))
    return found


def best_tags(logs: np.ndarray, transitions: Transitions) -> np.ndarray:
    """The best allowed sequence of tags.

    Args:
        logs: log-probabilities, float64[U, 1 + 2C]; one unit or more.
        transitions: how tags follow each other.

    Returns:
        int64[U].
    """
    outside_outside, outside_begin, inside_inside, inside_outside, inside_begin = transitions
    outside, begin = logs[0, 0] + outside_outside, logs[0, 1::2] + outside_begin
    inside = np.full(len(begin), NEVER)
    behind: list[tuple[int, int, np.ndarray]] = []  # of each unit, what stands best before an O, a B and each I
    for row in logs[1:]:
        is_inside = inside > begin
        reached = np.where(is_inside, inside, begin)
        label = int(reached.argmax())
        best, tag = reached[label], 1 + 2 * label + int(is_inside[label])
        before_outside = 0 if outside + outside_outside >= best + inside_outside else tag
        before_begin = 0 if outside + outside_begin >= best + inside_begin else tag
        behind.append((before_outside, before_begin, is_inside))
        outside, begin, inside = (
            row[0] + max(outside + outside_outside, best + inside_outside),
            row[1::2] + max(outside + outside_begin, best + inside_begin),
            row[2::2] + (reached + inside_inside),
        )
    last = np.concatenate([[outside], np.stack([begin, inside], axis=1).ravel()])
    tags = [int(last.argmax())]
    for before_outside, before_begin, is_inside in reversed(behind):
        tag = tags[-1]
        if tag == 0:
            tags.append(before_outside)
        elif tag % 2:
            tags.append(before_begin)
        else:
            tags.append(tag - 1 + int(is_inside[(tag - 2) // 2]))
    return np.array(tags[::-1])
