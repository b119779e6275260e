"""What all charts look like."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from bigbird.reports import report

INK, SOFT, LINE, ACCENT, PALE = "#1c2430", "#5b6675", "#dde2e8", "#2463a6", "#b9c3ce"
FEW = 20  # examples in a bin, fewer are drawn pale


def as_html(figure: Any, description: str = "") -> report.Html:
    """A figure as SVG for a page, without warnings about characters that Matplotlib's fonts lack.

    Args:
        figure: a `matplotlib.figure.Figure`.
        description: printed under it.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        return report.figure(figure, description=description)


def one_chart(width: float, height: float) -> tuple[Any, Any]:
    """A figure whose axes alone have this size in inches; what stands around them is added when it is saved."""
    figure, (axes,) = charts_in_rows(width, (height,))
    return figure, axes


def charts_in_rows(width: float, heights: Sequence[float], gap: float = 0.12) -> tuple[Any, list[Any]]:
    """A figure and its axes, one below the other: width, heights and the gap between them in inches."""
    from matplotlib.figure import Figure

    total = sum(heights) + gap * (len(heights) - 1)
    figure = Figure(figsize=(width, total))
    axes, top = [], total
    for height in heights:
        axes.append(figure.add_axes((0, (top - height) / total, 1, height / total)))
        top -= height + gap
    return figure, axes


def label_axes(axes: Any, x: str, y: str) -> None:
    """Names both axes and gives them the charts' look."""
    axes.set_xlabel(x, fontsize=9, color=INK, parse_math=False)
    axes.set_ylabel(y, fontsize=9, color=INK, parse_math=False)
    axes.tick_params(labelsize=9, colors=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(PALE)
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)


def shades(lightest: float = 0.0) -> Any:
    """Colours for shares from 0 to 1: white, or this share of the accent, to the accent."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    accent = np.array(to_rgb(ACCENT))
    start = 1 - (1 - accent) * lightest
    return LinearSegmentedColormap.from_list("accent", [tuple(start), tuple(accent)])


def few_whole_ticks() -> Any:
    """Puts three whole numbers or fewer on an axis."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(3, integer=True)


def keep_room(axes: Any, top: float, above: float, right: float = 0.0) -> None:
    """Makes the picture reach this many points above and right of the axes.

    Matplotlib measures text with its own fonts; a reader's may be wider, and would be cut off.
    """
    corner = {"xycoords": "axes fraction", "textcoords": "offset points", "fontsize": 1, "alpha": 0.0}
    axes.annotate(".", (1.0, top), (right, above), **corner)
