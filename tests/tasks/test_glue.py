import numpy as np
import pytest

from bigbird.config import load_experiment, replace
from bigbird.records import features
from bigbird.support.errors import InputError
from bigbird.tasks.classification.glue import (
    GLUE_TASKS,
    GlueExample,
    encode_examples,
    find_files,
    parse,
    truncated_lengths,
)
from bigbird.tasks.classification.glue.family import FAMILY
from bigbird.tasks.records import BadRecords
from bigbird.text.sentence_piece import train_vocabulary
from bigbird.text.vocabulary import Vocabulary
from tests import manifests

# A header and a row of each official file: (task, split, lines, expected example).
MNLI_HEADER = (
    "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\tsentence2_parse\t"
    "sentence1\tsentence2"
)
OFFICIAL = [
    ("cola", "train", "gj04\t0\t*\tThey drank the pub.", (0, "They drank the pub.", None, "0")),
    ("cola", "test", "index\tsentence\n0\tBill whistled.", (0, "Bill whistled.", None, None)),
    ("sst2", "validation", "sentence\tlabel\nit 's a charm . \t1", (0, "it 's a charm . ", None, "1")),
    ("sst2", "test", "index\tsentence\n0\tuneasy", (0, "uneasy", None, None)),
    (
        "mrpc", "train", "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t70\t71\tHe said \"so.\tHe said so.",
        (0, 'He said "so.', "He said so.", "1"),
    ),
    ("mrpc", "test", "\ufeffindex\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t7\t8\tA.\tB.", (0, "A.", "B.", None)),
    (
        "qqp", "train", "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n5\t1\t2\tWhy?\tWhy not?\t0",
        (0, "Why?", "Why not?", "0"),
    ),
    ("qqp", "test", "id\tquestion1\tquestion2\n0\tWho?\tWhom?", (0, "Who?", "Whom?", None)),
    (
        "stsb", "train",
        ("index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
        "0\tnews\tf\t2012\t1\tnone\tnone\tA plane.\tAn air plane.\t5.000"),
        (0, "A plane.", "An air plane.", 5.0),
    ),
    (
        "mnli", "train", f"{MNLI_HEADER}\tlabel1\tgold_label\n0\t1\t1n\tg\tb\tb\tp\tp\tPrem.\tHyp.\tneutral\tneutral",
        (0, "Prem.", "Hyp.", "neutral"),
    ),
    (
        "mnli", "validation_mismatched",
        (f"{MNLI_HEADER}\tlabel1\tlabel2\tlabel3\tlabel4\tlabel5\tgold_label\n"
        "0\t1\t1n\tg\tb\tb\tp\tp\tPrem.\tHyp.\ta\tb\tc\td\te\tcontradiction"),
        (0, "Prem.", "Hyp.", "contradiction"),
    ),
    ("mnli", "test_matched", f"{MNLI_HEADER}\n0\t1\t1n\tg\tb\tb\tp\tp\tPrem.\tHyp.", (0, "Prem.", "Hyp.", None)),
    ("qnli", "train", "index\tquestion\tsentence\tlabel\n0\tQ?\tS.\tnot_entailment", (0, "Q?", "S.", "not_entailment")),
    ("rte", "train", "index\tsentence1\tsentence2\tlabel\n0\tA.\tB.\tentailment", (0, "A.", "B.", "entailment")),
    ("wnli", "train", "index\tsentence1\tsentence2\tlabel\n0\tA.\tB.\t1", (0, "A.", "B.", "1")),
    ("ax", "test", "index\tsentence1\tsentence2\n0\tA.\tB.", (0, "A.", "B.", None)),
]  # fmt: skip


def read(task, split, text, limit=0):
    bad = BadRecords(limit)
    data = text if isinstance(text, bytes) else text.encode()
    return list(parse(data, "file.tsv", GLUE_TASKS[task], split, bad)), bad


@pytest.mark.parametrize(("task", "split", "text", "expected"), OFFICIAL, ids=[f"{o[0]}-{o[1]}" for o in OFFICIAL])
def test_official_layouts_are_read(task, split, text, expected):
    for ending in ("", "\n", "\r\n"):
        examples, bad = read(task, split, text.replace("\n", "\r\n") + ending if ending == "\r\n" else text + ending)
        assert examples == [GlueExample(*expected)]
        assert not bad.rejected


def test_every_task_is_known_with_its_labels():
    assert list(GLUE_TASKS) == ["cola", "sst2", "mrpc", "qqp", "stsb", "mnli", "qnli", "rte", "wnli", "ax"]
    assert GLUE_TASKS["mnli"].labels == GLUE_TASKS["ax"].labels == ("entailment", "neutral", "contradiction")
    assert GLUE_TASKS["stsb"].labels is None
    assert GLUE_TASKS["stsb"].num_classes == 1
    assert GLUE_TASKS["mnli"].validation_split == "validation_matched"
    assert GLUE_TASKS["mnli"].submissions == {"test_matched": "MNLI-m.tsv", "test_mismatched": "MNLI-mm.tsv"}
    assert GLUE_TASKS["sst2"].submissions == {"test": "SST-2.tsv"}


