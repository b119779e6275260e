"""Records that are cut are those that preprocessing with a smaller max_length makes."""

import random

import numpy as np
import pytest

from bigbird.records import features
from bigbird.tasks.classification import glue
from bigbird.tasks.classification.encoding import Layout, encode_documents, shortened
from bigbird.tasks.shortening import cut_record
from bigbird.tasks.statistics import Statistics
from bigbird.text.sentence_piece import train_vocabulary
from bigbird.text.vocabulary import Vocabulary

WORDS = "the a red green blue bird big small flew sang over under river tree house".split()


def text(words, seed):
    rng = random.Random(seed)
    return " ".join(rng.choice(WORDS) for _ in range(words))


@pytest.fixture(scope="module")
def vocabulary():
    return Vocabulary(train_vocabulary((text(12, i) for i in range(200)), 100))


def records(lines, layout, vocabulary):
    found = map(features.decode, encode_documents(lines, layout, {"x": 0, "y": 1}, vocabulary, Statistics()))
    return [{name: value.tolist() for name, value in record.items()} for record in found]


def lines(pairs, label="x"):
    second = [text(words, 100 + words) if pairs else None for words in (1, 40, 3, 90, 200, 20)]
    sizes = (1, 2, 40, 90, 20, 400)
    return [
        {"id": i, "name": str(i), "text_a": text(size, i), "text_b": b, "label": label}
        for i, (size, b) in enumerate(zip(sizes, second, strict=True))
    ]


def cut(lines, layout, length, vocabulary):
    made = map(features.decode, encode_documents(lines, layout, {"x": 0, "y": 1}, vocabulary, Statistics()))
    short = [shortened(record, length, layout) for record in made]
    kept = [features.decode(features.encode(record)) for record in short if record is not None]
    return [{name: value.tolist() for name, value in record.items()} for record in kept]


@pytest.mark.parametrize("length", [8, 9, 31, 64, 127, 128, 500])
@pytest.mark.parametrize(("how", "pairs"), [("head", False), ("head", True), ("head_tail", False), ("head_tail", True)])
def test_a_cut_document_is_the_one_that_a_smaller_max_length_gives(vocabulary, how, pairs, length):
    layout = Layout(128, how, 96)
    expected = records(lines(pairs), Layout(min(length, 128), how, 96), vocabulary)
    assert cut(lines(pairs), layout, length, vocabulary) == expected
    if how == "head":
        made = map(features.decode, encode_documents(lines(pairs), layout, {"x": 0}, vocabulary, Statistics()))
        generic = [{name: list(value) for name, value in cut_record(record, length).items()} for record in made]
        assert generic == expected


@pytest.mark.parametrize("length", [8, 20, 32, 33, 55, 56, 57, 90, 500])
@pytest.mark.parametrize("stride", [10, 24, 30])
def test_windows_are_those_of_the_documents_beginning(vocabulary, length, stride):
    layout = Layout(32, "windows", stride)
    whole = lines(pairs=False)
    found = cut(whole, layout, length, vocabulary)
    by_document: dict[int, list] = {}
    for record in found:
        by_document.setdefault(record["record_id"][0] >> 16, []).append(record)
    pieces = vocabulary.encode([line["text_a"] for line in whole])
    for i, mine in by_document.items():
        read = pieces[i].tolist()[: length - 2]
        covered = set()
        for record in mine:
            start = (record["record_id"][0] % (1 << 16)) * min(stride, 30)
            part = record["input_ids"][1:-1]
            assert part == read[start : start + 30]
            assert record["windows"] == [len(mine)]
            covered |= set(range(start, start + len(part)))
        assert covered == set(range(len(read)))
    assert len(by_document) == len(whole)


def test_labels_of_every_kind_stay(vocabulary):
    for label in ("y", ["x", "y"], [], 2.5, None):
        found = cut(lines(False, label), Layout(128, "head", 96), 16, vocabulary)
        expected = records(lines(False, label), Layout(16, "head", 96), vocabulary)
        assert found == expected


def test_a_cut_glue_pair_is_the_one_that_a_smaller_max_length_gives(vocabulary):
    examples = [glue.GlueExample(i, text(3 + 9 * i, i), text(60 - 8 * i, 50 + i), "entailment") for i in range(7)]
    made = {}
    for length in (20, 64):
        encoded = glue.encode_examples(examples, glue.GLUE_TASKS["rte"], vocabulary, length)
        made[length] = [features.decode(record) for record, *_ in encoded]
    for long, short in zip(made[64], made[20], strict=True):
        found = cut_record(long, 20)
        assert found.keys() == short.keys()
        assert all(np.array_equal(found[name], short[name]) for name in short)
