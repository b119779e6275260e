"""The report's charts of the primary metric: beside simpler models, and at shorter lengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bigbird.manifests import EvaluationManifest, Interval
from bigbird.reports import report
from bigbird_components.evaluate.wording import interval_words, plain_name

INK, ACCENT, PALE, LINE = "#1c2430", "#2463a6", "#b9c3ce", "#dde2e8"
WHOLE = "all that the model reads"


def comparison_chart(manifest: EvaluationManifest, *, lower_is_better: bool) -> report.Html:
    """Bars of the primary metric: the model with its interval, the constant answer, the comparisons.

    Args:
        manifest: the evaluation's, of a split with labels.
        lower_is_better: what to say of the metric.
    """
    from matplotlib.figure import Figure

    primary, constant = manifest.scored()
    name = primary.name
    bars: list[tuple[str, float]] = [("the model", primary.value), ("constant answer", constant.value)]
    bars += [(plain_name(each.name), each.metrics[name]) for each in manifest.comparisons if name in each.metrics]
    chart = Figure(figsize=(8.2, 0.7 + 0.42 * len(bars)), layout="constrained")
    axes = chart.subplots()
    places, values = range(len(bars)), [value for _, value in bars]
    colours = [ACCENT, *[PALE] * (len(bars) - 1)]
    axes.barh(places, values, 0.62, color=colours)
    interval = manifest.interval
    words = interval_words(interval, name)
    line = ends_of(interval) if words else []
    axes.plot(line, [0] * len(line), color=INK, linewidth=1.6, marker="|", markersize=8)
    low, high = min(0.0, *values, *line), max(0.0, *values, *line)
    room = (high - low or 1.0) * 0.02
    for place, value in zip(places, values, strict=True):
        end = max([0.0, value, *(line if place == 0 else [])])
        axes.text(end + room, place, f"{value:,.4f}", va="center", fontsize=9, color=INK)
    axes.set_yticks(list(places), [label for label, _ in bars])
    axes.invert_yaxis()
    axes.set_xlim(low - room if low < 0 else low, high + 7 * room)
    axes.axvline(0, color=PALE, linewidth=0.8)
    _style(axes, f"{plain_name(name)}, {'lower' if lower_is_better else 'higher'} is better", "", "x")
    return report.figure(chart, description=f"The line on the model's bar is its {words}." if words else "")


def length_chart(manifest: EvaluationManifest, *, lower_is_better: bool) -> report.Html:
    """The primary metric by the tokens that are read, with its intervals; the last point is the split as it is.

    Args:
        manifest: the evaluation's, with `at_lengths`.
        lower_is_better: what to say of the metric.
    """
    from matplotlib.figure import Figure

    primary, _ = manifest.scored()
    name = primary.name
    points = [
        (f"{int(length):,}", at.metrics[name], at.interval)
        for length, at in manifest.at_lengths.items()
        if name in at.metrics and at.records_changed
    ]
    points.append((WHOLE, primary.value, manifest.interval))
    chart = Figure(figsize=(8.2, 3.0), layout="constrained")
    axes = chart.subplots()
    axes.plot([value for _, value, _ in points], color=ACCENT, linewidth=1.5, marker="o", markersize=5)
    for place, (_, value, interval) in enumerate(points):
        top = value
        if ends := ends_of(interval):
            axes.plot([place, place], ends, color=ACCENT, marker="_", linewidth=1, alpha=0.7)
            top = ends[1]
        style = {"fontsize": 8.5, "color": INK, "ha": "center"}
        axes.annotate(f"{value:,.3f}", (place, top), (0, 5), textcoords="offset points", **style)
    axes.set_xticks(range(len(points)), [length for length, _, _ in points])
    axes.margins(x=0.08, y=0.15)
    better = "lower" if lower_is_better else "higher"
    _style(axes, "tokens of an example that are read", f"{plain_name(name)} ({better} is better)", "y")
    marks = "The marks above and below are the ends of the 95 % intervals. " * any(each[2] for each in points)
    note = "All points are of the same examples: a difference between them may be sure where their intervals overlap."
    return report.figure(chart, description=marks + note)


def length_table(manifest: EvaluationManifest, names: Sequence[str]) -> report.Html:
    """All metrics at each length, and how many records are shorter there than in the whole split."""
    rows: list[list[Any]] = [
        [f"{int(length):,}", at.records_changed, *(at.metrics.get(name) for name in names)]
        for length, at in manifest.at_lengths.items()
    ]
    rows.append([WHOLE, 0, *(manifest.metrics.get(name) for name in names)])
    return report.table(["tokens", "records cut or left out", *map(plain_name, names)], rows)


def ends_of(interval: Interval | None) -> list[float]:
    """Both ends of an interval; [] where there is none."""
    if interval is None or interval.low is None or interval.high is None:
        return []
    return [interval.low, interval.high]


def _style(axes: Any, x: str, y: str, grid: Any) -> None:
    axes.set_xlabel(x, fontsize=9, color=INK)
    axes.set_ylabel(y, fontsize=9, color=INK)
    axes.tick_params(labelsize=9, colors=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(PALE)
    axes.grid(axis=grid, color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
