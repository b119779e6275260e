"""Whatever is wrong with the input is one message with its place, and nothing half-written stays."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import sentencepiece

from bigbird.errors import InputError
from tests.components.preprocess.conftest import GOOD, squad_file

ROOT = Path(__file__).parents[3]
SKIP = "Correct it, or skip such records with --max_bad_records 1"


def _refused(tmp_path, run, *arguments, out="dataset", **options):
    """The message of a refused run; fails if anything new is left beside the input."""
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError) as caught:
        run(*arguments, out=out, **options)
    assert sorted(tmp_path.iterdir()) == before
    return str(caught.value)


@pytest.mark.parametrize(
    ("task", "train", "message"),
    [
        ("sst2", "text\tclass\nx\t1\n", "train.tsv:1: has the columns 'text', 'class', without 'sentence' and 'label'; expected SST-2's header"),
        ("sst2", GOOD.replace("\t", ","), "train.tsv:1: has the columns 'sentence,label', without 'sentence' and 'label'"),
        ("sst2", GOOD.encode("utf-16"), "train.tsv:1: is UTF-16; expected UTF-8"),
        ("sst2", GOOD + "only text\n", f"train.tsv:32: has 1 column; expected 2, tab-separated: sentence, label. {SKIP}"),
        ("sst2", GOOD + "a\tb\tc\n", "train.tsv:32: has 3 columns; expected 2"),
        ("sst2", GOOD + "some text\t7\n", f"train.tsv:32: has the label '7' in column 'label'; expected one of '0', '1'. {SKIP}"),
        ("sst2", GOOD + "\t1\n", "train.tsv:32: has an empty text in column 'sentence'"),
        ("sst2", GOOD + "  \u00a0\t1\n", "train.tsv:32: has an empty text in column 'sentence'"),
        ("sst2", GOOD.encode() + b"bad \xff text\t1\n", "train.tsv:32: is not UTF-8 at byte 4 of the line (0xff)"),
        ("sst2", "", "train.tsv: is empty; expected SST-2's tab-separated rows"),
        ("sst2", "sentence\tlabel\n", "train.tsv: has a header and no rows"),
        ("mrpc", GOOD, "train.tsv:1: has the columns 'sentence', 'label', without '#1 String' and '#2 String' and 'Quality'"),
        ("cola", GOOD, "train.tsv:1: has 2 columns; expected 4, tab-separated: source, label, star, sentence"),
        ("stsb", "sentence1\tsentence2\tscore\na\tb\thigh\n", "train.tsv:2: has 'high' in column 'score'; expected a number from 0 to 5"),
        ("stsb", "sentence1\tsentence2\tscore\na\tb\tnan\n", "train.tsv:2: has 'nan' in column 'score'; expected a number from 0 to 5"),
    ],
)  # fmt: skip
def test_a_bad_glue_file_is_named_with_its_line(tmp_path, raw, run, task, train, message):
    folder = raw(**{"train.tsv": train, "dev.tsv": GOOD})
    assert message in _refused(tmp_path, run, task, folder)


def _changed(edit):
    tree = squad_file()
    edit(tree["data"][0]["paragraphs"][0])
    return tree


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (json.dumps(squad_file())[:-20], "train-v1.1.json:1:260: not valid JSON (Unterminated string starting at). The string that starts here has no end: the file is truncated"),
        ("hello", "train-v1.1.json:1:1: not valid JSON"),
        ({"version": "1.1"}, "train-v1.1.json: has the keys 'version'; expected the list 'data'"),
        ([1, 2], "train-v1.1.json: holds a JSON list; expected SQuAD's object with data"),
        ({"data": []}, "train-v1.1.json: holds no question"),
        (squad_file(answers=[{"text": "bob", "answer_start": 16}]), f"question q1 (data[0].paragraphs[0].qas[0]): has the answer 'bob' at answer_start 16, where its context has 'ann'; that text is nowhere in its context. {SKIP}"),
        (squad_file(answers=[{"text": "anna", "answer_start": 9999}]), "has the answer 'anna' at answer_start 9999, where its context has ''; that text stands at 16"),
        (squad_file(answers=[{"text": "anna", "answer_start": -5}]), "has the answer 'anna' at answer_start -5"),
        (squad_file(answers=[{"text": "anna", "answer_start": "16"}]), "has the answer {'text': 'anna', 'answer_start': '16'}; expected text and answer_start"),
        (squad_file(answers=[]), "question q1 (data[0].paragraphs[0].qas[0]): has no answers; expected answers (questions without are for --task squad_v2)"),
        (squad_file(question=""), "question q1 (data[0].paragraphs[0].qas[0]): has an empty question"),
        (squad_file(is_impossible=True, answers=[]), "is marked is_impossible, which SQuAD v1.1 does not know"),
        (_changed(lambda p: p.update(qas=p["qas"] * 2)), "question q1 (data[0].paragraphs[0].qas[1]): has the id of an earlier question"),
        (_changed(lambda p: p["qas"][0].pop("id")), "data[0].paragraphs[0].qas[0]: has no id; expected id as text"),
        (_changed(lambda p: p.update(context="")), "data[0].paragraphs[0]: has an empty context"),
        (_changed(lambda p: p.pop("context")), "data[0].paragraphs[0]: has no context; expected context as text"),
        (json.dumps(squad_file()).encode().replace(b"anna kern", b"anna \xff kern"), "train-v1.1.json:1: not UTF-8 at byte 92 of the file (0xff)"),
        (b"\x1f\x8b\x08\x00abc", "train-v1.1.json:1: not UTF-8"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)  # fmt: skip
def test_a_bad_squad_file_is_named_with_its_place(tmp_path, raw, run, content, message):
    folder = raw(**{"train-v1.1.json": content, "dev-v1.1.json": squad_file()})
    assert message in _refused(tmp_path, run, "squad_v1", folder)


def _plain_vocabulary():
    """A SentencePiece model without BigBird's special pieces."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a fine film number one two"] * 50), model_writer=model, vocab_size=18, minloglevel=2
    )
    return model.getvalue()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: b"not a model", "v.model: not a SentencePiece model (11 bytes"),
        (lambda: b"", "v.model: not a SentencePiece model (0 bytes; it is empty)"),
        (_plain_vocabulary, "none is <pad> or [CLS] or [SEP] or [MASK]; BigBird needs <pad>, <unk>, [CLS], [SEP] and [MASK]"),
    ],
)  # fmt: skip
def test_a_vocabulary_that_cannot_serve_is_refused_before_any_work(tmp_path, raw, run, model, message):
    folder = raw(**{"train.tsv": GOOD, "dev.tsv": GOOD})
    (tmp_path / "v.model").write_bytes(model())
    assert message in _refused(tmp_path, run, "sst2", folder, vocabulary=str(tmp_path / "v.model"))


