"""The charts of a classification report, as Matplotlib figures; `as_html` puts one on a page.

Text stays text in the SVG, so a reader's own fonts show what Matplotlib's lack: labels in any script.

Shapes: N examples, C labels.
"""

from __future__ import annotations

import itertools
import unicodedata
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bigbird.reports import report
from bigbird.tasks.classification.metrics import calibration_bins, quiet

MOST_LABELS = 25  # rows of a confusion matrix
MOST_CURVES = 8
MOST_POINTS = 2000  # of a scatter plot; more are shown as shaded cells
LENGTHS = (32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
FEW = 20  # examples in a bin, fewer are drawn pale

INK, SOFT, LINE, ACCENT, PALE = "#1c2430", "#5b6675", "#dde2e8", "#2463a6", "#b9c3ce"
# Told apart in any kind of colour vision (Okabe and Ito, "Color Universal Design", 2008), and by their dashes.
_CURVES = ("#2463a6", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f3f", "#5b6675")
_DASHES: tuple[Any, ...] = ("-", "--", "-.", ":")

_WIDTH = 9.2  # inches, a page's column
_LABEL_COLUMNS = 26  # of a label's text; what is longer loses its middle
_POINTS_A_CURVE = 300


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


# --------------------------------------------------------------------------------------------- confusion matrix


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
    figure, axes = _axes(cell * size, cell * size)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(np.clip(shares, 0, 1), cmap=_shades(), vmin=0, vmax=1, aspect="equal", interpolation="nearest")
    written = "{:,}".format if size <= 8 else _short_number
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
    upright = size > 6 or max(_columns(name) for name in names) * 0.6 * label_font > 72 * cell
    for i, name in enumerate(names):
        style = {"fontsize": label_font, "color": INK, "parse_math": False, "clip_on": False}
        axes.annotate(name, (-0.5, i), (-6, 0), textcoords="offset points", ha="right", va="center", **style)
        turned = {"rotation": 90, "ha": "center", "va": "bottom"} if upright else {"ha": "center", "va": "bottom"}
        axes.annotate(name, (i, -0.5), (0, 6), textcoords="offset points", **style, **turned)
    room = max(_room(name, label_font) for name in names)
    axes.set_ylabel("right label", fontsize=9, color=SOFT, labelpad=room + 10)
    axes.set_xlabel("answered", fontsize=9, color=SOFT, labelpad=6)
    axes.set_xticks(np.arange(-0.5, size), minor=True)
    axes.set_yticks(np.arange(-0.5, size), minor=True)
    axes.grid(which="minor", color="#ffffff" if size <= 10 else LINE, linewidth=2 if size <= 10 else 0.5)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)
    _keep_room(axes, 1.0, (room if upright else label_font) + 8)
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


# ------------------------------------------------------------------------------------------------------- curves


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
    figure, axes = _axes(4.6, 3.9)
    lines, names = [], []
    for i, (name, applies, scores) in enumerate(curves):
        recall, precision, average = _curve(applies, scores)
        style = {"color": _CURVES[i], "linestyle": _DASHES[i % len(_DASHES)], "linewidth": 1.5}
        lines += axes.plot(recall, precision, drawstyle="steps-post", **style)
        names.append(f"{name}  {average:.3f}")
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.03)
    _label_axes(axes, "recall", "precision")
    legend = axes.legend(
        lines, ["."] * len(lines), title="average precision", loc="upper left", bbox_to_anchor=(1.03, 1.02),
        frameon=False, fontsize=9, title_fontsize=9, alignment="left", handlelength=2.4,
    )  # fmt: skip
    legend.get_title().set_color(SOFT)
    for text, name in zip(legend.get_texts(), names, strict=True):  # a legend's own labels may not begin with "_"
        text.set_parse_math(False)
        text.set_text(name)
        text.set_color(INK)
    _keep_room(axes, 1.0, 0, right=50 + max((_room(name, 9) for name in names), default=0))
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
    figure, (axes, below) = _rows(5.4, (3.4, 1.1))
    width = np.diff(bins.edges)
    left = bins.edges[:-1]
    colours = [ACCENT if count >= FEW else PALE for count in bins.counts[filled]]
    axes.bar(left[filled], bins.accuracy[filled], width[filled] * 0.92, align="edge", color=colours)
    axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle="--")
    axes.plot(bins.confidence[filled], bins.accuracy[filled], "o", markersize=3.5, color=INK)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    _label_axes(axes, "", "accuracy")
    axes.tick_params(labelbottom=False)
    below.bar(left, bins.counts, width * 0.92, align="edge", color=PALE)
    below.set_xlim(0, 1)
    below.set_ylim(0, bins.counts.max() * 1.35)
    for start, count in zip(left, bins.counts.tolist(), strict=True):
        if count:
            below.annotate(
                _short_number(count), (start + width[0] * 0.46, count), (0, 2), textcoords="offset points",
                ha="center", fontsize=7, color=INK,
            )  # fmt: skip
    _label_axes(below, "predicted confidence", "examples")
    below.yaxis.set_major_locator(_few_whole_ticks())
    return figure


