"""Raw text to pieces inside the graph, exactly as `bigbird.text.vocabulary.Vocabulary` does outside.

Shapes: B texts, P pieces of all texts together, (n) ragged pieces.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

from bigbird.text.vocabulary import LOWER_CASE_RULES, UNKNOWN_RUN, WHITESPACE, Vocabulary


class RaggedPieces(NamedTuple):
    """Pieces of each text and the bytes of the cleaned text that they cover; ragged [B, (n)] each."""

    ids: tf.RaggedTensor
    """int32"""
    starts: tf.RaggedTensor
    """int64, bytes"""
    ends: tf.RaggedTensor
    """int64, bytes"""


class GraphTokenizer(tf.Module):
    """A vocabulary as TensorFlow operations.

    Args:
        vocabulary: the vocabulary, its markup rules and whether it lower-cases.
    """

    def __init__(self, vocabulary: Vocabulary):
        super().__init__(name="tokenizer")
        self._rules = vocabulary.markup_rules
        self._lower = tf.constant(_lower_table()) if vocabulary.lower_case else None
        self._alone = tf.constant(_alone_table(vocabulary.alone)) if vocabulary.alone else None
        self._sentencepiece = tf_text.SentencepieceTokenizer(model=vocabulary.serialized, out_type=tf.int32)
        self._runs = None
        if vocabulary.orders_runs:
            self._runs = (tf.constant(vocabulary.run_character), tf.constant(vocabulary.run_length))
        self.cls_id, self.sep_id = vocabulary.cls_id, vocabulary.sep_id

    def clean(self, texts: tf.Tensor) -> tf.Tensor:
        """string[B] in UTF-8 -> string[B] with as many characters, position by position."""
        texts = tf.strings.regex_replace(texts, WHITESPACE, " ")
        if self._lower is not None:
            for old, new in LOWER_CASE_RULES:
                texts = tf.strings.regex_replace(texts, old, new)
            texts = _map_characters(texts, self._lower)
        for pattern, rewrite in self._rules:
            texts = tf.strings.regex_replace(texts, pattern, rewrite)
        if self._alone is None:
            return texts
        longest = tf.reduce_max(tf.strings.length(texts))  # bytes
        return tf.cond(longest > UNKNOWN_RUN, lambda: _cut_unknown_runs(texts, self._alone), lambda: texts)

    def encode(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """string[B] in UTF-8 -> int32[B, (n)]."""
        ids = self._sentencepiece.tokenize(self.clean(texts))
        if self._runs is None:
            return ids
        order, _ = _ordered_runs(ids, *self._runs)
        return ids.with_flat_values(tf.gather(ids.flat_values, order))

    def encode_cleaned(self, cleaned: tf.Tensor) -> RaggedPieces:
        """string[B] as `clean` gives it -> pieces with their places."""
        pieces = RaggedPieces(*self._sentencepiece.tokenize_with_offsets(cleaned))
        if self._runs is None:
            return pieces
        order, first = _ordered_runs(pieces.ids, *self._runs)
        sizes = tf.gather(pieces.ends.flat_values - pieces.starts.flat_values, order)
        before = tf.cumsum(sizes, exclusive=True)
        starts = tf.gather(pieces.starts.flat_values - before, first) + before  # a run's pieces have no gaps
        ids = pieces.ids.with_flat_values(tf.gather(pieces.ids.flat_values, order))
        return RaggedPieces(ids, pieces.starts.with_flat_values(starts), pieces.ends.with_flat_values(starts + sizes))


def _ordered_runs(ids: tf.RaggedTensor, character: tf.Tensor, length: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """As `Vocabulary` orders neighbouring pieces of one run, the shorter first.

    Args:
        ids: int32[B, (n)].
        character, length: int32[size], of pieces that are one character repeated; 0 of others.

    Returns:
        int64[P] each: which piece comes next, and for each place where its run begins.
    """
    flat, place = ids.flat_values, tf.range(tf.size(ids.flat_values, tf.int64), dtype=tf.int64)
    found, text = tf.gather(character, flat), ids.value_rowids()
    joins = (found[1:] == found[:-1]) & (found[1:] != 0) & (text[1:] == text[:-1])
    begins = tf.concat([tf.ones([tf.minimum(tf.size(flat), 1)], tf.bool), tf.logical_not(joins)], axis=0)
    run = tf.cumsum(tf.cast(begins, tf.int64)) - 1
    longest = tf.cast(tf.reduce_max(length) + 1, tf.int64)
    order = tf.argsort(run * longest + tf.cast(tf.gather(length, flat), tf.int64), stable=True)
    return tf.cast(order, tf.int64), tf.gather(tf.boolean_mask(place, begins), run)


def repair(texts: tf.Tensor) -> tf.Tensor:
    """string[B] -> string[B] in valid UTF-8; what cannot be read becomes U+FFFD."""
    return tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace", replace_control_characters=False)


def first_pieces(pieces: tf.RaggedTensor, keep: tf.Tensor | int) -> tf.RaggedTensor:
    """The first `keep` pieces of each text, or all where it has fewer; `keep` is one number or int64[B]."""
    kept = tf.minimum(pieces.row_lengths(), tf.cast(keep, tf.int64))
    starts = pieces.row_starts()
    return tf.gather(pieces.flat_values, tf.ragged.range(starts, starts + kept))


def covers_text(cleaned: tf.Tensor, pieces: RaggedPieces) -> tf.RaggedTensor:
    """Which pieces hold more than spaces.

    Args:
        cleaned: string[B].
        pieces: of these texts.

    Returns:
        bool[B, (n)].
    """
    joined = tf.io.decode_raw(tf.strings.reduce_join(cleaned), tf.uint8)  # every text's bytes, one after the other
    visible = tf.cast(joined != ord(" "), tf.int32)
    before = tf.concat([[0], tf.cumsum(visible)], axis=0)  # visible bytes before each position
    first_byte = tf.cumsum(tf.strings.length(cleaned, unit="BYTE"), exclusive=True)  # (B,)
    shift = tf.cast(tf.gather(first_byte, pieces.ids.value_rowids()), tf.int64)  # (P,)
    ends, starts = (tf.gather(before, bounds.flat_values + shift) for bounds in (pieces.ends, pieces.starts))
    return pieces.ids.with_flat_values(ends > starts)


def character_span(cleaned: tf.Tensor, start: tf.Tensor, end: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Bytes to characters, without the spaces around the span.

    Args:
        cleaned: string[B].
        start: int32[B], first byte.
        end: int32[B], one past the last byte.

    Returns:
        int32[B] twice: the first character and one past the last.
    """
    span = tf.strings.substr(cleaned, start, end - start)
    lead = _characters(span) - _characters(tf.strings.regex_replace(span, "^ +", ""))
    first = _characters(tf.strings.substr(cleaned, tf.zeros_like(start), start)) + lead
    return first, first + _characters(tf.strings.strip(span))


