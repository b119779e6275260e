"""The dataset's report: what went in, how long the records are, what was cut or refused."""

from __future__ import annotations

from typing import Any

from bigbird.manifests import DatasetManifest, SplitFacts
from bigbird.reports import report
from bigbird.support.text_files import amount, shown
from bigbird.tasks.statistics import length_bound

MOST_LABELS = 60  # rows of the labels' table
WHOLE = 0.95  # of the documents; what a longer max_length that is suggested should read whole
LONGEST = 4096  # tokens that the published models read; longer records are not suggested


def summary_page(manifest: DatasetManifest, rejected: list[dict[str, Any]]) -> str:
    """An HTML page about a dataset, from its manifest and the rejected records."""
    splits, vocabulary = manifest.splits, manifest.vocabulary
    origin = "trained on this dataset's training text" if vocabulary.trained_here else "given"
    sections = [
        report.section("Splits", _tiles(splits), _split_table(splits), _notes(manifest)),
        _columns(manifest),
        _documents(manifest),
        *(_lengths(split, facts, manifest.max_length) for split, facts in splits.items()),
        report.section(
            "Vocabulary",
            f"{vocabulary.size:,} pieces, {origin}{', lower-cased' if vocabulary.lower_case else ''}.",
            report.caption(f"SHA-256 {vocabulary.sha256}"),
        ),
    ]
    labels = {split: facts.labels for split, facts in splits.items() if facts.labels}
    if labels:
        sections.insert(1, _labels(labels))
    if rejected:
        sections.insert(1, _rejected(rejected))
    if manifest.get("notices"):
        sections.insert(1, _notices(manifest["notices"]))
    return report.page(f"Dataset: {manifest.task}", sections, subtitle="What preprocessing read and wrote")


def reading_lines(manifest: DatasetManifest) -> list[str]:
    """What is read of long documents, and what the family counts besides, in words: lines for each split that has such."""
    counted = {split: facts for split, facts in manifest.splits.items() if facts.documents}
    lines = [f"{split}: {_reading(facts, manifest)}" for split, facts in counted.items()]
    lines += [f"{split}: {_counts(facts)}" for split, facts in manifest.splits.items() if facts.counts]
    return [line for line in (*lines, _advice(manifest)) if line]


def _counts(facts: SplitFacts) -> str:
    """`412 spans; 1 span widened to whole words (task.units)`."""
    return "; ".join(f"{count:,} {_one(name) if count == 1 else name}" for name, count in facts.counts.items())


def _one(name: str) -> str:
    """A plural with more words behind it as a singular."""
    noun, blank, rest = name.partition(" ")
    return f"{noun.removesuffix('s')}{blank}{rest}"


def _tiles(splits: dict[str, SplitFacts]) -> report.Html:
    return report.tiles(
        [(split, facts.examples, f"examples, {facts.records:,} records") for split, facts in splits.items()]
    )


def _split_table(splits: dict[str, SplitFacts]) -> report.Html:
    header = ["split", "examples", "records", "tokens", "mean length", "longest", "truncated", "files"]
    rows = [
        [
            split,
            facts.examples,
            facts.records,
            facts.tokens,
            round(facts.tokens / facts.records),
            facts.longest,
            facts.truncated,
            len(facts.files),
        ]
        for split, facts in splits.items()
    ]
    return report.table(header, rows)


def _notes(manifest: DatasetManifest) -> report.Html:
    counted = [f"{split}: {_counts(facts)}." for split, facts in manifest.splits.items() if facts.counts]
    if "doc_stride" not in manifest:
        truncated = f"Truncated: examples that lost text because they pass {manifest.max_length:,} tokens."
        return report.caption(" ".join([truncated, *counted]))
    length, stride = manifest.max_length, manifest["doc_stride"]
    parts = [
        f"A record is a window of at most {length:,} tokens, {stride:,} after the one before.",
        f"Truncated: questions above {manifest['query_length']:,} tokens.",
    ]
    for split, facts in manifest.splits.items():
        answered = facts.labels.get("answered", 0)
        if answered and "version_2" in manifest:
            parts.append(
                f"{split}: the pieces of {facts.exact_answers:,} of {answered:,} answers hold exactly the answer's text; "
                f"the others begin or end inside a piece. No window holds {facts.lost_answers:,} answers whole."
            )
    return report.caption(" ".join(parts))


def _lengths(split: str, facts: SplitFacts, max_length: int) -> report.Html:
    below, rows = 0, []
    for bound, count in facts.lengths:
        share = f"{count:,} ({count / facts.records:.1%})"
        rows.append((f"{below + 1:,}–{min(bound, max(max_length, facts.longest)):,}", count, share))
        below = bound
    return report.section(
        f"Lengths: {split}", report.bars(rows), report.caption("Records by tokens, special pieces included.")
    )


def _labels(labels: dict[str, dict[str, int]]) -> report.Html:
    """A row for each label, the most frequent in the first split first."""
    names = {name: None for counts in labels.values() for name in counts}
    first = next(iter(labels.values()))
    order = sorted(names, key=lambda name: (-first.get(name, 0), name))
    rows = [[_short(name), *(counts.get(name, 0) for counts in labels.values())] for name in order[:MOST_LABELS]]
    more = len(order) - MOST_LABELS
    note = f"and {amount(more, 'more label')}; dataset.json has all of them" if more > 0 else ""
    return report.section("Labels", report.table(["label", *labels], rows), report.caption(note) if note else "")


def _short(name: str, most: int = 80) -> str:
    """A label on one line, without its middle where it is long."""
    line = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    return line if len(line) <= most else f"{line[: most * 2 // 3]}…{line[-most // 3 :]}"


