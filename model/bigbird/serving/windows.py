"""Windows over contexts longer than the model, in the graph, as `bigbird.tasks.squad` cuts them.

Shapes: B examples, W windows of all examples together, (n) ragged tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True)
class Windows:
    """Every window of a batch, an example's windows side by side and in order.

    Attributes:
        features: ragged int32[W, (n)] each: input_word_ids, input_mask, input_type_ids, paragraph_mask; can_end (1 for
            pieces that hold text) and can_start (1 for those whose maximum-context window this is).
        example: int64[W], the example each window belongs to.
        first_piece: int64[W], index among the example's context pieces that position 0 of the window stands for;
            negative, as the question comes first: piece = first_piece + position.
    """

    features: dict[str, tf.RaggedTensor]
    example: tf.Tensor
    first_piece: tf.Tensor


def cut_windows(
    questions: tf.RaggedTensor,
    contexts: tf.RaggedTensor,
    covers: tf.RaggedTensor,
    *,
    cls_id: int | None,
    sep_id: int,
    end_id: int,
    max_length: int,
    doc_stride: int,
) -> Windows:
    """Lays out [CLS] question [SEP] window END, a window every `doc_stride` tokens until the context is covered.

    Args:
        questions: int32[B, (n)], already cut to the query length, which leaves room in `max_length`.
        contexts: int32[B, (n)]; an empty context gives one window without a paragraph.
        covers: bool[B, (n)], whether a context's piece holds more than spaces.
        cls_id: id of [CLS]; None leaves it out.
        sep_id: id of what stands between question and window.
        end_id: id of what stands after the window.
        max_length: longest window with its question and special pieces, tokens.
        doc_stride: from one window's start to the next, tokens.
    """
    question_lengths, context_lengths = questions.row_lengths(), contexts.row_lengths()  # int64[B]
    specials = 2 if cls_id is None else 3
    room = max_length - specials - question_lengths  # (B,)
    stride = tf.minimum(room, doc_stride)
    counts = 1 + (tf.maximum(context_lengths - room, 0) + stride - 1) // stride  # (B,)

    example = tf.repeat(tf.range(tf.size(counts), dtype=tf.int64), counts)  # (W,)
    start = tf.ragged.range(counts).flat_values * tf.gather(stride, example)  # (W,)
    length = tf.minimum(tf.gather(room, example), tf.gather(context_lengths, example) - start)  # (W,)
    first = tf.gather(contexts.row_starts(), example) + start
    piece = tf.ragged.range(first, first + length)  # (W, (n)) index into all context pieces

    question = tf.gather(questions, example)
    window = tf.gather(contexts.flat_values, piece)
    cls, sep, after = (
        tf.fill([tf.size(example), 0 if id_ is None else 1], tf.constant(id_ or 0, window.dtype))
        for id_ in (cls_id, sep_id, end_id)
    )
    before = tf.concat([cls, question, sep], axis=1)
    ids = tf.concat([before, window, after], axis=1)
    can_end = tf.cast(tf.gather(covers.flat_values, piece), tf.int32)
    can_start = can_end * max_context(piece, length, tf.size(contexts.flat_values))

    def lay_out(value_before: int, values: tf.RaggedTensor, value_after: int) -> tf.RaggedTensor:
        return tf.concat([tf.ones_like(before) * value_before, values, tf.ones_like(after) * value_after], axis=1)

    features = {
        "input_word_ids": ids,
        "input_mask": tf.ones_like(ids),
        "input_type_ids": lay_out(0, tf.ones_like(window), 1),
        "paragraph_mask": lay_out(0, tf.ones_like(window), 0),
        "can_start": lay_out(0, can_start, 0),
        "can_end": lay_out(0, can_end, 0),
    }
    return Windows(features, example, start - tf.gather(question_lengths, example) - (specials - 1))


def max_context(piece: tf.RaggedTensor, length: tf.Tensor, total: tf.Tensor) -> tf.RaggedTensor:
    """1 where the window gives the piece the most context: the smaller side, then the longer window, then the first.

    Args:
        piece: int64[W, (n)] index into all context pieces of the batch.
        length: int64[W] pieces in each window.
        total: int32[] pieces in the batch.

    Returns:
        int32[W, (n)].
    """
    position = tf.ragged.range(length).flat_values
    window = piece.value_rowids()
    lengths = tf.gather(length, window)
    # In float64, operation by operation as in bigbird.tasks.squad.max_context, so that ties fall the same way.
    least = tf.cast(tf.minimum(position, lengths - 1 - position), tf.float64)
    score = least + tf.constant(0.01, tf.float64) * tf.cast(lengths, tf.float64)  # (P,)
    best = tf.math.unsorted_segment_max(score, piece.flat_values, total)
    is_best = score >= tf.gather(best, piece.flat_values)
    candidate = tf.where(is_best, window, tf.int64.max)
    first = tf.math.unsorted_segment_min(candidate, piece.flat_values, total)
    chosen = tf.equal(tf.gather(first, piece.flat_values), window)
    return piece.with_flat_values(tf.cast(chosen, tf.int32))
