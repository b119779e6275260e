"""A user's own tables on the command lines of `run`, `submit`, `schedule` and `preflight`."""

import json
from pathlib import Path

import pytest

from bigbird.config.overrides import parse_override
from bigbird.support.errors import InputError
from bigbird_components.run_configuration import preprocessing_settings, resolve_experiment
from bigbird_components.table_flags import parse_weights
from bigbird_pipelines import cli_local
from bigbird_pipelines.files import readable_places, table_path
from bigbird_pipelines.local_runs.planning import make_plan

WHERE = ("docker", "resume", "memory", "gpus", "image_prefix", "image_tag", "images")  # it runs, not what
TABLE = "review,sentiment\n" + "".join(f"text {number},{'ab'[number % 2]}\n" for number in range(40))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder, with `own data é [1]/reviews.csv` in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own data é [1]").mkdir()
    (tmp_path / "own data é [1]/reviews.csv").write_text(TABLE)
    return tmp_path


def plan(*words):
    """The plan of a `bigbird run` in these words."""
    options = cli_local.run.make_context(
        "run", [*words, "--recipe", "small_glue"] if "--recipe" not in words else [*words]
    ).params
    return make_plan(**{name: value for name, value in options.items() if name not in WHERE})


def section_of(made):
    arguments = made.arguments
    return preprocessing_settings(arguments["task"], arguments["recipe"], overrides=arguments["overrides"])["section"]


def test_columns_become_overrides_and_tell_the_task(folder, capsys):
    made = plan(
        "--data",
        "own data é [1]/reviews.csv",
        "--text",
        'a, "b"',
        "--text",
        "c=d",
        "--label",
        "#1",
        "--label-separator",
        ",",
        "--validation-fraction",
        "0.2",
        "--drop-duplicates",
        "--class-weights",
        "a,b=2,c=.5",
        "--max-length",
        "64",
        "--long-documents",
        "windows",
        "--window-stride",
        "32",
        "--override",
        "task.data.seed=3",
    )
    assert made.arguments["task"] == "classification"
    assert made.arguments["data"] == f"{folder}/own data é [1]/reviews.csv"
    assert section_of(made) == {
        "text": ['a, "b"', "c=d"], "label": "#1", "label_separator": ",", "validation_fraction": 0.2, "drop_duplicates": True,
        "seed": 3,
    }  # fmt: skip
    task = made.experiment.task
    assert task.class_weights == {"a,b": 2.0, "c": 0.5}
    assert (task.long_documents, task.window_stride) == ("windows", 32)
    assert made.inputs == [folder / "own data é [1]/reviews.csv"]
    assert capsys.readouterr().err == "--task is taken to be classification, as --text is given\n"


@pytest.mark.parametrize(
    ("path", "inputs"),
    [
        ("own data é [1]/reviews.csv", "own data é [1]/reviews.csv"),
        ("own data é [1]", "own data é [1]"),
        ("*é*/*.csv", "."),
        ("own data é [[]1]/*.csv", "own data é [1]"),
    ],
)
def test_files_folders_and_patterns_tell_the_task_and_are_mounted(folder, capsys, path, inputs):
    made = plan("--data", path)
    assert made.arguments["task"] == "classification"
    assert made.inputs == [folder / inputs]
    assert capsys.readouterr().err == f"--task is taken to be classification, as --data {path} names a table\n"


