"""The picture of the bars: each row's figure against its bar, to the right of the line where it meets it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from results import Row, Run, number

INK, PALE, MET, MISSED = "#2b3440", "#dde2e8", "#2463a6", "#c46a1b"
WIDTH = 62  # characters of a label's line
LONGEST = 10.0  # times the bar; longer ones end in an arrow, or the others would be slivers
INCHES = 0.18, 0.2  # of a label's line, and between rows


def draw(runs: Sequence[Run], file: Path) -> None:
    """Draws every row that has a bar; the best and the worst may be far apart, so the axis is logarithmic."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    rows = [row for run in runs for row in run.rows if row.bar is not None]
    labels = [textwrap.fill(row.what, WIDTH) for row in rows]
    heights = [INCHES[0] * (label.count("\n") + 1) + INCHES[1] for label in labels]
    places = [-sum(heights[:i]) - height / 2 for i, height in enumerate(heights)]  # inches, downwards
    figure = Figure(figsize=(11.5, sum(heights) + 1.0), layout="constrained")
    axes = figure.subplots()
    ratios = [row.ratio or 0.0 for row in rows]
    least, most = min([0.5, *ratios]) / 1.15, min(LONGEST, max([2.0, *ratios])) * 1.15
    axes.set_xscale("log")
    axes.set_xlim(least, most)
    axes.set_ylim(-sum(heights) - 0.05, 0.05)
    for row, ratio, place in zip(rows, ratios, places, strict=True):
        colour = MISSED if row.verdict == "MISSED" else MET
        axes.barh(place, min(ratio, LONGEST) - 1, left=1, height=0.2, color=colour, zorder=2)
        if ratio > LONGEST:
            axes.plot(LONGEST, place, marker=">", markersize=11, color=colour, clip_on=False, zorder=3)
        axes.annotate(
            _figures(row),
            (1.02, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=9.5,
            color=colour,
            fontweight="bold" if row.verdict == "MISSED" else "normal",
            annotation_clip=False,
        )
    axes.axvline(1, color=INK, linewidth=1.2, zorder=4)
    axes.set_yticks(places, labels, fontsize=9.5, color=INK)
    ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, LONGEST) if least <= tick <= most]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: "the bar" if tick == 1 else f"{tick:g}×"))
    axes.grid(axis="x", color=PALE, linewidth=0.8)
    axes.tick_params(length=0, labelsize=9.5, labelcolor=INK)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(PALE)
    met = sum(row.verdict == "met" for row in rows)
    figure.suptitle(
        f"{met} of {len(rows)} bars met. To the right: how many times better than the bar; to the left: missed",
        fontsize=12,
        color=INK,
        x=0.01,
        ha="left",
    )
    figure.savefig(file, dpi=130, facecolor="white", metadata={"Software": None})


def _figures(row: Row) -> str:
    unit = "×" if row.unit == "x" else f" {row.unit}"
    sign, bar = (row.bar or "").replace(">=", "≥").replace("<=", "≤").split()
    return f"{row.verdict.lower()}: {number(row.value)}{unit}, bar {sign} {number(float(bar))}"
