"""The benchmarks' table: rows as scripts print them, bars met and missed, earlier figures kept, a picture drawn."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _scripts_find_their_neighbours(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """The module, with scripts of the test's own in a folder of theirs; before each it looks at the machine for a moment only."""
    import bench

    other_work = bench.other_work
    monkeypatch.setattr(bench, "other_work", lambda: other_work(0.01))
    monkeypatch.setattr(bench, "HERE", tmp_path)
    monkeypatch.setattr(bench, "SCRIPTS", ("first", "second"))
    return bench


def _script(folder, name, *rows, ends=0):
    printed = "".join(f"print({json.dumps(row)!r})\n" for row in rows)
    (folder / f"{name}.py").write_text(f"import sys\n{printed}sys.exit({ends})\n", encoding="utf-8")


def _row(what, value, bar=None):
    return {"what": what, "value": value, "unit": "x", "bar": bar, "detail": "2.0 s | 1.0 s"}


def _sections(file):
    return {part.split("\n", 1)[0]: part for part in file.read_text(encoding="utf-8").split("## ")}


def test_rows_stand_with_bar_command_machine_and_date_and_a_missed_bar_is_plain(bench, tmp_path, capsys):
    _script(tmp_path, "first", _row("fast", 2.0, ">= 1.5"), _row("slow", 1.4, ">= 1.5"))
    _script(tmp_path, "second", _row("small", 4.0, "<= 4.3"), _row("large", 5.0, "<= 4.3"), _row("free", 7))
    assert bench.run_all(bench.SCRIPTS, tmp_path) == []
    assert "slow: 1.4 x, bar >= 1.5: MISSED" in capsys.readouterr().err
    parts = _sections(tmp_path / "results.md")
    table = [line for line in parts["second"].splitlines() if line.startswith("| ")][1:]
    assert [[cell.strip() for cell in line.split(" | ")][:4] for line in table] == [
        ["| small", "4 x", "<= 4.3", "met"],
        ["| large", "5 x", "<= 4.3", "**MISSED**"],
        ["| free", "7 x", "", ""],
    ]
    assert r"2.0 s \| 1.0 s" in table[0]
    assert "`python benchmarks/second.py`" in parts["second"].replace("BIGBIRD_DATA=FOLDER ", "")
    assert "machine A, 20" in parts["second"] and " UTC, commit " in parts["second"]
    assert "GB, Linux" in parts["Machines"] and "Python 3." in parts["Machines"]
    overview = parts["# What was measured"]
    assert "2 of 4 bars are met. Missed:" in overview
    assert "- **slow**: 1.4 x, the bar is >= 1.5" in overview
    assert str(tmp_path) not in (tmp_path / "results.md").read_text(encoding="utf-8")


def test_a_script_run_again_replaces_its_rows_and_the_others_stay(bench, tmp_path):
    import results

    _script(tmp_path, "first", _row("old", 1.0))
    _script(tmp_path, "second", _row("kept", 3.0))
    bench.run_all(["second", "first"], tmp_path)
    _script(tmp_path, "first", _row("new", 2.0))
    bench.run_all(["first"], tmp_path)
    runs = results.read(tmp_path / "results.json")
    assert list(runs) == ["first", "second"]  # the table's order, not that of the runs
    assert [row.what for run in runs.values() for row in run.rows] == ["new", "kept"]


def test_a_script_that_fails_leaves_its_earlier_figures_and_the_command_says_so(bench, tmp_path):
    _script(tmp_path, "first", _row("old", 1.0))
    _script(tmp_path, "second", _row("other", 3.0))
    bench.run_all(bench.SCRIPTS, tmp_path)
    _script(tmp_path, "first", _row("new", 2.0), ends=3)
    (tmp_path / "second.py").write_text("print('hello')")
    problems = bench.run_all(bench.SCRIPTS, tmp_path)
    assert problems == [
        "first: ended with code 3; its earlier figures stay",
        "second: 'hello' is no JSON; expected a row on each line of stdout; its earlier figures stay",
    ]
    written = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "| old |" in written and "| other |" in written and "new" not in written


def test_only_the_named_scripts_run_and_an_error_ends_with_code_1(bench, tmp_path, monkeypatch):
    import click

    ran = []
    monkeypatch.setattr(bench, "run_all", lambda names, folder: ran.append((list(names), folder)) or ["first: failed"])
    only = next(option for option in bench.main.params if option.name == "only")
    monkeypatch.setattr(only, "type", click.Choice(bench.SCRIPTS))
    result = CliRunner().invoke(bench.main, ["--only", "first", "--output", str(tmp_path)])
    assert ran == [(["first"], tmp_path)]
    assert result.exit_code == 1 and "error: first: failed" in result.output


def test_other_work_is_the_share_of_time_that_no_core_was_idle_or_waiting(monkeypatch):
    import bench

    assert 0 <= bench.other_work(0.1) <= 1
    times = iter([[100] * 8, [110, 100, 105, 160, 120, 100, 105, 100]])
    monkeypatch.setattr(bench, "_times", lambda: next(times))
    assert bench.other_work(0) == pytest.approx(0.2)  # 80 of 100 ticks idle or waiting


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("[1]", "is no row"),
        ('{"what": "a", "value": 1}', "is no row; expected what, value, unit, bar, detail"),
        ('{"what": "a", "value": "1", "unit": "x"}', "value is '1'"),
        ('{"what": "a", "value": 1, "unit": "x", "bar": "above 3"}', "a: the bar is 'above 3'; expected '>= NUMBER'"),
    ],
)
def test_what_is_no_row_is_refused(line, problem):
    import results

    with pytest.raises(ValueError, match=problem):
        results.parse_row(line)


def test_how_far_a_bar_is_passed():
    from results import Row

    assert Row("more is better", 3.0, "x", ">= 1.5").ratio == 2.0
    assert Row("less is better", 2.15, "x", "<= 4.3").ratio == pytest.approx(2.0)
    assert Row("just met", 0.9, "x", ">= 0.9").verdict == "met"
    assert Row("no bar", 0.9, "x").ratio is None


def test_the_picture_says_what_is_met_and_missed(bench, tmp_path):
    from matplotlib.image import imread

    _script(tmp_path, "first", _row("fast", 2.0, ">= 1.5"), _row("slow", 0.2, ">= 1.5"))
    bench.run_all(["first"], tmp_path)
    picture = imread(tmp_path / "results.png")
    colours = {tuple(round(255 * part) for part in pixel[:3]) for pixel in picture.reshape(-1, picture.shape[2])}
    assert {(0x24, 0x63, 0xA6), (0xC4, 0x6A, 0x1B)} <= colours


def test_made_up_texts_have_what_the_benchmarks_ask_for(tmp_path):
    import samples

    from bigbird.tasks import squad
    from bigbird.tasks.classification import glue
    from bigbird.tasks.records import BadRecords

    source = samples.load(None)
    samples.write_squad(source, tmp_path / "train.json", 23, 5, seed=1)
    paragraphs = list(squad.parse((tmp_path / "train.json").read_bytes(), "train.json", False, BadRecords()))
    assert [len(paragraph["questions"]) for paragraph in paragraphs] == [4, 5, 4, 5, 5]
    samples.write_sst2(source, tmp_path / "train.tsv", 30, seed=1)
    rows = list(
        glue.parse((tmp_path / "train.tsv").read_bytes(), "train.tsv", glue.GLUE_TASKS["sst2"], "train", BadRecords())
    )
    assert len({row.text_a for row in rows}) == 30
    assert [len(text.split()) for text in samples.documents(source, 2, 500)] == [500, 500]
