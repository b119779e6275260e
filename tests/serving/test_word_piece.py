"""The graph cuts every text as preprocessing does, into the same characters of it."""

import random
import unicodedata

import numpy as np
import pytest
import tensorflow as tf

from bigbird.text.vocabulary import Vocabulary
from tests.vocabularies import word_piece, xlm_roberta

NASTY = [
    "", " ", "   ", "\t", "\n\r\n", "\x00", "\x1f", "a\tb\nc\r\nd", "  two  spaces  ", "tab\tat end\t", "ant", "Ant, bee.",
    "[CLS] [SEP] [MASK] [PAD] [UNK]", "x[MASK]y", "[unused1]", "##ing un##ing", "a" * 100, "a" * 101, "\u00e9" * 100, "\u00e9" * 101,
    "\u4e2d\u6587" * 150, "\ud55c" * 50, "\ud55c\uae00" * 26, "x" * 5000, "1" * 300, "!" * 300, "ant" * 40 + " bee",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea \u2764\ufe0f", "e\u0301 and \u00e9 cafe\u0301s", "\u0301a",
    "\u0130stanbul \u1e9e \u00df \ufb01 \u00bd \u0149 \u01c5 \ufdfa", "\u03a3\u03b1\u03c3 \u03a3", "NUL\x00inside\x07bell \ufffd x\ufffdy \x94a\x12b",
    "\u212b \u2126 \uf900\U0002f800", "\u201cquoted\u201d \u2013 dash \u20ac \u2026", "zero\u200bwidth\u200c\ufeff", "soft\u00adhyphen \u0e01\u0e33",
    "\u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u0939\u093f\u0928\u094d\u0926\u0940", "\U00010348 \U000e0001 \uffff", "ant\u3000bee\u2003cat\u00a0dog",
]  # fmt: skip


@pytest.fixture(
    scope="module",
    params=[("wordpiece", True), ("wordpiece", False), ("xlm_roberta", None)],
    ids=["uncased", "cased", "xlm_roberta"],
)
def cut(request, tmp_path_factory):
    """A vocabulary, and the functions of an exported and reloaded graph."""
    from bigbird.serving.tokenizer import GraphTokenizer

    kind, lower_case = request.param
    content = xlm_roberta() if kind == "xlm_roberta" else word_piece(cased=not lower_case)
    vocabulary = Vocabulary(content, lower_case=lower_case)
    module, spec = GraphTokenizer(vocabulary), [tf.TensorSpec([None], tf.string)]
    module.ids = tf.function(module.encode, input_signature=spec)
    module.places = tf.function(lambda texts: module.encode_with_offsets(texts)._asdict(), input_signature=spec)
    folder = str(tmp_path_factory.mktemp("saved"))
    tf.saved_model.save(module, folder)
    loaded = tf.saved_model.load(folder)
    return vocabulary, loaded.ids, loaded.places


def _assert_equal(texts, vocabulary, ids, places):
    encoded = tf.constant([text.encode() for text in texts])
    located = vocabulary.encode_with_offsets(texts)
    found = places(encoded)
    by_text = zip(texts, vocabulary.encode(texts), located, ids(encoded).to_list(), found["ids"].to_list(), strict=True)
    for text, expected, pieces, plain, placed in by_text:
        assert expected.tolist() == pieces.ids.tolist() == plain == placed, repr(text[:100])
    bounds = zip(texts, located, found["starts"].to_list(), found["ends"].to_list(), found["text"].numpy(), strict=True)
    for text, pieces, starts, ends, said in bounds:
        assert len(said.decode()) == len(text)
        for begin, end, first, last in zip(starts, ends, pieces.starts.tolist(), pieces.ends.tolist(), strict=True):
            characters = [len(said[:place].decode()) for place in (begin, end)]
            if vocabulary.kind == "wordpiece":
                assert characters == [first, last], repr(text[:100])
            elif first < last:  # SentencePiece's have the space before them
                assert text[characters[0] : characters[1]].strip() == text[first:last], repr(text[:100])


def test_odd_strings_are_cut_into_the_same_pieces(cut):
    _assert_equal(NASTY, *cut)
    _assert_equal(NASTY[:1], *cut)


def test_no_texts_give_no_pieces(cut):
    _, ids, places = cut
    none = tf.constant([], tf.string)
    assert ids(none).to_list() == places(none)["starts"].to_list() == []


def test_random_characters_are_cut_into_the_same_pieces(cut):
    rng = random.Random(0)
    characters = [chr(point) for point in range(0x30000) if unicodedata.category(chr(point)) not in ("Cn", "Co", "Cs")]
    texts = ["".join(rng.choices([*"abc ,\u0301", rng.choice(characters), " ", "ant"], k=20)) for _ in range(1000)]
    texts += ["".join(rng.choices(characters, k=30)) for _ in range(1000)]
    _assert_equal(texts, *cut)


@pytest.mark.slow
def test_every_character_inside_a_word_is_cut_into_the_same_pieces(cut):
    """Of the planes that hold no characters, 4 to 13, and those of private use, 15 and 16: every 64th, and their last two."""
    sparse = {*range(4, 14), 15, 16}
    points = [
        point
        for point in range(0x110000)
        if not 0xD800 <= point < 0xE000 and (point >> 16 not in sparse or point % 64 == 0 or point % 0x10000 >= 0xFFFE)
    ]
    for some in np.array_split(points, 20):
        _assert_equal([" ".join(f"a{chr(point)}b" for point in part) for part in np.array_split(some, 200)], *cut)


def test_spans_are_characters_of_the_text_as_sent():
    from bigbird.serving.tokenizer import GraphTokenizer, character_span, covers_text

    graph = GraphTokenizer(Vocabulary(word_piece()))
    texts = ["\u00c9\x07el \u4e2dant", "cafe\u0301 bee"]
    pieces = graph.encode_with_offsets(tf.constant(texts))
    assert all(covers_text(pieces).flat_values.numpy())
    starts, ends = pieces.starts.to_list(), pieces.ends.to_list()
    for first, last, shown in ((0, 0, ["\u00c9\x07el", "c"]), (1, 1, ["\u4e2d", "a"]), (0, -1, [texts[0], texts[1]])):
        begin = tf.constant([row[first] for row in starts], tf.int32)
        end = tf.constant([row[last] for row in ends], tf.int32)
        spans = zip(*(values.numpy() for values in character_span(pieces.text, begin, end)), strict=True)
        assert [text[a:b] for text, (a, b) in zip(texts, spans, strict=True)] == shown
