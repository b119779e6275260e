"""A user's own tables as documents to pre-train on."""

import json

import pytest

from bigbird.manifests import DatasetManifest
from bigbird.records import features
from bigbird.support.errors import InputError
from bigbird.text.vocabulary import Vocabulary
from bigbird_components.preprocess.preprocess import preprocess

WORDS = ("river", "stone", "letter", "market", "window", "garden", "winter", "summer")


def documents(count, start=0):
    return [
        " ".join(WORDS[(number * 7 + place) % len(WORDS)] for place in range(6)) + f" n{number}"
        for number in range(start, start + count)
    ]


def write_table(path, texts):
    path.write_text("".join(json.dumps({"key": n, "body": text}) + "\n" for n, text in enumerate(texts)))
    return str(path)


def words_of(folder, split):
    """The words of a split's records, in order."""
    import tensorflow as tf

    manifest = DatasetManifest.read(folder)
    vocabulary = Vocabulary(folder / manifest.vocabulary.file)
    special = (vocabulary.cls_id, vocabulary.sep_id)
    ids: list[int] = []
    for file in manifest.splits[split].files:
        for record in tf.data.TFRecordDataset(str(folder / file)).as_numpy_iterator():
            ids += [piece for piece in features.decode(record)["input_ids"] if piece not in special]
    return vocabulary._processor.decode(ids).split()  # a document may go on in the next record


def test_a_tables_text_column_is_read_and_a_validation_split_is_cut(tmp_path):
    table = write_table(tmp_path / "texts.jsonl", documents(200) + documents(1))
    out = tmp_path / "dataset"
    manifest = preprocess(
        "pretraining",
        str(out),
        table,
        vocabulary_size=120,
        max_length=32,
        section={"text": ["body"], "validation_fraction": 0.2},
    )
    assert set(manifest.splits) == {"train", "validation"}
    train, validation = words_of(out, "train"), words_of(out, "validation")
    names = [[word for word in words if word.startswith("n")] for words in (train, validation)]
    assert sorted(names[0] + names[1]) == sorted([f"n{number}" for number in range(200)] + ["n0"])
    assert not set(names[0]) & set(names[1])  # the repeated text stands in one split
    assert len(names[1]) in (40, 41)


def test_named_splits_are_taken_as_they_are(tmp_path):
    train = write_table(tmp_path / "a.jsonl", documents(60))
    validation = write_table(tmp_path / "b.jsonl", documents(9, start=100))
    out = tmp_path / "dataset"
    preprocess(
        "pretraining",
        str(out),
        train_file=train,
        validation_file=validation,
        vocabulary_size=120,
        max_length=32,
        section={"text": ["body"]},
    )
    assert [word for word in words_of(out, "validation") if word.startswith("n")] == [f"n{n}" for n in range(100, 109)]


@pytest.mark.parametrize(
    ("lines", "section", "message"),
    [
        (['{"body": "a text"}'], {"text": ["review"]}, "has no column 'review'; its columns are 'body'"),
        (['{"body": "a text"}', '{"body": " "}'], {"text": ["body"]}, r":2: has an empty text in column 'body'"),
        (['{"body": "a text"}'], {"text": ["body"], "label": "x"}, "the data section, label"),
        (['{"body": "a text"}', "{"], {"text": ["body"]}, ":2: is not valid JSON"),
        (['{"body": "a text"}'], {"text": ["body"]}, r"has too few documents \(1\) to cut validation from"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path, lines, section, message):
    table = tmp_path / "texts.jsonl"
    table.write_text("\n".join(lines))
    with pytest.raises(InputError, match=message):
        preprocess("pretraining", str(tmp_path / "dataset"), str(table), section=section)
    assert not (tmp_path / "dataset").exists()


def test_bad_records_can_be_skipped(tmp_path):
    table = tmp_path / "texts.jsonl"
    table.write_text("".join(json.dumps({"body": text}) + "\n" for text in [*documents(50), "", *documents(20, 50)]))
    out = tmp_path / "dataset"
    manifest = preprocess(
        "pretraining",
        str(out),
        str(table),
        vocabulary_size=120,
        max_length=32,
        max_bad_records=1,
        section={"text": ["body"]},
    )
    assert manifest.rejected == 1
    assert json.loads((out / "rejected.jsonl").read_text())["where"] == "51"


def test_official_text_files_are_read_as_before(tmp_path):
    (tmp_path / "train.txt").write_text("\n\n".join(documents(40)))
    (tmp_path / "validation.txt").write_text("\n\n".join(documents(5, start=50)))
    manifest = preprocess("pretraining", str(tmp_path / "dataset"), str(tmp_path), vocabulary_size=120, max_length=32)
    assert {split: facts.examples for split, facts in manifest.splits.items()} == {"train": 40, "validation": 5}


@pytest.mark.parametrize(
    ("columns", "message"),
    [(["a", "b", "a"], r"the column 'a' is named twice; expected different columns"), ([], "names no column; expected one or more")],
)  # fmt: skip
def test_columns_of_the_text_are_each_named_once(tmp_path, columns, message):
    (tmp_path / "texts.csv").write_text("a,b\none,two\n")
    with pytest.raises(InputError, match=message):
        preprocess("pretraining", str(tmp_path / "out"), str(tmp_path / "texts.csv"), section={"text": columns})
    assert not (tmp_path / "out").exists()
