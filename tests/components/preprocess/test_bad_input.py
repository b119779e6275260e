"""Whatever is wrong with the input is one message with its place, and nothing half-written stays."""

import gzip
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import sentencepiece
from click.testing import CliRunner

from bigbird.support.errors import InputError
from bigbird.text.sentence_piece import train_vocabulary
from bigbird_components.preprocess.__main__ import main
from tests.components.preprocess.conftest import GOOD, squad_file

ROOT = Path(__file__).parents[3]
SKIP = "Correct it, or skip such records with --max-bad-records 1"


@pytest.mark.parametrize(
    ("task", "train", "message"),
    [
        ("sst2", "text\tclass\nx\t1\n", "train.tsv:1: has the columns 'text', 'class', without 'sentence' and 'label'; expected SST-2's header"),
        ("sst2", GOOD.replace("\t", ","), "train.tsv:1: has the columns 'sentence,label', without 'sentence' and 'label'"),
        ("sst2", GOOD.replace("\t", ","), "expected SST-2's header with 'sentence', 'label', tab-separated. It has commas and no tab"),
        ("sst2", GOOD.split("\n", 1)[1], "train.tsv:1: has the columns 'a fine film of the year 1900', '0', without 'sentence' and 'label'"),
        ("sst2", GOOD.replace("\n", "\r"), "Its lines end with a carriage return alone: end them with a line feed"),
        ("sst2", json.dumps(squad_file()), "train.tsv:1: has the columns '{\"version\": \"1.1\", \"data\": [{\"title\": \"… (288 characters), without"),
        ("sst2", json.dumps(squad_file()), "This looks like JSON: is it another task's file?"),
        ("sst2", GOOD.encode("utf-16"), "train.tsv:1: is UTF-16; expected UTF-8"),
        ("sst2", GOOD.encode("utf-16-le"), "train.tsv:1: has NUL bytes at its beginning: it is damaged, or no text; expected UTF-8"),
        ("sst2", b"\0" * 5000, "train.tsv:1: has NUL bytes at its beginning"),
        ("sst2", GOOD + "a\0b\t1\n", f"train.tsv:32: has a NUL byte at byte 1 of the line; expected text only. {SKIP}"),
        ("sst2", gzip.compress(GOOD.encode(), mtime=0), "train.tsv:1: is compressed by gzip; expected text. Unpack it, or let its name end in .gz"),
        ("sst2", b"PK\x03\x04\x14\x00", "train.tsv:1: is a ZIP archive; expected text. Unpack it"),
        ("sst2", "<!DOCTYPE html>\n<html>404</html>\n", "train.tsv:1: is a web page; expected the data. Download it again"),
        ("sst2", "version https://git-lfs.github.com/spec/v1\nsize 12\n", "train.tsv:1: is a Git LFS pointer; expected the data. `git lfs pull`"),
        ("sst2", GOOD[:-3], f"train.tsv:31: has 1 column; expected 2, tab-separated: sentence, label. {SKIP}"),
        ("sst2", GOOD + "\nx\t1\n", "train.tsv:32: has 1 column; expected 2"),
        ("sst2", GOOD + f"x\t{'7' * 5000}\n", "7… (5,002 characters) in column 'label'; expected one of '0', '1'"),
        ("sst2", GOOD + "only text\n", f"train.tsv:32: has 1 column; expected 2, tab-separated: sentence, label. {SKIP}"),
        ("sst2", GOOD + "a\tb\tc\n", "train.tsv:32: has 3 columns; expected 2"),
        ("sst2", GOOD + "some text\t7\n", f"train.tsv:32: has the label '7' in column 'label'; expected one of '0', '1'. {SKIP}"),
        ("sst2", GOOD + "\t1\n", "train.tsv:32: has an empty text in column 'sentence'"),
        ("sst2", GOOD + "  \u00a0\t1\n", "train.tsv:32: has an empty text in column 'sentence'"),
        ("sst2", GOOD.encode() + b"bad \xff text\t1\n", "train.tsv:32: is not UTF-8 at byte 4 of the line (0xff)"),
        ("sst2", "", "train.tsv: is empty; expected SST-2's tab-separated rows"),
        ("sst2", "label\tsentence\tlabel\n1\tx\t0\n", "train.tsv:1: has more than one column 'label'; expected each of 'sentence', 'label' once, to know which one to read"),
        ("sst2", "sentence\tlabel\n", "train.tsv: has a header and no rows; expected a row of SST-2 on each line below it"),
        ("mrpc", GOOD, "train.tsv:1: has the columns 'sentence', 'label', without '#1 String' and '#2 String' and 'Quality'"),
        ("cola", GOOD, "train.tsv:1: has 2 columns; expected 4, tab-separated: source, label, star, sentence"),
        ("stsb", "sentence1\tsentence2\tscore\na\tb\thigh\n", "train.tsv:2: has 'high' in column 'score'; expected a number from 0 to 5"),
        ("stsb", "sentence1\tsentence2\tscore\na\tb\t5.1\n", "train.tsv:2: has '5.1' in column 'score'; expected a number from 0 to 5"),
        ("mnli", "sentence1\tsentence2\tgold_label\na\tb\t-\n", "train.tsv:2: has the label '-' in column 'gold_label'; expected one of 'entailment', 'neutral', 'contradiction'"),
        ("stsb", "sentence1\tsentence2\tscore\na\tb\tnan\n", "train.tsv:2: has 'nan' in column 'score'; expected a number from 0 to 5"),
    ],
)  # fmt: skip
def test_a_bad_glue_file_is_named_with_its_line(raw, refused, task, train, message):
    folder = raw(**{"train.tsv": train})
    assert message in refused(task, folder)


