"""From the scores of units to spans.

A unit is in a span where its most probable tag is not O. A span begins at a B and where the unit before is in none, and goes on over
all I's. Its label is the one with the greatest mean probability over its units, B and I of a label together, and its score is that mean.
So whatever the tags are, spans are whole, do not overlap and have one label; a sequence of tags that is valid is read as it stands
but for a label that most of the span's units speak against. Viterbi's algorithm with forbidden transitions would go through the units one
after the other, which in a SavedModel of long documents takes as long as the model itself on an accelerator; this takes one pass.

Shapes: U units of a text, C labels, 1 + 2C tags.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


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


def decode(logits: np.ndarray) -> list[FoundSpan]:
    """The spans of a text.

    Args:
        logits: float32[U, 1 + 2C].
    """
    if not len(logits):
        return []
    tags = logits.argmax(axis=1)
    inside = tags > 0
    begins = inside & ((tags % 2 == 1) | ~np.concatenate([[False], inside[:-1]]))
    first = np.flatnonzero(begins)
    if not len(first):
        return []
    scaled = logits.astype(np.float64)
    probabilities = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    by_label = (probabilities[:, 1::2] + probabilities[:, 2::2])[inside]  # (units in spans, C)
    span = np.cumsum(begins)[inside] - 1
    sizes = np.bincount(span)
    starts = np.cumsum(sizes) - sizes
    means = np.add.reduceat(by_label, starts, axis=0) / sizes[:, None]
    labels = means.argmax(axis=1)
    return [
        FoundSpan(int(begin), int(begin + size - 1), int(label), float(mean[label]))
        for begin, size, label, mean in zip(first, sizes, labels, means, strict=True)
    ]
