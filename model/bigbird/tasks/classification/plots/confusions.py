"""Right labels and answered ones.

Shapes: N examples, C labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bigbird.reports import report
from bigbird.tasks.classification.plots.label_text import short_label, short_number, text_columns, text_room
from bigbird.tasks.classification.plots.style import INK, LINE, SOFT, keep_room, one_chart, shades

MOST_LABELS = 25  # rows of a confusion matrix


def confusion_matrix(gold: np.ndarray, predicted: np.ndarray, labels: Sequence[str]) -> Any:
    """How often each label was answered with which: a cell is shaded by its share of its row.

    With more than `MOST_LABELS` labels the most frequent ones have rows; the rest share the last one.

    Args:
        gold: int64[N] label indices.
        predicted: int64[N].
        labels: the C names.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    counts, names = _confusion_counts(gold, predicted, labels)
    size = len(names)
    cell = float(np.clip(7.0 / size, 0.28, 0.85))
    figure, axes = one_chart(cell * size, cell * size)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(np.clip(shares, 0, 1), cmap=shades(), vmin=0, vmax=1, aspect="equal", interpolation="nearest")
    written = "{:,}".format if size <= 8 else short_number
    numbers = [[written(count) for count in row] for row in counts.tolist()]
    longest = max(len(number) for row in numbers for number in row)
    font = float(np.clip(72 * cell * 0.9 / (0.65 * max(longest, 3)), 4.5, 11))
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = "#ffffff" if shares[row, column] > 0.55 else INK
        axes.text(column, row, numbers[row][column], ha="center", va="center", fontsize=font, color=colour)
    label_font = float(np.clip(72 * cell * 0.6, 6.5, 10))
    axes.set_xticks(range(size), [""] * size)
    axes.set_yticks(range(size), [""] * size)
    axes.tick_params(length=0)
    upright = size > 6 or max(text_columns(name) for name in names) * 0.6 * label_font > 72 * cell
    for i, name in enumerate(names):
        style = {"fontsize": label_font, "color": INK, "parse_math": False, "clip_on": False}
        axes.annotate(name, (-0.5, i), (-6, 0), textcoords="offset points", ha="right", va="center", **style)
        turned = {"rotation": 90, "ha": "center", "va": "bottom"} if upright else {"ha": "center", "va": "bottom"}
        axes.annotate(name, (i, -0.5), (0, 6), textcoords="offset points", **style, **turned)
    room = max(text_room(name, label_font) for name in names)
    axes.set_ylabel("right label", fontsize=9, color=SOFT, labelpad=room + 10)
    axes.set_xlabel("answered", fontsize=9, color=SOFT, labelpad=6)
    axes.set_xticks(np.arange(-0.5, size), minor=True)
    axes.set_yticks(np.arange(-0.5, size), minor=True)
    axes.grid(which="minor", color="#ffffff" if size <= 10 else LINE, linewidth=2 if size <= 10 else 0.5)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)
    keep_room(axes, 1.0, (room if upright else label_font) + 8)
    return figure


def _confusion_counts(gold: np.ndarray, predicted: np.ndarray, labels: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Counts int64[rows, rows] and the rows' names."""
    from bigbird.tasks.metrics import confusion

    counts = confusion(gold, predicted, len(labels))
    names = [short_label(label) for label in labels]
    if len(labels) <= MOST_LABELS:
        return counts, names
    frequency = counts.sum(axis=1) + counts.sum(axis=0) / (2 * len(gold) + 1)  # gold labels, then answers
    chosen = np.sort(np.argsort(-frequency, kind="stable")[: MOST_LABELS - 1])
    place = np.full(len(labels), MOST_LABELS - 1)
    place[chosen] = np.arange(MOST_LABELS - 1)
    others = f"{len(labels) - len(chosen)} others"
    return confusion(place[gold], place[predicted], MOST_LABELS), [*(names[i] for i in chosen), others]


@dataclass(frozen=True)
class Confusion:
    """A label that is answered with another one: how often, and as a share of the examples with the right one."""

    right: str
    answered: str
    count: int
    share: float


def worst_confusions(gold: np.ndarray, predicted: np.ndarray, labels: Sequence[str], most: int = 15) -> list[Confusion]:
    """The most frequent wrong answers.

    Args:
        gold: int64[N] label indices.
        predicted: int64[N].
        labels: the C names.
        most: how many to give.
    """
    from bigbird.tasks.metrics import confusion

    counts = confusion(gold, predicted, len(labels))
    wrong = counts * (1 - np.eye(len(labels), dtype=np.int64))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [(int(place) // len(labels), int(place) % len(labels)) for place in order]
    return [
        Confusion(labels[i], labels[j], int(wrong[i, j]), float(wrong[i, j] / counts[i].sum()))
        for i, j in pairs
        if wrong[i, j]
    ]


def confusions_table(confusions: Sequence[Confusion]) -> report.Html:
    """`worst_confusions` as a table."""
    rows = [[each.right, each.answered, each.count, each.share] for each in confusions]
    return report.table(["right label", "answered", "examples", "share of the label"], rows)