def _changed(edit):
    tree = squad_file()
    edit(tree["data"][0]["paragraphs"][0])
    return tree


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (json.dumps(squad_file())[:-20], "train-v1.1.json:1:260: not valid JSON (Unterminated string starting at); expected SQuAD's. The string that starts here has no end: the file is truncated"),
        (json.dumps(squad_file())[:-7], "train-v1.1.json:1:280: not valid JSON (Expecting ',' delimiter); expected SQuAD's. The file ends before its JSON does: it is truncated"),
        (GOOD, "train-v1.1.json:1:1: not valid JSON (Expecting value); expected SQuAD's. Is it another task's file?"),
        ("", "train-v1.1.json: is empty; expected SQuAD's JSON"),
        (" \n\n", "train-v1.1.json: is empty; expected SQuAD's JSON"),
        ('{"id": "1"}\n{"id": "2"}\n', "train-v1.1.json:2:1: not valid JSON (Extra data); expected SQuAD's. More follows after the JSON's end; one object is expected, not JSON lines"),
        ("[" * 200_000, "train-v1.1.json: not valid JSON (maximum recursion depth exceeded"),
        ('{"data": ' + "1" * 5000 + "}", "train-v1.1.json: not valid JSON (Exceeds the limit"),
        ({"data": 5}, "train-v1.1.json: has 'data' of type int; expected the list 'data'"),
        ({"data": ["x"]}, "train-v1.1.json:data[0]: has str; expected the list 'paragraphs'"),
        ({"data": [{"title": ["x"], "paragraphs": []}]}, "train-v1.1.json:data[0]: has title of type list; expected title as text"),
        ({"data": [{"title": "\ud800", "paragraphs": []}]}, "train-v1.1.json:data[0]: has half a character (\\ud800) at position 0 of its title"),
        ({"data": [{"paragraphs": [{"context": "x", "qas": 5}]}]}, "data[0].paragraphs[0]: has 'qas' of type int; expected the list 'qas'"),
        (squad_file(id="x\n\x1b[2J" * 500, question=5), "question x\\n\\x1b[2Jx\\n"),
        (squad_file(question="\udc00"), "question q1 (data[0].paragraphs[0].qas[0]): has half a character (\\udc00) at position 0 of its question"),
        (squad_file(answers=0), "has answers of type int; expected a list"),
        ({f"{'k' * 100_000}{i}": 1 for i in range(9)}, "train-v1.1.json: has the keys 'kkkkkkkkkkkkkkkkkkkkkkkkkkkkk… (100,003 characters)"),
        ({"data": [{"paragraphs": ["x"]}]}, "train-v1.1.json:data[0].paragraphs[0]: is str; expected an object with context and qas"),
        (b"\0" * 100, "train-v1.1.json:1: has NUL bytes at its beginning"),
        (json.dumps(squad_file()).replace("anna kern", "anna\0kern"), "train-v1.1.json:1:92: not valid JSON (Invalid control character at)"),
        (json.dumps(squad_file()).encode("utf-16"), "train-v1.1.json:1: is UTF-16; expected UTF-8"),
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
        (b"\x1f\x8b\x08\x00abc", "train-v1.1.json:1: is compressed by gzip"),
        (squad_file(answers=[{"text": "bob " * 3000, "answer_start": 0}]), "… (12,002 characters) at answer_start 0, where its context has 'it was built"),
        (squad_file(id="x" * 3000, question=""), f"question {'x' * 100} (data[0].paragraphs[0].qas[0]): has an empty question"),
        (squad_file(id=5), "train-v1.1.json:data[0].paragraphs[0].qas[0]: has id of type int; expected id as text"),
        (squad_file(answers={"text": ["anna"], "answer_start": [16]}), "has answers of type dict; expected a list"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)  # fmt: skip