def test_quotation_marks_and_unicode_line_separators_are_text():
    examples, _ = read("sst2", "train", 'sentence\tlabel\n"an open quote\t0\na\u2028b\x85c\t1\n"closed"\t1\n')
    assert [example.text_a for example in examples] == ['"an open quote', "a\u2028b\x85c", '"closed"']


def test_ids_are_row_numbers_and_keep_counting_over_bad_rows():
    examples, bad = read("sst2", "train", "sentence\tlabel\na\t0\nb\t2\nc\t1\n", limit=1)
    assert [example.id for example in examples] == [0, 2]
    assert bad.rejected == [
        {
            "file": "file.tsv",
            "where": "3",
            "problem": "has the label '2' in column 'label'; expected one of '0', '1'",
            "record": "b\t2",
        }
    ]


BAD = [
    ("sst2", "text\tlabel\na\t0", r"file\.tsv:1: has the columns 'text', 'label', without 'sentence'"),
    ("rte", "label\tsentence1\tsentence2\tsentence1\tlabel\n", r"file\.tsv:1: has more than one column 'sentence1' and 'label'; expected each of"),
    ("sst2", "sentence\tlabel" + "\té" * 90_000 + "\nx", r"file\.tsv:2: has 1 column; expected 90002, tab-separated: sentence, label, é, [é, ]{1,300}\. Correct"),
    ("sst2", "sentence\tlabel\na\t0\nb\t1\tc", r"file\.tsv:3: has 3 columns; expected 2, tab-separated: sentence, label"),
    ("sst2", "sentence\tlabel\na", r"file\.tsv:2: has 1 column; expected 2"),
    ("sst2", "sentence\tlabel\na\t0\n\nb\t1", r"file\.tsv:3: has 1 column; expected 2"),
    ("sst2", "sentence\tlabel\n\u3000\t0", r"file\.tsv:2: has an empty text in column 'sentence'"),
    ("sst2", "sentence\tlabel\na\tpositive", r"file\.tsv:2: has the label 'positive' in column 'label'; expected one of"),
    ("sst2", b"sentence\tlabel\nok\t1\ncaf\xe9\t1", r"file\.tsv:3: is not UTF-8 at byte 3 of the line \(0xe9\)"),
    ("sst2", "sentence\tlabel\n", r"file\.tsv: has a header and no rows"),
    ("sst2", "", r"file\.tsv: is empty"),
    ("cola", "gj04\t1\tThe sailors.", r"file\.tsv:1: has 3 columns; expected 4, tab-separated: source, label, star, sentence"),
    ("stsb", "sentence1\tsentence2\tscore\na\tb\t5.1", r"file\.tsv:2: has '5\.1' in column 'score'; expected a number from 0 to 5"),
    ("stsb", "sentence1\tsentence2\tscore\na\tb\tnan", r"has 'nan' in column 'score'"),
    ("stsb", "sentence1\tsentence2\tscore\na\tb\thigh", r"has 'high' in column 'score'"),
    ("rte", "index\tsentence1\tsentence2\tlabel\n0\ta\t\tentailment", r"file\.tsv:2: has an empty text in column 'sentence2'"),
]  # fmt: skip


@pytest.mark.parametrize(("task", "text", "message"), BAD)
def test_bad_input_is_refused_with_file_and_line(task, text, message):
    with pytest.raises(InputError, match=message):
        read(task, "train", text)


def test_qqp_rows_known_to_be_cut_short_are_skipped_and_noted():
    header = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
    examples, bad = read("qqp", "train", header + "1\t2\t3\tWhy\n2\t3\t4\tA?\tB?\t1\n3\t4\t5\t\tB?\t0\n")
    assert [example.id for example in examples] == [1]
    assert [record["where"] for record in bad.rejected] == ["2", "4"]
    assert bad.counted == 0
    with pytest.raises(InputError, match=r"unknown|label 'yes'"):
        read("qqp", "train", header + "2\t3\t4\tA?\tB?\tyes\n")
    with pytest.raises(InputError, match="has 2 columns"):
        read("qqp", "test", "id\tquestion1\tquestion2\n0\tWho?\n")


def test_more_bad_rows_than_allowed_are_refused_with_the_count():
    with pytest.raises(InputError, match=r"file\.tsv:4: .*This is bad record 3 of at most 2 \(--max-bad-records\)"):
        read("sst2", "train", "sentence\tlabel\na\tx\nb\ty\nc\tz\n", limit=2)