def _rejected(rejected: list[dict[str, Any]]) -> report.Html:
    rows = [[bad["file"], bad["where"], bad["problem"], bad["record"][:200]] for bad in rejected[:20]]
    return report.section(
        "Rejected records",
        f"{amount(len(rejected), 'record')} left out; rejected.jsonl has them all.",
        report.table(["file", "where", "problem", "record"], rows),
    )


# ------------------------------------------------------------------------------------------- a user's own documents

KINDS = {
    "single": "one label for each document",
    "multi": "any number of labels for each document",
    "number": "a number for each document",
}


def _columns(manifest: DatasetManifest) -> report.Html:
    """What the label is and which columns were read; empty where there are none."""
    if "kind" not in manifest:
        return report.Html("")
    rows = [["what is learnt", f"{manifest['kind']}: {KINDS.get(manifest['kind'], '')}"]]
    if manifest.labels:
        rows.append(["labels", f"{len(manifest.labels):,}"])
    if manifest.get("numbers"):
        numbers = manifest["numbers"]
        rows.append(
            ["numbers in training", f"mean {numbers['mean']:,.6g}, standard deviation {numbers['deviation']:,.6g}"]
        )
    for role, columns in (manifest.get("columns") or {}).items():
        if columns:
            names = [columns] if isinstance(columns, str) else columns
            rows.append(
                [f"column of {role}" if len(names) == 1 else f"columns of {role}", ", ".join(map(shown, names))]
            )
    return report.section("What was read", report.table(["", ""], rows))


def _notices(notices: list[str]) -> report.Html:
    """What the user should know."""
    return report.section("Notices", report.table([""], [[notice] for notice in notices]))


def _documents(manifest: DatasetManifest) -> report.Html:
    """How long the documents are, with a line where the model stops reading."""
    counted = {split: facts for split, facts in manifest.splits.items() if facts.documents}
    if not counted:
        return report.Html("")
    blocks: list[str] = []
    for split, facts in counted.items():
        blocks += [
            report.paragraph(f"{split}: {_reading(facts, manifest)}"),
            report.bars(_document_rows(facts, manifest)),
        ]
    note = report.caption("Documents by tokens before anything is cut, special pieces included.")
    return report.section("How much of the documents is read", _advice(manifest), *blocks, note)


def _document_rows(facts: SplitFacts, manifest: DatasetManifest) -> list[tuple[str, float, str]]:
    below, drawn, rows = 0, False, []
    length = manifest.max_length
    line = f"windows of {length:,}" if _in_windows(manifest) else f"read up to {length:,}"
    for bound, count in facts.documents:
        if not drawn and bound > length:
            rows.append((f"── {line} ──", -1.0, ""))
            drawn = True
        rows.append((f"{below + 1:,}–{bound:,}", float(count), f"{count:,} ({count / facts.examples:.1%})"))
        below = bound
    return rows


def _reading(facts: SplitFacts, manifest: DatasetManifest) -> str:
    """`782 of 1,602 documents (49 %) are longer than 512 tokens; 218,793 of all tokens (24 %) are not read`."""
    total, length = facts.examples, manifest.max_length
    if _in_windows(manifest):
        if facts.records == total:
            return f"none of {total:,} documents is longer than {length:,} tokens; each is one window"
        longer = total - sum(count for bound, count in facts.documents if bound <= length)
        about = "" if length_bound(length) == length else "at most "  # lengths are known by their bounds
        return (
            f"{about}{longer:,} of {total:,} documents ({_share(longer, total)}) are longer than {length:,} tokens; all are read whole, "
            f"in {facts.records:,} windows, {facts.records / total:.1f} a document"
        )
    cut, unread = facts.truncated, facts.unread_tokens
    if not cut:
        return f"none of {total:,} documents is longer than {length:,} tokens; all are read whole"
    return (
        f"{cut:,} of {total:,} documents ({_share(cut, total)}) are longer than {length:,} tokens; {unread:,} of all tokens "
        f"({_share(unread, facts.tokens + unread)}) are not read"
    )


def _in_windows(manifest: DatasetManifest) -> bool:
    """Whether a long document becomes several records; two texts together never do."""
    return manifest.get("long_documents") == "windows" and not manifest.get("pairs")


def _share(part: int, whole: int) -> str:
    """`49 %`; `under 1 %` and `over 99 %` where rounding would say none or all."""
    percent = 100 * part / whole
    if 0 < percent < 1:
        return "under 1 %"
    return "over 99 %" if 99 < percent < 100 else f"{percent:.0f} %"


def _advice(manifest: DatasetManifest) -> str:
    """How more of the documents could be read; of the first split, which is the training split where there is one."""
    facts = next(iter(manifest.splits.values()))
    if not facts.documents or not facts.truncated:
        return ""
    one_text = "long_documents" in manifest and not manifest.get("pairs")
    options = ["--long-documents windows reads them whole"] if one_text else []
    read_whole: dict[int, int] = {}
    for bound, count in facts.documents:
        read_whole[bound] = count + max(read_whole.values(), default=0)
    longer = {bound: whole for bound, whole in read_whole.items() if manifest.max_length < bound <= LONGEST}
    enough = [bound for bound, whole in longer.items() if whole >= WHOLE * facts.examples]
    if longer:
        bound = min(enough, default=max(longer))
        options.append(f"--max-length {bound} reads {_share(longer[bound], facts.examples)} of the documents whole")
    return f"{', '.join(options)}." if options else ""
