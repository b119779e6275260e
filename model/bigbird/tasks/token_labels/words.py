"""Where words begin in a text of any script, and the units that are labelled: words, or the vocabulary's pieces.

A word is a run of letters and digits. Every other visible character is a word by itself: punctuation, symbols, characters for private
use (bullets of word processors), and the letters of scripts that put no spaces between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese, Tibetan, ...). Marks that combine with a
character, joiners and variation selectors belong to it; a character that shows nothing ends and begins nothing. The classes are
Unicode's general categories, as Python has them.

A unit begins with a piece of the vocabulary whose first letter, digit or other sign begins a word ("words") or is any ("pieces"), and ends
before the next unit; of several pieces that are one character (an accent or a Korean syllable taken apart) the first one counts. Its
characters go from that first one to its last visible one, with the marks that belong to it, also those that the vocabulary leaves out: offsets
never cut a character, whatever the pieces are.

`bigbird.tasks.token_labels.serving` does the same in TensorFlow's graph, line by line.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Literal, NamedTuple

import numpy as np

from bigbird.text.vocabulary import Pieces

Unit = Literal["words", "pieces"]

SPACE, WORD, ALONE, MARK, FORMAT = range(5)
"""Classes of characters: between words; part of a word; a word by itself; part of the character before; invisible."""

JOINER = 0x200D
"""Zero width joiner: a sign after it, as in an emoji of several, belongs to the one before."""

_ZERO_WIDTH_SPACE = 0x200B
# Joins two characters, or changes the one before: zero width joiner, variation selectors, skin tones.
_MARKS = (range(0x200D, 0x200E), range(0xFE00, 0xFE10), range(0x1F3FB, 0x1F400), range(0xE0100, 0xE01F0))
# Letters of scripts without spaces between words.
_UNSPACED = (
    range(0x0E00, 0x1000),  # Thai, Lao, Tibetan
    range(0x1000, 0x10A0),  # Burmese
    range(0x1780, 0x1800),  # Khmer
    range(0x1950, 0x19E0),  # Tai Le, New Tai Lue
    range(0x1A20, 0x1AB0),  # Tai Tham
    range(0x3005, 0x3008),  # ideographic iteration mark and zero
    range(0x3040, 0x3100),  # Hiragana, Katakana
    range(0x31F0, 0x3200),
    range(0x3400, 0x4DC0),  # Han
    range(0x4E00, 0xA000),
    range(0xA9E0, 0xAA00),
    range(0xAA60, 0xAA80),
    range(0xF900, 0xFB00),
    range(0xFF66, 0xFFA0),
    range(0x1B000, 0x1B170),
    range(0x20000, 0x323B0),
)
_LAST_LETTER = 0x323B0  # no character above it is assigned but for tags and selectors
_LAST = 0xE0200


@cache
def character_classes() -> np.ndarray:
    """The class of each character, uint8[0x110000]."""
    classes = np.full(0x110000, ALONE, np.uint8)
    by_category = {"L": WORD, "N": WORD, "Z": SPACE, "M": MARK, "Cc": SPACE, "Cf": FORMAT}
    for point in (*range(_LAST_LETTER), *range(0xE0000, _LAST)):
        category = unicodedata.category(chr(point))
        classes[point] = by_category.get(category, by_category.get(category[0], ALONE))
    for places in _UNSPACED:
        part = classes[places.start : places.stop]
        part[part == WORD] = ALONE
    for places in _MARKS:
        classes[places.start : places.stop] = MARK
    classes[_ZERO_WIDTH_SPACE] = SPACE
    return classes


class Characters(NamedTuple):
    """What is known of a text's characters.

    Attributes:
        classes: uint8[n].
        bases: places of letters, digits and other signs, int64, ascending.
        solid: places of these and of marks, int64, ascending.
        begins_word: bool[n].
    """

    classes: np.ndarray
    bases: np.ndarray
    solid: np.ndarray
    begins_word: np.ndarray

    @classmethod
    def of(cls, text: str) -> Characters:
        """Of a text."""
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        classes = character_classes()[points]
        joined = np.append(False, points[:-1] == JOINER)[: len(points)] & (classes == ALONE)
        classes[joined] = MARK
        is_base = (classes == WORD) | (classes == ALONE)
        anchors = np.flatnonzero(is_base | (classes == SPACE))
        found = classes[anchors]
        before = np.concatenate([[SPACE], found[:-1]])
        begins = np.zeros(len(text), bool)
        begins[anchors] = (found == ALONE) | ((found == WORD) & (before != WORD))
        return cls(classes, np.flatnonzero(is_base), np.flatnonzero(is_base | (classes == MARK)), begins)

    def next_base(self, places: np.ndarray) -> np.ndarray:
        """The first letter, digit or other sign at or after each place; the text's length where there is none. int64[n]."""
        return np.append(self.bases, len(self.classes))[np.searchsorted(self.bases, places)]

    def solid_end(self, places: np.ndarray) -> np.ndarray:
        """One past the last visible character before each place; 0 where there is none. int64[n]."""
        return np.concatenate([[0], self.solid + 1])[np.searchsorted(self.solid, places)]

    def inside_word(self, places: np.ndarray) -> np.ndarray:
        """Whether each place is between two letters or digits. bool[n]."""
        letters = np.concatenate([[False], self.classes == WORD, [False]])
        return letters[places] & letters[places + 1]

    def with_marks(self, ends: np.ndarray) -> np.ndarray:
        """Each place moved behind the marks that stand there, which belong to the character before it. int64[n]."""
        others = np.flatnonzero(self.classes != MARK)
        return np.append(others, len(self.classes))[np.searchsorted(others, ends)]


class Units(NamedTuple):
    """What is labelled in a text.

    Attributes:
        pieces: number of each unit's first piece, int64[U], ascending.
        starts: its first character, int64[U].
        ends: one past its last character, int64[U].
    """

    pieces: np.ndarray
    starts: np.ndarray
    ends: np.ndarray


def find_units(text: str, pieces: Pieces, unit: Unit) -> Units:
    """The units of a text.

    Args:
        text: as it was given to the vocabulary.
        pieces: of it.
        unit: what is labelled.
    """
    characters = Characters.of(text)
    firsts = characters.next_base(pieces.starts)
    begins = firsts < pieces.ends
    if unit == "words":
        begins &= np.append(characters.begins_word, False)[firsts]
    at = np.flatnonzero(begins)
    if not len(at):
        return Units(at, at, at)
    at = at[np.append(True, np.diff(firsts[at]) > 0)]
    ends = characters.solid_end(np.maximum.reduceat(pieces.ends, at))
    return Units(at, firsts[at], characters.with_marks(ends))


def find_words(text: str) -> list[tuple[str, int, int]]:
    """The words of a text, whatever the vocabulary: (word, first character, one past its last) of each."""
    characters = Characters.of(text)
    starts = np.flatnonzero(characters.begins_word)
    ends = characters.solid_end(np.append(starts, len(text))[1:])
    return [(text[start:end], start, end) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
