import json
import random
import unicodedata

import numpy as np
import pytest
import tokenizers

from bigbird.support.errors import InputError
from bigbird.text.vocabulary import Vocabulary
from tests.vocabularies import WORDS, tokenizer_json, word_piece

VOCAB = word_piece()
FIRST = {"[PAD]": 0, "[UNK]": 2, "[CLS]": 3, "[SEP]": 4, "[MASK]": 5}


def shown(vocabulary, text):
    (pieces,) = vocabulary.encode_with_offsets([text])
    names = [vocabulary.pieces[number] for number in pieces.ids]
    return list(zip(names, pieces.starts.tolist(), pieces.ends.tolist(), strict=True))


def test_special_pieces_are_found_by_name_wherever_they_stand():
    vocabulary = Vocabulary(VOCAB)
    assert (vocabulary.kind, vocabulary.file, vocabulary.size) == (
        "wordpiece",
        "tokenizer.json",
        len(VOCAB.split(b"\n")) - 1,
    )
    ids = (vocabulary.pad_id, vocabulary.unk_id, vocabulary.cls_id, vocabulary.sep_id, vocabulary.mask_id)
    assert ids == tuple(FIRST.values())
    assert (vocabulary.passage_id, vocabulary.empty_id) == (4, 3)


def test_pieces_and_their_characters_in_the_text_as_typed():
    vocabulary = Vocabulary(VOCAB)
    assert shown(vocabulary, "  The Antcat, \u00c9el\x07s") == [
        ("t", 2, 3), ("##h", 3, 4), ("##e", 4, 5), ("ant", 6, 9), ("##c", 9, 10), ("##a", 10, 11), ("##t", 11, 12), (",", 12, 13),
        ("eel", 14, 17), ("##s", 18, 19),
    ]  # fmt: skip
    assert shown(vocabulary, "ca\u0301t\u4e2dant") == [("cat", 0, 4), ("\u4e2d", 4, 5), ("ant", 5, 8)]
    assert shown(vocabulary, "\ud55c") == [("\u1112", 0, 1), ("##\u1161", 0, 1), ("##\u11ab", 0, 1)]
    assert shown(vocabulary, "a" * 100)[0] == ("a", 0, 1)
    assert shown(vocabulary, f"ant {'a' * 101} bee") == [("ant", 0, 3), ("[UNK]", 4, 105), ("bee", 106, 109)]
    assert shown(vocabulary, "\x00 \t\ufffd\u200d") == []


def test_text_cannot_forge_special_pieces():
    vocabulary = Vocabulary(VOCAB)
    (ids,) = vocabulary.encode(["ant [MASK] [CLS][SEP] [PAD] [UNK] [unused1]"])
    assert not {0, 1, 3, 4, 5} & set(ids.tolist())
    assert shown(vocabulary, "[MASK]") == [("[", 0, 1), ("mask", 1, 5), ("]", 5, 6)]


def test_words_begin_without_the_prefix_and_special_pieces_are_no_text():
    vocabulary = Vocabulary(VOCAB)
    begins = {piece for piece, flag in zip(vocabulary.pieces, vocabulary.begins_word, strict=True) if flag}
    assert {"ant", ",", "[SEP]"} <= begins and not any(piece.startswith("##") for piece in begins)
    no_text = {piece for piece, flag in zip(vocabulary.pieces, vocabulary.is_text, strict=True) if not flag}
    assert no_text == {*FIRST, "[unused1]"}


