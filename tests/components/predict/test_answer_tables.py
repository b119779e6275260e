"""Answers put together: as JSON Lines, CSV and Parquet, and what columns are called in them."""

import csv
import hashlib
import json

import pyarrow.parquet as pq
import pytest

from bigbird_components.predict.answering import names_beside
from bigbird_components.predict.flattening import flattened
from bigbird_components.predict.tables import write_table

PARTS = [
    [
        {"id": "1", "n": None, "flag": True, "label": "a", "logits": [1, 2.5], "probabilities": {"a": 0.75, "b": 0.25}},
        {"id": "2", "n": 1, "flag": None, "label": "a", "logits": [], "probabilities": {"a": 1.0, "b": 0}},
    ],
    [{"id": 'x "3",\n', "n": 2.5, "flag": "no", "label": "b", "logits": [3.5], "probabilities": {"a": 0.1, "b": 0.9}}],
]


@pytest.fixture
def write(tmp_path):
    """Function (parts, form) -> the file of all answers."""

    def write(parts, form):
        paths = []
        for number, records in enumerate(parts):
            paths.append(str(tmp_path / f"part-{number}"))
            (tmp_path / f"part-{number}").write_text("".join(json.dumps(record) + "\n" for record in records))
        facts = write_table(paths, form, str(tmp_path / f"all.{form}"))
        content = (tmp_path / f"all.{form}").read_bytes()
        assert facts == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        return tmp_path / f"all.{form}"

    return write


def test_json_lines_are_the_parts_one_after_the_other(write):
    lines = write(PARTS, "jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [record for part in PARTS for record in part]


def test_csv_has_a_column_for_each_label_and_lists_as_json(write):
    with write(PARTS, "csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["id", "n", "flag", "label", "logits", "probability.a", "probability.b"]
    assert rows == [
        ["1", "", "true", "a", "[1, 2.5]", "0.75", "0.25"],
        ["2", "1", "", "a", "[]", "1.0", "0"],
        ['x "3",\n', "2.5", "no", "b", "[3.5]", "0.1", "0.9"],
    ]


def test_values_with_any_line_end_stay_values_in_csv_and_lines_end_alike(write):
    texts = ["a\rb", "a\r", "\r\n", "a\nb", "a\r\n", "plain"]
    file = write([[{"id": text, "x": 1} for text in texts]], "csv")
    with file.open(newline="") as lines:
        assert list(csv.reader(lines, strict=True)) == [["id", "x"], *([text, "1"] for text in texts)]
    assert file.read_bytes().startswith(b'id,x\n"a\rb",1\n"a\r",1\n')
    assert file.read_bytes().endswith(b"plain,1\n")


def test_parquet_has_types_that_hold_all_parts_values(write):
    table = pq.read_table(write(PARTS, "parquet"))
    kinds = {field.name: str(field.type) for field in table.schema}
    assert kinds == {
        "id": "string", "n": "double", "flag": "string", "label": "string", "logits": "list<element: double>",
        "probability.a": "double", "probability.b": "double",
    }  # fmt: skip
    assert table.to_pylist()[1] == {
        "id": "2", "n": 1.0, "flag": None, "label": "a", "logits": [], "probability.a": 1.0, "probability.b": 0.0,
    }  # fmt: skip
    assert [row["flag"] for row in table.to_pylist()] == ["true", None, "no"]


@pytest.mark.parametrize(
    ("values", "kind", "found"),
    [
        ([None, None], "string", [None, None]),
        ([1, 2], "int64", [1, 2]),
        ([1, 1 << 70], "string", ["1", str(1 << 70)]),
        ([True, False], "bool", [True, False]),
        ([["a"], None], "list<element: string>", [["a"], None]),
        ([[1], [0.5], ["a"]], "list<element: string>", [["1"], ["0.5"], ["a"]]),
        ([["a"], "b"], "string", ['["a"]', "b"]),
        ([[{"start": 1}], []], "list<element: string>", [['{"start": 1}'], []]),
    ],
)
def test_values_of_several_kinds_find_a_common_one(write, values, kind, found):
    table = pq.read_table(write([[{"id": "a", "x": value}] for value in values], "parquet"))
    assert str(table.schema.field("x").type) == kind
    assert table.column("x").to_pylist() == found


def test_objects_are_flattened_to_their_ends():
    record = {"probabilities": {"a.b": 1}, "span": {"start": {"line": 3}}, "list": [{"x": 1}]}
    assert flattened(record) == {"probability.a.b": 1, "span.start.line": 3, "list": [{"x": 1}]}


def test_kept_columns_give_way_to_the_answers_names():
    answer = {"label": "a", "probabilities": {"a": 1.0}}
    kept = ["label", "shop", "id", "probability.a", "probabilities", "input.label"]
    assert names_beside(kept, answer) == {
        "label": "input.input.label", "shop": "shop", "id": "input.id", "probability.a": "input.probability.a",
        "probabilities": "input.probabilities", "input.label": "input.label",
    }  # fmt: skip
