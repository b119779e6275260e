"""Reports as one HTML file: no scripts, nothing fetched, so they open from a folder, a bucket or a pipeline's page.

A page is made of sections, a section of blocks. Every plain string is text and is escaped; only what the functions of
this module return (`Html`) is markup.

    page("SST-2", [section("Result", table(["metric", "value"], [["accuracy", 0.912]]))])
"""

from __future__ import annotations

import html
import io
import numbers
from collections.abc import Iterable, Sequence
from typing import Any

_STYLE = """
:root { color-scheme: light; --ink: #1c2430; --soft: #5b6675; --line: #dde2e8; --fill: #f4f6f8; --accent: #2463a6; --other: #b9c3ce; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 2rem 1.5rem 4rem; color: var(--ink); background: #fff;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .6rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line); }
p { margin: .5rem 0; max-width: 46rem; }
.subtitle, .caption { color: var(--soft); }
.subtitle { margin: .4rem 0 0; }
.caption { font-size: .88rem; }
table { border-collapse: collapse; margin: .8rem 0; font-size: .93rem; }
th, td { padding: .35rem .9rem .35rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere; }
th { color: var(--soft); font-weight: 600; white-space: nowrap; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.tiles { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1rem 0; }
.tile { flex: 1 1 10rem; max-width: 18rem; background: var(--fill); border-radius: .4rem; padding: .8rem 1rem; }
.tile b { display: block; font-size: 1.6rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.tile .label, .tile .note { color: var(--soft); font-size: .88rem; }
.bars { width: 100%; }
.bars td { border: 0; padding-top: .15rem; padding-bottom: .15rem; }
.bars td.label { white-space: nowrap; width: 1%; }
.bars td.track { width: 100%; vertical-align: middle; }
.bars .bar { height: .85rem; min-width: 1px; background: var(--accent); border-radius: 2px; }
.matrix td.cell { text-align: right; min-width: 5rem; padding: .5rem .8rem; font-variant-numeric: tabular-nums; border: 2px solid #fff; }
.matrix th { border: 0; padding: .35rem .8rem; vertical-align: middle; }
.record { border-left: 3px solid var(--line); margin: 1rem 0; padding: .1rem 0 .1rem 1rem; max-width: 50rem; }
.record dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem .9rem; margin: 0; }
.record dt { color: var(--soft); font-size: .88rem; }
.record dd { margin: 0; overflow-wrap: anywhere; }
mark { background: #fbeeb8; color: inherit; padding: 0 .1rem; border-radius: 2px; }
figure { margin: 1rem 0; }
figure svg { max-width: 100%; height: auto; }
@media print { body { max-width: none; padding: 0; } .record, figure, .tile, tr { break-inside: avoid; } }
"""


class Html(str):
    """Markup, as opposed to text: the only strings that are not escaped."""


Block = str
"""Text, which becomes a paragraph, or `Html`."""


def page(title: str, sections: Iterable[Html], *, subtitle: str = "") -> str:
    """A whole HTML document.

    Args:
        title: the heading, also the window's title.
        sections: what `section` returns, in order.
        subtitle: one line under the title: what, where, when.
    """
    head = f"<h1>{html.escape(title)}</h1>" + (f'<p class="subtitle">{html.escape(subtitle)}</p>' if subtitle else "")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{head}\n" + "\n".join(sections) + "\n</body>\n</html>\n"
    )


def section(heading: str, *blocks: Block) -> Html:
    """A heading with blocks under it; empty blocks are left out."""
    inner = "\n".join(block if isinstance(block, Html) else paragraph(block) for block in blocks if block)
    return Html(f"<section>\n<h2>{html.escape(heading)}</h2>\n{inner}\n</section>")


def paragraph(text: str) -> Html:
    """A paragraph of text."""
    return Html(f"<p>{_markup(text)}</p>")


def caption(text: str) -> Html:
    """A small grey line that explains the block above it."""
    return Html(f'<p class="caption">{_markup(text)}</p>')


def mark(text: str) -> Html:
    """Highlighted text, for use in a cell or a record."""
    return Html(f"<mark>{html.escape(text)}</mark>")


