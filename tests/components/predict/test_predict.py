"""Answering a table with a trained model: the answers, going on after an interruption, what is refused."""

import csv
import json
import random
import shutil
import signal
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import bigbird
from bigbird.manifests import PredictionsManifest
from bigbird.support.errors import DamagedError, InputError
from bigbird_components.predict import rows as rows_module
from bigbird_components.predict.predict import predict
from bigbird_pipelines.cli import cli
from tests.components.predict.conftest import almost, answers_of, texts_of

pytestmark = pytest.mark.slow  # a fixture that its tests share takes more than 10 s


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(rows_module, "ROWS", 16)


@pytest.mark.usefixtures("small_shards")
def test_the_answers_are_the_models_in_every_format(classified, table, tmp_path):
    model = str(classified / "saved_model")
    expected = bigbird.load_model(model).predict(texts_of(50))
    file, keep = table(50), {"id_column": "name", "keep": ["shop"]}
    summary = predict(model, file, str(tmp_path / "a"), **keep)
    assert answers_of(tmp_path / "a") == almost(
        [{"id": f"n{i}", "shop": "", **answer} for i, answer in enumerate(expected)]
    )
    labels = [answer["label"] for answer in expected]
    assert summary.labels == {
        label: labels.count(label) for label in sorted(set(labels), key=lambda x: -labels.count(x))
    }
    assert (summary.answered, summary.rejected, summary.task, summary.renamed) == (50, 0, "sst2", {})
    assert summary.cut == sum(len(text.split()) > 140 for text in texts_of(50)) > 0
    assert PredictionsManifest.read(tmp_path / "a") == summary
    summary.check_files(tmp_path / "a")
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["predictions.jsonl", "summary.json"]

    flat = [
        {
            "id": f"n{i}",
            "shop": "",
            "label": answer["label"],
            "logits": answer["logits"],
            **{f"probability.{label}": value for label, value in answer["probabilities"].items()},
        }
        for i, answer in enumerate(answers_of(tmp_path / "a"))
    ]
    predict(model, file, str(tmp_path / "b"), to="parquet", **keep)
    assert pq.read_table(tmp_path / "b" / "predictions.parquet").to_pylist() == flat
    predict(model, file, str(tmp_path / "c"), to="csv", **keep)
    with (tmp_path / "c" / "predictions.csv").open(newline="", encoding="utf-8") as lines:
        assert [{**row, "logits": json.loads(row["logits"])} for row in csv.DictReader(lines)] == [
            {name: value if isinstance(value, list | str) else str(value) for name, value in row.items()}
            for row in flat
        ]


