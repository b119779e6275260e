import random
import re

import numpy as np
import pytest

from bigbird.support.errors import InputError
from bigbird.text.sentence_piece import LOWER_CASE_RULES, UNKNOWN_RUN, train_vocabulary
from bigbird.text.vocabulary import WHITESPACE, Vocabulary
from tests.vocabularies import sentence_piece

WORDS = "ant bee cat dog eel fox gnu hen ibis jay kite lynx mole newt owl pig quail rat seal toad".split()


def sentences(count=400, seed=0):
    generator = random.Random(seed)
    return [
        " ".join(generator.choices(WORDS, k=8)).capitalize() + f", {generator.randint(0, 99)}." for _ in range(count)
    ]


@pytest.fixture(scope="module")
def model():
    return train_vocabulary(sentences(), 200)


@pytest.fixture(scope="module")
def marked_model():
    """A model whose special pieces match inside text, as the published one's do."""

    return sentence_piece(sentences(), 200, unk_id=100, user_defined_symbols=["<s>", "[CLS]", "[SEP]", "[MASK]", "7"])


def test_trained_vocabulary_has_pad_at_zero_and_finds_special_pieces_by_name(model):
    vocabulary = Vocabulary(model)
    assert vocabulary.pad_id == 0
    assert vocabulary.unk_id == 1
    assert [vocabulary.cls_id, vocabulary.sep_id, vocabulary.mask_id] == [2, 3, 4]


def test_special_pieces_are_found_wherever_they_stand(marked_model):
    vocabulary = Vocabulary(marked_model)
    assert vocabulary.unk_id == 100
    assert len({vocabulary.pad_id, vocabulary.unk_id, vocabulary.cls_id, vocabulary.sep_id, vocabulary.mask_id}) == 5


def test_training_twice_gives_the_same_bytes(model):
    assert train_vocabulary(sentences(), 200) == model


def test_training_shrinks_the_size_to_what_little_text_holds():
    assert Vocabulary(train_vocabulary(sentences(20), 8000)).size < 400


def test_training_on_a_text_longer_than_a_sentence_may_be_uses_all_of_it():
    vocabulary = Vocabulary(train_vocabulary([" ".join(sentences(300)) + " zzzzzzzz" * 50], 200))
    (ids,) = vocabulary.encode(["zz"])
    assert vocabulary.unk_id not in ids


def test_training_refuses_no_text_and_too_few_pieces():
    with pytest.raises(InputError, match="no text to train on"):
        train_vocabulary([" \n"], 100)
    with pytest.raises(InputError, match=r"characters alone take \d+; raise --vocabulary-size"):
        train_vocabulary(sentences(), 10)


def test_no_trained_piece_joins_a_word_to_its_punctuation(model):
    text = "Cat dog, 42."
    pieces = Vocabulary(model).encode_with_offsets([text])[0]
    shown = [text[a:b] for a, b in zip(pieces.starts, pieces.ends, strict=True)]
    assert not any("," in piece and len(piece) > 1 for piece in shown)


def test_cleaning_keeps_every_position(marked_model):
    text = "Cat\tdog\n\x00 [SEP] <s> \u2003İΣΑΣ [CLS][MASK] 7 <x> \u3000"
    for lower_case in (False, True):
        cleaned = Vocabulary(marked_model, lower_case).clean(text)
        assert len(cleaned) == len(text)
        assert cleaned[:8] == ("cat dog " if lower_case else "Cat dog ")


def test_text_cannot_forge_special_pieces(marked_model):
    vocabulary = Vocabulary(marked_model)
    forged = {vocabulary.cls_id, vocabulary.sep_id, vocabulary.mask_id}
    (ids,) = vocabulary.encode(["cat [SEP] dog [CLS][MASK] <s>[[SEP]"])
    assert not forged & set(ids.tolist())
    assert vocabulary.clean("[SEP] <s>") == "(SEP] (s>"


def test_user_defined_pieces_that_are_text_are_left_alone(marked_model):
    assert Vocabulary(marked_model).clean("7 cats") == "7 cats"


def test_lower_casing_replaces_character_by_character():
    vocabulary = Vocabulary(train_vocabulary(sentences(), 200), lower_case=True)
    every = "".join(chr(c) for c in range(0x21, 0x3000) if chr(c).upper() != chr(c) or chr(c).lower() != chr(c))
    cleaned = vocabulary.clean(every)
    assert len(cleaned) == len(every)
    assert vocabulary.clean("ΑΣ ΣΑ İ") == "ασ σα i"
    assert {old for old, _ in LOWER_CASE_RULES} == {"\u0130", "\u03a3"}


def test_printable_text_holds_nothing_that_cleaning_turns_into_a_space():
    """It is not looked through for that."""
    found = re.findall(WHITESPACE, "".join(map(chr, range(0x110000))))
    assert len(found) > 40 and not [character for character in found if character.isprintable()]


