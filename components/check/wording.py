"""What a check says, on the page, on the terminal and in messages."""

from __future__ import annotations

from bigbird.manifests import CheckManifest, FindingFacts, SuspectFacts
from bigbird.support.text_files import shown

BYTES_PER_TOKEN = 4.2
"""Of English in UTF-8 and the published vocabulary: 4.1 to 4.7 for newswire, news and reviews."""

ESTIMATE = (
    f"Tokens are estimated as bytes of UTF-8 by {BYTES_PER_TOKEN}, about right for English and the published vocabulary; other languages have up "
    "to twice as many. --vocabulary counts them."
)


def counted(finding: FindingFacts) -> str:
    """How many of what."""
    unit = finding.unit.removesuffix("s") if finding.count == 1 else finding.unit
    return f"{finding.count:,} {unit} {finding.counts}"


def lengths_line(manifest: CheckManifest) -> str:
    """How many rows are longer than what models read."""
    parts = [f"{each.tokens:,}: {each.rows / manifest.rows:.1%}" for each in manifest.lengths.longer]
    return (
        f"share of rows above a number of tokens{'' if manifest.lengths.exact else ' (estimated)'}: {', '.join(parts)}"
    )


def suspect_place(file: str, line: int, identity: str) -> str:
    """Where a doubtful row is: file and line, or its id where the evaluation does not say."""
    return f"{file}:{line}" if file else identity


def doubt(suspect: SuspectFacts) -> str:
    """What is doubtful about a label."""
    label, suggested = shown(suspect.label, 60), shown(suspect.suggested, 60)
    if not suspect.label:
        return f"lacks {suggested}, which the model gives {suspect.better:.0%}"
    if not suspect.suggested:
        return f"{label} is one too many: the model gives it {suspect.given:.0%}"
    return f"labelled {label} ({suspect.given:.0%}); the model takes it for {suggested} ({suspect.better:.0%})"
