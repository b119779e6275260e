"""What needs no model: the training set's own spans, found again in other texts.

A text is read from its beginning. Where words stand that are a span of training, the longest such is taken, with the label that it has most
often there, and reading goes on after it. Words are compared as they are written, whatever stands between them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from bigbird.tasks.token_labels.spans import Span
from bigbird.tasks.token_labels.words import find_words

DESCRIPTION = "the training set's own spans, looked up: the longest that stands there"


class SpanDictionary:
    """The spans of some documents.

    Args:
        documents: with `text_a` and `spans`, as the dataset's lines have them.
    """

    def __init__(self, documents: Iterable[Mapping[str, Any]]):
        labels: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        for document in documents:
            for start, end, label in document["spans"] or ():
                labels[tuple(text for text, _, _ in find_words(document["text_a"][start:end]))][label] += 1
        self._labels = {
            words: min(counts, key=lambda label: (-counts[label], label)) for words, counts in labels.items()
        }
        lengths: dict[str, set[int]] = defaultdict(set)
        for words in self._labels:
            lengths[words[0]].add(len(words))
        self._lengths = {first: sorted(found, reverse=True) for first, found in lengths.items()}

    def find(self, text: str) -> list[Span]:
        """The spans of a text."""
        words = find_words(text)
        names = [name for name, _, _ in words]
        found, at = [], 0
        while at < len(words):
            for length in self._lengths.get(names[at], ()):
                label = self._labels.get(tuple(names[at : at + length]))
                if label is not None and at + length <= len(words):
                    found.append(Span(words[at][1], words[at + length - 1][2], label))
                    at += length
                    break
            else:
                at += 1
        return found
