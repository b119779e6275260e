"""Raw text to pieces inside the graph, exactly as `bigbird.text` does outside. Each kind of vocabulary has a module of its own.

Shapes: B texts, P pieces of all texts together, (n) ragged pieces.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from bigbird.text.vocabulary import Vocabulary


class RaggedPieces(NamedTuple):
    """Pieces of each text and the bytes that they cover; ragged [B, (n)] each."""

    ids: tf.RaggedTensor
    """int32"""
    starts: tf.RaggedTensor
    """int64, bytes of `text`"""
    ends: tf.RaggedTensor
    """int64, bytes of `text`"""
    text: tf.Tensor
    """string[B]: each text as sent, character by character, but that what is read as a space may be one."""


class GraphTokenizer(tf.Module):
    """A vocabulary as TensorFlow operations; `GraphTokenizer(vocabulary)` makes the class of its kind.

    Args:
        vocabulary: says how text is cut.
    """

    def __new__(cls, vocabulary: Vocabulary) -> GraphTokenizer:
        from bigbird.serving.sentence_piece import SentencePieceGraph
        from bigbird.serving.word_piece import WordPieceGraph

        kinds = {"sentencepiece": SentencePieceGraph, "xlm_roberta": SentencePieceGraph, "wordpiece": WordPieceGraph}
        return super().__new__(kinds[vocabulary.kind] if cls is GraphTokenizer else cls)

    def __init__(self, vocabulary: Vocabulary):
        super().__init__(name="tokenizer")
        self.cls_id, self.sep_id = vocabulary.cls_id, vocabulary.sep_id

    def encode(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """string[B] in UTF-8 -> int32[B, (n)]."""
        raise NotImplementedError

    def encode_with_offsets(self, texts: tf.Tensor) -> RaggedPieces:
        """string[B] in UTF-8 -> pieces with their places."""
        raise NotImplementedError


def repair(texts: tf.Tensor) -> tf.Tensor:
    """string[B] -> string[B] in valid UTF-8; what cannot be read becomes U+FFFD."""
    return tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace", replace_control_characters=False)


def first_pieces(pieces: tf.RaggedTensor, keep: tf.Tensor | int) -> tf.RaggedTensor:
    """The first `keep` pieces of each text, or all where it has fewer; `keep` is one number or int64[B]."""
    kept = tf.minimum(pieces.row_lengths(), tf.cast(keep, tf.int64))
    starts = pieces.row_starts()
    return tf.gather(pieces.flat_values, tf.ragged.range(starts, starts + kept))


def covers_text(pieces: RaggedPieces) -> tf.RaggedTensor:
    """Which pieces hold more than spaces, bool[B, (n)]."""
    joined = tf.io.decode_raw(tf.strings.reduce_join(pieces.text), tf.uint8)  # every text's bytes, one after the other
    visible = tf.cast(joined != ord(" "), tf.int32)
    before = tf.concat([[0], tf.cumsum(visible)], axis=0)  # visible bytes before each position
    first_byte = tf.cumsum(tf.strings.length(pieces.text, unit="BYTE"), exclusive=True)  # (B,)
    shift = tf.cast(tf.gather(first_byte, pieces.ids.value_rowids()), tf.int64)  # (P,)
    ends, starts = (tf.gather(before, bounds.flat_values + shift) for bounds in (pieces.ends, pieces.starts))
    return pieces.ids.with_flat_values(ends > starts)


def character_span(texts: tf.Tensor, start: tf.Tensor, end: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Bytes to characters, without the spaces around the span.

    Args:
        texts: string[B], `RaggedPieces.text`.
        start: int32[B], first byte.
        end: int32[B], one past the last byte.

    Returns:
        int32[B] twice: the first character and one past the last.
    """
    span = tf.strings.substr(texts, start, end - start)
    lead = _characters(span) - _characters(tf.strings.regex_replace(span, "^ +", ""))
    first = _characters(tf.strings.substr(texts, tf.zeros_like(start), start)) + lead
    return first, first + _characters(tf.strings.strip(span))


def _characters(texts: tf.Tensor) -> tf.Tensor:
    return tf.strings.length(texts, unit="UTF8_CHAR")
