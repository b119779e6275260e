"""What is counted while records are made: sizes, lengths, labels, what was cut."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from typing import Any


@dataclass
class Statistics:
    """Counts of a shard or a split.

    Attributes:
        examples: GLUE rows, SQuAD questions, TriviaQA's or plain documents.
        records: tf.Examples; for SQuAD one per window.
        tokens: over all records, special pieces included, padding not.
        longest: tokens of the longest record.
        truncated: examples that lost text: GLUE texts above max_length, SQuAD questions above query_length.
        lengths: upper bound in tokens -> records up to it and above the bound before.
        labels: label name -> examples; for SQuAD "answered" and "unanswered".
        answer_windows: windows that hold their question's answer (SQuAD, labelled).
        exact_answers: questions of which the answer's pieces hold exactly its text.
        lost_answers: questions whose answer no window holds whole; they are trained as unanswered.
        unread_tokens: of documents, tokens that no record holds.
        documents: as `lengths`, of whole documents before anything is cut; where documents are counted.
        counts: what a family counts besides. Its names, in words, begin with a plural, whose s is left out where one is told.
    """

    examples: int = 0
    records: int = 0
    tokens: int = 0
    longest: int = 0
    truncated: int = 0
    answer_windows: int = 0
    exact_answers: int = 0
    lost_answers: int = 0
    unread_tokens: int = 0
    lengths: Counter[int] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    documents: Counter[int] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)

    def add_record(self, length: int) -> None:
        """Counts one record of `length` tokens."""
        self.records += 1
        self.tokens += length
        self.longest = max(self.longest, length)
        self.lengths[length_bound(length)] += 1

    def add_document(self, length: int, unread: int) -> None:
        """Counts one document of `length` tokens, of which `unread` are in no record."""
        self.truncated += unread > 0
        self.unread_tokens += unread
        self.documents[length_bound(length)] += 1

    def merge(self, other: Statistics) -> None:
        """Adds another shard's counts."""
        for name in (f.name for f in fields(self)):
            if name == "longest":
                self.longest = max(self.longest, other.longest)
            else:
                setattr(self, name, getattr(self, name) + getattr(other, name))

    def to_json(self) -> dict[str, Any]:
        """As `dataset.json` holds them; `lengths` and `documents` as [[upper bound, how many], ...], ascending."""
        value = asdict(self) | {
            "lengths": sorted(map(list, self.lengths.items())),
            "labels": dict(sorted(self.labels.items())),
            "documents": sorted(map(list, self.documents.items())),
            "counts": dict(self.counts),
        }
        if not self.counts:
            del value["counts"]
        if not self.documents:  # of tasks whose manifests are older than these two
            del value["documents"], value["unread_tokens"]
        return value

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Statistics:
        """The inverse of `to_json`."""
        counters = {name: Counter(dict(value.get(name, ()))) for name in ("lengths", "labels", "documents", "counts")}
        return cls(**value | counters)


@cache
def length_bound(length: int) -> int:
    """The least of 16, 24, 32, 48, 64, 96, 128, ... that `length` does not pass."""
    bound = 16
    while bound < length:
        bound = bound * 3 // 2 if bound & (bound - 1) == 0 else bound * 4 // 3
    return bound