def test_a_bad_squad_file_is_named_with_its_place(raw, refused, content, message):
    folder = raw(**{"train-v1.1.json": content, "dev-v1.1.json": squad_file()})
    assert message in refused("squad_v1", folder)


def _plain_vocabulary():
    """A SentencePiece model without BigBird's special pieces."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a fine film number one two"] * 50),
        model_writer=model,
        vocab_size=18,
        minloglevel=2,
        bos_id=-1,
    )
    return model.getvalue()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: b"not a model", "v.model: not a SentencePiece model (11 bytes of another format, or cut short); expected the .model file"),
        (lambda: b"", "v.model: not a SentencePiece model (empty)"),
        (lambda: train_vocabulary([GOOD], 60)[:-20], "v.model: not a SentencePiece model"),
        (_plain_vocabulary, "none is <pad> or [CLS] or [SEP] or [MASK]; BigBird needs <pad>, <unk>, [CLS], [SEP] and [MASK]"),
    ],
)  # fmt: skip
def test_a_vocabulary_that_cannot_serve_is_refused_before_any_work(tmp_path, raw, refused, model, message):
    folder = raw(**{"train.tsv": GOOD, "dev.tsv": GOOD})
    (tmp_path / "v.model").write_bytes(model())
    assert message in refused("sst2", folder, vocabulary=str(tmp_path / "v.model"))


def test_places_that_are_not_there_or_something_else(tmp_path, raw, run, refused):
    folder = raw(**{"train.tsv": GOOD, "dev.tsv": GOOD})
    assert "nowhere: no such folder" in refused("sst2", tmp_path / "nowhere")
    assert "train.tsv: is a file; expected the folder" in refused("sst2", folder / "train.tsv")
    gone = refused("sst2", train_file=tmp_path / "gone.tsv")
    assert gone == f"error: {tmp_path / 'gone.tsv'}: no such file; expected the train file of sst2"
    gone = refused("sst2", folder, vocabulary=tmp_path / "gone.model")
    assert gone == f"error: {tmp_path / 'gone.model'}: no such file; expected the vocabulary"
    assert "raw: is a folder; expected the train file of sst2" in refused("sst2", train_file=folder)
    held = refused("sst2", folder, vocabulary=folder)
    assert "raw: holds no vocabulary; expected vocab.model or" in held and "found dev.tsv, train.tsv" in held
    assert "the train file of sst2 is given as an empty path" in refused("sst2", train_file="")
    found = refused("squad_v1", folder)
    assert "has no file of task squad_v1; expected train-v1.1.json" in found and "found dev.tsv, train.tsv" in found
    assert "has no file of task sst2; expected train.tsv" in refused("sst2", raw(**{"a.csv": GOOD}).parent)
    with pytest.raises(InputError, match="task 'sst-2' is not known; expected one of cola, sst2"):
        run("sst-2", folder)  # from a pipeline; on the command line click says it


def test_a_file_of_a_split_that_the_task_lacks(raw, refused):
    folder = raw(**{"train.tsv": GOOD})
    message = refused("ax", train_file=folder / "train.tsv")
    assert "train.tsv: task ax has no train split; it has test" in message
    assert "no vocabulary is given and there is no training file to train one on; pass --vocabulary" in refused(
        "sst2", validation_file=folder / "train.tsv"
    )


def test_a_compressed_file_is_read_by_its_name(raw, run, refused):
    folder = raw(**{"train.tsv.gz": gzip.compress(GOOD.encode()), "bad.tsv.gz": GOOD})
    dataset = run("sst2", train_file=str(folder / "train.tsv.gz"))
    assert json.loads((dataset / "dataset.json").read_text())["splits"]["train"]["examples"] == 30
    message = refused("sst2", train_file=folder / "bad.tsv.gz", out="other")
    assert "bad.tsv.gz: its name says that it is compressed, and it cannot be unpacked" in message


def test_an_output_in_use_is_kept(tmp_path, raw, refused):
    folder = raw(**{"train.tsv": GOOD, "dev.tsv": GOOD})
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("kept")
    (tmp_path / "file").write_text("kept")
    assert "full: already holds files" in refused("sst2", folder, out="full")
    assert "file: is a file; expected a folder" in refused("sst2", folder, out="file")
    assert f"file/new: cannot be made, as {tmp_path / 'file'} is a file" in refused("sst2", folder, out="file/new")
    assert "the output folder is given as an empty path" in refused("sst2", folder, output="")


@pytest.mark.parametrize("options", [{}, {"overwrite": True}])
def test_an_output_that_holds_the_input_is_refused_even_to_overwrite(tmp_path, raw, run, options):
    """Replacing it would delete the user's only copy of the data."""
    folder = raw(**{"train.tsv": GOOD, "dev.tsv": GOOD})
    for out in ("raw", ".", "raw/../raw"):
        with pytest.raises(InputError, match=r"is the output folder and holds .*raw, which this run reads"):
            run("sst2", folder, out=out, **options)
    with pytest.raises(InputError, match=r"holds .*train\.tsv, which this run reads"):
        run("sst2", train_file=str(folder / "train.tsv"), out="raw", **options)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["dev.tsv", "raw", "train.tsv"]
    run("sst2", folder, out="raw/dataset", **options)  # inside it is fine
    assert (folder / "train.tsv").read_text() == GOOD