def test_places_that_are_not_there_or_something_else(tmp_path, raw, run):
    folder = raw(**{"train.tsv": GOOD, "dev.tsv": GOOD})
    assert "nowhere: no such folder" in _refused(tmp_path, run, "sst2", tmp_path / "nowhere")
    assert "train.tsv: is a file; expected the folder" in _refused(tmp_path, run, "sst2", folder / "train.tsv")
    missing = _refused(tmp_path, run, "sst2", train_file=str(tmp_path / "gone.tsv"))
    assert "gone.tsv" in missing
    assert "gone.model" in _refused(tmp_path, run, "sst2", folder, vocabulary=str(tmp_path / "gone.model"))
    found = _refused(tmp_path, run, "squad_v1", folder)
    assert "has no file of task squad_v1; expected train-v1.1.json" in found and "found dev.tsv, train.tsv" in found
    assert "task 'sst-2' is not known; expected one of cola, sst2" in _refused(tmp_path, run, "sst-2", folder)


def test_an_output_in_use_is_kept(tmp_path, raw, run):
    folder = raw(**{"train.tsv": GOOD, "dev.tsv": GOOD})
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("kept")
    (tmp_path / "file").write_text("kept")
    assert "full: already holds files" in _refused(tmp_path, run, "sst2", folder, out="full")
    assert "file: is a file; expected a folder" in _refused(tmp_path, run, "sst2", folder, out="file")
    assert (tmp_path / "full" / "mine").read_text() == (tmp_path / "file").read_text() == "kept"


def test_so_many_bad_records_as_allowed_are_skipped_and_listed(tmp_path, raw, run):
    folder = raw(**{"train.tsv": GOOD + "x\t7\n\t1\n", "dev.tsv": GOOD})
    message = _refused(tmp_path, run, "sst2", folder, max_bad_records=1)
    assert "train.tsv:33" in message
    dataset = run("sst2", folder, max_bad_records=2)
    manifest = json.loads((dataset / "dataset.json").read_text())
    assert manifest["rejected"] == 2
    assert manifest["splits"]["train"]["examples"] == 30
    listed = [json.loads(line) for line in (dataset / "rejected.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [entry["where"] for entry in listed] == ["32", "33"]
    assert "has the label '7'" in listed[0]["problem"] and listed[1]["record"] == "\t1"


@pytest.mark.parametrize(
    "change", [lambda text: text.replace("\n", "\r\n"), lambda text: "\ufeff" + text, lambda text: text + "\n"]
)
def test_windows_line_ends_a_byte_order_mark_and_a_last_blank_line_change_nothing(raw, run, change):
    plain = run("sst2", raw(**{"train.tsv": GOOD, "dev.tsv": GOOD}), out="plain")
    changed = run("sst2", raw(**{"train.tsv": change(GOOD), "dev.tsv": change(GOOD)}), out="changed")
    for file in plain.glob("*.tfrecord"):
        assert (changed / file.name).read_bytes() == file.read_bytes()


@pytest.mark.parametrize(
    ("files", "task", "message"),
    [
        ({"train.tsv": GOOD + "x\t7\n", "dev.tsv": GOOD}, "sst2", r"train\.tsv:32: has the label '7'"),
        ({"train-v1.1.json": '{"data": ['}, "squad_v1", r"train-v1\.1\.json:1:11: not valid JSON"),
    ],
)
def test_the_command_ends_with_2_and_one_message(tmp_path, raw, files, task, message):
    folder = raw(**files)
    before = sorted(tmp_path.iterdir())
    result = subprocess.run(
        [sys.executable, "-m", "components.preprocess", "--task", task, "--input", folder, "--output", tmp_path / "out"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{ROOT / 'model'}{os.pathsep}{ROOT}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 2
    assert result.stderr.count("error:") == 1 and "Traceback" not in result.stderr
    assert re.search(message, result.stderr)
    assert sorted(tmp_path.iterdir()) == before
