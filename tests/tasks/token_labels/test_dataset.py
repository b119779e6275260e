"""From users' files to documents in splits: all forms, and every mistake by its place."""

import json
from io import BytesIO

import pytest

from bigbird.support.errors import InputError
from bigbird.tasks.raw_input import Inputs
from bigbird.tasks.records import BadRecords
from bigbird.tasks.tables.files import LOCAL
from bigbird.tasks.token_labels.dataset import read_table

TEXT = "Anna Kern built the mill."


class Storage:
    open_raw, list_names, is_file = (
        staticmethod(LOCAL.open),
        staticmethod(LOCAL.list_names),
        staticmethod(LOCAL.is_file),
    )


@pytest.fixture
def read():
    """Reads files; gives what reading gives, its lines by split, what was told and what was rejected."""

    def read(path="", limit=0, files=None, **section):
        told, bad = [], BadRecords(limit)
        inputs = Inputs(path, files or {}, section)
        found = read_table(inputs, Storage(), BytesIO(), bad, told.append, lambda *_: None)
        lines = {split: [] for split in found.splits}
        for split, line, labelled in found.lines():
            assert labelled == (split in found.labelled)
            lines[split].append(json.loads(line))
        for each in lines.values():
            assert [line["id"] for line in each] == list(range(len(each)))
        return found, lines, told, bad.rejected

    return read


def json_lines(rows):
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def rows(count=20, **more):
    return [
        {"text": f"{TEXT} {n}", "entities": [[0, 9, "P"]] if n % 2 else [[20, 24, "T"]], **more} for n in range(count)
    ]


def test_a_file_whose_name_is_no_utf_8_is_read_and_named_by_its_escape(write, read):
    path = write("a\udcff.jsonl", json_lines(rows()))
    _, lines, _, _ = read(path)
    first = min(lines["train"] + lines["validation"], key=lambda line: line["line"])
    assert (first["name"], first["file"]) == ("a\\udcff.jsonl:1", path.replace("\udcff", "\\udcff"))


def test_json_lines_become_documents_with_each_label_in_training(write, read):
    path = write("a.jsonl", json_lines(rows()))
    found, lines, told, _ = read(path, validation_fraction=0.2)
    assert found.labels == ["P", "T"] and found.metrics[0] == "f1"
    assert {split: len(each) for split, each in lines.items()} == {"train": 16, "validation": 4}
    assert {label for line in lines["train"] for _, _, label in line["spans"]} == {"P", "T"}
    first = min(lines["train"] + lines["validation"], key=lambda line: line["line"])
    assert (first["name"], first["file"], first["line"], first["text_a"]) == ("a.jsonl:1", path, 1, f"{TEXT} 0")
    assert first["spans"] == [[20, 24, "T"]]
    assert told == [f"reading {path}; validation (20 %) is cut from it"]


def test_one_document_with_a_label_is_trained_on_and_told(write, read):
    made = [*rows(), {"text": "Rare", "entities": [[0, 4, "R"]]}]
    found, lines, _, _ = read(write("a.jsonl", json_lines(made)), validation_fraction=0.4)
    assert "R" in {label for line in lines["train"] for _, _, label in line["spans"]}
    assert found.notices[0] == (
        "1 label in one document only: 'R'",
        "add documents, or join such labels to others: one document teaches little",
    )


def test_parquet_holds_objects_and_a_test_file_may_have_no_spans(tmp_path, write, read):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "body": [TEXT] * 6,
            "name": [f"n{n}" for n in range(6)],
            "spans": [[{"start": 0, "end": 4, "label": "P", "token_start": 0}]] * 6,
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    test = write("test.jsonl", json_lines([{"body": "unknown", "name": "x"}]))
    found, lines, _, _ = read(
        files={
            "train": str(tmp_path / "t.parquet"),
            "validation": str(tmp_path / "t.parquet").replace("t.parquet", "v.parquet"),
            "test": test,
        }
        if pq.write_table(table, tmp_path / "v.parquet") is None
        else {},
        text=["body"],
        spans="spans",
        id="name",
    )
    assert lines["train"][0] == {
        "id": 0, "name": "n0", "file": str(tmp_path / "t.parquet"), "line": 1, "text_a": TEXT, "spans": [[0, 4, "P"]],
    }  # fmt: skip
    assert lines["test"][0]["spans"] is None and found.labelled == {"train", "validation"}


def test_conll_files_say_their_scheme(write, read):
    text = "".join(f"Anna{n} B-P\nKern I-P\nruns O\n\n" for n in range(10))
    found, lines, told, _ = read(write("a.conll", text))
    assert told[-1] == "tags are BIO"
    line = lines["train"][0]
    assert (line["text_a"], line["spans"]) == (f"Anna{line['line'] // 4} Kern runs", [[0, 10, "P"]])
    other = write("eng.train", text)
    assert read(other, format="conll", sentences_per_document=2)[0].labels == found.labels