def test_files_are_found_by_their_official_names():
    assert find_files(["dev.tsv", "train.tsv", "readme"], GLUE_TASKS["sst2"]) == {
        "train": "train.tsv",
        "validation": "dev.tsv",
    }
    assert find_files(["dev_matched.tsv", "dev_mismatched.tsv", "dev.tsv"], GLUE_TASKS["mnli"]) == {
        "validation_matched": "dev_matched.tsv",
        "validation_mismatched": "dev_mismatched.tsv",
    }
    assert find_files(["diagnostic.tsv"], GLUE_TASKS["ax"]) == {"test": "diagnostic.tsv"}


def test_truncation_takes_pieces_from_the_longer_text_one_by_one():
    for a in range(12):
        for b in range(12):
            for room in range(1, 14):
                x, y = a, b
                while x + y > room:
                    x, y = (x - 1, y) if x > y else (x, y - 1)
                assert truncated_lengths(a, b, room) == (x, y)


@pytest.fixture(scope="module")
def vocabulary():
    return Vocabulary(train_vocabulary(["a b c d e f g h"] * 10, 100))


def decoded(examples, task, vocabulary, max_length=64):
    return [
        (features.decode(record), length, cut)
        for record, length, cut in encode_examples(examples, GLUE_TASKS[task], vocabulary, max_length)
    ]


def test_one_text_is_cls_text_sep(vocabulary):
    ((record, length, cut),) = decoded([GlueExample(7, "a b c", None, "1")], "sst2", vocabulary)
    text = vocabulary.encode(["a b c"])[0].tolist()
    assert record["input_ids"].tolist() == [vocabulary.cls_id, *text, vocabulary.sep_id]
    assert record["segment_ids"].tolist() == [0] * length
    assert record["label_ids"].tolist() == [1]
    assert record["example_id"].tolist() == [7]
    assert not cut


def test_a_pair_is_cls_a_sep_b_sep_with_segments(vocabulary):
    ((record, length, _),) = decoded([GlueExample(0, "a b", "c", "contradiction")], "mnli", vocabulary)
    a, b = (pieces.tolist() for pieces in vocabulary.encode(["a b", "c"]))
    sep = vocabulary.sep_id
    assert record["input_ids"].tolist() == [vocabulary.cls_id, *a, sep, *b, sep]
    assert record["segment_ids"].tolist() == [0] * (len(a) + 2) + [1] * (len(b) + 1)
    assert record["label_ids"].tolist() == [2]
    assert length == len(a) + len(b) + 3


def test_scores_are_floats_and_test_records_have_no_label(vocabulary):
    ((scored, _, _),) = decoded([GlueExample(0, "a", "b", 3.0)], "stsb", vocabulary)
    assert scored["label_ids"].dtype == np.float32
    assert scored["label_ids"].tolist() == [3.0]
    ((unlabelled, _, _),) = decoded([GlueExample(0, "a", "b", None)], "stsb", vocabulary)
    assert set(unlabelled) == {"input_ids", "segment_ids", "example_id"}


def test_long_texts_are_cut_to_max_length_and_keep_their_separators(vocabulary):
    ((record, length, cut),) = decoded([GlueExample(0, "a b c d e f", "g h", "0")], "qqp", vocabulary, max_length=8)
    assert length == 8
    assert cut
    assert record["input_ids"].tolist().count(vocabulary.sep_id) == 2
    assert record["input_ids"][-1] == vocabulary.sep_id


def test_presets_take_the_weights_and_smoothing_of_their_family():
    import tensorflow as tf

    counts = {"entailment": 75, "not_entailment": 25}
    manifest = manifests.dataset(task="rte", labels=list(counts), splits={"train": {"examples": 100, "labels": counts}})
    given = {"class_weights": "balanced", "label_smoothing": 0.1}
    config = load_experiment("bigbird/glue", overrides=[{"task": given}]).task
    changes = FAMILY.from_dataset(config, manifest, "")
    assert changes["class_weights"] == {"entailment": 100 / 150, "not_entailment": 2.0}
    resolved = replace(config, **changes)
    logits, targets = tf.constant([[1.0, -0.5], [0.3, 0.2]]), tf.constant([0, 1])
    found = FAMILY.loss(resolved, {"logits": logits}, {"label_ids": targets}).numpy()
    log_shares = np.log(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))
    right = np.array([[0.95, 0.05], [0.05, 0.95]])
    np.testing.assert_allclose(found, -(right * log_shares).sum(axis=1) * [100 / 150, 2.0], rtol=1e-5)
    with pytest.raises(InputError, match=r"task\.class_weights needs the labels"):
        FAMILY.check_without_dataset(replace(config, model={"num_classes": 2}), ["train"])


def test_without_weights_a_dataset_changes_what_it_did_before():
    config = load_experiment("bigbird/glue").task
    manifest = manifests.dataset(task="rte", labels=["entailment", "not_entailment"])
    changes = FAMILY.from_dataset(config, manifest, "")
    assert changes.keys() == {"model", "train_data", "validation_data"}
