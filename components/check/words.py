"""The words of many texts at once, as hashes: on bytes in arrays, since 300 words one by one take longer than all else.

A word is letters and digits in a row, whatever their case. Its hash is the polynomial of its bytes modulo 2^64 (Karp and Rabin, 1987),
taken from running sums over all texts, and mixed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse
_INVERSE = pow(_BASE, -1, 1 << 64)
_ORDER = 0xD6E8FEB86659FD93
# Digits, letters, and the bytes of characters beyond ASCII.
_IS_WORD = np.zeros(256, bool)
_IS_WORD[[*range(48, 58), *range(97, 123), *range(128, 256)]] = True
_PUNCTUATION = re.compile(
    "[\u00a0-\u00a9\u00ab-\u00b1\u00b4\u00b6-\u00b8\u00bb\u00bf\u2000-\u206f\u20a0-\u20cf\u2100-\u2bff\u3000-\u303f\ufeff\uff00-\uff0f]"
)
# Written without blanks between words: each character is one.
_ALONE = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]")


def folded(text: str) -> str:
    """A text as its words are compared: in lower case, without signs beyond ASCII."""
    low = text.casefold()
    if low.isascii():
        return low
    return _ALONE.sub(r" \g<0> ", _PUNCTUATION.sub(" ", low))


def few_words(text: str) -> list[str]:
    """The words of a short text."""
    return re.findall("[0-9a-z\u0080-\U0010ffff]+", folded(text))


class Words(NamedTuple):
    """The words of texts.

    Attributes:
        hashes: of all words, one text after another. uint64 [words].
        counts: words of each text. int64 [texts].
    """

    hashes: np.ndarray
    counts: np.ndarray

    @property
    def ends(self) -> np.ndarray:
        """Where each text's words end. int64 [texts]."""
        return np.cumsum(self.counts)

    def of_whole(self) -> np.ndarray:
        """A hash of each text's words in their order; 0 of none. uint64 [texts]."""
        ends, starts = self.ends, self.ends - self.counts
        at = np.arange(len(self.hashes)) - np.repeat(starts, self.counts)
        sums = np.append(
            np.uint64(0), np.cumsum(self.hashes * _powers(_ORDER, int(self.counts.max(initial=0)) + 1)[at])
        )
        return mixed(sums[ends] - sums[starts]) * (self.counts > 0)

    def of_edges(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Hashes of each text's first and of its last words; 0 of texts that have fewer than twice as many. uint64 [texts] each."""
        ends, starts = self.ends, self.ends - self.counts
        long = self.counts >= 2 * number
        found = []
        for begins in (starts[long], ends[long] - number):
            total = np.zeros(len(begins), np.uint64)
            for step in range(number):
                total += self.hashes[begins + step] * _powers(_ORDER, number)[step]
            edge = np.zeros(len(self.counts), np.uint64)
            edge[long] = mixed(total) | np.uint64(1)
            found.append(edge)
        return found[0], found[1]


def words_of(texts: Sequence[bytes]) -> Words:
    """The words of texts that are `folded`, in UTF-8."""
    data = np.frombuffer(b" ".join([b"", *texts, b""]), np.uint8)  # no word is at the edge
    sizes = np.array([len(text) for text in texts], np.int64)
    is_word = _IS_WORD[data]
    change = np.flatnonzero(is_word[1:] != is_word[:-1]) + 1
    starts, ends = change[::2], change[1::2]
    sums = np.cumsum((data.astype(np.uint64) + np.uint64(1)) * _powers(_BASE, len(data))[: len(data)])
    hashes = mixed((sums[ends - 1] - sums[starts - 1]) * _powers(_INVERSE, len(data))[starts])
    bounds = np.cumsum(sizes + 1)
    return Words(hashes, np.diff(np.searchsorted(starts, bounds), prepend=0))


def mixed(values: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64 (Steele et al., 2014). uint64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _powers(base: int, count: int) -> np.ndarray:
    """base^0, base^1, ... modulo 2^64, `count` at least. uint64."""
    return _powers_of(base, 1 << max(count, 2).bit_length())


@cache
def _powers_of(base: int, count: int) -> np.ndarray:
    found = np.full(count, base, np.uint64)
    found[0] = 1
    return np.multiply.accumulate(found)