def join(*parts: str) -> Html:
    """Text and markup side by side in one cell: `join("before ", mark("answer"), " after")`."""
    return Html("".join(_markup(part) for part in parts))


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Html:
    """A table; a column whose cells are all numbers is aligned to the right.

    Args:
        header: a name per column.
        rows: a cell per column: text, `Html`, a number or None (shown as a dash).
    """
    body = [list(row) for row in rows]
    columns = [[row[i] for row in body if row[i] is not None] for i in range(len(header))]
    kinds = [' class="number"' if column and all(map(_is_number, column)) else "" for column in columns]
    head = "".join(f"<th{kind}>{html.escape(name)}</th>" for kind, name in zip(kinds, header, strict=True))
    lines = ["".join(f"<td{kind}>{_cell(cell)}</td>" for kind, cell in zip(kinds, row, strict=True)) for row in body]
    return Html(f"<table>\n<tr>{head}</tr>\n" + "\n".join(f"<tr>{line}</tr>" for line in lines) + "\n</table>")


def tiles(items: Iterable[tuple[str, Any, str]]) -> Html:
    """The few figures to read first, as (label, value, note)."""
    inner = "".join(
        f'<div class="tile"><span class="label">{html.escape(label)}</span><b>{_cell(value)}</b>'
        f'<span class="note">{html.escape(note)}</span></div>'
        for label, value, note in items
    )
    return Html(f'<div class="tiles">{inner}</div>')


def bars(rows: Iterable[tuple[str, float, str]], *, largest: float | None = None) -> Html:
    """Horizontal bars.

    Args:
        rows: (label, length of the bar, note at its right); a negative length draws nothing.
        largest: the value of a full-width bar; default the largest of `rows`.
    """
    body = list(rows)
    full = largest if largest is not None else max((value for _, value, _ in body), default=0.0)
    lines = [
        f'<tr><td class="label">{html.escape(label)}</td><td class="track"><div class="bar" '
        f'style="width:{_percent(value, full):.2f}%"></div></td><td class="number">{html.escape(note)}</td></tr>'
        for label, value, note in body
    ]
    return Html('<table class="bars">\n' + "\n".join(lines) + "\n</table>")


def matrix(rows: Sequence[str], columns: Sequence[str], counts: Sequence[Sequence[int]], *, corner: str = "") -> Html:
    """A table of counts[row][column], each cell shaded by its share of its row."""
    names = "".join(f'<th class="number">{html.escape(name)}</th>' for name in columns)
    head = f"<th>{html.escape(corner)}</th>{names}"
    lines = []
    for name, row in zip(rows, counts, strict=True):
        shades = [0.06 + 0.5 * count / max(1, sum(row)) for count in row]
        cells = "".join(
            f'<td class="cell" style="background:rgba(36,99,166,{shade:.2f})">{_cell(int(count))}</td>'
            for count, shade in zip(row, shades, strict=True)
        )
        lines.append(f"<tr><th>{html.escape(name)}</th>{cells}</tr>")
    return Html(f'<table class="matrix">\n<tr>{head}</tr>\n' + "\n".join(lines) + "\n</table>")


def record(fields: Iterable[tuple[str, str]]) -> Html:
    """One example in full: (name, text or `Html`) line by line."""
    inner = "".join(f"<dt>{html.escape(name)}</dt><dd>{_markup(value)}</dd>" for name, value in fields)
    return Html(f'<div class="record"><dl>{inner}</dl></div>')


def figure(matplotlib_figure: Any, *, description: str = "") -> Html:
    """A Matplotlib figure as inline SVG; the same figure gives the same bytes.

    Args:
        matplotlib_figure: a `matplotlib.figure.Figure`, made directly so that no window system is asked for.
        description: what it shows, printed under it.
    """
    import matplotlib

    drawn = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": description or "figure"}):
        metadata = {"Date": None, "Creator": None}
        matplotlib_figure.savefig(drawn, format="svg", bbox_inches="tight", transparent=True, metadata=metadata)
    svg = drawn.getvalue()
    shown = f'<figcaption class="caption">{html.escape(description)}</figcaption>' if description else ""
    return Html(f"<figure>{svg[svg.index('<svg') :]}{shown}</figure>")


def number(value: Any) -> str:
    """A number as the reports print it: integers with thousands separators, others with four decimals."""
    return f"{int(value):,}" if isinstance(value, numbers.Integral) else f"{float(value):,.4f}"


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return number(value) if _is_number(value) else _markup(value if isinstance(value, str) else str(value))


def _markup(text: str) -> str:
    return text if isinstance(text, Html) else html.escape(text)


def _percent(value: float, full: float) -> float:
    return min(100.0, max(0.0, 100.0 * value / full)) if full > 0 else 0.0
