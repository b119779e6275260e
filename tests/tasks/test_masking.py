"""Which tokens are masked and what becomes of them."""

import random

import numpy as np
import pytest
import tensorflow as tf

from bigbird.tasks.pretraining.config import PretrainingDataConfig
from bigbird.tasks.pretraining.masking import Masker
from bigbird.text.sentence_piece import train_vocabulary
from bigbird.text.vocabulary import Vocabulary

WORDS = "antelope beetle caterpillar dragonfly elephant flamingo grasshopper hedgehog".split()
LENGTH = 64


@pytest.fixture(scope="module")
def vocabulary():
    rng = random.Random(0)
    made = ("".join(rng.choices("abcdefghijklmnopqrst", k=rng.randint(2, 9))) for _ in range(3000))
    return Vocabulary(train_vocabulary([" ".join(next(made) for _ in range(10)) for _ in range(300)], 150))


def _batch(vocabulary, rows, seed=0, length=LENGTH):
    """Padded records `[CLS] text [SEP] text [SEP]` of many lengths; ids and their number of tokens."""
    rng = random.Random(seed)
    ids, tokens = np.zeros((rows, length), np.int32), []
    for row in range(rows):
        texts = [" ".join(rng.choices(WORDS, k=length // 3)) for _ in range(2)]
        first, second = (pieces.tolist()[: length // 3] for pieces in vocabulary.encode(texts))
        body = [vocabulary.cls_id, *first, vocabulary.sep_id, *second][: rng.randint(8, length - 1)]
        ids[row, : len(body) + 1] = [*body, vocabulary.sep_id]
        tokens.append(len(body) + 1)
    return tf.constant(ids), tf.constant(tokens, tf.int64)


def _mask(vocabulary, ids, tokens, seeds=None, **settings):
    if seeds is None:
        seeds = tf.stack([tf.zeros_like(tokens), tf.range(len(tokens), dtype=tf.int64)], axis=1)
    masker = Masker(vocabulary, PretrainingDataConfig(vocab_file="unused", **settings))
    return {name: value.numpy() for name, value in tf.function(masker)(ids, tokens, seeds).items()}


def _drawn(batch, ids):
    """bool[B, L] of the positions to predict."""
    drawn = np.zeros(ids.shape, bool)
    rows, places = np.nonzero(batch["masked_lm_weights"])
    drawn[rows, batch["masked_lm_positions"][rows, places]] = True
    return drawn


def _candidates(vocabulary, ids, tokens):
    return vocabulary.is_text[ids.numpy()] & (np.arange(ids.shape[1]) < tokens.numpy()[:, None])


def test_pieces_are_drawn_to_the_share_and_their_originals_kept(vocabulary):
    ids, tokens = _batch(vocabulary, 40)
    batch = _mask(vocabulary, ids, tokens, masking="piece", masked_share=0.2)
    assert batch["masked_lm_positions"].shape == batch["masked_lm_ids"].shape == (40, 13)  # ceil(0.2 * 64)
    drawn, candidates = _drawn(batch, ids), _candidates(vocabulary, ids, tokens)
    assert not (drawn & ~candidates).any()
    wanted = np.maximum(1, np.round(0.2 * candidates.sum(axis=1)))
    np.testing.assert_array_equal(drawn.sum(axis=1), wanted)
    np.testing.assert_array_equal(batch["masked_lm_weights"].sum(axis=1), wanted)
    for row in range(40):
        count = int(wanted[row])
        places = batch["masked_lm_positions"][row, :count]
        assert (np.diff(places) > 0).all()
        np.testing.assert_array_equal(batch["masked_lm_ids"][row, :count], ids.numpy()[row, places])
        assert not batch["masked_lm_ids"][row, count:].any() and not batch["masked_lm_positions"][row, count:].any()
    np.testing.assert_array_equal(batch["input_word_ids"][~drawn], ids.numpy()[~drawn])


@pytest.mark.slow
def test_words_are_drawn_whole(vocabulary):
    ids, tokens = _batch(vocabulary, 200, length=400)
    batch = _mask(vocabulary, ids, tokens)
    drawn, candidates = _drawn(batch, ids), _candidates(vocabulary, ids, tokens)
    begins, parted = vocabulary.begins_word[ids.numpy()], 0
    for row in range(200):
        word = []
        for place in range(int(tokens[row]) + 1):
            ends = place == int(tokens[row]) or not candidates[row, place] or begins[row, place]
            if ends and word:
                parted += len({bool(drawn[row, i]) for i in word}) > 1
                word = []
            if place < int(tokens[row]) and candidates[row, place]:
                word.append(place)
    counts, wanted = drawn.sum(axis=1), np.maximum(1, np.round(0.15 * candidates.sum(axis=1)))
    assert (counts >= 1).all() and (counts <= wanted).all()
    assert counts.sum() > 0.8 * wanted.sum()
    # A word may be longer than the share of a short record: only there is one drawn in part.
    assert parted <= (wanted < 12).sum() < 60


def test_eight_of_ten_become_the_mask_one_another_piece_one_stays(vocabulary):
    ids, tokens = _batch(vocabulary, 3000)
    batch = _mask(vocabulary, ids, tokens, masking="piece", masked_share=0.5)
    drawn = _drawn(batch, ids)
    original, now = ids.numpy()[drawn], batch["input_word_ids"][drawn]
    count = len(original)
    assert count > 30_000
    masked, kept = np.mean(now == vocabulary.mask_id), np.mean(now == original)
    # A random piece is the same one once in the number of pieces; three standard errors.
    assert masked == pytest.approx(0.8, abs=3 * (0.16 / count) ** 0.5)
    assert kept == pytest.approx(0.1 + 0.1 / vocabulary.is_text.sum(), abs=3 * (0.09 / count) ** 0.5)
    others = now[(now != original) & (now != vocabulary.mask_id)]
    assert vocabulary.is_text[others].all()
    assert len(np.unique(others)) == vocabulary.is_text.sum()


def test_masks_depend_on_the_rows_seeds_alone(vocabulary):
    ids, tokens = _batch(vocabulary, 8)
    seeds = tf.constant([[7, i] for i in range(8)], tf.int64)
    first = _mask(vocabulary, ids, tokens, seeds)
    again = _mask(vocabulary, ids[::-1], tokens[::-1], seeds[::-1])
    for name in first:
        np.testing.assert_array_equal(first[name], again[name][::-1])
    other = _mask(vocabulary, ids, tokens, seeds + tf.constant([1, 0], tf.int64))
    assert (first["masked_lm_positions"] != other["masked_lm_positions"]).any(axis=1).sum() >= 7


def test_records_without_text_have_nothing_to_predict(vocabulary):
    ids = tf.constant([[vocabulary.cls_id, vocabulary.sep_id, vocabulary.unk_id, 0]])
    batch = _mask(vocabulary, ids, tf.constant([3], tf.int64))
    assert batch["masked_lm_weights"].tolist() == [[0.0]]
    np.testing.assert_array_equal(batch["input_word_ids"], ids)
