"""Predicted numbers against the right ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from bigbird.tasks.classification.plots.style import ACCENT, INK, SOFT, label_axes, shades

MOST_POINTS = 2000  # of a scatter plot; more are shown as shaded cells
_WIDTH = 9.2  # inches, a page's column


def predicted_against_gold(gold: np.ndarray, predicted: np.ndarray) -> Any:
    """Two charts side by side: predicted numbers against the gold ones, and the residuals (predicted minus gold).

    Args:
        gold: float64[N].
        predicted: float64[N].

    Returns:
        A `matplotlib.figure.Figure`.
    """
    from matplotlib.figure import Figure

    # Fixed places: a layout that is computed changes a little when the same figure is drawn again.
    figure = Figure(figsize=(_WIDTH, 3.6))
    left, right = (figure.add_axes((start, 0, 0.37, 1)) for start in (0, 0.56))
    low, high = float(min(gold.min(), predicted.min())), float(max(gold.max(), predicted.max()))
    _scatter(figure, left, gold, predicted)
    left.plot([low, high], [low, high], color=SOFT, linewidth=1, linestyle="--")
    label_axes(left, "gold number", "predicted")
    _scatter(figure, right, gold, predicted - gold)
    right.axhline(0, color=SOFT, linewidth=1, linestyle="--")
    label_axes(right, "gold number", "predicted − gold")
    return figure


def _scatter(figure: Any, axes: Any, x: np.ndarray, y: np.ndarray) -> None:
    """Points, or shaded cells where there are many: the page would grow by a line for each."""
    if len(x) <= MOST_POINTS:
        axes.scatter(x, y, s=9, alpha=0.35, color=ACCENT, linewidths=0)
        return
    counts, x_edges, y_edges = np.histogram2d(x, y, bins=45)
    from matplotlib.colors import LogNorm

    drawn = axes.imshow(
        np.ma.masked_equal(counts.T, 0),
        origin="lower",
        extent=(x_edges[0], x_edges[-1], y_edges[0], y_edges[-1]),
        aspect="auto",
        interpolation="nearest",
        cmap=shades(0.12),
        norm=LogNorm(1, max(2, counts.max())),
    )
    place = axes.get_position()
    bar = figure.colorbar(drawn, cax=figure.add_axes((place.x1 + 0.01, 0.1, 0.012, 0.8)))
    bar.set_label("examples a cell", fontsize=8, color=SOFT)
    bar.ax.tick_params(labelsize=8, colors=INK)
    bar.outline.set_visible(False)
