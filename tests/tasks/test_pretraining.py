"""Text to documents, documents to full records."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigbird.records import features
from bigbird.support.errors import InputError
from bigbird.tasks import pretraining
from bigbird.text.sentence_piece import train_vocabulary
from bigbird.text.vocabulary import Vocabulary


def test_blank_lines_separate_documents():
    data = "\ufeff\n\nOne line\nand another.\r\n \t\nSecond “document”\n\n\nThird".encode()
    assert list(pretraining.parse(data, "t.txt")) == ["One line and another.", "Second “document”", "Third"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "holds no text"),
        (b" \n\t\n\xe2\x80\x83", "holds no text"),
        (b"fine\nbad \xff here\n", r"t\.txt:2: not UTF-8 at byte 4 of the line \(0xff\)"),
        (b"\x1f\x8b\x08\x00", "compressed by gzip"),
        ("text".encode("utf-16"), "is UTF-16"),
    ],
)
def test_what_is_no_text_is_refused(data, message):
    with pytest.raises(InputError, match=message):
        list(pretraining.parse(data, "t.txt"))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=12), st.integers(3, 20))
def test_packing_loses_nothing_and_wastes_no_room(lengths, room):
    numbers = iter(range(1, 10_000))
    documents = [np.array([next(numbers) for _ in range(length)], np.int32) for length in lengths]
    runs = list(pretraining.pack(documents, 0, room))
    assert all(1 <= len(run) <= room for run in runs)
    assert all(len(run) >= room - 1 for run in runs[:-1])  # a separator alone is not worth its place
    assert [piece for run in runs for piece in run if piece] == [piece for ids in documents for piece in ids.tolist()]
    for run in runs:
        assert run[0] != 0 and run[-1] != 0
        for left, piece, right in zip(run, run[1:], run[2:], strict=False):
            if piece == 0:  # a separator stands between two documents
                owner = np.searchsorted(np.cumsum(lengths), [left, right])
                assert owner[0] < owner[1]


def test_records_are_numbered_and_framed():
    rng = random.Random(0)
    texts = [" ".join(rng.choices(["ant", "bee", "cat"], k=rng.randint(1, 30))) for _ in range(40)]
    vocabulary = Vocabulary(train_vocabulary(texts, 30))
    encoded = list(pretraining.encode_documents([texts[:25], texts[25:]], vocabulary, 24, first_record=100))
    records = [features.decode(record) for record, _ in encoded]
    assert [length for _, length in encoded] == [len(record["input_ids"]) for record in records]
    assert {length for _, length in encoded[:-1]} <= {23, 24}
    for number, record in enumerate(records):
        ids = record["input_ids"].tolist()
        assert (ids[0], ids[-1]) == (vocabulary.cls_id, vocabulary.sep_id)
        assert record["example_id"].tolist() == [100 + number]
        assert record["segment_ids"].tolist() == [0] * len(ids)
    pieces = [
        i for record in records for i in record["input_ids"].tolist() if i not in (vocabulary.cls_id, vocabulary.sep_id)
    ]
    assert pieces == np.concatenate(vocabulary.encode(texts)).tolist()