def _characters(texts: tf.Tensor) -> tf.Tensor:
    return tf.strings.length(texts, unit="UTF8_CHAR")


def _map_characters(texts: tf.Tensor, table: tf.Tensor) -> tf.Tensor:
    """Replaces each character found in the table."""
    characters = tf.strings.unicode_decode(texts, "UTF-8")  # int32[B, (characters)]
    flat = characters.flat_values
    mapped = tf.where(flat < tf.size(table), tf.gather(table, tf.minimum(flat, tf.size(table) - 1)), flat)
    return tf.strings.unicode_encode(characters.with_flat_values(mapped), "UTF-8")


def _cut_unknown_runs(texts: tf.Tensor, alone: tf.Tensor) -> tf.Tensor:
    """Puts a space in place of every character that follows UNKNOWN_RUN ones without a piece of their own."""
    characters = tf.strings.unicode_decode(texts, "UTF-8")  # int32[B, (characters)]
    flat = characters.flat_values
    known = (flat < tf.size(alone)) & tf.gather(alone, tf.minimum(flat, tf.size(alone) - 1))
    place = tf.range(tf.size(flat))
    row = tf.concat([[tf.constant(-1, tf.int64)], characters.value_rowids()], axis=0)
    resets = known | (row[1:] != row[:-1])  # a run begins after a known character, or with a text
    before = tf.boolean_mask(tf.where(known, place, place - 1), resets)  # the place before each run
    in_run = place - tf.gather(before, tf.cumsum(tf.cast(resets, tf.int32)) - 1)  # from 1
    cut = tf.logical_not(known) & (in_run % (UNKNOWN_RUN + 1) == 0)
    return tf.strings.unicode_encode(characters.with_flat_values(tf.where(cut, ord(" "), flat)), "UTF-8")


def _alone_table(characters: str) -> np.ndarray:
    """bool[up to the last of the characters]: whether a code point is one of them."""
    table = np.zeros(ord(characters[-1]) + 1, bool)
    table[[ord(character) for character in characters]] = True
    return table


def _lower_table() -> np.ndarray:
    """int32[characters]: each character's lower case as Python has it; `LOWER_CASE_RULES` spare it the odd ones.

    TensorFlow's own lower-casing follows another version of Unicode and the machine's locale.
    """
    lowered = [char if len(lower := chr(char).lower()) != 1 else ord(lower) for char in range(sys.maxunicode + 1)]
    last = max(char for char, lower in enumerate(lowered) if char != lower)
    return np.array(lowered[: last + 1], np.int32)
