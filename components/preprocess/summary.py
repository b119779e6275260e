"""The dataset's report: what went in, how long the records are, what was cut or refused."""

from __future__ import annotations

from typing import Any

from bigbird import report


def summary_page(manifest: dict[str, Any], rejected: list[dict[str, Any]]) -> str:
    """An HTML page about a dataset, from its manifest and the rejected records."""
    splits: dict[str, dict[str, Any]] = manifest["splits"]
    vocabulary = manifest["vocabulary"]
    origin = "trained on this dataset's training text" if vocabulary["trained_here"] else "given"
    sections = [
        report.section("Splits", _tiles(splits), _split_table(splits), _notes(manifest)),
        *(_lengths(split, facts, manifest["max_length"]) for split, facts in splits.items()),
        report.section(
            "Vocabulary",
            f"{vocabulary['size']:,} pieces, {origin}{', lower-cased' if vocabulary['lower_case'] else ''}.",
            report.caption(f"SHA-256 {vocabulary['sha256']}"),
        ),
    ]
    labels = {split: facts["labels"] for split, facts in splits.items() if facts["labels"]}
    if labels:
        sections.insert(1, _labels(labels))
    if rejected:
        sections.insert(1, _rejected(rejected))
    return report.page(f"Dataset: {manifest['task']}", sections, subtitle="What preprocessing read and wrote")


def _tiles(splits: dict[str, dict[str, Any]]) -> report.Html:
    return report.tiles(
        [(split, facts["examples"], f"examples, {facts['records']:,} records") for split, facts in splits.items()]
    )


def _split_table(splits: dict[str, dict[str, Any]]) -> report.Html:
    header = ["split", "examples", "records", "tokens", "mean length", "longest", "truncated", "files"]
    rows = [
        [
            split, facts["examples"], facts["records"], facts["tokens"], round(facts["tokens"] / facts["records"]),
            facts["longest"], facts["truncated"], len(facts["files"]),
        ]
        for split, facts in splits.items()
    ]  # fmt: skip
    return report.table(header, rows)


def _notes(manifest: dict[str, Any]) -> report.Html:
    if "doc_stride" not in manifest:
        return report.caption(
            f"Truncated: examples that lost text because they pass {manifest['max_length']:,} tokens."
        )
    length, stride = manifest["max_length"], manifest["doc_stride"]
    parts = [
        f"A record is a window of at most {length:,} tokens, {stride:,} after the one before.",
        f"Truncated: questions above {manifest['query_length']:,} tokens.",
    ]
    for split, facts in manifest["splits"].items():
        answered = facts["labels"].get("answered", 0)
        if answered and "version_2" in manifest:
            parts.append(
                f"{split}: the pieces of {facts['exact_answers']:,} of {answered:,} answers hold exactly the answer's text; "
                f"the others begin or end inside a piece. No window holds {facts['lost_answers']:,} answers whole."
            )
    return report.caption(" ".join(parts))


def _lengths(split: str, facts: dict[str, Any], max_length: int) -> report.Html:
    below, rows = 0, []
    for bound, count in facts["lengths"]:
        share = f"{count:,} ({count / facts['records']:.1%})"
        rows.append((f"{below + 1:,}–{min(bound, max(max_length, facts['longest'])):,}", count, share))
        below = bound
    return report.section(
        f"Lengths: {split}", report.bars(rows), report.caption("Records by tokens, special pieces included.")
    )


def _labels(labels: dict[str, dict[str, int]]) -> report.Html:
    names = sorted({name for counts in labels.values() for name in counts})
    rows = [[split, *(counts.get(name, 0) for name in names)] for split, counts in labels.items()]
    return report.section("Labels", report.table(["split", *names], rows))


def _rejected(rejected: list[dict[str, Any]]) -> report.Html:
    shown = [[bad["file"], bad["where"], bad["problem"], bad["record"][:200]] for bad in rejected[:20]]
    return report.section(
        "Rejected records",
        f"{len(rejected):,} records were left out; rejected.jsonl has them all.",
        report.table(["file", "where", "problem", "record"], shown),
    )
