"""What is labelled: words and pieces of any script, with exact places; the same in the graph."""

import random

import pytest
import tensorflow as tf

from bigbird.serving.tokenizer import GraphTokenizer, repair
from bigbird.tasks.token_labels.encoding import Layout
from bigbird.tasks.token_labels.serving import SpanLabeler
from bigbird.tasks.token_labels.words import MARK, Characters, find_units, find_words
from bigbird.text.sentence_piece import train_vocabulary
from bigbird.text.vocabulary import Vocabulary
from tests.tasks.token_labels.texts import made_up_text
from tests.vocabularies import word_piece


@pytest.fixture(scope="module", params=["trained here", "cased", "uncased"])
def vocabulary(request, tmp_path_factory):
    """An uncased WordPiece vocabulary strips accents and takes Korean syllables apart."""
    if request.param == "trained here":
        rng = random.Random(3)
        return Vocabulary(train_vocabulary([made_up_text(rng) for _ in range(300)], 300))
    file = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    file.write_bytes(word_piece(cased=request.param == "cased"))
    return Vocabulary(file)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Anna Kern, 1904.", ["Anna", "Kern", ",", "1904", "."]),
        ("don't  stop\r\nnow", ["don", "'", "t", "stop", "now"]),
        ("安娜在1904年", ["安", "娜", "在", "1904", "年"]),
        ("こんにちはAnna", ["こ", "ん", "に", "ち", "は", "Anna"]),
        ("e\u0301te\u0301 fini", ["e\u0301te\u0301", "fini"]),
        ("a👩\u200d🚀b 👍🏽!", ["a", "👩\u200d🚀", "b", "👍🏽", "!"]),
        ("ก็ดี", ["ก็", "ดี"]),
        ("co\u00adop\u200bx", ["co\u00adop", "x"]),
        ("\ufeffAnna", ["Anna"]),
        ("\uf0b7anna", ["\uf0b7", "anna"]),
        ("\u200b \t", []),
        ("", []),
    ],
)
def test_words_of_any_script(text, expected):
    assert [word for word, _, _ in find_words(text)] == expected


def test_units_begin_and_end_with_visible_characters(vocabulary):
    rng = random.Random(5)
    for unit in ("words", "pieces"):
        for text in (made_up_text(rng) for _ in range(100)):
            (pieces,) = vocabulary.encode_with_offsets([text])
            units = find_units(text, pieces, unit)
            classes = Characters.of(text).classes
            assert (units.starts < units.ends).all() and (units.ends[:-1] <= units.starts[1:]).all()
            for start, end in zip(units.starts, units.ends, strict=True):
                part = text[start:end]
                assert part == part.strip() and part
                assert end == len(text) or classes[end] != MARK, "a character is cut"
            if (
                unit == "words" and not vocabulary.lower_case
            ):  # every visible word is in one; an uncased vocabulary leaves signs out
                covered = set().union(*(range(start, end) for start, end in zip(units.starts, units.ends, strict=True)))
                assert set(Characters.of(text).bases.tolist()) <= covered


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Jose\u0301 lives.", ["Jose\u0301", "lives", "."]),
        ("한한 ok", ["한한", "ok"]),
        ("paid by \uf0b7anna kern", ["paid", "by", "anna", "kern"]),
    ],
)
def test_a_word_is_one_unit_and_whole_whatever_the_vocabulary_strips(tmp_path, text, expected):
    (tmp_path / "vocab.txt").write_bytes(word_piece())
    vocabulary = Vocabulary(tmp_path / "vocab.txt")
    (pieces,) = vocabulary.encode_with_offsets([text])
    units = find_units(text, pieces, "words")
    assert [text[start:end] for start, end in zip(units.starts, units.ends, strict=True)] == expected
    of_pieces = find_units(text, pieces, "pieces")
    assert (of_pieces.starts[1:] >= of_pieces.ends[:-1]).all()


@pytest.mark.parametrize("unit", ["words", "pieces"])
def test_the_graph_finds_the_same_units_in_1000_texts(vocabulary, unit):
    labeler = SpanLabeler.__new__(SpanLabeler)
    tf.Module.__init__(labeler, name="labeler")
    from bigbird.tasks.token_labels.words import character_classes

    labeler._tokenizer, labeler._classes = GraphTokenizer(vocabulary), tf.constant(character_classes())
    labeler._layout = Layout(32, 24, unit)
    rng = random.Random(7)
    texts = [made_up_text(rng) for _ in range(500)]
    texts[5:8] = [
        "한 한한 ok",
        "\u0301 Jose\u0301",
        "\u0301\u0301 \uf0b7a",
    ]  # marks at the beginning of a text are no other text's

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def units_of(texts):
        text = repair(texts)
        points = tf.strings.unicode_decode(text, "UTF-8")
        pieces = labeler._tokenizer.encode_with_offsets(text)
        units = labeler._units(pieces, points)
        firsts = pieces.ids.row_starts(), points.row_starts()
        return (*units, *firsts)

    for batch in (texts[i : i + 100] for i in range(0, len(texts), 100)):
        pieces, starts, ends, row, first_piece, first_character = (
            each.numpy() for each in units_of(tf.constant(batch))
        )
        for number, (text, expected) in enumerate(zip(batch, vocabulary.encode_with_offsets(batch), strict=True)):
            wanted, mine = find_units(text, expected, unit), row == number
            assert (pieces[mine] - first_piece[number]).tolist() == wanted.pieces.tolist()
            assert (starts[mine] - first_character[number]).tolist() == wanted.starts.tolist()
            assert (ends[mine] - first_character[number]).tolist() == wanted.ends.tolist()