@pytest.mark.parametrize("lower_case", [True, False])
@pytest.mark.parametrize("strip_accents", [None, True, False])
def test_it_is_the_fast_tokenizer_of_the_reference(lower_case, strip_accents):
    """Ids and offsets, special pieces in text read as text."""
    changes = {"lowercase": lower_case, "strip_accents": strip_accents}
    content = tokenizer_json(word_piece(cased=not lower_case), normalizer=changes)
    reference = tokenizers.Tokenizer.from_str(content.decode())
    reference.no_truncation()
    reference.encode_special_tokens = True
    rng = random.Random(0)
    characters = [chr(point) for point in range(0x30000) if unicodedata.category(chr(point)) not in ("Cn", "Co", "Cs")]
    texts = ["".join(rng.choices([*"abc [MASK]", rng.choice(characters), " ", "ant"], k=20)) for _ in range(500)]
    texts += ["".join(rng.choices(characters, k=30)) for _ in range(500)]
    vocabulary = Vocabulary(content)
    assert vocabulary.lower_case == lower_case
    located = vocabulary.encode_with_offsets(texts)
    for text, ids, pieces, expected in zip(
        texts, vocabulary.encode(texts), located, reference.encode_batch(texts, add_special_tokens=False), strict=True
    ):
        assert ids.dtype == np.int32 and ids.tolist() == pieces.ids.tolist() == expected.ids, text
        assert list(zip(pieces.starts.tolist(), pieces.ends.tolist(), strict=True)) == expected.offsets, text


def test_no_texts_and_empty_ones():
    vocabulary = Vocabulary(VOCAB)
    assert vocabulary.encode([]) == vocabulary.encode_with_offsets([]) == []
    (ids,), (pieces,) = vocabulary.encode([" "]), vocabulary.encode_with_offsets([""])
    assert len(ids) == len(pieces.ids) == len(pieces.starts) == 0 and pieces.starts.dtype == np.int32


def test_what_is_stored_is_the_same_vocabulary_and_loads_in_the_reference():
    vocabulary = Vocabulary(VOCAB)
    again = Vocabulary(vocabulary.serialized)
    assert (again.serialized, again.sha256, again.settings) == (
        vocabulary.serialized,
        vocabulary.sha256,
        vocabulary.settings,
    )
    reference = tokenizers.Tokenizer.from_str(vocabulary.serialized.decode())
    assert reference.encode("ant bee").ids == [3, *vocabulary.encode(["ant bee"])[0].tolist(), 4]
    assert Vocabulary(VOCAB, lower_case=False).sha256 == vocabulary.sha256  # the manifest has that beside it
    assert Vocabulary(tokenizer_json(VOCAB, normalizer={"strip_accents": False})).sha256 != vocabulary.sha256


@pytest.mark.parametrize(
    ("files", "lower_case"),
    [
        ({}, True),
        ({"vocab.txt": word_piece(cased=True)}, False),
        ({"tokenizer_config.json": b'{"do_lower_case": false, "tokenizer_class": "BertTokenizer"}'}, False),
        ({"vocab.txt": word_piece(cased=True), "tokenizer_config.json": b'{"do_lower_case": true}'}, True),
        ({"tokenizer.json": tokenizer_json(VOCAB, normalizer={"lowercase": False})}, False),
    ],
)
def test_lower_case_is_as_the_files_beside_say_else_as_the_pieces_are(tmp_path, caplog, files, lower_case):
    for name, content in {"vocab.txt": VOCAB, **files}.items():
        (tmp_path / name).write_bytes(content)
    found = Vocabulary(tmp_path / "vocab.txt")
    assert found.lower_case == lower_case
    assert Vocabulary(tmp_path).lower_case == lower_case
    assert ("capital letters" in caplog.text) == (not set(files) - {"vocab.txt"})
    assert Vocabulary(tmp_path, lower_case=not lower_case).lower_case != lower_case


def test_accents_follow_the_lower_case_unless_they_are_said(tmp_path):
    (tmp_path / "vocab.txt").write_bytes(VOCAB)
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": true, "strip_accents": false}')
    assert [name for name, *_ in shown(Vocabulary(tmp_path), "\u00c9")] == ["\u00e9"]
    assert [name for name, *_ in shown(Vocabulary(VOCAB), "\u00c9")] == ["e"]
    assert [name for name, *_ in shown(Vocabulary(VOCAB, lower_case=False), "\u00e9")] == ["\u00e9"]


