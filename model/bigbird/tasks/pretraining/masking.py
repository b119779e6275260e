"""Masks tokens for the masked-language model, in TensorFlow's input pipeline; which ones depends on seeds alone.

As in BERT (arXiv:1810.04805, section 3.1): of the tokens drawn, 80 % become [MASK], 10 % another piece, 10 % stay.
Words are drawn whole or piece by piece.

Shapes: B records, L tokens, P predictions: the masked share of L, rounded up.
"""

from __future__ import annotations

import tensorflow as tf

from bigbird.tasks.pretraining.config import PretrainingDataConfig
from bigbird.text.vocabulary import Vocabulary

MASK_SHARE, OTHER_SHARE = 0.8, 0.1


class Masker:
    """Draws and hides tokens.

    Args:
        vocabulary: says which pieces are text, and which begin a word.
        data: the share of tokens to draw, and whether whole words.
    """

    def __init__(self, vocabulary: Vocabulary, data: PretrainingDataConfig):
        self._share, self._mask_id = data.masked_share, vocabulary.mask_id
        whole_words = data.masking == "whole_word"
        self._begins_word = tf.constant(vocabulary.begins_word | (not whole_words))
        self._is_text = tf.constant(vocabulary.is_text)
        self._text_ids = tf.where(self._is_text)[:, 0]

    def __call__(self, ids: tf.Tensor, tokens: tf.Tensor, seeds: tf.Tensor) -> dict[str, tf.Tensor]:
        """Masks a batch.

        Args:
            ids: int32[B, L].
            tokens: int64[B], how many of L are no padding.
            seeds: int64[B, 2], one pair per record.

        Returns:
            input_word_ids int32[B, L], masked; masked_lm_positions and masked_lm_ids int32[B, P], in the order of the
            text; masked_lm_weights float32[B, P], 0 where a record has fewer than P.
        """
        length = tf.shape(ids)[1]
        noise = tf.map_fn(
            lambda seed: tf.random.stateless_uniform([3, length], seed), seeds, fn_output_signature=tf.float32
        )  # (B, 3, L)
        drawn = self._draw(ids, tokens, noise[:, 0])
        other = tf.gather(self._text_ids, tf.cast(noise[:, 2] * tf.cast(tf.size(self._text_ids), tf.float32), tf.int32))
        hidden = tf.where(
            noise[:, 1] < MASK_SHARE,
            self._mask_id,
            tf.where(noise[:, 1] < MASK_SHARE + OTHER_SHARE, tf.cast(other, tf.int32), ids),
        )
        positions = tf.where(drawn, tf.range(length), length)  # the drawn ones first once sorted
        positions = tf.sort(positions, axis=1)[:, : self._predictions(length)]
        found = positions < length
        positions = tf.where(found, positions, 0)
        return {
            "input_word_ids": tf.where(drawn, hidden, ids),
            "masked_lm_positions": positions,
            "masked_lm_ids": tf.where(found, tf.gather(ids, positions, batch_dims=1), 0),
            "masked_lm_weights": tf.cast(found, tf.float32),
        }

    def _predictions(self, length: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.math.ceil(self._share * tf.cast(length, tf.float64)), tf.int32)

    def _draw(self, ids: tf.Tensor, tokens: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """Which tokens are drawn, bool[B, L]: words in random order until the share is full; at least one token."""
        length = tf.shape(ids)[1]
        candidates = tf.gather(self._is_text, ids) & tf.sequence_mask(tokens, length)
        # Words are numbered from 0 in each record; special pieces stand by themselves.
        begins = tf.gather(self._begins_word, ids) | ~candidates
        begins |= tf.roll(~candidates, shift=1, axis=1)
        words = tf.maximum(tf.cumsum(tf.cast(begins, tf.int32), axis=1) - 1, 0)
        order = tf.where(candidates, tf.gather(noise, words, batch_dims=1), 2.0)
        rank = tf.argsort(tf.argsort(order, axis=1, stable=True), axis=1)
        count = tf.reduce_sum(tf.cast(candidates, tf.float64), axis=1)
        most = tf.clip_by_value(tf.round(self._share * count), tf.minimum(count, 1.0), count)
        drawn = candidates & (rank < tf.cast(most, tf.int32)[:, None])
        # The last word may be drawn in part: it is left out, unless it is the only one.
        flat = words + tf.range(tf.shape(ids)[0])[:, None] * length
        partly = tf.math.unsorted_segment_max(
            tf.reshape(tf.cast(candidates & ~drawn, tf.int32), [-1]), tf.reshape(flat, [-1]), tf.size(ids)
        )
        whole = drawn & (tf.reshape(tf.gather(partly, tf.reshape(flat, [-1])), tf.shape(ids)) < 1)
        return tf.where(tf.reduce_any(whole, axis=1, keepdims=True), whole, drawn)
