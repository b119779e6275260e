"""SentencePiece in the graph, exactly as `bigbird.text.sentence_piece` outside.

Shapes: B texts, P pieces of all texts together, (n) ragged pieces.
"""

from __future__ import annotations

import sys

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

from bigbird.serving.tokenizer import GraphTokenizer, RaggedPieces
from bigbird.text.sentence_piece import LOWER_CASE_RULES, UNKNOWN_RUN, SentencePieceVocabulary
from bigbird.text.vocabulary import WHITESPACE


class SentencePieceGraph(GraphTokenizer):
    """A SentencePiece model.

    Args:
        vocabulary: the model, its markup rules and whether it lower-cases.
    """

    def __init__(self, vocabulary: SentencePieceVocabulary):
        super().__init__(vocabulary)
        self._rules = vocabulary.markup_rules
        self._lower = tf.constant(_lower_table()) if vocabulary.lower_case else None
        self._alone = tf.constant(_alone_table(vocabulary.alone)) if vocabulary.alone else None
        self._sentencepiece = tf_text.SentencepieceTokenizer(model=vocabulary.serialized, out_type=tf.int32)
        self._runs = None
        if vocabulary.orders_runs:
            self._runs = (tf.constant(vocabulary.run_character), tf.constant(vocabulary.run_length))
        ids = vocabulary.ids_of_pieces
        self._ids = None if ids is None else tf.constant(ids)

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
            return self._numbered(ids)
        order, _ = _ordered_runs(ids, *self._runs)
        return self._numbered(ids.with_flat_values(tf.gather(ids.flat_values, order)))

    def _numbered(self, ids: tf.RaggedTensor) -> tf.RaggedTensor:
        """The ids of SentencePiece's pieces."""
        return ids if self._ids is None else ids.with_flat_values(tf.gather(self._ids, ids.flat_values))

    def encode_with_offsets(self, texts: tf.Tensor) -> RaggedPieces:
        """string[B] in UTF-8 -> pieces with their places."""
        cleaned = self.clean(texts)
        found, starts, ends = self._sentencepiece.tokenize_with_offsets(cleaned)
        pieces = RaggedPieces(found, starts, ends, cleaned)
        if self._runs is None:
            return pieces._replace(ids=self._numbered(pieces.ids))
        order, first = _ordered_runs(pieces.ids, *self._runs)
        sizes = tf.gather(pieces.ends.flat_values - pieces.starts.flat_values, order)
        before = tf.cumsum(sizes, exclusive=True)
        starts = tf.gather(pieces.starts.flat_values - before, first) + before  # a run's pieces have no gaps
        ids = pieces.ids.with_flat_values(tf.gather(pieces.ids.flat_values, order))
        placed = (pieces.starts.with_flat_values(starts), pieces.ends.with_flat_values(starts + sizes))
        return RaggedPieces(self._numbered(ids), *placed, cleaned)


def _ordered_runs(ids: tf.RaggedTensor, character: tf.Tensor, length: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """As `SentencePieceVocabulary` orders neighbouring pieces of one run, the shorter first.

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
