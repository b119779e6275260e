"""A user's own tables through the stage, with what an experiment says of them."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bigbird.overrides import assignment, join_overrides
from components.preprocess.inputs import resolve_inputs
from components.preprocess.preprocess import preprocess
from components.recipes import preprocessing_options

ROWS = [
    {"the text": f"document {number} says, é, that it is fine", "topics": ["x", "y"][: 1 + number % 2], "score": number / 7, "#": "ab"[number % 2]}
    for number in range(60)
]  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "mes données [1]"
    made.mkdir()
    lines = "".join(f"{json.dumps(row)}\n" for row in ROWS)
    (made / "rows.jsonl").write_text(lines)
    (made / "packed.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    pq.write_table(pa.Table.from_pylist(ROWS), made / "rows.parquet")
    header = "the text;#;topics;score\n"
    rows = "".join(f"{row['the text']};{row['#']};{'|'.join(row['topics'])};{row['score']}\n" for row in ROWS)
    (made / "rows.csv").write_text(header + rows, encoding="latin-1")
    (made / "rows.csv.gz").write_bytes(gzip.compress((header + rows).encode("latin-1")))
    return made


CSV = {"delimiter": ";", "encoding": "latin-1"}
LABELS = {"single": ["a", "b"], "multi": ["x", "y"], "number": None}


@pytest.mark.parametrize(
    ("file", "label", "kind", "section"),
    [
        ("rows.csv", "#", "single", CSV),
        ("rows.csv.gz", "topics", "multi", {**CSV, "label_separator": "|"}),
        ("rows.csv", "score", "number", CSV),
        ("rows.jsonl", "topics", "multi", {}),
        ("packed.jsonl.gz", "#", "single", {}),
        ("rows.parquet", "score", "number", {}),
        ("rows.parquet", "topics", "multi", {}),
    ],
)
def test_the_stage_reads_what_the_experiment_says(folder, tmp_path, capsys, file, label, kind, section):
    columns = {"text": ["the text"], "label": label, "test_fraction": 0.2, **section}
    overrides = join_overrides(assignment(f"task.data.{key}", value) for key, value in columns.items())
    options = preprocessing_options("classification", max_length=32, overrides=overrides)
    assert options["section"] == columns
    path = f"{folder}/{file}"
    manifest = preprocess("classification", str(tmp_path / "out"), input=path, vocabulary_size=60, **options)
    assert (manifest["kind"], manifest["labels"]) == (kind, LABELS[kind])
    assert {split: facts["examples"] for split, facts in manifest["splits"].items()} == {
        "train": 42,
        "validation": 6,
        "test": 12,
    }
    assert f"reading {path}; validation (10 %) and test (20 %) are cut from it\n" in capsys.readouterr().err
    line = json.loads((tmp_path / "out/validation.examples.jsonl").read_text().splitlines()[0])
    assert line["text_a"].startswith("document ") and "é" in line["text_a"] and line["text_b"] is None


def test_the_resolve_step_sees_that_a_patterns_files_have_changed(tmp_path):
    (tmp_path / "2026-01-31").mkdir()
    (tmp_path / "2026-01-31/a.csv").write_text("text,label\n")
    paths = {"data": f"{tmp_path}/{{date}}/*.csv"}
    first = resolve_inputs(paths, "", "2026-01-31T04:00:00Z")
    assert first.data == f"{tmp_path}/2026-01-31/*.csv"
    assert resolve_inputs(paths, "", "2026-01-31T04:00:00Z").version == first.version
    (tmp_path / "2026-01-31/b.csv").write_text("text,label\n")
    assert resolve_inputs(paths, "", "2026-01-31T04:00:00Z").version != first.version


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text_b": "#", "long_documents": "windows"}, "windows are cut from one text"),
        ({"text": "the texts"}, "Did you mean 'the text'? Name the column to read with text (--text)"),
        ({"label": "the text"}, "the column 'the text' is named twice"),
    ],
)
def test_the_commands_options_are_told_by_name(folder, refused, options, message):
    given = {"text": "the text", "label": "#", **options}
    assert message in refused("classification", folder / "rows.jsonl", **given)
