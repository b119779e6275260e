"""Spans from start and end scores, in the graph, as `bigbird.tasks.squad_decoding` picks them.

Shapes: R rows of one step, L tokens, K candidates, W windows, B examples.
"""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

# Score of "no span": below every sum of two finite logits.
NO_SPAN = tf.float32.min


@dataclass(frozen=True)
class BestSpans:
    """A best span and a null score per row.

    Attributes:
        score: float32, start logit + end logit; NO_SPAN where no span is allowed.
        start: int32, position of its first token.
        end: int32, position of its last token.
        null_score: float32, score of "no answer": start + end logit of [CLS].
    """

    score: tf.Tensor
    start: tf.Tensor
    end: tf.Tensor
    null_score: tf.Tensor


def best_spans(
    start_logits: tf.Tensor,
    end_logits: tf.Tensor,
    can_start: tf.Tensor,
    can_end: tf.Tensor,
    *,
    n_best_size: int,
    max_answer_length: int,
) -> BestSpans:
    """The best span of each window among the `n_best_size` best starts x ends; ties go to the lowest (start, end).

    Args:
        start_logits: float32[R, L].
        end_logits: float32[R, L].
        can_start: bool[R, L], where a span may start.
        can_end: bool[R, L], where a span may end.
        n_best_size: candidates K per side.
        max_answer_length: most tokens in a span.
    """
    length = start_logits.shape[1]
    start_scores, starts = _candidates(start_logits, can_start, n_best_size)  # (R, K)
    end_scores, ends = _candidates(end_logits, can_end, n_best_size)
    scores = start_scores[:, :, tf.newaxis] + end_scores[:, tf.newaxis, :]  # (R, K, K)
    first, last = starts[:, :, tf.newaxis], ends[:, tf.newaxis, :]
    valid = (
        (first <= last)
        & (last - first < max_answer_length)
        & (start_scores > NO_SPAN)[:, :, tf.newaxis]
        & (end_scores > NO_SPAN)[:, tf.newaxis, :]
    )
    scores = tf.where(valid, scores, NO_SPAN)
    best = tf.reduce_max(scores, axis=[1, 2])  # (R,)
    key = tf.where(scores >= best[:, tf.newaxis, tf.newaxis], first * length + last, length * length)
    lowest = tf.reduce_min(key, axis=[1, 2])
    return BestSpans(best, lowest // length, lowest % length, start_logits[:, 0] + end_logits[:, 0])


def best_per_example(spans: BestSpans, example: tf.Tensor, num_examples: tf.Tensor) -> tuple[BestSpans, tf.Tensor]:
    """The best span over an example's windows, the first window's on a tie; the lowest null score.

    Args:
        spans: a row per window [W].
        example: int64[W], the example each window belongs to; every example has a window.
        num_examples: int32[], B.

    Returns:
        Spans of shape [B] and int64[B], the window each was taken from.
    """
    best = tf.math.unsorted_segment_max(spans.score, example, num_examples)  # (B,)
    windows = tf.range(tf.size(example), dtype=tf.int64)
    candidate = tf.where(spans.score >= tf.gather(best, example), windows, tf.int64.max)
    window = tf.math.unsorted_segment_min(candidate, example, num_examples)  # (B,)
    null_score = tf.math.unsorted_segment_min(spans.null_score, example, num_examples)
    return BestSpans(best, tf.gather(spans.start, window), tf.gather(spans.end, window), null_score), window


def _candidates(logits: tf.Tensor, allowed: tf.Tensor, n_best_size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The best positions and their scores, [R, K] each; the lower position first on a tie."""
    masked = tf.where(allowed, logits, NO_SPAN)
    return tf.math.top_k(masked, k=min(n_best_size, logits.shape[1]))
