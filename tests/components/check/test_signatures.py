"""Words, their hashes, and which texts are nearly the same."""

import re

import numpy as np
import pytest

from bigbird_components.check.signatures import SIMILAR, VALUES, signatures, similar_groups
from bigbird_components.check.suspects import confident
from bigbird_components.check.words import few_words, folded, words_of

TEXTS = ["", "One word", "  one\tWORD, again", "naïve café’s “word”", "語は 一つ", "a1b2-c3", "x" * 3000, "one word"]


def words(texts):
    return words_of([folded(text).encode() for text in texts])


def test_words_have_the_same_hash_where_they_are_the_same():
    found = words(TEXTS)
    expected = [few_words(text) for text in TEXTS]
    assert found.counts.tolist() == [len(each) for each in expected] == [0, 2, 3, 4, 4, 2, 1, 2]
    flat = [word for each in expected for word in each]
    hashes = found.hashes.tolist()
    for one, other in ((i, j) for i in range(len(flat)) for j in range(i)):
        assert (hashes[one] == hashes[other]) == (flat[one] == flat[other]), (flat[one], flat[other])
    whole = found.of_whole()
    assert whole[0] == 0
    assert whole[1] == whole[7] and len(set(whole.tolist())) == len(TEXTS) - 1
    # Hashes do not depend on what else is hashed.
    assert (words(TEXTS[3:5]).hashes == found.hashes[5:13]).all()


def test_the_order_of_words_counts_and_so_do_edges():
    one = " ".join(f"w{i}" for i in range(20))
    other = f"{one.rsplit(' ', 1)[0]} last"
    found = words([one, "w1 w0", "w0 w1", other])
    assert len(set(found.of_whole().tolist())) == 4
    begins, ends = found.of_edges(8)
    assert begins[0] == begins[3] != 0
    assert ends[0] != ends[3]
    assert not begins[1:3].any() and not ends[1:3].any()


@pytest.mark.parametrize("length", [40, 300])
@pytest.mark.parametrize("changed", [0, 2, 5, 12])
def test_equal_values_tell_the_share_of_common_shingles(length, changed):
    rng = np.random.default_rng(length + changed)
    pairs = []
    for _ in range(60):
        one = rng.integers(5000, size=length).astype(str)
        other = one.copy()
        other[rng.choice(length, changed, replace=False)] = "new"
        pairs += [one, other]
    shingles = [{tuple(text[i : i + 3]) for i in range(length - 2)} for text in pairs]
    exact = np.array([len(a & b) / len(a | b) for a, b in zip(shingles[::2], shingles[1::2], strict=True)])
    found = signatures(words([" ".join(text) for text in pairs]))
    assert found.shape == (120, VALUES)
    estimated = (found[::2] == found[1::2]).mean(1)
    assert abs(estimated - exact).mean() < 0.05  # the standard error is 0.044 at most
    assert abs((estimated - exact).mean()) < 0.02
    if not changed:
        assert (estimated == 1).all()


def test_similar_texts_are_grouped_and_others_are_not():
    rng = np.random.default_rng(0)
    base = [rng.integers(3000, size=100).astype(str) for _ in range(300)]
    texts = [" ".join(text) for text in base]
    for i in range(50):  # one word of a copy is another: 97 of 101 shingles are common
        copy = base[i].copy()
        copy[50] = "another"
        texts.append(" ".join(copy))
    group = similar_groups(signatures(words(texts)))
    assert group[:300].tolist() == list(range(300))
    assert group[300:].tolist() == list(range(50))
    assert SIMILAR == 0.8


def test_many_texts_alike_are_one_group():
    texts = [f"{' '.join(f'w{i}' for i in range(80))} {number}" for number in range(2000)]
    assert not similar_groups(signatures(words(texts))).any()


def test_confident_learning_by_hand():
    # Thresholds: of label 0 (0.9 + 0.8 + 0.1) / 3 = 0.6, of label 1 (0.7 + 0.8 + 0.45) / 3 = 0.65.
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.3, 0.7], [0.2, 0.8], [0.55, 0.45]])
    own = np.array([0, 0, 0, 1, 1, 1])
    # Row 2 reaches label 1's threshold; row 5 reaches none, though label 0 is likelier.
    assert confident(probabilities, own).tolist() == [0, 0, 1, 1, 1, 1]


def test_words_of_ascii_are_those_of_a_pattern():
    rng = np.random.default_rng(3)
    texts = ["".join(map(chr, rng.integers(32, 127, size=200))) for _ in range(50)]
    assert words(texts).counts.tolist() == [len(re.findall("[0-9a-z]+", text.lower())) for text in texts]
