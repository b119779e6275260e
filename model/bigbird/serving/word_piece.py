"""WordPiece in the graph, exactly as `bigbird.text.word_piece` outside.

tensorflow-text normalises text by rules of its own. Here text is normalised by tables with what `tokenizers`' own normaliser
and its splitting make of each character, so that both agree on every one; tensorflow-text cuts the words that result.

Places differ, by the marks' bytes, where combining marks that are kept follow removed ones out of Unicode's canonical order:
`tokenizers` counts those in the order that NFD gives them. No ordinary text has such marks.

Shapes: B texts, N their characters, K the characters that are left, W words, P pieces, (n) ragged pieces.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

from bigbird.serving.tokenizer import GraphTokenizer, RaggedPieces
from bigbird.text.word_piece import UNK, WordPieceSettings, WordPieceVocabulary

_IN_WORD, _SPACE, _ALONE = range(3)  # what a character is; alone: a word by itself, as punctuation is
_PAGE = 256  # characters of a table's page
_UTF8_BYTES = 4  # most of a character
_AT_ONCE = 4096  # characters that `tokenizers` is asked about in one text; longer ones take it longer
_BETWEEN = "\u00a6"  # a character that is left as it is, and changes none beside it


class WordPieceGraph(GraphTokenizer):
    """WordPiece.

    Args:
        vocabulary: its pieces and how it treats text.
    """

    def __init__(self, vocabulary: WordPieceVocabulary):
        super().__init__(vocabulary)
        tables = _tables(vocabulary.rules)
        self._replacement, self._kind = _Table(tables.replacement), _Table(tables.kind)
        self._rows = tf.RaggedTensor.from_row_lengths(
            tf.constant(tables.row_values), tf.constant(tables.row_lengths), validate=False
        )
        # A number without a piece gets one that no word can be.
        pieces = [piece or f" {number}" for number, piece in enumerate(vocabulary.pieces)]
        self._most, self._unk_id = vocabulary.rules.max_word, vocabulary.unk_id
        most_bytes = _UTF8_BYTES * self._most
        self._too_long = "a" * (most_bytes + 1)  # what is cut into [UNK] by its length
        self._pieces = tf_text.FastWordpieceTokenizer(
            vocab=pieces,
            suffix_indicator=vocabulary.rules.prefix,
            max_bytes_per_word=most_bytes,
            token_out_type=tf.int32,
            unknown_token=UNK,
            no_pretokenization=True,
        )

    def encode(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """string[B] in UTF-8 -> int32[B, (n)]."""
        words = self._words(texts)
        found = self._pieces.tokenize(words.text)
        return tf.RaggedTensor.from_value_rowids(
            found.flat_values,
            tf.gather(words.row, found.value_rowids()),
            nrows=tf.size(texts, tf.int64),
            validate=False,
        )

    def encode_with_offsets(self, texts: tf.Tensor) -> RaggedPieces:
        """string[B] in UTF-8 -> pieces with their places."""
        words = self._words(texts)
        ids, starts, ends = self._pieces.tokenize_with_offsets(words.text)
        word, unknown = ids.value_rowids(), ids.flat_values == self._unk_id  # (P,)
        sizes = _utf8_bytes(words.characters)  # (K,)
        before = tf.cumsum(sizes, exclusive=True)
        character = tf.repeat(tf.range(tf.size(sizes, tf.int64)), sizes)  # of each byte
        begin = tf.gather(before, tf.gather(words.characters_before, word))  # a word's first byte
        # [UNK] is always a whole word.
        length = tf.gather(tf.math.segment_sum(sizes, words.of_character), word)
        first = tf.gather(
            character, begin + tf.where(unknown, tf.zeros_like(begin), tf.cast(starts.flat_values, tf.int64))
        )
        last = tf.gather(character, begin + tf.where(unknown, length, tf.cast(ends.flat_values, tf.int64)) - 1)

        row = tf.gather(words.row, word)
        source_sizes = _utf8_bytes(words.sources)  # (N,)
        source_before = tf.cumsum(source_sizes, exclusive=True)
        text_sizes = tf.cast(tf.strings.length(texts), tf.int64)
        shift = tf.gather(tf.cumsum(text_sizes, exclusive=True), row)
        first, last = tf.gather(words.source, first), tf.gather(words.source, last)
        bounds = (tf.gather(source_before, first) - shift, tf.gather(source_before + source_sizes, last) - shift)
        placed_ids, starts, ends = (
            tf.RaggedTensor.from_value_rowids(values, row, nrows=tf.size(texts, tf.int64), validate=False)
            for values in (ids.flat_values, *bounds)
        )
        return RaggedPieces(placed_ids, starts, ends, texts)

    def _words(self, texts: tf.Tensor) -> _Words:
        decoded = tf.strings.unicode_decode(texts, "UTF-8")
        sources = decoded.flat_values  # (N,)
        made_of = self._replacement(sources)
        counts = tf.gather(self._rows.row_lengths(), made_of)
        source = tf.repeat(tf.range(tf.size(sources, tf.int64)), counts)
        within = tf.range(tf.size(source, tf.int64)) - tf.gather(tf.cumsum(counts, exclusive=True), source)
        row_number = tf.gather(made_of, source)
        # Row 0 has one value, which stands for the character itself and is not read.
        place = tf.gather(self._rows.row_starts(), row_number) + within
        characters = tf.where(row_number == 0, tf.gather(sources, source), tf.gather(self._rows.flat_values, place))
        kind, row = self._kind(characters), tf.gather(decoded.value_rowids(), source)
        kind_before = tf.concat([[_SPACE], kind], axis=0)[:-1]
        row_before = tf.concat([[tf.constant(-1, tf.int64)], row], axis=0)[:-1]
        begins = (kind == _ALONE) | (kind_before != _IN_WORD) | (row != row_before)
        keep = kind != _SPACE
        characters, source, row, begins = (
            tf.boolean_mask(values, keep) for values in (characters, source, row, begins)
        )
        first = tf.where(begins)[:, 0]  # (W,)
        words = tf.RaggedTensor.from_row_starts(characters, first, validate=False)
        text = tf.where(words.row_lengths() > self._most, self._too_long, tf.strings.unicode_encode(words, "UTF-8"))
        return _Words(text, tf.gather(row, first), first, characters, words.value_rowids(), source, sources)


class _Words(NamedTuple):
    """The words of all texts."""

    text: tf.Tensor
    """string[W], normalised"""
    row: tf.Tensor
    """int64[W], the text that each is of"""
    characters_before: tf.Tensor
    """int64[W], characters before it"""
    characters: tf.Tensor
    """int32[K], code points of all words"""
    of_character: tf.Tensor
    """int64[K], the word of each"""
    source: tf.Tensor
    """int64[K], the character of the texts that it was made of"""
    sources: tf.Tensor
    """int32[N], the texts' code points"""