def test_a_pattern_keeps_its_meaning_below_a_folder_that_looks_like_one(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert table_path("own data é [1]/*.csv") == f"{folder}/own data é [[]1]/*.csv"
    monkeypatch.chdir(folder / "own data é [1]")
    absolute = table_path("*.csv")
    assert absolute == f"{folder}/own data é [[]1]/*.csv"
    assert readable_places(absolute) == [folder / "own data é [1]"]
    assert plan("--data", "*.csv").arguments["data"] == absolute


def test_links_that_a_pattern_matches_are_mounted_too(folder, tmp_path):
    (folder / "links/inner").mkdir(parents=True)
    (folder / "links/inner/x.csv").symlink_to(folder / "own data é [1]/reviews.csv")
    assert readable_places(f"{folder}/links/*/*.csv") == [folder / "links", folder / "links/inner/x.csv"]


def test_a_recipes_data_section_may_name_the_files(folder, capsys):
    recipe = folder / "mine.yaml"
    recipe.write_text(
        "trainer: {epochs: 1}\ntask: {data: {train: 'own data é [1]/reviews.csv', validation: other.csv, text: review, label: sentiment}}\n"
    )
    (folder / "other.csv").write_text(TABLE)
    made = plan("--recipe", "mine.yaml")
    assert made.arguments["train_file"] == f"{folder}/own data é [1]/reviews.csv"
    assert made.arguments["validation_file"] == f"{folder}/other.csv"
    assert (made.arguments["data"], made.arguments["overrides"]) == ("", "")
    recipe.write_text(
        "trainer: {epochs: 1}\ntask: {data: {files: [other.csv, 'own data é [1]/reviews.csv'], text: review, label: sentiment}}\n"
    )
    made = plan("--recipe", "mine.yaml")
    files = [f"{folder}/other.csv", f"{folder}/own data é [1]/reviews.csv"]
    assert section_of(made) == {"files": files, "text": ["review"], "label": "sentiment"}
    assert made.inputs == [Path(file) for file in files]
    assert "as task.data names a table" in capsys.readouterr().err
    given = plan("--recipe", "mine.yaml", "--data", "other.csv")  # goes before the recipe's
    assert given.arguments["data"] == f"{folder}/other.csv"
    assert given.inputs == [folder / "other.csv"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--task", "sst2", "--data", "x", "--label", "y"), "--label is given with --task sst2, which reads official files; it is for your own"),
        (("--task", "squad_v2", "--data", "x", "--class-weights", "balanced"), r"--task squad_v2, which has no task\.class_weights: expected --task cola or sst2"),
        (("--data", "GLUE"), "--task is not given, and --data GLUE: train.tsv is how an official file of cola, sst2, mrpc and 6 more is called"),
        (("--train-file", "GLUE/train.tsv"), "expected --task with one of these, or --task classification with --train-file"),
        (("--data", "GLUE", "--text", "a"), r"holds files that look like splits.*\(--train-file\) for 'train.tsv'"),
        (("--data", "tables.csv"), r"tables.csv: no such file or folder; .*Did you mean 'table.csv'\?"),
        (("--data", "absent/*.csv"), r"absent/\*.csv: matches no file"),
        (("--data", "absent", "--text", "a"), "absent: no such file or folder"),
        (("--data", "a.xlsx"), "a.xlsx: is a spreadsheet"),
        (("--text", "review"), r"no table is given; expected a file, a folder or a pattern \(FILE, or --data\)"),
        (("--task", "classification"), "no table is given"),
        (("--sample", "glue", "--text", "review"), "--sample is given with your own data"),
        (("--data", "TABLE", "--label", "text"), "task.data: the column 'text' is named twice"),
        (("--data", "TABLE", "--validation-fraction", "0"), r"nothing is left to choose the best checkpoint by; .*--validation-fraction"),
        (("--data", "TABLE", "--validation-fraction", "0.2", "--validation-file", "TABLE"), "files and validation are given"),
        (("--train-file", "TABLE", "--validation-fraction", "0.2", "--validation-file", "TABLE"), "both validation and validation_fraction"),
        (("--data", "TABLE", "--validation-fraction", "nan"), "task.data.validation_fraction: found 'NaN'"),
        (("--data", "TABLE", "--text-b", "b", "--long-documents", "windows"), "windows are cut from one text; expected long_documents head"),
        (("--data", "TABLE", "--class-weights", "a"), "--class-weights 'a': expected balanced, or label=weight"),
        (("--data", "TABLE", "--delimiter", "::"), "task.data.delimiter: found '::'; expected one character"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_before_anything_starts(folder, words, message):
    (folder / "GLUE").mkdir()
    for name in ("train.tsv", "dev.tsv"):
        (folder / "GLUE" / name).write_text("sentence\tlabel\ngood\t1\n")
    (folder / "a.xlsx").touch()
    (folder / "table.csv").write_text(TABLE)
    with pytest.raises(InputError, match=message) as told:
        plan(*("table.csv" if word == "TABLE" else word for word in words))
    assert len(str(told.value)) < 1000
    assert not (folder / "runs").exists()


def test_class_weights_go_with_glues_tasks_as_the_override_does(folder, capsys):
    (folder / "RTE").mkdir()
    for name in ("train.tsv", "dev.tsv"):
        (folder / "RTE" / name).write_text("index\tsentence1\tsentence2\tlabel\n0\ta\tb\tentailment\n")
    for text, weights in (("balanced", "balanced"), ("entailment=2", {"entailment": 2.0})):
        made = plan("--task", "rte", "--data", "RTE", "--class-weights", text)
        override = "task.class_weights=" + (text if text == "balanced" else '{"entailment": 2}')
        overridden = plan("--task", "rte", "--data", "RTE", "--override", override)
        assert made.arguments["task"] == "rte"
        assert made.experiment.task.class_weights == overridden.experiment.task.class_weights == weights
    # They do not tell that a table is meant: GLUE's tasks take them too.
    with pytest.raises(InputError, match=r"--task is not given, and --data RTE: train\.tsv is how an official file"):
        plan("--data", "RTE", "--class-weights", "balanced")
    assert "--task is taken" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("balanced", "balanced"),
        ("balanced=2", {"balanced": 2.0}),
        ("a=1,b=0.5", {"a": 1.0, "b": 0.5}),
        ("a, b=1,c=d=2e1", {"a, b": 1.0, "c=d": 20.0}),
        ("#1 'x'=.5", {"#1 'x'": 0.5}),
    ],
)
def test_weights(text, expected):
    assert parse_weights(text) == expected


@pytest.mark.parametrize("text", ["", "a", "=1", "a=-1", "a=nan", "a=1,b", "a=1,a=2"])
def test_weights_that_are_none(text):
    with pytest.raises(InputError, match=r"--class-weights .*expected"):
        parse_weights(text)


# -------------------------------------------------------------------------------------------------- in the cloud

OWN = ("--recipe", "small_glue", "--text", "my text, é", "--label", "sentiment", "--kind", "single")


@pytest.fixture
def reviews(cloud):
    """Tables in the project's bucket."""
    cloud.objects |= {f"gs://bucket/own/{name}.csv": TABLE.encode() for name in ("one", "two")}
    return cloud


def parameters_of(result):
    return json.loads(result.stdout)["pipelineJob"]["runtimeConfig"]["parameterValues"]


@pytest.mark.parametrize("path", ["gs://bucket/own/one.csv", "gs://bucket/own", "gs://bucket/own/*.csv"])
def test_submit_sends_table_options_as_overrides(reviews, bigbird, path):
    result = bigbird(
        "submit", "--data", path, *OWN, "--class-weights", "balanced", "--run-label", "team=search", "--dry-run"
    )
    sent = parameters_of(result)
    assert (sent["task"], sent["data"], sent["train_file"]) == ("classification", path, "")
    section = {"text": ["my text, é"], "label": "sentiment", "kind": "single"}
    assert parse_override(sent["overrides"]) == {"task": {"data": section, "class_weights": "balanced"}}
    resolved = resolve_experiment("classification", sent["recipe"], overrides=sent["overrides"]).task
    assert resolved.data.text == ["my text, é"]
    assert json.loads(result.stdout)["pipelineJob"]["labels"]["team"] == "search"
    assert not reviews.jobs


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--data", "gs://bucket/own/three.csv"), "three.csv: no such file or folder"),
        (("--data", "gs://bucket/own/*.tsv"), "matches no file"),
        (("--data", "here.csv"), "--data here.csv: is a path of this machine"),
        (("--train-file", "gs://bucket/own/one.csv", "--validation-file", "gs://bucket/own/one.csv"), "is named for both train and validation"),
        (("--override", "task.data.files=[gs://bucket/own/one.csv, gs://bucket/own/two.csv]"), "names several files, folders or patterns for a split; expected one"),
        ((), "no table is given"),
    ],
)  # fmt: skip
def test_submit_looks_for_the_tables_first(reviews, bigbird, words, message):
    result = bigbird("submit", *words, *OWN, "--dry-run", code=2)
    assert message in result.stderr
    assert result.stdout == ""