def test_equal_texts_and_groups_stay_together(write, read):
    made = [{"text": f"{TEXT} {n // 2}", "entities": [[0, 4, "P"]], "who": n % 5} for n in range(40)]
    path = write("a.jsonl", json_lines(made))
    for section, key in (({}, lambda line: line["text_a"]), ({"group": "who"}, lambda line: (line["line"] - 1) % 5)):
        _, lines, _, _ = read(path, validation_fraction=0.3, test_fraction=0.2, **section)
        sets = [{key(line) for line in each} for each in lines.values()]
        assert len(sets) == 3 and not (sets[0] & sets[1] or sets[0] & sets[2] or sets[1] & sets[2])


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (
            {"text": TEXT, "entities": [[0, 99, "P"]]},
            r"a.jsonl:21: has the span 0 to 99 \('P'\), which is outside its text of 25 characters",
        ),
        (
            {"text": TEXT, "entities": [[0, 4, "P"], [2, 9, "Q"]]},
            r"a.jsonl:21: has the span 0 to 4, 'Anna' \('P'\) and, overlapping it",
        ),
        (
            {"text": TEXT, "entities": None},
            r"a.jsonl:21: has nothing in column 'entities'; expected a list of spans, \[\] where there is none",
        ),
        ({"text": TEXT}, r"a.jsonl:21: has nothing in column 'entities'"),
        ({"text": "", "entities": []}, r"a.jsonl:21: has an empty text in column 'text'"),
        ({"text": ["x"], "entities": []}, r"a.jsonl:21: has a list in column 'text'"),
        ({"text": "\ud83d x", "entities": []}, r"a.jsonl:21: has half a character \(\\ud83d\)"),
        ({"text": TEXT, "entities": [[0, 4]]}, r"a.jsonl:21: has the span \[0, 4\] in column 'entities'; expected"),
    ],
)
def test_a_bad_document_is_told_with_its_line_or_skipped(write, read, row, problem):
    path = write("a.jsonl", json_lines([*rows(), row]))
    with pytest.raises(InputError, match=problem) as told:
        read(path)
    assert "skip such records with --max-bad-records 1" in str(told.value) and len(str(told.value)) < 1000
    _found, lines, _, rejected = read(path, limit=1)
    assert sum(map(len, lines.values())) == 20 and rejected[0]["where"] == "21"


@pytest.mark.parametrize(
    ("section", "content", "problem"),
    [
        (
            {"spans": "label"},
            json_lines(rows()),
            r"has no column 'label'; its columns are 'text', 'entities'.*spans \(--spans\)",
        ),
        (
            {},
            json_lines({"text": str(n), "entities": []} for n in range(9)),
            r"no document of the training split has a span; .*--spans",
        ),
        ({}, json_lines(rows(1)), r"has too few documents \(1\) to cut validation from"),
        (
            {"id": "text"},
            json_lines(rows(3) * 2),
            r"a.jsonl:4: has the same id in column 'text' as the document at .*a.jsonl:1",
        ),
        ({"id": "entities"}, json_lines(rows(3)), r"has a list in column 'entities'"),
        ({"text": ["a", "b"]}, json_lines(rows(3)), "the data section, text: names 2 columns; expected one"),
        ({"span_start": "end"}, json_lines(rows(3)), "span_start and span_end both name 'end'"),
        ({"token_column": 0}, json_lines(rows(3)), "token_column is 0; expected 1 for the first column"),
        ({"format": "csv"}, json_lines(rows(3)), "format"),
        ({"label": "x"}, json_lines(rows(3)), "label"),
        ({}, "", r"a.jsonl: is empty"),
    ],
)
def test_files_that_cannot_be_used_are_refused(write, read, section, content, problem):
    with pytest.raises(InputError, match=problem):
        read(write("a.jsonl", content), **section)


def test_labels_of_validation_are_those_of_training(write, read):
    train = write("t.jsonl", json_lines(rows()))
    other = write("v.jsonl", json_lines([{"text": TEXT, "entities": [[0, 4, "Q"]]}]))
    with pytest.raises(
        InputError,
        match=r"v.jsonl:1: has the label 'Q', which is in 1 validation document and in none of training; training has 'P', 'T'",
    ):
        read(files={"train": train, "validation": other})
    none = write("n.jsonl", json_lines([{"text": TEXT, "entities": []}]))
    with pytest.raises(InputError, match="no document of the validation split has a span, so nothing shows"):
        read(files={"train": train, "validation": none})


def test_formats_that_are_not_read_are_refused(write, read):
    with pytest.raises(
        InputError,
        match=r"a.csv: its name does not tell its format; expected .jsonl, .conll \(either may be compressed: .gz\) or .parquet",
    ):
        read(write("a.csv", "x"))
