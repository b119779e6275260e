"""A metric by the documents' lengths."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from bigbird.tasks.classification.plots.style import ACCENT, FEW, INK, PALE, label_axes, one_chart

LENGTHS = (32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)


def metric_by_length(
    lengths: np.ndarray, score: Callable[[np.ndarray], float | None], name: str, *, highest: float | None = None
) -> Any:
    """A metric in each range of document lengths, with the number of examples under it.

    Args:
        lengths: int64[N], in tokens.
        score: the metric of the examples of some indices int64[some]; None where it is not defined for them.
        name: the metric's, for the axis.
        highest: the axis's upper end: 1 for a share. Default by the values.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    edges = [0, *LENGTHS, np.inf]
    ticks, heights, counts = [], [], []
    for low, high in itertools.pairwise(edges):
        chosen = np.flatnonzero((lengths > low) & (lengths <= high))
        if len(chosen):
            ticks.append(f"{low + 1:,}–{high:,}" if np.isfinite(high) else f"over {low:,}")
            heights.append(score(chosen))
            counts.append(len(chosen))
    figure, axes = one_chart(max(2.2, 0.9 * len(ticks)), 2.6)
    for i, (height, count) in enumerate(zip(heights, counts, strict=True)):
        if height is not None:
            axes.bar(i, height, 0.7, color=ACCENT if count >= FEW else PALE)
        shown = "not defined" if height is None else f"{height:.3f}" if abs(height) < 10 else f"{height:,.1f}"
        place = (i, max(height or 0.0, 0.0))
        axes.annotate(shown, place, (0, 3), textcoords="offset points", ha="center", fontsize=8.5, color=INK)
    axes.set_xlim(-0.6, len(ticks) - 0.4)
    axes.set_xticks(range(len(ticks)), [f"{tick}\n{count:,} texts" for tick, count in zip(ticks, counts, strict=True)])
    defined = [height for height in heights if height is not None]
    axes.set_ylim(min([0.0, *defined]), (highest or max([*defined, 0.0]) or 1.0) * 1.1)
    label_axes(axes, "length in tokens", name)
    axes.tick_params(axis="x", labelsize=7.5, length=0)
    return figure