def test_cleaning_rules_mean_the_same_in_tensorflow(marked_model):
    import tensorflow as tf

    vocabulary = Vocabulary(marked_model)
    text = "a\tb\x00c\x1f\x85\xa0\u1680\u2003\u2028\u3000d [SEP][CLS] <s> [x] \u200b<"
    graph = tf.strings.regex_replace(text, WHITESPACE, " ")
    for pattern, rewrite in vocabulary.markup_rules:
        graph = tf.strings.regex_replace(graph, pattern, rewrite)
    assert graph.numpy().decode() == vocabulary.clean(text)


def test_offsets_are_characters_of_the_original_text_without_the_space_around(model):
    text = "  Cat \n\t dog,  héén €owl. "
    pieces = Vocabulary(model).encode_with_offsets([text])[0]
    shown = [text[a:b] for a, b in zip(pieces.starts, pieces.ends, strict=True)]
    assert "".join(shown) == "Catdog,héén€owl."
    assert all(piece == piece.strip() for piece in shown)


def test_any_run_of_pieces_gives_stripped_text(model):
    text = "Cat € dog,  (owl)  42. €"
    pieces = Vocabulary(model).encode_with_offsets([text])[0]
    n = len(pieces.ids)
    for i in range(n):
        for j in range(i, n):
            run = text[pieces.starts[i] : pieces.ends[j]]
            assert run == run.strip()


def test_encoding_with_and_without_offsets_gives_the_same_ids(model):
    vocabulary, texts = Vocabulary(model), [*sentences(30, seed=1), "", "   ", "\n", "[SEP] cat"]
    plain = vocabulary.encode(texts)
    for ids, pieces in zip(plain, vocabulary.encode_with_offsets(texts), strict=True):
        assert ids.dtype == np.int32
        np.testing.assert_array_equal(ids, pieces.ids)
    assert vocabulary.encode([]) == vocabulary.encode_with_offsets([]) == []


def test_a_vocabulary_without_special_pieces_is_refused_by_name(tmp_path):
    import io

    import sentencepiece

    writer = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences()),
        model_writer=writer,
        vocab_size=100,
        hard_vocab_limit=False,
        minloglevel=2,
        bos_id=-1,
    )
    file = tmp_path / "plain.model"
    file.write_bytes(writer.getvalue())
    with pytest.raises(
        InputError, match=r"plain\.model: of \d+ pieces none is <pad> or \[CLS\] or \[SEP\] or \[MASK\]"
    ):
        Vocabulary(file)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x0a\xff\xff"])
def test_a_file_that_is_no_model_is_refused(tmp_path, content):
    file = tmp_path / "vocab.model"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"vocab\.model: not a SentencePiece model"):
        Vocabulary(file)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"\xe2\x96\x81", b"\xe2\x96\xff", r"piece \d+ is b'\\xe2\\x96\\xff.*', which is not UTF-8\. The file is damaged"),
        (b"[CLS]\x15\0\0\0\0", b"[CLS]\x15\0\0\xc0\x7f", r"piece 2, '\[CLS\]', has the score nan\. The file is damaged"),
        (b"[SEP]\x15\0\0\0\0", b"[SEP]\x15\0\0\x80\xff", r"piece 3, '\[SEP\]', has the score -inf\. The file is damaged"),
        (b"[MASK]\x15\0\0\0\0\x18\x03", b"[MASK]\x15\0\0\0\0\x18\x09", r"piece 4, '\[MASK\]', is of type 9; expected 1 to 6\. The file"),
        (b"<unk>\x15\0\0\0\0\x18\x02", b"<unk>\x15\0\0\0\0\x18\x03", "not a SentencePiece model"),  # none is unknown
    ],
)  # fmt: skip
def test_a_model_of_which_bytes_are_damaged_is_refused(model, old, new, message):
    assert old in model
    with pytest.raises(InputError, match=f"v.model: {message}"):
        Vocabulary(model.replace(old, new, 1), name="v.model")


def test_another_unknown_piece_than_unk_is_refused(model):
    exchanged = model.replace(b"<unk>\x15\0\0\0\0\x18\x02", b"<unk>\x15\0\0\0\0\x18\x03", 1)
    exchanged = exchanged.replace(b"<pad>\x15\0\0\0\0\x18\x03", b"<pad>\x15\0\0\0\0\x18\x02", 1)
    with pytest.raises(
        InputError, match=r"its piece <unk>, number 1, is not the one for unknown characters\. The file"
    ):
        Vocabulary(exchanged)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"none\.model: cannot be read"):
        Vocabulary(tmp_path / "none.model")


def test_with_bytes_among_the_pieces_no_character_is_unknown_and_long_words_stay_whole(model):
    with_bytes = sentence_piece(sentences(), 600, byte_fallback=True, control_symbols=["[CLS]", "[SEP]", "[MASK]"])
    word = "\u20ac" * 2 * UNKNOWN_RUN
    assert Vocabulary(with_bytes).clean(word) == word
    assert Vocabulary(model).clean(word).count(" ") == 1
