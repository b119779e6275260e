"""What of long documents is read, and how it is laid out."""

import itertools

import numpy as np
import pytest

from bigbird.records import features
from bigbird.support.errors import InputError
from bigbird.tasks.classification import encoding
from bigbird.tasks.classification.encoding import Layout, encode_documents, lay_out, windows_of
from bigbird.tasks.statistics import Statistics
from bigbird.text.sentence_piece import train_vocabulary
from bigbird.text.vocabulary import Vocabulary

CLS, SEP = 1, 2


@pytest.fixture(scope="module")
def vocabulary():
    return Vocabulary(train_vocabulary(["a b c d e f g h"] * 10, 100))


def line(number, text_a, label, text_b=None):
    return {"id": number, "name": f"t.csv:{number}", "text_a": text_a, "text_b": text_b, "label": label}


def encoded(lines, layout, vocabulary, label_ids=()):
    statistics = Statistics()
    ids = {label: number for number, label in enumerate(label_ids)}
    return [features.decode(r) for r in encode_documents(lines, layout, ids, vocabulary, statistics)], statistics


def test_a_document_that_fits_is_read_whole_whatever_is_done_with_long_ones():
    for how in ("head", "head_tail", "windows"):
        ((ids, first),) = lay_out([5, 6, 7], None, Layout(5, how, 2), CLS, SEP)
        assert (ids, first) == ([CLS, 5, 6, 7, SEP], 5)


def test_head_keeps_the_beginning_and_head_tail_a_quarter_of_it_and_the_end():
    pieces = list(range(10, 30))
    assert lay_out(pieces, None, Layout(10, "head", 4), CLS, SEP)[0].ids == [CLS, *range(10, 18), SEP]
    assert lay_out(pieces, None, Layout(10, "head_tail", 4), CLS, SEP)[0].ids == [CLS, 10, 11, *range(24, 30), SEP]


def test_a_pair_loses_the_middle_of_the_longer_text():
    a, b = list(range(100, 120)), [50, 51, 52]
    ((ids, first),) = lay_out(a, b, Layout(14, "head_tail", 4), CLS, SEP)
    assert ids == [CLS, 100, 101, *range(114, 120), SEP, 50, 51, 52, SEP]  # 8 of a: a quarter and the rest
    assert first == 10


@pytest.mark.parametrize("pieces", [0, 1, 7, 8, 9, 12, 13, 100, 1001])
@pytest.mark.parametrize("stride", [1, 3, 8, 50])
def test_windows_leave_no_piece_out_and_none_is_needless(pieces, stride):
    windows = windows_of(pieces, Layout(10, "windows", stride))
    read = {at for start, end in windows for at in range(start, end)}
    assert read == set(range(pieces))
    assert all(end - start <= 8 for start, end in windows)
    assert len(windows) == 1 or windows[-2][1] < pieces  # the last one reads something that those before it do not
    assert all(later[0] - earlier[0] == min(stride, 8) for earlier, later in itertools.pairwise(windows))


def test_records_hold_the_document_the_window_and_the_label(vocabulary):
    text = "a b c d e f g h " * 3
    pieces = vocabulary.encode([text])[0].tolist()
    records, statistics = encoded([line(7, text, "x")], Layout(12, "windows", 6), vocabulary, ["w", "x"])
    expected = windows_of(len(pieces), Layout(12, "windows", 6))
    assert [int(r["record_id"][0]) for r in records] == [7 * encoding.MOST_WINDOWS + i for i in range(len(expected))]
    for record, (start, end) in zip(records, expected, strict=True):
        assert record["input_ids"].tolist() == [vocabulary.cls_id, *pieces[start:end], vocabulary.sep_id]
        assert record["label_ids"].tolist() == [1]
        assert record["windows"].tolist() == [len(expected)]
    assert statistics.examples == 1
    assert statistics.records == len(expected)
    assert statistics.truncated == statistics.unread_tokens == 0
    assert statistics.labels == {"x": 1}


def test_what_is_not_read_is_counted(vocabulary):
    text = "a b c d e f g h " * 3
    length = len(vocabulary.encode([text])[0]) + 2
    _, statistics = encoded([line(0, text, 1.5), line(1, "a", 2.0)], Layout(12, "head", 6), vocabulary)
    assert (statistics.truncated, statistics.unread_tokens) == (1, length - 12)
    assert sum(statistics.documents.values()) == 2
    again = Statistics.from_json(statistics.to_json())
    assert again == statistics


def test_several_labels_none_and_numbers(vocabulary):
    several, _ = encoded([line(0, "a", ["c", "a"]), line(1, "b", [])], Layout(12, "head", 6), vocabulary, "abc")
    assert several[0]["label_ids"].tolist() == [2, 0]
    assert len(several[1].get("label_ids", ())) == 0
    ((number),) = encoded([line(0, "a", 3.0)], Layout(12, "head", 6), vocabulary)[0]
    assert number["label_ids"].dtype == np.float32 and number["label_ids"].tolist() == [3.0]
    unlabelled, _ = encoded([line(0, "a", None)], Layout(12, "head", 6), vocabulary)
    assert "label_ids" not in unlabelled[0]


def test_too_many_windows_are_one_message(vocabulary, monkeypatch):
    monkeypatch.setattr(encoding, "MOST_WINDOWS", 3)
    with pytest.raises(InputError, match=r"t\.csv:0: has \d+ windows; expected at most 3"):
        encoded([line(0, "a b c d " * 9, "x")], Layout(8, "windows", 2), vocabulary, ["x"])