# ------------------------------------------------------------------------------------------------------ lengths


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
    figure, axes = _axes(max(2.2, 0.9 * len(ticks)), 2.6)
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
    _label_axes(axes, "length in tokens", name)
    axes.tick_params(axis="x", labelsize=7.5, length=0)
    return figure


# ------------------------------------------------------------------------------------------------------ numbers


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
    _label_axes(left, "gold number", "predicted")
    _scatter(figure, right, gold, predicted - gold)
    right.axhline(0, color=SOFT, linewidth=1, linestyle="--")
    _label_axes(right, "gold number", "predicted − gold")
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
        cmap=_shades(0.12),
        norm=LogNorm(1, max(2, counts.max())),
    )
    place = axes.get_position()
    bar = figure.colorbar(drawn, cax=figure.add_axes((place.x1 + 0.01, 0.1, 0.012, 0.8)))
    bar.set_label("examples a cell", fontsize=8, color=SOFT)
    bar.ax.tick_params(labelsize=8, colors=INK)
    bar.outline.set_visible(False)


# -------------------------------------------------------------------------------------------------------- style


def _axes(width: float, height: float) -> tuple[Any, Any]:
    """A figure whose axes alone have this size in inches; what stands around them is added when it is saved."""
    figure, (axes,) = _rows(width, (height,))
    return figure, axes


def _rows(width: float, heights: Sequence[float], gap: float = 0.12) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure

    total = sum(heights) + gap * (len(heights) - 1)
    figure = Figure(figsize=(width, total))
    axes, top = [], total
    for height in heights:
        axes.append(figure.add_axes((0, (top - height) / total, 1, height / total)))
        top -= height + gap
    return figure, axes


def _label_axes(axes: Any, x: str, y: str) -> None:
    axes.set_xlabel(x, fontsize=9, color=INK, parse_math=False)
    axes.set_ylabel(y, fontsize=9, color=INK, parse_math=False)
    axes.tick_params(labelsize=9, colors=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(PALE)
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)


def _shades(lightest: float = 0.0) -> Any:
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    accent = np.array(to_rgb(ACCENT))
    start = 1 - (1 - accent) * lightest
    return LinearSegmentedColormap.from_list("accent", [tuple(start), tuple(accent)])


def _few_whole_ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(3, integer=True)


def _keep_room(axes: Any, top: float, above: float, right: float = 0.0) -> None:
    """Makes the picture reach this many points above and right of the axes.

    Matplotlib measures text with its own fonts; a reader's may be wider, and would be cut off.
    """
    corner = {"xycoords": "axes fraction", "textcoords": "offset points", "fontsize": 1, "alpha": 0.0}
    axes.annotate(".", (1.0, top), (right, above), **corner)


def _room(text: str, font: float) -> float:
    """Points that a text takes in a wide font: 0.64 of the font's size a column."""
    return 0.64 * font * _columns(text)


def _columns(text: str) -> int:
    """Columns of a text on a terminal: two for East Asian characters, none for combining ones."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


# Characters that turn the direction of what follows them, outside of the label too.
_DIRECTION = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def short_label(label: str, most: int = _LABEL_COLUMNS) -> str:
    """A label on one line, without what XML cannot hold, and without its middle where it takes more than `most` columns."""
    text = "".join(_visible(c) for c in label[:10_000])
    text = " ".join(text.split()) or "(blank)"
    if len(label) <= 10_000 and _columns(text) <= most:
        return text
    start = _fitting(text, most * 2 // 3)
    end = _fitting(_visible_end(label, text)[::-1], most - most * 2 // 3 - 1)[::-1]
    return f"{start}…{end}"


def _visible(character: str) -> str:
    if character.isspace():
        return " "
    hidden = unicodedata.category(character) in ("Cc", "Cs", "Cn", "Co") or character in _DIRECTION
    return "\ufffd" if hidden else character


def _visible_end(label: str, text: str) -> str:
    return text if len(label) <= 10_000 else " ".join("".join(_visible(c) for c in label[-100:]).split())


def _fitting(text: str, most: int) -> str:
    """A text's beginning of at most this many columns."""
    used = 0
    for i, character in enumerate(text):
        used += _columns(character)
        if used > most:
            return text[:i]
    return text


def _short_number(count: int) -> str:
    """A count in at most four characters: 9500, 12k, 3.1M."""
    if count < 10_000:
        return str(count)
    if count < 999_500:
        return f"{count / 1_000:.0f}k"
    return f"{count / 1_000_000:.1f}M" if count < 9_950_000 else f"{count / 1_000_000:.0f}M"
