"""A user's own tables through the stage, with what an experiment says of them."""

import gzip
import json
import subprocess

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bigbird.config.overrides import assignment, join_overrides
from bigbird.support.errors import InputError
from bigbird.tasks.classification.family import ClassificationFamily
from bigbird.text.sentence_piece import train_vocabulary
from bigbird_components.preprocess import local_shards, worker_pool
from bigbird_components.preprocess.inputs import resolve_inputs
from bigbird_components.preprocess.preprocess import preprocess
from bigbird_components.run_configuration import preprocessing_settings

ROWS = [
    {
        "the text": f"document {number} says, é, that it is fine",
        "topics": ["x", "y"][: 1 + number % 2],
        "score": number / 7,
        "#": "ab"[number % 2],
    }
    for number in range(60)
]


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
    lengths = "task.train_data.seq_length=32,task.validation_data.seq_length=32"
    options = preprocessing_settings("classification", overrides=f"{lengths},{overrides}")
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


def test_a_dataset_without_validation_says_what_can_be_done_with_it(folder, tmp_path, capsys):
    section = {"text": ["the text"], "label": "#", "validation_fraction": 0, **CSV}
    manifest = preprocess(
        "classification", str(tmp_path / "out"), f"{folder}/rows.csv", vocabulary_size=60, section=section
    )
    assert {split: facts["examples"] for split, facts in manifest["splits"].items()} == {"train": 60}
    message = "there is no validation split to choose the best checkpoint by"
    assert manifest["notices"] == [message]
    assert f"note: {message}; train on it with bigbird train --mode train, or set" in capsys.readouterr().err


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


@pytest.fixture
def long_table(tmp_path):
    rows = [f"{i} one two three,{'x' if i % 3 else 'y'}\n" for i in range(2000)]
    (tmp_path / "rows.csv").write_text("".join(["the text,label\n", *rows]), encoding="utf-8")
    (tmp_path / "vocab.model").write_bytes(train_vocabulary(["0 1 2 3 4 5 6 7 8 9 one two three"] * 20, 60))
    return tmp_path


def _preprocess_long(folder, name, *options):
    section = {"text": ["the text"], "label": "label"}
    table, vocabulary = str(folder / "rows.csv"), str(folder / "vocab.model")
    return preprocess(
        "classification", str(folder / name), table, vocabulary=vocabulary, beam_options=options, section=section
    )


def test_with_a_vocabulary_encoding_begins_while_lines_are_written_and_gives_the_same_bytes(long_table, monkeypatch):
    monkeypatch.setattr(ClassificationFamily, "examples_per_file", 300)
    plain = _preprocess_long(long_table, "plain", "--direct_num_workers=1", "--direct_running_mode=in_memory")
    monkeypatch.setattr(local_shards, "MANY_BYTES", 60_000)
    monkeypatch.setattr(local_shards.os, "sched_getaffinity", lambda pid: {0, 1})
    begun, encode = [], worker_pool.Workers.encode
    monkeypatch.setattr(worker_pool.Workers, "encode", lambda self, shard: begun.append(shard) or encode(self, shard))
    early = _preprocess_long(long_table, "early")
    assert early == plain
    names = {shard.output.rpartition("/")[2] for shard in begun}
    assert (
        "train-00000.tfrecord" in names and len(begun) == 7
    )  # a file each, the first ones before all names were known
    for name in plain["checksums"]:
        assert (long_table / "early" / name).read_bytes() == (long_table / "plain" / name).read_bytes(), name
    assert {path.name for path in (long_table / "early").iterdir()} == {*plain["checksums"], "dataset.json"}


def test_a_worker_that_is_killed_while_lines_are_written_ends_the_stage(long_table, monkeypatch):
    monkeypatch.setattr(ClassificationFamily, "examples_per_file", 300)
    monkeypatch.setattr(local_shards, "MANY_BYTES", 1)
    monkeypatch.setattr(local_shards.os, "sched_getaffinity", lambda pid: {0, 1})
    start, started = subprocess.Popen, []
    monkeypatch.setattr(
        worker_pool.subprocess, "Popen", lambda *a, **more: started.append(start(*a, **more)) or started[-1]
    )
    encode = worker_pool.Workers.encode

    def kill_first(self, shard):
        started[0].kill()
        started[0].wait()
        encode(self, shard)

    monkeypatch.setattr(worker_pool.Workers, "encode", kill_first)
    with pytest.raises(InputError, match=r"killed \(signal 9\)"):
        _preprocess_long(long_table, "out")
    assert not (long_table / "out").exists()
    assert [process.poll() for process in started] == [-9, -9]


def test_of_much_text_a_vocabulary_is_trained_on_an_even_sample(long_table, monkeypatch, capsys):
    monkeypatch.setattr(ClassificationFamily, "vocabulary_bytes", 60_000)
    given = []

    def trained(texts, size):
        given.extend(texts)
        return train_vocabulary(given, size)

    monkeypatch.setattr("bigbird_components.preprocess.preprocess.train_vocabulary", trained)
    section = {"text": ["the text"], "label": "label"}
    out = str(long_table / "out")
    manifest = preprocess("classification", out, str(long_table / "rows.csv"), vocabulary_size=40, section=section)
    lines = (long_table / "out/train.examples.jsonl").read_text(encoding="utf-8").splitlines()
    every = -(-sum(len(line) + 1 for line in lines) // 60_000)
    assert every > 2
    assert given == [json.loads(line)["text_a"] for line in lines[::every]]
    assert f"training a vocabulary of 40 pieces on one of {every} training examples\n" in capsys.readouterr().err
    assert manifest["vocabulary"]["trained_here"]