class _Table(tf.Module):
    """A number for each code point; pages that are equal are kept once.

    Args:
        values: int32[0x110000].
    """

    def __init__(self, values: np.ndarray):
        super().__init__()
        pages, page = np.unique(values.reshape(-1, _PAGE), axis=0, return_inverse=True)
        self._values, self._page = tf.constant(pages.reshape(-1)), tf.constant(page.reshape(-1).astype(np.int32))

    def __call__(self, points: tf.Tensor) -> tf.Tensor:
        """int32[n] code points -> int32[n]."""
        return tf.gather(self._values, tf.gather(self._page, points // _PAGE) * _PAGE + points % _PAGE)


def _utf8_bytes(points: tf.Tensor) -> tf.Tensor:
    """int32[n] code points -> int64[n]."""
    return 1 + sum(tf.cast(points >= least, tf.int64) for least in (0x80, 0x800, 0x10000))


class _Tables(NamedTuple):
    """What becomes of each code point.

    Attributes:
        replacement: int32[0x110000], the row that takes its place; 0: itself.
        row_values: int32[values], the rows' code points, one row after the other.
        row_lengths: int64[rows]; row 0 has one value, which is not read.
        kind: int32[0x110000], what a code point is in normalised text.
    """

    replacement: np.ndarray
    row_values: np.ndarray
    row_lengths: np.ndarray
    kind: np.ndarray


def _batched(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (items[start : start + size] for start in range(0, len(items), size))


@cache
def _tables(rules: WordPieceSettings) -> _Tables:
    """Asks `tokenizers` about every code point."""
    from tokenizers.pre_tokenizers import BertPreTokenizer

    surrogates = range(0xD800, 0xE000)
    every = [chr(point) for point in range(sys.maxunicode + 1) if point not in surrogates and point != ord(_BETWEEN)]
    normalizer, splitter = rules.normalizer(), BertPreTokenizer()
    normalized = (
        text
        for some in _batched(every, _AT_ONCE)
        for text in normalizer.normalize_str(_BETWEEN.join(some)).split(_BETWEEN)
    )
    replacement, rows, alone = np.zeros(sys.maxunicode + 1, np.int32), {"?": 0}, set()
    left = {_BETWEEN}
    for character, text in zip(every, normalized, strict=True):
        if len(text) > 2 and text[0] == text[-1] == " ":  # a Chinese one, which becomes a word
            text = text[1:-1]
            alone.add(text)
        if text != character:
            replacement[ord(character)] = rows.setdefault(text, len(rows))
        left.update(text)
    kind = np.zeros(sys.maxunicode + 1, np.int32)
    kind[[ord(character) for character in left]] = _SPACE
    # "a" before each: what is in no piece is space, what is one by itself stands alone.
    for some in _batched(sorted(left), _AT_ONCE):
        points = [ord(character) for character in some]
        for _, (start, end) in splitter.pre_tokenize_str("".join(f"a{character}" for character in some)):
            single = end - start == 1 and start % 2
            for place in range(start | 1, end, 2):
                kind[points[place // 2]] = _ALONE if single else _IN_WORD
    kind[[ord(character) for character in alone]] = _ALONE
    values = np.array([ord(character) for text in rows for character in text], np.int32)
    return _Tables(replacement, values, np.array([len(text) for text in rows], np.int64), kind)
