"""Every fault that is planted is found so many times, and nothing else; splits are those of training; what fails, fails."""

import json
import subprocess
import sys
from io import BytesIO
from types import SimpleNamespace

import click.testing
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bigbird.manifests import CheckManifest, EvaluationManifest
from bigbird.support.errors import ChecksFailed, InputError
from bigbird.tasks.classification.checking import rows_to_check
from bigbird.tasks.classification.data_section import TableData
from bigbird.tasks.classification.dataset import read_dataset
from bigbird.tasks.classification.predictions import write_predictions
from bigbird.tasks.raw_input import Inputs
from bigbird.tasks.records import BadRecords
from bigbird.tasks.table_rows import SPLITS
from bigbird.text.sentence_piece import train_vocabulary
from bigbird.text.vocabulary import Vocabulary
from bigbird_components import raw_files
from bigbird_components.check.__main__ import main
from bigbird_components.check.check import CHECKS, check, check_names, parse_fail_on, refuse_failed
from bigbird_components.check.component import check_component
from tests.components.check.planted import OPTIONS, Planted
from tests.tasks.classification.outcomes import outcome

WORDS = "amber birch cedar delta ember fjord grove heath inlet juniper knoll lagoon marsh north orchid prairie".split()


def sentence(number, words=12):
    """A text that shares no three words with those of other numbers, but by chance."""
    rng = np.random.default_rng(number)
    return " ".join(f"{WORDS[i]}{rng.integers(100)}" for i in rng.integers(len(WORDS), size=words))


def table(folder, rows, name="table.csv", header="text,label"):
    """A CSV file of rows."""
    path = folder / name
    path.write_text(
        "\n".join([header, *(",".join(f'"{value}"' for value in row) for row in rows), ""]), encoding="utf-8"
    )
    return str(path)


def plain(count=120, labels=("no", "yes")):
    return [[sentence(i), labels[i % len(labels)]] for i in range(count)]


def counts(manifest):
    return {each.check: each.count for each in manifest.findings if each.count}


def finding(manifest, name):
    (found,) = [each for each in manifest.findings if each.check == name]
    return found


# --------------------------------------------------------------------------------------------------- planted faults


@pytest.mark.parametrize("times", [1, 5])
def test_every_planted_fault_is_counted_exactly(tmp_path, times):
    planted = Planted(3500, times, words=60)
    manifest = check(**planted.write(tmp_path), section=OPTIONS)
    assert counts(manifest) == planted.expected
    assert len(planted.expected) == 49
    assert manifest.rows == len(planted.train) + len(planted.validation) - times  # those that cannot be read
    assert manifest.files[0].rows == len(planted.train) - times
    first = finding(manifest, "mojibake").examples[0]
    line = int(first.place.rpartition(":")[2])
    assert planted.train[line - 2][1].find("cafÃ©") > 0  # no line ends before it
    assert "cafÃ©" in first.told


def test_a_record_that_training_drops_says_nothing_about_the_kind_of_labels(tmp_path):
    rows = [{"text": text, "label": label} for text, label in plain()] + [{"text": "", "label": 7}]
    (tmp_path / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    manifest = check(str(tmp_path / "table.jsonl"))
    assert (manifest.kind, counts(manifest)) == ("single", {"empty-text": 1})


def test_texts_that_training_leaves_out_are_in_no_two_splits(tmp_path):
    rows = plain(240)
    files = {"train_file": table(tmp_path, rows[:200], "a.csv"), "test_file": table(tmp_path, rows[199:], "b.csv")}
    assert counts(check(**files))["leak"] == 1
    manifest = check(**files, section={"drop_duplicates": True})
    assert "leak" not in counts(manifest) and sum(manifest.splits.values()) == 240


def test_a_column_that_is_not_read_may_be_of_another_kind_in_another_file(tmp_path):
    rows = [{"text": text, "label": label, "meta": "a"} for text, label in plain()]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.table({"text": ["x y z"], "label": ["no"], "meta": [["a"]]}), tmp_path / "test.parquet")
    manifest = check(train_file=str(tmp_path / "train.jsonl"), test_file=str(tmp_path / "test.parquet"))
    assert manifest.other_columns == ["meta"]


def test_a_table_without_faults_has_no_findings(tmp_path):
    manifest = check(table(tmp_path, plain()))
    assert counts(manifest) == {}
    assert (manifest.rows, manifest.kind, manifest.splits) == (120, "single", {"train": 108, "validation": 12})
    assert manifest.labels == {"no": {"train": 54, "validation": 6}, "yes": {"train": 54, "validation": 6}}


