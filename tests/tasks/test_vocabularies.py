"""Every family with every kind of vocabulary."""

import random

import numpy as np
import pytest
import tensorflow as tf

from bigbird.manifests import DatasetManifest
from bigbird.records import features
from bigbird.tasks.pretraining.config import PretrainingDataConfig
from bigbird.tasks.pretraining.masking import Masker
from bigbird.text.vocabulary import Vocabulary
from bigbird_components.preprocess.preprocess import preprocess
from tests.tasks.small_inputs import SMALL_INPUTS
from tests.tasks.small_inputs import WORDS as IN_TEXTS
from tests.vocabularies import of_kind, word_piece

KINDS = ("wordpiece", "xlm_roberta")
WORDS = tuple({*IN_TEXTS, *"who is the builder king".split()})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", sorted(SMALL_INPUTS))
def test_records_are_laid_out_with_the_kinds_own_special_pieces(family, kind, tmp_path):
    (tmp_path / "raw").mkdir()
    task, arguments = SMALL_INPUTS[family](tmp_path / "raw", random.Random(family))
    arguments = {"max_length": 40, **arguments}
    (tmp_path / "vocabulary").write_bytes(of_kind(kind, WORDS))
    vocabulary = Vocabulary(tmp_path / "vocabulary")
    manifest = preprocess(task, str(tmp_path / "dataset"), vocabulary=str(tmp_path / "vocabulary"), **arguments)
    facts = DatasetManifest.read(tmp_path / "dataset").vocabulary
    assert (facts.kind, facts.file, facts.sha256) == (kind, vocabulary.file, vocabulary.sha256)
    assert (facts.size, facts.lower_case, facts.settings) == (vocabulary.size, kind == "wordpiece", vocabulary.settings)
    assert (tmp_path / "dataset" / facts.file).read_bytes() == vocabulary.serialized
    begin = vocabulary.cls_id if family != "triviaqa" else None
    for facts_of_split in manifest.splits.values():
        for file in facts_of_split.files:
            for record in map(features.decode, features.read_records(str(tmp_path / "dataset" / file))):
                ids = next(record[name] for name in ("input_ids", "input_word_ids", "token_ids") if name in record)
                assert begin in (None, ids[0]) and ids[-1] in (vocabulary.sep_id, vocabulary.empty_id)
                assert vocabulary.unk_id not in ids and vocabulary.mask_id not in ids
    if family == "squad":  # every answer is found, to the character
        train = manifest.splits["train"]
        assert (train.lost_answers, train.exact_answers) == (0, 10)


@pytest.mark.parametrize("kind", KINDS)
def test_whole_words_are_masked(kind):
    """The words' other pieces go with the first one."""
    vocabulary = Vocabulary(of_kind(kind, ("ant", "elope", "bee", "hive", "cat", "kin")))
    text = "antelope beehive catkin " * 6
    (pieces,) = vocabulary.encode([text])
    assert vocabulary.is_text[pieces].all() and not vocabulary.begins_word[pieces].all()
    ids = np.array([[vocabulary.cls_id, *pieces, vocabulary.sep_id, *[vocabulary.pad_id] * 9]], np.int32)
    masker = Masker(vocabulary, PretrainingDataConfig(masking="whole_word"))
    drawn = np.zeros(ids.shape[1], bool)
    for seed in range(20):
        out = masker(tf.constant(ids), tf.constant([len(pieces) + 2], tf.int64), tf.constant([[seed, 1]], tf.int64))
        positions = out["masked_lm_positions"].numpy()[0][out["masked_lm_weights"].numpy()[0] > 0]
        assert len(positions) and positions.min() > 0 and positions.max() <= len(pieces)
        words = np.cumsum(vocabulary.begins_word[pieces])[positions - 1]
        whole = [np.flatnonzero(np.cumsum(vocabulary.begins_word[pieces]) == word) + 1 for word in np.unique(words)]
        assert sorted(positions) == sorted(np.concatenate(whole))
        drawn[positions] = True
    assert drawn.sum() > len(pieces) // 2
    hidden = out["input_word_ids"].numpy()[0]
    assert (hidden[len(pieces) + 1 :] == ids[0, len(pieces) + 1 :]).all()


def test_other_lower_case_than_the_vocabularys_is_kept_for_the_workers(tmp_path):
    (tmp_path / "raw").mkdir()
    task, arguments = SMALL_INPUTS["glue"](tmp_path / "raw", random.Random(0))
    (tmp_path / "vocab.txt").write_bytes(word_piece())
    manifest = preprocess(
        task, str(tmp_path / "d"), vocabulary=str(tmp_path), lower_case=False, max_length=40, **arguments
    )
    assert manifest.vocabulary.lower_case is False
    assert Vocabulary(tmp_path / "d" / manifest.vocabulary.file).lower_case is False
