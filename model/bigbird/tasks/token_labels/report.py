"""The report's sections on spans: what each label reaches, what kind of mistakes there are, and texts with their spans marked.

Marks differ by underline and sign, not by colour alone: right ✓ solid, wrong ✗ wavy, missed ○ dotted.
"""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

from bigbird.reports import report
from bigbird.support.text_files import amount
from bigbird.tasks.token_labels.metrics import per_label
from bigbird.tasks.token_labels.scoring import LabelledDocument, SpanResults
from bigbird.tasks.token_labels.spans import Span, overlapping

DOCUMENTS = 8
CHARACTERS = 2500  # of a document's text that are shown, at most
AROUND = 300  # of them before the first mistake
LABELS = 60
LENGTHS = (256, 512, 1024, 2048, 4096, 8192)

_STYLES = {
    "right": ("✓", "background:#dff0e3;text-decoration:underline solid 2px #1b7837"),
    "wrong": ("✗", "background:#fbe3d6;text-decoration:underline wavy 2px #b2400d"),
    "missed": ("○", "background:#e1eaf6;text-decoration:underline dotted 3px #2463a6"),
    "found": ("▸", "background:#eef1f4;text-decoration:underline solid 2px #5b6675"),
}


def report_sections(results: SpanResults, tokens: Mapping[int, int]) -> list[report.Html]:
    """What was found, label by label and in the texts; without what is right only the texts.

    Args:
        results: of every document.
        tokens: record id -> length in tokens.
    """
    if not results.labelled:
        shown = [_text(document) for document in results.documents[:DOCUMENTS]]
        return [report.section("Spans of the first documents", _legend(("found",)), *shown)]
    return [_labels(results), _kinds(results), _lengths(results, tokens), _texts(results)]


def _labels(results: SpanResults) -> report.Html:
    found = sorted(per_label(results.counts()).items(), key=lambda each: (-each[1]["spans"], each[0]))
    columns = ("spans", "found", "precision", "recall", "f1")
    rows = [[label, *(scores[name] for name in columns)] for label, scores in found]
    more = f"and {amount(len(rows) - LABELS, 'more label')}; metrics.json has all of them" if len(rows) > LABELS else ""
    return report.section(
        "Labels",
        report.table(["label", "right spans", "found", "precision", "recall", "F1"], rows[:LABELS]),
        report.caption("A span is right where its start, its end and its label are."),
        report.caption(more) if more else "",
    )


def _kinds(results: SpanResults) -> report.Html:
    """What became of the spans that should have been found, and what was found besides."""
    counts: Counter[str] = Counter()
    for gold, found in results.pairs():
        equal = set(gold) & set(found)
        for span in gold:
            if span not in equal:
                counts[_became(span, found)] += 1
        counts["right"] += len(equal)
        counts["found where there is none"] += sum(not overlapping(span, gold) for span in found)
    names = (
        "right",
        "other label",
        "other start or end",
        "other label, start or end",
        "not found",
        "found where there is none",
    )
    total = sum(counts[name] for name in names[:-1])
    rows = [(name, float(counts[name]), f"{counts[name]:,}") for name in names]
    note = f"Of {total:,} spans that should have been found; the last line is of spans that were found besides."
    return report.section("What became of the spans", report.bars(rows), report.caption(note))


def _became(span: Span, found: Sequence[Span]) -> str:
    """What a span that was not found as it is became."""
    touching = overlapping(span, found)
    if any((each.start, each.end) == (span.start, span.end) for each in touching):
        return "other label"
    if any(each.label == span.label for each in touching):
        return "other start or end"
    return "other label, start or end" if touching else "not found"