def test_the_current_folder_is_no_output(tmp_path, raw, refused, monkeypatch):
    folder = raw(**{"train.tsv": GOOD})
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for output in (".", "../here", "new/.."):
        assert f"{output}: is the current folder, or one above it" in refused("sst2", folder, output=output)


def test_overwriting_replaces_a_dataset_and_a_failed_run_keeps_the_old_one(tmp_path, raw, run, refused):
    good = raw(**{"train.tsv": GOOD})
    (run("sst2", good) / "mine").write_text("old")
    bad = tmp_path / "bad.tsv"
    bad.write_text(GOOD + "x\t7\n")
    with pytest.raises(InputError, match="already holds files"):
        run("sst2", good)
    before = {path.name: path.read_bytes() for path in (tmp_path / "dataset").iterdir()}
    with pytest.raises(InputError, match=r"bad\.tsv:32"):
        run("sst2", train_file=str(bad), overwrite=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "dataset").iterdir()} == before
    assert not (run("sst2", good, overwrite=True) / "mine").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.tsv", "dataset", "raw"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_lenght": 12}, "--max_lenght: neither this command nor Apache Beam has this option; did you mean --max-length? See --help"),
        ({"zzz": 12}, "--zzz: neither this command nor Apache Beam has this option. See --help"),
        ({"runner": "DirectRuner"}, "--runner=DirectRuner: no runner of Apache Beam; did you mean DirectRunner?"),
        ({"runner": "Foo"}, "--runner=Foo: no runner of Apache Beam; expected one of DataflowRunner, "),
        ({"runner": "DataflowRunner"}, "dataset: a remote runner's workers cannot write here; expected a bucket"),
        ({"direct_num_workers": "abc"}, "Beam refuses its options: argument --direct_num_workers: invalid int value: 'abc'"),
        ({"direct_num_workers": -1}, "--direct_num_workers=-1: expected 1 or more, or 0 for one per processor"),
        ({"output": "nowhere://x/y"}, "nowhere://x/y: cannot be reached from here"),
        ({"max_length": 0}, "max_length 0 leaves no room beside the special pieces; expected at least 8"),
        ({"vocabulary_size": 3}, "no vocabulary of 3 pieces can be trained: the text's characters alone take 28; raise --vocabulary-size"),
        ({"max_bad_records": -1}, "vocabulary_size must be at least 1 and max_bad_records at least 0; found 60 and -1"),
    ],
    ids=str,
)  # fmt: skip
def test_an_option_that_cannot_be_used_is_named(raw, refused, options, message):
    assert message in refused("sst2", raw(**{"train.tsv": GOOD}), **options)


