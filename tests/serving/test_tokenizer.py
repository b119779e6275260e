"""Preprocessing, the exported graph and the SentencePiece library cut every text into the same pieces.

With BIGBIRD_DATA naming a folder that holds a vocabulary `gpt2.model` and GLUE files `glue/*/*.tsv`, the same is asked
of them too, on every line.
"""

import os
import random
import re
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import tensorflow as tf

from bigbird.text.sentence_piece import UNKNOWN_RUN, train_vocabulary
from bigbird.text.vocabulary import Vocabulary
from tests.vocabularies import sentence_piece

WORDS = "ant bee cat dog eel fox gnu hen ibis jay kite lynx mole newt owl pig quail rat seal toad".split()
NASTY = [
    "", " ", "   ", "\t", "\n\r\n", "\x00", "\x1f", "a\tb\nc\r\nd", "  two  spaces  ", "tab\tat end\t",
    "[CLS] [SEP] [MASK] <pad> <s> </s> <unk>", "[[CLS]]", "[SEP", "<<s>>", "x[MASK]y", "<s><s></s>", "\u2581[SEP]\u2581",
    "zero\u200bwidth\u200c\u200d\ufeff joiners", "\ufeffmark", "soft\u00adhyphen", "right\u202eto\u202cleft",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 emoji \U0001f1e9\U0001f1ea \u2764\ufe0f",
    "e\u0301 and \u00e9", "\u0130stanbul \u1e9e \u00df \ufb01", "\u03a3\u03b1\u03c3 \u03a3", "\u3000wide\u2003space\u00a0here",
    "\u201cquoted\u201d \u2013 dash \u20ac \u2026", "\u4e2d\u6587\u5b57\u7b26 \u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u0939\u093f\u0928\u094d\u0926\u0940",
    "a" * 5000, "1" * 300, "!" * 300, "\U00010348 \U000e0001 \uffff", "NUL\x00inside\x07bell",
]  # fmt: skip


def _made():
    """A vocabulary whose special pieces match inside text, as the published one's do; and sentences."""
    rng = random.Random(0)
    sentences = [" ".join(rng.choices(WORDS, k=rng.randint(1, 30))) + f", {rng.randint(0, 99)}." for _ in range(2000)]
    model = sentence_piece(sentences, 200, unk_id=20, user_defined_symbols=["</s>", "<s>", "[CLS]", "[SEP]", "[MASK]"])
    return model, sentences


def _trained_here():
    rng = random.Random(1)
    sentences = [" ".join(rng.choices(WORDS, k=8)).capitalize() + "." for _ in range(500)]
    return train_vocabulary(sentences, 150), sentences


def _real():
    folder = Path(os.environ["BIGBIRD_DATA"])
    lines = [
        column
        for file in sorted(folder.glob("glue/*/*.tsv"))
        for line in file.read_text(encoding="utf-8").splitlines()
        for column in line.split("\t")
        if len(column) > 8
    ]
    return (folder / "gpt2.model").read_bytes(), lines


SOURCES = {"made": _made, "trained here": _trained_here} | ({"real": _real} if "BIGBIRD_DATA" in os.environ else {})


@pytest.fixture(scope="module", params=SOURCES)
def source(request):
    return SOURCES[request.param]()


@pytest.fixture(scope="module", params=[False, True], ids=["cased", "lower-cased"])
def tokenizers(request, source, tmp_path_factory):
    """The vocabulary, the graph of an exported and reloaded tokeniser, and plain SentencePiece."""
    from bigbird.serving.tokenizer import GraphTokenizer

    vocabulary = Vocabulary(source[0], lower_case=request.param)
    module = GraphTokenizer(vocabulary)
    module.serve = tf.function(module.encode, input_signature=[tf.TensorSpec([None], tf.string)])
    folder = str(tmp_path_factory.mktemp("saved"))
    tf.saved_model.save(module, folder)
    library = sentencepiece.SentencePieceProcessor(model_proto=source[0])
    return vocabulary, tf.saved_model.load(folder).serve, library


def _assert_equal(texts, vocabulary, graph, library):
    ours = [ids.tolist() for ids in vocabulary.encode(texts)]
    exported = graph(tf.constant([text.encode() for text in texts])).to_list()
    for text, here, there in zip(texts, ours, exported, strict=True):
        assert here == there, repr(text[:200])
    offsets = [pieces.ids.tolist() for pieces in vocabulary.encode_with_offsets(texts)]
    assert offsets == ours
    assert [library.encode(vocabulary.clean(text)) for text in texts] == ours


def test_sentences_are_cut_into_the_same_pieces(source, tokenizers, record_property):
    vocabulary, graph, library = tokenizers
    sentences = source[1]
    _assert_equal(sentences, vocabulary, graph, library)
    # Nothing to clean, nothing changed: plain SentencePiece gives the same.
    plain = [
        text
        for text in sentences
        if not vocabulary.lower_case and not re.search(r"[\x00-\x1f\s\[<]", text.replace(" ", ""))
    ]
    assert vocabulary.lower_case or len(plain) > len(sentences) // 2
    assert [library.encode(text) for text in plain] == [ids.tolist() for ids in vocabulary.encode(plain)]
    record_property("sentences", len(sentences))
    print(f"{len(sentences):,} sentences equal, {len(plain):,} of them to plain SentencePiece")