def test_a_recipes_files_become_parameters_so_that_dates_are_filled_in(reviews, bigbird):
    Path("mine.yaml").write_text(
        "task: {data: {files: 'gs://bucket/{date}/own', text: review}}\ntrainer: {epochs: 1}\n"
    )
    create = ("schedule", "create", "weekly", "--cron", "0 3 * * 1", "--recipe", "mine.yaml", "--dry-run")
    result = bigbird(*create)
    sent = json.loads(result.stdout)["schedule"]["createPipelineJobRequest"]["pipelineJob"]["runtimeConfig"][
        "parameterValues"
    ]
    assert (sent["task"], sent["data"]) == ("classification", "gs://bucket/{date}/own")
    assert "warning: " in result.stderr and "no such file or folder" in result.stderr


def test_preflight_knows_the_task_by_a_column_and_asks_for_the_labels(bigbird):
    result = bigbird("preflight", "--label", "sentiment", "--recipe", "small_glue", code=2)
    assert "--dataset is not given, which says how many labels there are" in result.stderr
    assert "--task is not given" in bigbird("preflight", "--recipe", "small_glue", code=2).stderr


def test_check_goes_to_the_step_and_is_for_own_tables_only(folder):
    words = ("--data", "own data é [1]/reviews.csv", "--text", "review", "--label", "sentiment")
    assert "fail_on" not in plan(*words).arguments
    assert plan(*words, "--check", "none").arguments["fail_on"] == "none"
    assert plan(*words, "--check", "leakage, conflict").arguments["fail_on"] == "leakage,conflict"
    with pytest.raises(InputError, match="--check 'leak age': is no check; expected none, or some of the groups"):
        plan(*words, "--check", "leak age")
    with pytest.raises(
        InputError, match="--check is given with --task sst2; it is for your own tables of the tasks classification"
    ):
        plan("--task", "sst2", "--check", "none")