def test_equal_lines_count_once_and_keep_the_numbers_of_the_others():
    content = VOCAB.replace(b"ant\n", b"ant\nant\n")
    vocabulary = Vocabulary(content)
    assert vocabulary.size == Vocabulary(VOCAB).size + 1
    lines = content.split(b"\n")
    assert vocabulary.encode(["ant"])[0].tolist() == [lines.index(b"ant") + 1]
    assert Vocabulary(vocabulary.serialized).size == vocabulary.size and not vocabulary.is_text[lines.index(b"ant")]


def test_lines_may_end_as_windows_has_them():
    assert Vocabulary(VOCAB.replace(b"\n", b"\r\n")).sha256 == Vocabulary(VOCAB).sha256


BPE = b'{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (VOCAB.replace(b"[MASK]\n", b""), r"v: of \d+ pieces none is \[MASK\]; BigBird needs"),
        (BPE, "v: is a byte-level BPE vocabulary .* which is not built; start from"),
        (b'{"a": 0, "b": 1}', "v: is a byte-level BPE vocabulary"),
        (b"#version: 0.2\na b\n", "v: is a byte-level BPE vocabulary"),
        (b'{"model": {"type": "Unigram", "vocab": []}}', r"v: its model is Unigram, expected WordPiece; .* \.model file"),
        (b'{"model": ', "v.*JSON"),
        (b"{}", "v: has no model; expected"),
        (tokenizer_json(VOCAB, normalizer=None), "v: has no normalizer"),
        (tokenizer_json(VOCAB, normalizer={"type": "Lowercase"}), "v: normalizer.type is 'Lowercase'; of WordPiece only 'BertNorm"),
        (tokenizer_json(VOCAB, normalizer={"clean_text": False}), "v: normalizer.clean_text is 'False'"),
        (tokenizer_json(VOCAB, normalizer={"lowercase": "yes"}), "v: normalizer.lowercase is 'yes': "),
        (tokenizer_json(VOCAB, pre_tokenizer={"type": "Whitespace"}), "v: pre_tokenizer.type is 'Whitespace'"),
        (tokenizer_json(VOCAB, model={"max_input_chars_per_word": 0}), "v: model.max_input_chars_per_word is '0'"),
        (tokenizer_json(VOCAB, model={"vocab": {"a": 0, "b": 0}}), "v: model.vocab: 'a' and 'b' have the same number, 0"),
        (tokenizer_json(VOCAB, model={"vocab": {"a": -1}}), "v: model.vocab: piece 'a' has the number -1"),
        (tokenizer_json(VOCAB, model={"vocab": []}), "v: model.vocab is not there"),
        (tokenizer_json(VOCAB, added_tokens=[{"id": 999, "content": "myocarditis"}]), "v: added_tokens has 'myocarditis'"),
    ],
)  # fmt: skip
def test_what_is_not_built_or_damaged_is_refused(content, message):
    with pytest.raises(InputError, match=message):
        Vocabulary(content, name="v")


def test_folders_without_a_vocabulary_that_is_read_are_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"holds no vocabulary; expected vocab.model or .* found config.json"):
        Vocabulary(tmp_path)
    (tmp_path / "vocab.json").write_text("{}")
    (tmp_path / "merges.txt").write_text("")
    with pytest.raises(InputError, match="byte-level BPE"):
        Vocabulary(tmp_path)
    (tmp_path / "vocab.txt").write_bytes(VOCAB)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertJapaneseTokenizer"}))
    with pytest.raises(InputError, match="tokenizer_class is 'BertJapaneseTokenizer'"):
        Vocabulary(tmp_path)


def test_words_are_pieces():
    assert [len(ids) for ids in Vocabulary(VOCAB).encode(WORDS)] == [1] * len(WORDS)