def test_odd_strings_are_cut_into_the_same_pieces(tokenizers):
    vocabulary, graph, library = tokenizers
    _assert_equal(NASTY, vocabulary, graph, library)
    forged = {vocabulary.cls_id, vocabulary.sep_id, vocabulary.mask_id, vocabulary.pad_id}
    assert not any(forged & set(ids.tolist()) for ids in vocabulary.encode(NASTY))


@pytest.mark.parametrize("shift", [-1, 0, 1])
def test_a_long_run_of_unknown_characters_is_cut_at_the_same_places(tokenizers, shift):
    """Joining one takes TensorFlow's SentencePiece quadratic time."""
    vocabulary, graph, library = tokenizers
    run = "\u20ac\U0001f989" * (UNKNOWN_RUN // 2)
    texts = [
        "",
        run + "\u6f22" * shift,
        f"ant {run}{'!' * shift}",
        f"{run}bee{run}\u20ac{run} cat\n{run}\u20ac",
        "\u20ac" * 30_000,
        run,
    ]
    _assert_equal(texts, vocabulary, graph, library)
    cleaned = vocabulary.clean("\u20ac" * 2500)
    assert [i for i, character in enumerate(cleaned) if character == " "] == [1000, 2001]
    assert vocabulary.clean(run) == run
    assert vocabulary.clean("ant" * 1000) == "ant" * 1000  # what has pieces stays whole
    assert vocabulary.clean(f"{run}bee{run}") == f"{run}bee{run}"


def test_random_characters_are_cut_into_the_same_pieces(tokenizers):
    rng = np.random.default_rng(0)
    planes = [(0x20, 0x7F), (0, 0x3000), (0x3000, 0xD800), (0xE000, 0x20000)]
    texts = ["".join(map(chr, rng.integers(*planes[i % len(planes)], size=rng.integers(1, 60)))) for i in range(2000)]
    _assert_equal(texts, *tokenizers)


def test_a_text_of_a_megabyte_is_cut_into_the_same_pieces(source, tokenizers):
    text, sentences = [], source[1]
    while sum(map(len, text)) < 1_000_000:
        text += sentences[:1000]
    joined = "\n".join(text)[:1_000_000]
    _assert_equal([joined], *tokenizers)


@pytest.fixture(scope="module")
def with_runs():
    """A vocabulary with pieces such as "7", "77" and "777"; the library's own version, and texts full of runs."""
    rng = random.Random(2)

    def run(most=12):
        return rng.choice("0376-.a") * rng.randint(1, most)

    numbers = [str(rng.randint(0, 99_999)) for _ in range(3000)]
    sentences = [f"{rng.choice(WORDS)}{run(2)} {number}{run(2)} {rng.choice(WORDS)}" for number in numbers]
    model = train_vocabulary(sentences, 400)
    texts = [f"{rng.choice(['', ' ', 'x', 'a '])}{run()}{rng.choice(['', ' ', '5', '.'])}{run()}" for _ in range(3000)]
    return Vocabulary(model), sentencepiece.SentencePieceProcessor(model_proto=model), ["", *texts, ""]


def test_runs_of_one_character_are_cut_alike(with_runs):
    """777 is as likely 7 and 77 as 77 and 7, and the two libraries choose differently."""
    from bigbird.serving.tokenizer import GraphTokenizer

    vocabulary, library, texts = with_runs
    assert vocabulary.orders_runs
    ours = [ids.tolist() for ids in vocabulary.encode(texts)]
    graph = GraphTokenizer(vocabulary)
    cleaned = graph.clean(tf.constant(texts))
    plain = graph._sentencepiece.tokenize(cleaned).to_list()
    assert sum(here != there for here, there in zip(ours, plain, strict=True)) > 100  # the case is real
    assert graph.encode(tf.constant(texts)).to_list() == ours
    sorted_alike = [sorted(ids) for ids in library.encode([vocabulary.clean(text) for text in texts])]
    assert [sorted(ids) for ids in ours] == sorted_alike

    places = vocabulary.encode_with_offsets(texts)
    assert [pieces.ids.tolist() for pieces in places] == ours
    found = graph.encode_with_offsets(tf.constant(texts))
    assert found.ids.to_list() == ours
    for text, pieces, starts, ends in zip(texts, places, found.starts.to_list(), found.ends.to_list(), strict=True):
        for i, id_ in enumerate(pieces.ids.tolist()):
            piece = library.id_to_piece(id_).replace("\u2581", "")
            assert text[pieces.starts[i] : pieces.ends[i]] == piece
            assert text[starts[i] : ends[i]].strip() == piece


def test_models_of_other_kinds_cut_runs_in_one_way_only():
    sentences = [f"ant {'7' * n} bee {'-' * n}" for n in range(1, 12)] * 30
    model = sentence_piece(sentences, 40, model_type="bpe", user_defined_symbols=["[CLS]", "[SEP]", "[MASK]"])
    vocabulary = Vocabulary(model)
    assert not vocabulary.orders_runs
    library = sentencepiece.SentencePieceProcessor(model_proto=model)
    texts = ["7" * n for n in range(1, 30)]
    assert [ids.tolist() for ids in vocabulary.encode(texts)] == library.encode(texts)