def test_beams_options_in_one_string_are_quoted_as_in_a_shell(raw, run):
    folder = raw(**{"train.tsv": GOOD})
    run("sst2", folder, beam_options="--direct_num_workers=1 --job_name 'two words'")
    with pytest.raises(
        InputError, match="Beam's options \"--job_name 'two\" cannot be told apart: No closing quotation"
    ):
        run("sst2", folder, out="other", beam_options="--job_name 'two")


def test_options_may_be_spelt_with_dashes(raw, tmp_path):
    folder = raw(**{"train.tsv": GOOD})
    arguments = ["--task=sst2", f"--input={folder}", f"--output={tmp_path / 'out'}", "--vocabulary-size=60"]
    result = CliRunner().invoke(main, [*arguments, "--max-length=8", "--runner=directrunner"])
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "out" / "dataset.json").read_text())["max_length"] == 8


def test_a_file_of_bad_records_only_is_refused_and_its_first_one_named(raw, refused):
    folder = raw(**{"train.tsv": GOOD + "x\t7\n", "dev.tsv": "sentence\tlabel\ny\t8\n"})
    message = refused("sst2", folder, max_bad_records=9)
    assert f"{folder / 'dev.tsv'}: every record in it was rejected; the first, {folder / 'dev.tsv'}:2: " in message
    assert "has the label '8'" in message