def test_every_format_of_a_table_has_the_same_answers(classified, table, tmp_path):
    model, file = str(classified / "saved_model"), table(20)
    with open(file, newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    (tmp_path / "folder").mkdir()
    for number, part in enumerate((rows[:7], rows[7:])):
        lines = "".join(json.dumps(row) + "\n" for row in part)
        (tmp_path / "folder" / f"{number}.jsonl").write_text(lines, encoding="utf-8")
    found = []
    for number, each in enumerate((file, "t.jsonl", "t.parquet", "folder", "folder/*.jsonl")):
        predict(model, str(tmp_path / each), str(tmp_path / f"out{number}"), id_column="name", keep_all=True)
        found.append(answers_of(tmp_path / f"out{number}"))
    assert all(answers == found[0] for answers in found)
    assert list(found[0][0]) == ["id", "input.label", "shop", "label", "logits", "probabilities"]


def test_a_trained_model_and_a_run_answer_as_their_export_does(classified, table, tmp_path):
    (tmp_path / "run" / "export").mkdir(parents=True)
    (tmp_path / "run" / "export" / "saved_model").symlink_to(classified / "saved_model")
    file = table(10)
    for name, model in (("a", classified / "saved_model"), ("b", classified / "model"), ("c", tmp_path / "run")):
        predict(str(model), file, str(tmp_path / name))
    assert answers_of(tmp_path / "a") == answers_of(tmp_path / "b") == answers_of(tmp_path / "c")


def test_pairs_and_numbers_are_answered(paired, tmp_path):
    texts = texts_of(20)
    rows = [{"text_a": a, "text_b": b} for a, b in zip(texts, reversed(texts), strict=True)]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    summary = predict(str(paired / "saved_model"), str(tmp_path / "t.jsonl"), str(tmp_path / "out"))
    expected = bigbird.load_model(paired / "saved_model").predict(rows)
    assert [{name: row[name] for name in row if name != "id"} for row in answers_of(tmp_path / "out")] == almost(
        expected
    )
    assert sum(summary.labels.values()) == (20 if "label" in expected[0] else 0)
    assert summary.cut > 0


def test_questions_are_answered(answered, tmp_path):
    contexts = texts_of(12)
    rows = [{"question": f"what is it {i} ?", "context": text} for i, text in enumerate(contexts)]
    rows[3]["question"] *= 20
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    summary = predict(str(answered / "saved_model"), str(tmp_path / "t.jsonl"), str(tmp_path / "out"), to="csv")
    expected = bigbird.load_model(answered / "saved_model").predict(rows)
    with (tmp_path / "out" / "predictions.csv").open(newline="", encoding="utf-8") as lines:
        found = list(csv.DictReader(lines))
    assert [[row["answer"], row["start"], row["end"]] for row in found] == [
        [answer["answer"], str(answer["start"]), str(answer["end"])] for answer in expected
    ]
    assert (summary.cut, summary.labels) == (1, {})  # contexts are read in windows


# -------------------------------------------------------------------------------------------------- interruptions


def test_a_killed_job_goes_on_and_ends_with_the_same_bytes(classified, table, tmp_path, command, monkeypatch):
    rng, model, file, killed = random.Random(3), classified / "saved_model", table(300), tmp_path / "killed"
    with open(file, "a", encoding="utf-8") as lines:
        lines.write("bad,,0,\n")
    monkeypatch.setattr(rows_module, "ROWS", 32)  # as in the command: ten shards
    words = ["--model", str(model), file, "--id", "name", "--keep-all", "--max-bad-records", "2", "--output"]
    whole = CliRunner().invoke(cli, ["predict", *words, str(tmp_path / "whole")])
    assert whole.exit_code == 0, whole.output
    answered = [0]  # shards that were answered when the process was killed
    for more in (1, rng.randint(2, 4), 10):
        least = min(10, answered[-1] + more)  # more than before: it has said where it goes on
        process = command(*words, killed)
        while process.poll() is None and len(list(killed.glob("work/part-*.json"))) < least:
            time.sleep(0.005)
        if least == 10:  # while the answers are put together
            time.sleep(rng.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        _, told = process.communicate()
        assert answered[-1] == 0 or f"{32 * answered[-1]} of 300 rows were answered before" in told
        answered.append(len(list(killed.glob("work/part-*.json"))))
        if answered[-1] == 10 or (killed / "summary.json").exists():  # nothing is left to be answered
            break
    assert any(0 < count < 10 for count in answered), answered
    _, told = command(*words, killed).communicate()
    assert "rows were answered before" in told or "already holds files" in told
    for name in ("predictions.jsonl", "rejected.jsonl"):
        assert (killed / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert sorted(path.name for path in killed.iterdir()) == ["predictions.jsonl", "rejected.jsonl", "summary.json"]
    clock = ("seconds", "rows_per_second", "manifest_sha256")
    first, second = (json.loads((tmp_path / each / "summary.json").read_text()) for each in ("whole", "killed"))
    assert {name: first[name] for name in first if name not in clock} == {
        name: second[name] for name in second if name not in clock
    }


@pytest.fixture
def interrupted(classified, table, tmp_path, monkeypatch):
    """Function (arguments of `predict`) -> a job that ended after its second shard of three, and how to go on with it."""
    monkeypatch.setattr(rows_module, "ROWS", 16)
    from bigbird_components.predict import predict as module

    answer_shards, model = module.answer_shards, classified / "saved_model"

    def stops(files, shards, told):
        answer_shards(files, shards[:2], told)
        raise KeyboardInterrupt

    def start(**options):
        arguments = {"model": str(model), "table": table(40), "output": str(tmp_path / "out"), **options}
        with monkeypatch.context() as patch:
            patch.setattr(module, "answer_shards", stops)
            with pytest.raises(KeyboardInterrupt):
                predict(**arguments)
        return arguments

    return start


def test_ctrl_c_leaves_a_job_that_goes_on(interrupted, tmp_path, caplog):
    caplog.set_level("INFO")
    arguments = interrupted()
    assert "the same command goes on with what is not answered yet" in caplog.text
    parts = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out" / "work").glob("part-*.jsonl")}
    assert sorted(parts) == ["part-00000.jsonl", "part-00001.jsonl"]
    summary = predict(**arguments)
    assert "32 of 40 rows were answered before" in caplog.text
    assert summary.answered == 40
    predict(**{**arguments, "output": str(tmp_path / "at once")})
    assert answers_of(tmp_path / "out") == answers_of(tmp_path / "at once")


def test_another_job_is_not_mixed_with_one_that_has_not_ended(interrupted, classified, table, tmp_path):
    arguments = interrupted()
    other = tmp_path / "model"
    shutil.copytree(classified / "saved_model", other)
    signature = json.loads((other / "signature.json").read_text())
    from bigbird.support.artifacts import write_manifest
    from bigbird.support.integrity import content

    write_manifest(other, "saved_model", content({**signature, "version": "other"}))
    holds = r"out: holds an unfinished job whose {} differs; give the same options again .* or pass --overwrite to begin anew"
    with pytest.raises(InputError, match=holds.format("model")):
        predict(**{**arguments, "model": str(other)})
    with pytest.raises(InputError, match=holds.format("setting of keep")):
        predict(**arguments, keep=["shop"])
    table(40, seed=1)  # the same file, with other rows
    with pytest.raises(InputError, match=holds.format("input")):
        predict(**arguments)
    assert predict(**arguments, overwrite=True).answered == 40


def test_a_damaged_part_is_told_and_not_used(interrupted, tmp_path):
    arguments = interrupted()
    part = tmp_path / "out" / "work" / "part-00001.jsonl"
    part.write_bytes(part.read_bytes().replace(b'"id"', b'"ID"', 1))
    with pytest.raises(DamagedError, match=r"part-00001\.jsonl: is not what was written; call the command again"):
        predict(**arguments)
    predict(**arguments)
    predict(**{**arguments, "output": str(tmp_path / "at once")})
    assert answers_of(tmp_path / "out") == answers_of(tmp_path / "at once")


def test_answers_are_replaced_only_where_asked_for(classified, table, tmp_path):
    arguments = {"model": str(classified / "saved_model"), "table": table(5), "output": str(tmp_path / "out")}
    predict(**arguments, to="csv")
    with pytest.raises(InputError, match="out: already holds files; give an empty or new folder, or pass --overwrite"):
        predict(**arguments)
    predict(**arguments, overwrite=True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["predictions.jsonl", "summary.json"]
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="no stage wrote it and --overwrite leaves it alone"):
        predict(**{**arguments, "output": str(tmp_path / "own"), "overwrite": True})
    assert [path.name for path in (tmp_path / "own").iterdir()] == ["notes.txt"]


def test_what_cannot_be_answered_leaves_nothing_behind(classified, table, tmp_path):
    arguments = {"model": str(classified / "saved_model"), "table": table(5), "output": str(tmp_path / "out")}
    (tmp_path / "empty.csv").write_text("text\n")
    for changed, message in (
        ({"columns": {"question": ["text"]}}, "--question text: this model has no such text"),
        ({"columns": {"text": ["body"]}}, "has no column 'body'"),
        ({"table": str(tmp_path / "empty.csv")}, "has no row below its columns' names"),
        ({"table": str(tmp_path / "none.csv")}, "no such file or folder"),
        ({"model": str(tmp_path)}, "has no signature.json"),
        ({"table_format": {"encoding": "utf-9"}}, "--encoding: found 'utf-9'"),
        ({"output": str(tmp_path)}, "is the output folder and holds"),
    ):
        with pytest.raises(InputError, match=message):
            predict(**{**arguments, **changed})
        assert not (tmp_path / "out").exists()


def test_two_commands_do_not_write_one_folder(classified, table, tmp_path):
    from bigbird.support.locks import locked

    with (
        locked(tmp_path / "out", "bigbird predict"),
        pytest.raises(InputError, match="is being written by bigbird predict"),
    ):
        predict(str(classified / "saved_model"), table(5), str(tmp_path / "out"))


def test_answers_of_a_job_that_another_process_has_taken_over_are_not_put_in_place(
    classified, table, tmp_path, monkeypatch
):
    from bigbird.support.locks import LockLost
    from bigbird_components.predict import predict as module

    answer_shards = module.answer_shards

    def taken_over(place, shards, told):
        answer_shards(place, shards, told)
        (tmp_path / ".out.lock").write_text('{"what": "bigbird predict", "process": 1, "host": "elsewhere"}')

    monkeypatch.setattr(module, "answer_shards", taken_over)
    with pytest.raises(LockLost, match="out: was taken over by bigbird predict, process 1 on elsewhere"):
        predict(str(classified / "saved_model"), table(5), str(tmp_path / "out"))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["work"]


# ---------------------------------------------------------------------------------------------------------- Beam


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize(
    "flags", [["--runner=DirectRunner"], ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]]
)
def test_beam_answers_with_the_same_bytes(classified, table, tmp_path, flags):
    arguments = {"model": str(classified / "saved_model"), "table": table(50), "keep": ["label"]}
    here = predict(**arguments, output=str(tmp_path / "here"))
    there = predict(**arguments, output=str(tmp_path / "there"), beam_options=flags)
    assert (tmp_path / "here" / "predictions.jsonl").read_bytes() == (
        tmp_path / "there" / "predictions.jsonl"
    ).read_bytes()
    assert (here.labels, here.cut, here.renamed) == (there.labels, there.cut, there.renamed)


def test_workers_elsewhere_need_a_bucket(classified, table, tmp_path):
    arguments = {
        "model": str(classified / "saved_model"),
        "table": table(5),
        "beam_options": ["--runner=DataflowRunner"],
    }
    with pytest.raises(InputError, match="out: a remote runner's workers cannot write here; expected a bucket"):
        predict(**arguments, output=str(tmp_path / "out"))
    with pytest.raises(InputError, match="saved_model: a remote runner's workers cannot read here; expected a bucket"):
        predict(**arguments, output="gs://bucket/out")
    with pytest.raises(
        InputError, match=r"--kep: neither this command nor Apache Beam has this option; did you mean --keep\?"
    ):
        predict(**{**arguments, "beam_options": ["--kep=x"]}, output=str(tmp_path / "out"))