def numbers(count, value):
    return [[sentence(i), value(i)] for i in range(count)]


CASES = {
    "number-label": (numbers(150, lambda i: i * 0.37), {"number-label": 1}),
    "dominant-label": (plain(190, ["yes"]) + [[sentence(i), "no"] for i in range(1000, 1012)], {"dominant-label": 1}),
    "one-label": (plain(120, ["yes"]), {"one-label": 1}),
    "few-rows": (plain(40), {"few-rows": 36}),
    "refused": (numbers(150, lambda i: i), {"refused": 1}),  # they count the records
    "cut-text": (
        plain() + [[f"{sentence(i, 40)} tail"[-200:].lower(), "no"] for i in range(2000, 2012)],
        {"cut-text": 12},
    ),
    "conflict of numbers": (
        [*numbers(150, lambda i: i * 0.37), [sentence(3), 99.5]],
        {"number-label": 1, "conflict": 1, "duplicate": 1},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_faults_that_do_not_go_with_others(tmp_path, case):
    rows, expected = CASES[case]
    assert counts(check(table(tmp_path, rows))) == expected


@pytest.mark.parametrize("label", [lambda i: ["no", "yes"][i % 2], lambda i: i * 0.37])
def test_test_rows_have_a_label_all_or_none(tmp_path, label):
    train = table(tmp_path, numbers(200, label))
    for unlabelled, refused in ((0, []), (1, ["refused"]), (120, [])):
        rows = [[sentence(i), "" if i < 1000 + unlabelled else label(i)] for i in range(1000, 1120)]
        manifest = check(
            train_file=train, test_file=table(tmp_path, rows, "test.csv"), section={"validation_fraction": 0.2}
        )
        assert [name for name in counts(manifest) if name == "refused"] == refused
        if refused:
            told = "some test records have a label and others have none; expected a label in all of them or in none"
            assert finding(manifest, "refused").told == told


def test_faults_that_json_lines_can_have(tmp_path):
    records = [{"text": text, "label": label} for text, label in plain()]
    records[3]["text"] = ["a", "list"]
    records[4]["label"] = {"an": "object"}
    records[5]["text"] = None
    lines = [json.dumps(record) for record in records] + ["[1, 2]"]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    manifest = check(str(tmp_path / "t.jsonl"))
    assert counts(manifest) == {"bad-value": 1, "bad-label": 1, "empty-text": 1, "unreadable": 1}
    assert finding(manifest, "bad-value").examples[0].place == "t.jsonl:4"
    assert finding(manifest, "unreadable").examples[0].told == "is a list; expected an object with columns"


def test_every_check_has_a_name_and_words_of_its_own():
    names = [each.name for each in CHECKS]
    assert len(set(names)) == len(names) == 57
    assert len({each.counts for each in CHECKS}) == len(names)
    assert all(each.remedy and each.severity in ("error", "warning", "note") for each in CHECKS)
    assert len(set(check_names())) == len(check_names())


@pytest.mark.parametrize(
    "text",
    [
        "CAFÉ… the “ÎLE D’É” is SÃO PAULO, AMANHÃ”, naïve â l’ancienne, Ñandú: 20 °C, 5 €",
        "Straße für Übermut – größer; Łódź, Çeşme, Ångström, Ђорђе",
        "shares of USAIR Group Inc <U>, Philip Morris <PM> and <P>, a < b & c > d; AT&T; R&D",
        "the path C:\\new\\table and a \\textbf{word}",
        "می‌خواهم 👩‍👩‍👧 نام",
    ],
)
def test_good_texts_of_other_languages_raise_no_alarm(tmp_path, text):
    found = counts(check(table(tmp_path, [*plain(), [f"{text} {sentence(7000)}", "no"]])))
    assert found == {}


# ---------------------------------------------------------------------------------------------------------- splits


@pytest.mark.parametrize(
    ("make", "section"),
    [
        (lambda i: [sentence(i % 150), ["a", "b", "c"][i % 3 % 2], f"g{i % 40}"], {}),
        (
            lambda i: [sentence(i), ["a", "b", "c"][i % 3], f"g{i % 40}"],
            {"group": "group", "test_fraction": 0.2, "seed": 4},
        ),
        (lambda i: [sentence(i), ";".join("abc"[: i % 3]), ""], {"label_separator": ";", "validation_fraction": 0.3}),
        (lambda i: [sentence(i), i * i / 7, ""], {}),
        (lambda i: [sentence(i), "" if i % 9 == 4 else "ab"[i % 2], ""], {}),
    ],
)
def test_splits_are_those_that_training_cuts(tmp_path, make, section):
    path = table(tmp_path, [make(i) for i in range(200)], header="text,label,group")
    data = TableData.model_validate({**section, "files": [path]})
    rows = rows_to_check(Inputs(path, {}, section), raw_files)
    lines = [row.line for row in rows.read(lambda *_: None)]
    outcome = rows.outcome()
    ours = {line: SPLITS[split] for line, split in zip(lines, outcome.splits, strict=True) if split < len(SPLITS)}
    dataset = read_dataset(data, BadRecords(1000), BytesIO())
    theirs = {json.loads(line)["line"]: split for split, line, _ in dataset.lines()}
    assert ours == theirs
    assert outcome.kind == dataset.kind


# --------------------------------------------------------------------------------------------------------- lengths


def test_lengths_are_estimated_or_counted_by_a_vocabulary(tmp_path):
    rows = [[sentence(i, 700 if i == 5 else 12), "no"] for i in range(120)]
    path = table(tmp_path, rows)
    (tmp_path / "vocab.model").write_bytes(train_vocabulary((row[0] for row in rows), 300))
    lengths = check(path).lengths
    longest = len(rows[5][0].encode())
    assert (lengths.exact, lengths.longest) == (False, round(longest / 4.2) + 2)
    assert [(each.tokens, each.rows) for each in lengths.longer] == [(512, 1), (1024, 1), (2048, 0), (4096, 0)]
    assert lengths.longer[0].lost == lengths.longest - 512
    exact = check(path, vocabulary=str(tmp_path / "vocab.model")).lengths
    pieces = [len(ids) + 2 for ids in Vocabulary(tmp_path / "vocab.model").encode([row[0] for row in rows])]
    assert (exact.exact, exact.longest, exact.total) == (True, max(pieces), sum(pieces))


# ------------------------------------------------------------------------------------------------- probably wrong labels


def evaluation(folder, kind, wrong):
    """An evaluation's folder whose model is right and sure, but for rows whose label was changed."""
    results, _ = outcome(kind, 300, ("low", "middle", "high"))
    for row in wrong:
        if kind == "single":
            results.logits[row] = 4 * np.eye(3)[results.gold[row]]
            results.gold[row] = (results.gold[row] + 1) % 3
        else:
            results.logits[row] = np.where(results.gold[row], 4, -4)
            results.gold[row, 1] = ~results.gold[row, 1]
    names = write_predictions(folder, results)
    EvaluationManifest(
        task="classification",
        split="validation",
        kind=kind,
        labels=["low", "middle", "high"],
        labelled=True,
        files=names,
        primary={"name": "accuracy", "value": 0.9},
        baseline={"description": "always low", "value": 0.5},
    ).write(folder)
    return results


@pytest.mark.parametrize("kind", ["single", "multi"])
def test_changed_labels_are_among_the_suspects(tmp_path, kind):
    (tmp_path / "evaluation").mkdir()
    wrong = [5, 77, 140, 211, 299]
    results = evaluation(tmp_path / "evaluation", kind, wrong)
    manifest = check(table(tmp_path, plain()), predictions=str(tmp_path / "evaluation"))
    found = {each.line - 2: each for each in manifest.suspects}
    assert set(wrong) <= set(found)
    assert finding(manifest, "suspect-label").count == len(manifest.suspects) < 40
    assert "accuracy is 0.9000, the best constant answer's 0.5000" in finding(manifest, "suspect-label").told
    assert [each.given for each in manifest.suspects] == sorted(each.given for each in manifest.suspects)
    if kind == "single":
        assert found[77].label == results.labels[results.gold[77]]
        assert found[77].suggested == results.labels[results.gold[77] - 1]
        assert found[77].better > 0.9 > 0.1 > found[77].given
    assert found[77].file == "data/table.csv"


def test_an_evaluation_of_numbers_is_refused(tmp_path):
    results, _ = outcome("number", 20)
    files = write_predictions(tmp_path, results)
    EvaluationManifest(task="classification", split="v", kind="number", labels=[], files=files).write(tmp_path)
    with pytest.raises(InputError, match="has no labels, or numbers"):
        check(table(tmp_path, plain()), predictions=str(tmp_path))


# ---------------------------------------------------------------------------------------------- output, exit code, step


@pytest.fixture
def leaky(tmp_path):
    """Options for two files, of which one knows a text of the other, with a mark of HTML in it."""
    rows = plain()
    train = table(tmp_path, [["<b>Of a</b> " + sentence(5), "no"], *rows], "train.csv")
    validation = table(tmp_path, [rows[3], *([sentence(i), "yes"] for i in range(900, 930))], "validation.csv")
    return {"train_file": train, "validation_file": validation}


def test_the_output_is_a_page_and_a_manifest(tmp_path, leaky):
    written = check(**leaky, output=str(tmp_path / "out"), fail_on="leakage,html-markup,conflicts")
    manifest = CheckManifest.read(tmp_path / "out")
    manifest.check_files(tmp_path / "out")
    assert manifest == written
    assert manifest.failed == ["leak", "html-markup"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["check.json", "report.html"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "&lt;b&gt;Of a&lt;/b&gt;" in page and "<b>Of a" not in page
    assert "train.csv:6" in page  # the row that validation knows
    for each in manifest.findings:
        assert each.check in page
    with pytest.raises(
        ChecksFailed, match=r"leak: 1 row of training whose text validation or test has \(first: train\.csv:6\)"
    ):
        refuse_failed(manifest)
    with pytest.raises(InputError, match="already holds files"):
        check(**leaky, output=str(tmp_path / "out"))


def test_the_command_ends_with_a_code_of_its_own(tmp_path, leaky):
    words = ["--train-file", leaky["train_file"], "--validation-file", leaky["validation_file"]]
    run = click.testing.CliRunner().invoke
    passed = run(main, [*words, "--fail-on", "conflicts"])
    assert passed.exit_code == 0
    assert "leak" in passed.stdout and "152 rows (train 121, validation 31)" in passed.stdout
    failed = run(main, [*words, "--fail-on", "leakage", "--output", str(tmp_path / "out")])
    assert failed.exit_code == 6
    assert CheckManifest.read(tmp_path / "out").failed == ["leak"]
    assert run(main, [str(tmp_path / "absent.csv")]).exit_code == 2


def test_names_of_checks_are_checked():
    assert parse_fail_on("leakage, conflict,leakage") == ("leakage", "conflict")
    assert parse_fail_on("none") == parse_fail_on("") == ()
    with pytest.raises(
        InputError, match="--fail-on 'leaks': is no check; expected none, or some of the groups reading, blanks"
    ):
        parse_fail_on("leaks")


@pytest.mark.parametrize(("fail_on", "code"), [("none", 0), ("leakage", 6)])
def test_the_step_leaves_its_page_and_ends_with_the_code(tmp_path, leaky, fail_on, code, monkeypatch):
    monkeypatch.setenv("BIGBIRD_FAILURE_FILE", str(tmp_path / "failure.json"))
    findings = SimpleNamespace(path=str(tmp_path / "findings"), metadata={})
    report = SimpleNamespace(path=str(tmp_path / "report"))
    values = dict.fromkeys(("data", "test_file", "vocabulary", "recipe", "overrides"), "")

    def step():
        check_component("image").python_func(
            task="classification",
            **leaky,
            **values,
            fail_on=fail_on,
            settings=json.dumps({"section": {"label": "label"}}),
            data_version="7",
            findings=findings,
            report=report,
        )

    if code:
        with pytest.raises(SystemExit) as ended:
            step()
        assert ended.value.code == code
        assert "leak: 1 row of training" in json.loads((tmp_path / "failure.json").read_text())["message"]
    else:
        step()
        assert findings.metadata == {
            "data_version": "7",
            "rows": 152,
            "leak": 1,
            "html-markup": 1,
            "duplicate": 1,
            "unvalidated-label": 1,
        }
    assert (tmp_path / "report").read_text() == (tmp_path / "findings" / "report.html").read_text()


def test_it_needs_nothing_that_only_the_preprocessing_stage_has(tmp_path):
    """An installation with the extra `pipelines` has it too."""
    table = tmp_path / "a.csv"
    table.write_text("text,label\n" + "".join(f"text number {i},{'ab'[i % 2]}\n" for i in range(40)))
    absent = "for name in ('apache_beam', 'matplotlib', 'orjson', 'pyarrow'): sys.modules[name] = None"
    code = f"import sys\n{absent}\nfrom bigbird_components.check.__main__ import main\nmain()"
    command = [sys.executable, "-c", code, str(table), "--text", "text", "--label", "label"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "few-rows" in done.stdout + done.stderr