def test_so_many_bad_records_as_allowed_are_skipped_and_listed(raw, run, refused):
    folder = raw(**{"train.tsv": GOOD + "x\t7\n\t1\n", "dev.tsv": GOOD})
    message = refused("sst2", folder, max_bad_records=1)
    assert "train.tsv:33" in message
    dataset = run("sst2", folder, max_bad_records=2)
    manifest = json.loads((dataset / "dataset.json").read_text())
    assert manifest["rejected"] == 2
    assert manifest["splits"]["train"]["examples"] == 30
    listed = [json.loads(line) for line in (dataset / "rejected.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [entry["where"] for entry in listed] == ["32", "33"]
    assert "has the label '7'" in listed[0]["problem"] and listed[1]["record"] == "\t1"


@pytest.mark.parametrize(
    ("task", "names", "message"),
    [
        ("squad_v1", ["train-v1.1 (1).json", "train-v1.1-old.json", "dev-v1.1.json"], "has no train-v1.1.json, but train-v1.1 (1).json, train-v1.1-old.json; name the file to read with --train-file, rename it to train-v1.1.json, or move it out"),
        ("squad_v2", ["train-v2.0.json", "dev-v1.1.json"], "has no dev-v2.0.json, but dev-v1.1.json; name the file to read with --validation-file"),
        ("squad_v1", ["train.json.gz", "dev.json"], "has no train-v1.1.json, but train.json.gz; name"),
        ("sst2", ["train.tsv", "validation.tsv"], "has no dev.tsv, but validation.tsv; name the file to read with --validation-file"),
        ("sst2", ["Train.tsv", "dev.tsv"], "has no train.tsv, but Train.tsv"),
        ("mnli", ["train.tsv", "dev.tsv"], "has no dev_matched.tsv or dev_mismatched.tsv, but dev.tsv"),
        ("pretraining", ["training.txt", "dev.txt"], "has no train.txt, but training.txt"),
        ("sst2", [f"train{'x' * 200}{i}.tsv" for i in range(30)], " and 18 more; name the file to read"),
    ],
    ids=str,
)  # fmt: skip
def test_a_file_that_may_be_a_split_is_not_passed_over(raw, refused, task, names, message):
    assert message in refused(task, raw(**dict.fromkeys(names, GOOD)))


def test_the_files_that_are_read_and_those_that_are_not_are_said(raw, run, capsys):
    files = ["train.tsv", "train (1).tsv", "dev.tsv", "dev_new.tsv", "notes.txt"]
    folder = raw(**dict.fromkeys(files, GOOD))
    (folder / "original").mkdir()
    run("sst2", folder, test_file=f"{folder}/notes.txt", validation_file=f"{folder}/dev_new.tsv")
    said = capsys.readouterr().err.splitlines()
    assert said[:4] == [
        f"not read in {folder}: dev.tsv, train (1).tsv",
        f"reading train from {folder}/train.tsv",
        f"reading validation from {folder}/dev_new.tsv",
        f"reading test from {folder}/notes.txt",
    ]


def test_a_file_that_is_named_takes_the_place_of_any_in_the_folder(raw, run):
    folder = raw(**{"train_a.tsv": GOOD, "train_b.tsv": GOOD.replace("film", "mill"), "dev.tsv": GOOD})
    dataset = run("sst2", folder, train_file=str(folder / "train_b.tsv"))
    assert list(json.loads((dataset / "dataset.json").read_text())["splits"]) == ["train", "validation"]


def _triviaqa(root, *names):
    """A release whose one question names documents; the first is there."""
    pages = [{"Filename": name} for name in names]
    answer = {"Value": "Ada", "Aliases": ["Ada"], "NormalizedAliases": ["ada"]}
    entry = {"QuestionId": "q1", "Question": "who built it", "Answer": answer, "SearchResults": pages}
    (root / "qa").mkdir(parents=True)
    (root / "qa" / "web-train.json").write_text(json.dumps({"Domain": "Web", "Data": [entry]}))
    (root / "documents" / "web").mkdir(parents=True)
    (root / "documents" / "web" / names[0]).write_text("in may ada kern built it by the river")
    (root / "secret.txt").write_text("a text that belongs to nobody here")
    (root / "evidence").symlink_to("documents")
    return root / "documents" / "web"


def test_a_link_that_leads_out_of_triviaqas_evidence_is_not_followed(tmp_path, run, refused):
    web = _triviaqa(
        tmp_path / "release", "a.txt", "inside.txt", "out.txt", "up/secret.txt", "circle.txt", "gone.txt", "up"
    )
    (web / "inside.txt").symlink_to("a.txt")
    (web / "out.txt").symlink_to(tmp_path / "release" / "secret.txt")
    (web / "up").symlink_to(tmp_path / "release")
    (web / "circle.txt").symlink_to("circle.txt")
    (web / "gone.txt").symlink_to("nothing.txt")
    message = refused("triviaqa_web", tmp_path / "release")
    assert (
        "names the document evidence/web/out.txt, which lies outside of the evidence folder, where a link leads"
        in message
    )
    dataset = run("triviaqa_web", tmp_path / "release", max_bad_records=5, max_length=32, doc_stride=16, query_length=8)
    manifest = json.loads((dataset / "dataset.json").read_text())
    assert manifest["splits"]["train"]["examples"] == 2
    rejected = [json.loads(line) for line in (dataset / "rejected.jsonl").read_text().splitlines()]
    assert [entry["problem"].partition(", which ")[2].split(",")[0] for entry in rejected] == [
        *["lies outside of the evidence folder"] * 2,
        *["is not there"] * 3,
    ]
    assert all("nobody" not in path.read_bytes().decode("latin-1") for path in dataset.iterdir())


@pytest.mark.parametrize(
    "change", [lambda text: text.replace("\n", "\r\n"), lambda text: "\ufeff" + text, lambda text: text + "\n"]
)
def test_windows_line_ends_a_byte_order_mark_and_a_last_blank_line_change_nothing(raw, run, change):
    plain = run("sst2", raw(**{"train.tsv": GOOD, "dev.tsv": GOOD}), out="plain")
    changed = run("sst2", raw(**{"train.tsv": change(GOOD), "dev.tsv": change(GOOD)}), out="changed")
    expected, found = (
        {file.name: file.read_bytes() for file in folder.glob("*.tfrecord")} for folder in (plain, changed)
    )
    assert len(expected) == 2 and found == expected


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
        [sys.executable, "-m", "bigbird_components.preprocess", "--task", task, "--input", folder, "--output", tmp_path / "out"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{ROOT / 'model'}{os.pathsep}{ROOT}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 2
    assert result.stderr.count("error:") == 1 and "Traceback" not in result.stderr
    assert re.search(message, result.stderr)
    assert sorted(tmp_path.iterdir()) == before