def _lengths(results: SpanResults, tokens: Mapping[int, int]) -> report.Html:
    """F1 by the documents' length; windows overlap, so a long document's tokens are about those of its windows."""
    rows, least = [], 0
    sizes = [sum(tokens.get(i, 0) for i in document.records) for document in results.documents]
    for most in (*LENGTHS, 1 << 62):
        chosen = [document for document, size in zip(results.documents, sizes, strict=True) if least < size <= most]
        if chosen:
            counts = SpanResults(chosen, results.labels).counts()
            right, both = sum(counts.right.values()), sum(counts.found.values()) + sum(counts.gold.values())
            name = f"over {least:,} tokens" if most == 1 << 62 else f"{least + 1:,}–{most:,} tokens"
            f1 = 2 * right / both if both else 0.0
            rows.append((name, f1, f"{f1:.3f}  of {len(chosen):,} documents, {sum(counts.gold.values()):,} spans"))
        least = most
    return report.section(
        "F1 by the document's length",
        report.bars(rows, largest=1.0),
        report.caption("Tokens of all windows of a document, which overlap."),
    )


def _texts(results: SpanResults) -> report.Html:
    """The documents with most mistakes."""

    def mistakes(document: LabelledDocument) -> int:
        return len(set(document.gold or ()) ^ set(document.found))

    worst = sorted(results.documents, key=lambda document: (-mistakes(document), document.name))[:DOCUMENTS]
    wrong = sum(map(bool, map(mistakes, results.documents)))
    note = f"{wrong:,} of {len(results.documents):,} documents have a mistake; these have most, each from a little before its first."
    return report.section(
        "Texts with their spans", report.caption(note), _legend(("right", "wrong", "missed")), *map(_text, worst)
    )


def _legend(kinds: Sequence[str]) -> report.Html:
    names = {
        "right": "found and right",
        "wrong": "found and not right",
        "missed": "should have been found",
        "found": "found",
    }
    parts = [part for kind in kinds for part in (_mark(kind, names[kind], "LABEL"), "   ")]
    return report.Html(f"<p>{report.join(*parts)}</p>")


def _text(document: LabelledDocument) -> report.Html:
    """A document's text, or a part of it, with its spans marked."""
    gold, found = document.gold, document.found
    right = set(gold or ()) & set(found)
    marks = [(span, "found" if gold is None else "right" if span in right else "wrong") for span in found]
    marks += [(span, "missed") for span in gold or () if span not in right]
    bad = [span.start for span, kind in marks if kind in ("wrong", "missed")] or [span.start for span, _ in marks]
    first = max(0, min(bad, default=0) - AROUND)
    last = min(len(document.text), first + CHARACTERS)
    parts = [
        "… " if first else "",
        *_parts(document.text, marks, first, last),
        " …" if last < len(document.text) else "",
    ]
    body = report.Html(f'<span style="white-space:pre-wrap;line-height:1.9">{report.join(*parts)}</span>')
    where = f"{document.file}:{document.line}"
    fields: list[tuple[str, str]] = [
        ("document", document.name if document.name in where else f"{document.name} ({where})")
    ]
    if gold is not None:
        fields.append(
            ("spans", f"{len(right):,} right, {len(found) - len(right):,} wrong, {len(gold) - len(right):,} missed")
        )
    return report.record([*fields, ("text", body)])


def _parts(text: str, marks: Sequence[tuple[Span, str]], first: int, last: int) -> list[str]:
    """The text between two places, with marks; one inside another where a wrong span lies over a missed one."""
    edges = sorted(
        {first, last, *(min(max(edge, first), last) for span, _ in marks for edge in (span.start, span.end))}
    )
    parts = []
    for start, end in pairwise(edges):
        here = [(span, kind) for span, kind in marks if span.start < end and start < span.end]
        piece: str = text[start:end]
        for span, kind in here:
            piece = _mark(kind, piece, span.label if max(span.start, first) == start else "")
        parts.append(piece)
    return parts


def _mark(kind: str, inner: str, label: str) -> report.Html:
    """A marked text; its label stands before it."""
    sign, style = _STYLES[kind]
    name = f'<small style="font-weight:600">{sign}{html.escape(label)}</small> ' if label else ""
    return report.Html(f'<mark style="{style}">{name}{report.join(inner)}</mark>')