def test_a_run_whose_tables_fail_a_check_ends_before_preprocessing(folder, capfd):
    rows = [f"text {number} of many that are different,{'ab'[number % 2]}\n" for number in range(120)]
    (folder / "same.csv").write_text("review,sentiment\n" + "".join([*rows, rows[4].replace(",a", ",b")]))
    words = (
        "--data",
        "same.csv",
        "--text",
        "review",
        "--label",
        "sentiment",
        "--check",
        "conflicts",
        "--name",
        "one",
    )
    with pytest.raises(SystemExit) as ended:
        cli_local.run.main([*words, "--recipe", "small_glue"], standalone_mode=False)
    assert ended.value.code == 6
    told = capfd.readouterr().err
    assert "step 'check' failed: the data fail checks that were asked for" in told
    assert "conflict: 1 text with different labels in different rows (first: " in told
    assert sorted(
        path.name for path in (folder / "runs" / "one").iterdir() if path.is_dir() and path.name[0] != "."
    ) == [
        "check",
        "logs",
    ]
    assert (folder / "runs/one/check/findings/report.html").is_file()


SPANS = "".join(f'{{"text": "Anna {number}", "entities": [[0, 4, "P"]], "marks": []}}\n' for number in range(40))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--data", "d.jsonl", "--spans", "marks", "--text", "text"), "--text is given"),
        (("--data", "d.jsonl", "--token-column", "2"), "--token-column is given"),
        (("--data", "d.conll"), "--data d.conll names a table"),
        (("--data", "d.txt", "--format", "conll"), "--format is given"),
        (("--data", "d.jsonl", "--override", "task.data.spans=marks"), "task.data names a table"),
    ],
)
def test_what_one_family_alone_has_tells_that_it_is_meant(folder, capsys, words, reason):
    (folder / "d.jsonl").write_text(SPANS)
    for name in ("d.conll", "d.txt"):
        (folder / name).write_text("Anna B-P\n\n")
    made = plan(*words, "--recipe", "small_token_labels")
    assert made.arguments["task"] == "token_labels"
    assert capsys.readouterr().err == f"--task is taken to be token_labels, as {reason}\n"
    assert made.arguments["data"] == str(folder / words[1])


def test_a_familys_own_options_become_its_keys(folder):
    (folder / "d.jsonl").write_text(SPANS)
    made = plan(
        "--task",
        "token_labels",
        "--data",
        "d.jsonl",
        "--text",
        "text",
        "--spans",
        "marks",
        "--span-start",
        "from",
        "--span-end",
        "to",
        "--span-label",
        "is",
        "--units",
        "pieces",
        "--window-stride",
        "48",
        "--class-weights",
        "P=2",
        "--max-length",
        "64",
        "--recipe",
        "small_token_labels",
    )
    assert section_of(made) == {
        "text": "text",
        "spans": "marks",
        "span_start": "from",
        "span_end": "to",
        "span_label": "is",
    }
    task = made.experiment.task
    assert (task.units, task.window_stride, task.class_weights) == ("pieces", 48, {"P": 2.0})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--task", "token_labels", "--label", "x"), "--label is given with --task token_labels, which takes no such thing; it goes with --task classification. Options of token_labels: --text, --id"),
        (("--task", "classification", "--spans", "x"), "it goes with --task token_labels"),
        (("--task", "token_labels", "--format", "csv"), "--format is given with --task token_labels, which takes no such thing"),
        (("--task", "sst2", "--spans", "x"), "--spans is given with --task sst2, which reads official files; .*expected --task token_labels, or leave it out"),
        (("--spans", "x", "--label", "y"), "--label, --spans are given together; expected options of one task"),
        (("--task", "token_labels", "--data", "reviews.csv"), r"its name does not tell its format; expected .jsonl, .conll"),
        (("--spans", "x", "--text", "a", "--text", "b"), r"task.data.text: .*names 2 columns; expected one"),
    ],
)  # fmt: skip
def test_options_of_another_family_are_refused(folder, words, message):
    (folder / "reviews.csv").write_text(TABLE)
    with pytest.raises(InputError, match=message):
        plan(*words, "--recipe", "small_token_labels")
