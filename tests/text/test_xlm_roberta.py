import json

import numpy as np
import pytest
import sentencepiece

from bigbird.support.errors import InputError
from bigbird.text.vocabulary import Vocabulary
from tests.vocabularies import sentences, xlm_roberta


@pytest.fixture(scope="module")
def model():
    return xlm_roberta()


def test_ids_are_those_of_the_reference(model):
    """XLMRobertaTokenizer: <s> 0, <pad> 1, </s> 2, <unk> 3, each other piece one higher than its number, <mask> at the end."""
    vocabulary, library = Vocabulary(model), sentencepiece.SentencePieceProcessor(model_proto=model)
    assert (vocabulary.kind, vocabulary.file, vocabulary.size) == ("xlm_roberta", "vocab.model", len(library) + 2)
    ids = (vocabulary.cls_id, vocabulary.pad_id, vocabulary.sep_id, vocabulary.unk_id, vocabulary.mask_id)
    assert ids == (0, 1, 2, 3, len(library) + 1)
    texts = [*sentences()[:50], "ant \u20ac bee", "<s> </s> <mask> <unk>"]
    expected = [[piece + 1 if piece else 3 for piece in library.encode(text)] for text in texts]
    assert [found.tolist() for found in vocabulary.encode(texts)] == expected
    assert [pieces.ids.tolist() for pieces in vocabulary.encode_with_offsets(texts)] == expected
    assert all(found.dtype == np.int32 for found in vocabulary.encode(texts))
    assert not {0, 1, 2, vocabulary.mask_id} & set(vocabulary.encode(texts)[-1].tolist())


def test_words_and_text_are_told_by_id(model):
    vocabulary = Vocabulary(model)
    (pieces,) = vocabulary.encode_with_offsets(["Ant bee"])
    begins = pieces.starts[vocabulary.begins_word[pieces.ids]].tolist()
    assert begins == [0, 4]
    assert vocabulary.is_text[pieces.ids].all()
    special = [vocabulary.cls_id, vocabulary.pad_id, vocabulary.sep_id, vocabulary.unk_id, vocabulary.mask_id]
    assert not vocabulary.is_text[special].any() and vocabulary.is_text.sum() == vocabulary.size - len(special)


def test_a_folder_of_hugging_face_is_read_and_one_with_other_ids_refused(model, tmp_path):
    (tmp_path / "sentencepiece.bpe.model").write_bytes(model)
    (tmp_path / "tokenizer.json").write_text('{"model": {"type": "Unigram"}}')
    (tmp_path / "config.json").write_text('{"model_type": "xlm-roberta"}')
    assert Vocabulary(tmp_path).sha256 == Vocabulary(model).sha256
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CamembertTokenizer"}))
    with pytest.raises(InputError, match="tokenizer_class is CamembertTokenizer; of such vocabularies only XLM-R's"):
        Vocabulary(tmp_path)
