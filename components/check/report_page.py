"""The page of a check: what was found, the most severe first, with examples and what can be done."""

from __future__ import annotations

from itertools import chain

from bigbird.manifests import CheckManifest, FindingFacts
from bigbird.reports import report
from bigbird.support.text_files import amount
from bigbird_components.check.wording import ESTIMATE, counted, doubt, suspect_place

MOST_LABELS = 60  # rows of the labels' table
MOST_SUSPECTS = 200
_SEVERITIES = {"error": "Errors", "warning": "Warnings", "note": "Notes"}


def findings_page(manifest: CheckManifest) -> str:
    """An HTML page about a table."""
    found = manifest.found()
    sections = [report.section("The table", _tiles(manifest, found), _files(manifest), _columns(manifest))]
    for severity, heading in _SEVERITIES.items():
        findings = [each for each in found if each.severity == severity]
        if findings:
            sections.append(report.section(heading, *chain.from_iterable(map(_finding, findings))))
    sections.append(_lengths(manifest))
    if manifest.labels:
        sections.append(_labels(manifest))
    if manifest.suspects:
        sections.append(_suspects(manifest))
    sections.append(_nothing_found(manifest))
    names = ", ".join(file.path.rpartition("/")[2] for file in manifest.files[:3])
    more = f" and {len(manifest.files) - 3:,} more" if len(manifest.files) > 3 else ""
    return report.page(
        f"Check: {names}{more}", sections, subtitle="What stands in the data before anything is trained on them"
    )


def _tiles(manifest: CheckManifest, found: list[FindingFacts]) -> report.Html:
    counts = {severity: sum(each.severity == severity for each in found) for severity in _SEVERITIES}
    told = [f"{number} {severity}{'s'[: number != 1]}" for severity, number in counts.items() if number]
    splits = ", ".join(f"{split} {rows:,}" for split, rows in manifest.splits.items())
    verdict = f"failed: {', '.join(manifest.failed)}" if manifest.failed else f"of {len(manifest.findings)} checks"
    return report.tiles(
        [
            ("rows", manifest.rows, splits),
            ("kinds of findings", len(found), ", ".join(told) or "nothing was found"),
            ("checks", "failed" if manifest.failed else "done", verdict),
        ]
    )


def _files(manifest: CheckManifest) -> report.Html:
    return report.table(["file", "split", "rows"], [[file.path, file.split, file.rows] for file in manifest.files])


def _columns(manifest: CheckManifest) -> report.Html:
    read = "; ".join(f"{key}: {', '.join(names)}" for key, names in manifest.columns.items())
    others = (
        f". Columns that training does not read: {', '.join(manifest.other_columns)}" if manifest.other_columns else ""
    )
    kind = {"single": "one label a row", "multi": "several labels a row", "number": "a number a row"}.get(
        manifest.kind, ""
    )
    return report.caption(f"Columns read as {read}{f' ({kind})' if kind else ''}{others}.")


def _finding(finding: FindingFacts) -> list[report.Html]:
    blocks = [report.paragraph(report.join(report.mark(finding.check), f" {counted(finding)}"))]
    blocks.append(report.caption(". ".join(filter(None, (_sentence(finding.told), _sentence(finding.remedy)))) + "."))
    if finding.examples:
        rows = [[example.place or "column", example.told] for example in finding.examples]
        more = finding.count - len(rows)
        rows += [[f"and {more:,} more", ""]] if more > 0 else []
        told = any(row[1] for row in rows)
        blocks.append(report.table(["where", "what"][: 1 + told], [row[: 1 + told] for row in rows]))
    return blocks


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".")


def _lengths(manifest: CheckManifest) -> report.Html:
    lengths = manifest.lengths
    rows = [
        [f"{each.tokens:,}", each.rows, f"{each.rows / manifest.rows:.1%}", f"{each.lost / max(lengths.total, 1):.1%}"]
        for each in lengths.longer
    ]
    summary = f"Median {lengths.median:,} tokens; 95 % of the rows have {lengths.most_95:,} at most, the longest {lengths.longest:,}."
    return report.section(
        "Lengths",
        summary,
        report.table(["a model that reads", "rows that are longer", "share", "of all tokens lost"], rows),
        report.caption(f"Tokens as the vocabulary counts them. {_OFTEN}" if lengths.exact else f"{ESTIMATE} {_OFTEN}"),
    )


_OFTEN = "What is lost is what --long-documents head leaves unread; windows read all."


def _labels(manifest: CheckManifest) -> report.Html:
    splits = list(manifest.splits)
    rows = [[label[:80], *(counts.get(split, 0) for split in splits)] for label, counts in manifest.labels.items()]
    more = len(rows) - MOST_LABELS
    note = f"and {amount(more, 'more label')}; check.json has all of them" if more > 0 else ""
    return report.section(
        "Labels", report.table(["label", *splits], rows[:MOST_LABELS]), report.caption(note) if note else ""
    )


def _suspects(manifest: CheckManifest) -> report.Html:
    found = manifest.suspects or []
    rows = [[suspect_place(each.file, each.line, each.id), doubt(each)] for each in found[:MOST_SUSPECTS]]
    more = len(found) - MOST_SUSPECTS
    return report.section(
        "Labels that are probably wrong",
        "The model of the evaluation is confidently of another mind. Some of these are its own mistakes: look before you change one.",
        report.table(["row", "doubt"], rows),
        report.caption(f"and {more:,} more; check.json has all of them") if more > 0 else "",
    )


def _nothing_found(manifest: CheckManifest) -> report.Html:
    rows = [[each.check, f"{each.unit} {each.counts}"] for each in manifest.findings if not each.count]
    return report.section("Looked for and not found", report.table(["check", "none of"], rows))
