"""The report's section on how training went, from the model folder's history.json."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bigbird.reports import report
from bigbird.support.artifacts import read_json
from bigbird.support.text_files import amount

INK, ACCENT, OTHER = "#5b6675", "#2463a6", "#c46a1b"


def training_section(model: str | Path, metric: str) -> report.Html:
    """Loss and metric by step; empty where the folder has no history.

    Args:
        model: the model folder.
        metric: the metric to draw beside the loss.
    """
    file = Path(model) / "history.json"
    if not file.exists():
        return report.Html("")
    history = read_json(file, "history of training")
    losses = {kind: _curve(history, kind, "loss") for kind in ("train", "validation")}
    scores = _curve(history, "validation", metric)
    if not any(len(curve) > 1 for curve in (*losses.values(), scores)):
        return report.Html("")
    return report.section("Training", _draw(losses, scores, metric, _end(history)))


def _end(history: Sequence[dict[str, Any]]) -> str:
    """Why training ended before its last step; empty where it did not."""
    ends = [entry for entry in history if entry["kind"] == "early_stopping"]
    if not ends:
        return ""
    step, count = ends[-1]["step"], ends[-1]["validations"]
    return f" Early stopping ended it at step {step:,}, after {amount(count, 'validation')} without a better metric."


def _curve(history: Sequence[dict[str, Any]], kind: str, name: str) -> list[tuple[int, float]]:
    return [(entry["step"], entry[name]) for entry in history if entry["kind"] == kind and name in entry]


def _draw(
    losses: dict[str, list[tuple[int, float]]], scores: list[tuple[int, float]], metric: str, end: str
) -> report.Html:
    from matplotlib.figure import Figure

    chart = Figure(figsize=(9.2, 3.0), layout="constrained")
    left, right = chart.subplots(1, 2)
    for (kind, curve), colour in zip(losses.items(), (ACCENT, OTHER), strict=True):
        if curve:
            left.plot(*zip(*curve, strict=True), color=colour, linewidth=1.4, marker=_marker(curve), label=kind)
    left.set_title("loss", loc="left", fontsize=10, color=INK)
    left.set_ylim(bottom=0)
    left.legend(frameon=False, fontsize=9)
    if scores:
        right.plot(*zip(*scores, strict=True), color=OTHER, linewidth=1.4, marker=_marker(scores))
    right.set_title(f"validation {metric.replace('_', ' ')}", loc="left", fontsize=10, color=INK)
    for axes in (left, right):
        axes.set_xlabel("step", fontsize=9, color=INK)
        axes.tick_params(labelsize=9, colors=INK)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#dde2e8", linewidth=0.6)
    return report.figure(chart, description=f"Training's loss is a mean over the steps since the point before.{end}")


def _marker(curve: Sequence[Any]) -> str:
    """Dots where there are few points."""
    return "o" if len(curve) <= 20 else ""
