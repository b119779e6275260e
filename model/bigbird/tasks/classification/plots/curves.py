"""What the probabilities are worth: precision against recall, accuracy against confidence.

Shapes: N examples, C labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bigbird.tasks.classification.metrics import calibration_bins, quiet
from bigbird.tasks.classification.plots.label_text import short_label, short_number, text_room
from bigbird.tasks.classification.plots.style import (
    ACCENT,
    FEW,
    INK,
    PALE,
    SOFT,
    charts_in_rows,
    few_whole_ticks,
    keep_room,
    label_axes,
    one_chart,
)

MOST_CURVES = 8
# Told apart in any kind of colour vision (Okabe and Ito, "Color Universal Design", 2008), and by their dashes.
_CURVES = ("#2463a6", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f3f", "#5b6675")
_DASHES: tuple[Any, ...] = ("-", "--", "-.", ":")
_POINTS_A_CURVE = 300


def precision_recall_curves(gold: np.ndarray, probabilities: np.ndarray, labels: Sequence[str]) -> Any:
    """Precision against recall over all thresholds, with the average precision of each curve.

    Of more than `MOST_CURVES` labels the most frequent ones, beside all decisions together. Labels without an example
    have no curve.

    Args:
        gold: bool[N, C].
        probabilities: float64[N, C].
        labels: the C names.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    support = gold.sum(axis=0)
    chosen = [i for i in np.argsort(-support, kind="stable") if support[i]]
    curves = [(short_label(labels[i]), gold[:, i], probabilities[:, i]) for i in chosen]
    if len(curves) > MOST_CURVES:
        curves = [("all labels together", gold.ravel(), probabilities.ravel()), *curves[: MOST_CURVES - 1]]
    figure, axes = one_chart(4.6, 3.9)
    lines, names = [], []
    for i, (name, applies, scores) in enumerate(curves):
        recall, precision, average = _curve(applies, scores)
        style = {"color": _CURVES[i], "linestyle": _DASHES[i % len(_DASHES)], "linewidth": 1.5}
        lines += axes.plot(recall, precision, drawstyle="steps-post", **style)
        names.append(f"{name}  {average:.3f}")
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.03)
    label_axes(axes, "recall", "precision")
    legend = axes.legend(
        lines,
        ["."] * len(lines),
        title="average precision",
        loc="upper left",
        bbox_to_anchor=(1.03, 1.02),
        frameon=False,
        fontsize=9,
        title_fontsize=9,
        alignment="left",
        handlelength=2.4,
    )
    legend.get_title().set_color(SOFT)
    for text, name in zip(legend.get_texts(), names, strict=True):  # a legend's own labels may not begin with "_"
        text.set_parse_math(False)
        text.set_text(name)
        text.set_color(INK)
    keep_room(axes, 1.0, 0, right=50 + max((text_room(name, 9) for name in names), default=0))
    return figure


def _curve(applies: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Recall and precision float64[at most `_POINTS_A_CURVE`], and the average precision."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    with quiet():
        precision, recall, _ = precision_recall_curve(applies, scores)
        average = float(average_precision_score(applies, scores))
    some = np.unique(np.linspace(0, len(recall) - 1, _POINTS_A_CURVE).round().astype(int))
    return recall[some], precision[some], average


def reliability_diagram(confidence: np.ndarray, right: np.ndarray) -> Any:
    """Accuracy against predicted confidence, in the bins of the expected calibration error, with their counts.

    Args:
        confidence: float64[N] from 0 to 1.
        right: bool[N].

    Returns:
        A `matplotlib.figure.Figure`.
    """
    bins = calibration_bins(confidence, right)
    filled = bins.counts > 0
    figure, (axes, below) = charts_in_rows(5.4, (3.4, 1.1))
    width = np.diff(bins.edges)
    left = bins.edges[:-1]
    colours = [ACCENT if count >= FEW else PALE for count in bins.counts[filled]]
    axes.bar(left[filled], bins.accuracy[filled], width[filled] * 0.92, align="edge", color=colours)
    axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle="--")
    axes.plot(bins.confidence[filled], bins.accuracy[filled], "o", markersize=3.5, color=INK)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    label_axes(axes, "", "accuracy")
    axes.tick_params(labelbottom=False)
    below.bar(left, bins.counts, width * 0.92, align="edge", color=PALE)
    below.set_xlim(0, 1)
    below.set_ylim(0, bins.counts.max() * 1.35)
    for start, count in zip(left, bins.counts.tolist(), strict=True):
        if count:
            below.annotate(
                short_number(count),
                (start + width[0] * 0.46, count),
                (0, 2),
                textcoords="offset points",
                ha="center",
                fontsize=7,
                color=INK,
            )
    label_axes(below, "predicted confidence", "examples")
    below.yaxis.set_major_locator(few_whole_ticks())
    return figure
