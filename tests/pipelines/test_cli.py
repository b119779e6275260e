from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from bigbird.config.overrides import assignment
from bigbird.serving.saved_model import named_probabilities
from bigbird.support.errors import InputError
from bigbird.tasks.classification.glue import GLUE_TASKS
from bigbird_components.gate import NO_THRESHOLD, passes
from bigbird_pipelines import cli, cli_local
from bigbird_pipelines import options as options_of
from bigbird_pipelines.local_runs.planning import make_plan
from bigbird_pipelines.predict import predict_command, read_examples
from tests.weights import SMALL, weights_file


def options(tmp_path: Path, **changes) -> dict:
    """`bigbird run`'s options as click gives them, with changes."""
    defaults = cli_local.run.make_context("run", []).params
    for name in (
        "docker",
        "resume",
        "memory",
        "gpus",
        "image_prefix",
        "image_tag",
        "images",
    ):  # where it runs, not what
        del defaults[name]
    return {**defaults, "overrides": (), "runs": tmp_path / "runs", **changes}


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "SST-2"
    folder.mkdir()
    for file in ("train.tsv", "dev.tsv"):
        (folder / file).write_text("sentence\tlabel\ngood\t1\n")
    return folder


def test_tasks_are_those_that_can_be_trained():
    assert set(options_of.PIPELINE_TASKS) == (set(GLUE_TASKS) - {"ax"}) | {
        "squad_v1",
        "squad_v2",
        "triviaqa_wikipedia",
        "triviaqa_web",
        "classification",
        "token_labels",
    }


COMMANDS = {
    *(name for name in cli.cli.commands if name != "schedule"),
    *(f"schedule {name}" for name in cli.cli.commands["schedule"].commands),
}


@pytest.mark.parametrize(
    ("command", "default"),
    [("compile", "tensorflow;"), ("doctor", "tensorflow;"), ("submit", "the recipe's runtime.backend, or tensorflow;")],
)
def test_the_default_backend_is_a_recipes_where_there_is_one(command, default):
    text = " ".join(CliRunner().invoke(cli.cli, [command, "--help"]).output.split())
    assert f"What Keras trains with. [default: {default} on tpu-v6e-* jax]" in text


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_commands_help_has_an_example(command):
    result = CliRunner().invoke(cli.cli, [*command.split(), "--help"])
    assert result.exit_code == 0
    assert f"Examples:\n  bigbird {command}" in result.output


def test_compile_writes_a_pipeline_with_the_given_images(tmp_path):
    file = tmp_path / "new" / "finetune.yaml"
    result = CliRunner().invoke(
        cli.cli, ["compile", "--output", str(file), "--image-prefix", "r/p/bird", "--image-tag", "7"]
    )
    assert result.exit_code == 0, result.output
    spec = yaml.safe_load(file.read_text())
    images = {name: executor["container"]["image"] for name, executor in spec["deploymentSpec"]["executors"].items()}
    assert images == {
        "exec-preprocess": "r/p/bird-preprocess:7",
        "exec-train": "r/p/bird-train:7",
        "exec-evaluate": "r/p/bird-evaluate:7",
        "exec-export": "r/p/bird-export:7",
        "exec-skip-export": "r/p/bird-evaluate:7",
    }
    assert [path.name for path in file.parent.iterdir()] == ["finetune.yaml"]


def test_the_compiled_gate_is_a_boolean(tmp_path):
    file = tmp_path / "finetune.yaml"
    assert CliRunner().invoke(cli.cli, ["compile", "--output", str(file)]).exit_code == 0
    tasks = yaml.safe_load(file.read_text())["root"]["dag"]["tasks"]
    branches = yaml.safe_load(file.read_text())["components"]["comp-condition-branches-1"]["dag"]["tasks"]
    conditions = [task["triggerPolicy"]["condition"] for task in branches.values()]
    assert list(tasks) == ["condition-branches-1", "evaluate", "preprocess", "train"]
    passed = "inputs.parameter_values['pipelinechannel--evaluate-passed'] == true"
    assert conditions == [passed, f"!({passed})"]


def test_compile_refuses_another_file_type(tmp_path):
    result = CliRunner().invoke(cli.cli, ["compile", "--output", str(tmp_path / "pipeline.json")])
    assert result.exit_code == 2
    assert "expected a file name that ends in .yaml" in result.output


def test_without_data_the_glue_sample_is_run(tmp_path):
    plan = make_plan(**options(tmp_path))
    assert (plan.sample, plan.arguments["task"]) == ("glue", "sst2")
    assert plan.arguments["data"] == str(plan.folder / "sample_data")
    assert plan.folder.parent == tmp_path / "runs"
    assert not plan.folder.exists()


def test_a_tasks_sample_is_found_from_the_task(tmp_path):
    assert make_plan(**options(tmp_path, task="squad_v1")).sample == "squad"


def test_own_data_is_passed_on_as_absolute_paths(tmp_path, data, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = make_plan(**options(tmp_path, task="sst2", data="SST-2", test_file="SST-2/dev.tsv", name="mine"))
    assert plan.sample is None
    assert plan.arguments["data"] == str(data)
    assert plan.arguments["test_file"] == str(data / "dev.tsv")
    assert plan.folder == tmp_path / "runs" / "mine"


def test_the_recipe_travels_as_text(tmp_path, data):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("trainer: {train_steps: 3}\n")
    plan = make_plan(
        **options(tmp_path, task="sst2", data=str(data), recipe=str(recipe), overrides=("runtime.seed=4",))
    )
    assert plan.arguments["recipe"] == "trainer: {train_steps: 3}\n"
    assert (plan.experiment.trainer.train_steps, plan.experiment.runtime.seed) == (3, 4)


def test_the_backend_reaches_training_as_an_override_under_the_users_own(tmp_path):
    assert make_plan(**options(tmp_path)).experiment.runtime.backend == "tensorflow"
    plan = make_plan(**options(tmp_path, backend="jax", overrides=("runtime.seed=4",)))
    assert plan.arguments["overrides"] == "runtime.backend=jax,runtime.seed=4"
    assert plan.experiment.runtime.backend == "jax"
    named = make_plan(**options(tmp_path, backend="jax", overrides=("runtime.backend=tensorflow",)))
    assert named.experiment.runtime.backend == "tensorflow"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": "DATA"}, "--task is not given"),
        ({"task": "sst2", "data": "absent"}, "--data absent: no such folder"),
        (
            {"task": "sst2", "data": __file__},
            "--data .*: is a file; expected a folder; a single file goes to --train-file",
        ),
        ({"task": "sst2", "data": "DATA", "sample": "glue"}, "--sample is given with your own data"),
        ({"task": "rte"}, "--task rte is given without --data"),
        ({"task": "squad_v1", "sample": "glue"}, "--sample glue is for --task sst2, not squad_v1"),
        ({"task": "sst2", "train_file": "DATA"}, "--train-file .*: is a folder; expected a file"),
        ({"vocabulary": "absent.model"}, "--vocabulary absent.model: no such file"),
        ({"init_checkpoint": "absent"}, "--init-checkpoint absent: no such file or folder"),
        ({"recipe": "absent"}, "recipe 'absent': no such file"),
        ({"name": "../up"}, "--name '../up': expected letters"),
        ({"overrides": ("trainer.steps=3",)}, "trainer.steps: unknown key"),
        ({"overrides": ("trainer.epochs=null",)}, "neither trainer.train_steps nor trainer.epochs is set"),
        ({"overrides": ("trainer.train_steps=many",)}, "trainer.train_steps: found 'many'"),
        ({"overrides": ("task.train_data.seq_length=4096",)}, "seq_length 4096 is above .*max_position_embeddings"),
    ],
)
def test_an_unusable_option_is_refused_before_anything_is_written(tmp_path, data, changes, message):
    changes = {key: str(data) if value == "DATA" else value for key, value in changes.items()}
    with pytest.raises(InputError, match=message):
        make_plan(**options(tmp_path, **changes))
    assert not (tmp_path / "runs").exists()


def test_a_run_of_the_same_name_is_kept_unless_told(tmp_path):
    folder = tmp_path / "runs" / "mine"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    with pytest.raises(InputError, match="a run of this name exists"):
        make_plan(**options(tmp_path, name="mine"))
    assert make_plan(**options(tmp_path, name="mine", overwrite=True)).folder == folder


def test_overwrite_refuses_a_folder_that_is_no_run(tmp_path):
    folder = tmp_path / "runs" / "holiday"
    folder.mkdir(parents=True)
    (folder / "photo.jpg").write_text("x")
    with pytest.raises(InputError, match=r"holds files but no run\.json"):
        make_plan(**options(tmp_path, name="holiday", overwrite=True))


def test_overwrite_refuses_to_delete_what_the_run_reads(tmp_path, data):
    folder = tmp_path / "runs" / "mine"
    (folder / "train/model").mkdir(parents=True)
    (folder / "train/model/vocab.model").touch()
    (folder / "train/model/model.safetensors").write_bytes(weights_file(**SMALL))
    (folder / "run.json").write_text("{}")
    changes = {"task": "sst2", "data": str(data), "name": "mine", "overwrite": True, "recipe": "small_sst2"}
    with pytest.raises(InputError, match=r"is read by this run but lies in .*runs/mine, which --overwrite deletes"):
        make_plan(**options(tmp_path, **changes, init_checkpoint=str(folder / "train/model")))
    assert make_plan(**options(tmp_path, **changes)).folder == folder


def test_paths_are_the_same_however_they_are_spelt(tmp_path, data, monkeypatch):
    (tmp_path / "link").symlink_to(data)
    (tmp_path / "sub").mkdir()
    (tmp_path / "runs").symlink_to(tmp_path / "sub")
    (data / "mine.model").symlink_to(data / "dev.tsv")
    monkeypatch.chdir(tmp_path / "sub")
    plan = make_plan(**options(tmp_path, task="sst2", data="../link", vocabulary="../link/mine.model", name="x"))
    assert plan.arguments["data"] == str(data)
    assert plan.arguments["vocabulary"] == str(data / "mine.model")  # its own name, which may tell what it is
    assert plan.folder == tmp_path / "sub" / "x"
    assert plan.inputs == [data / "mine.model", data]


def test_a_checkpoint_that_a_recipe_names_is_checked_and_found_from_anywhere(tmp_path, data, monkeypatch):
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert/ckpt-1.index").touch()
    (data / "gpt2.model").write_bytes(b"pieces")
    recipe = tmp_path / "mine.yaml"
    monkeypatch.chdir(tmp_path)
    given = {"task": "sst2", "data": str(data), "recipe": str(recipe), "vocabulary": "SST-2/gpt2.model"}
    recipe.write_text("task: {init_checkpoint: bert/ckpt-1}\ntrainer: {epochs: 1}\n")
    plan = make_plan(**options(tmp_path, **given))
    assert plan.experiment.task.init_checkpoint == str(tmp_path / "bert/ckpt-1")
    assert plan.inputs == [data / "gpt2.model", data, tmp_path / "bert"]
    recipe.write_text("task: {init_checkpoint: absent}\ntrainer: {epochs: 1}\n")
    with pytest.raises(InputError, match=r"task.init_checkpoint absent: no such file or folder"):
        make_plan(**options(tmp_path, **given))
    recipe.write_text("task: {init_checkpoint: TODO}\ntrainer: {epochs: 1}\n")
    with pytest.raises(
        InputError, match=r"its task.init_checkpoint is 'TODO'; name the weights with --init-checkpoint"
    ):
        make_plan(**options(tmp_path, **given))
    scratch = make_plan(**options(tmp_path, **given, overrides=("task.init_checkpoint=",)))
    assert scratch.experiment.task.init_checkpoint == ""


@pytest.mark.parametrize("folder", ["lr=0.1,bs=32", "a,task.x=2", "[1", "1:30 #2", "it's"])
def test_weights_in_a_folder_of_any_name_arrive(tmp_path, data, folder):
    (tmp_path / folder).mkdir()
    (tmp_path / "vocab.model").write_bytes(b"pieces")
    (tmp_path / folder / "ckpt-1.index").touch()
    path = str(tmp_path / folder / "ckpt-1")
    for overrides in ((assignment("task.init_checkpoint", path), "runtime.seed=7"), ("runtime.seed=7",)):
        given = {} if len(overrides) > 1 else {"init_checkpoint": path, "recipe": "small_sst2"}
        given["vocabulary"] = str(tmp_path / "vocab.model")
        plan = make_plan(**options(tmp_path, task="sst2", data=str(data), overrides=overrides, **given))
        assert (plan.experiment.task.init_checkpoint, plan.experiment.runtime.seed) == (path, 7)


def test_an_override_cannot_hide_in_the_one_before_it(tmp_path, data):
    with pytest.raises(InputError, match="override 'seed=3': seed is no key; expected task, trainer, runtime"):
        make_plan(**options(tmp_path, task="sst2", data=str(data), overrides=("task.init_checkpoint=", "seed=3")))


def test_triviaqas_documents_count_as_inputs_wherever_its_files_may_name_them(tmp_path):
    for folder in ("tri/qa", "tri/evidence"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "tri/qa/wikipedia-train.json").write_text("{}")
    for given in ({"data": str(tmp_path / "tri/qa")}, {"train_file": str(tmp_path / "tri/qa/wikipedia-train.json")}):
        plan = make_plan(**options(tmp_path, task="triviaqa_wikipedia", **given))
        assert tmp_path / "tri/evidence" in plan.inputs


def test_a_checkpoint_may_be_the_beginning_of_files_names(tmp_path):
    (tmp_path / "ckpt-5.index").touch()
    (tmp_path / "gpt2.model").touch()
    given = {"init_checkpoint": str(tmp_path / "ckpt-5"), "vocabulary": str(tmp_path / "gpt2.model")}
    plan = make_plan(**options(tmp_path, sample="glue", recipe="sample_glue", **given))
    assert plan.experiment.task.init_checkpoint == str(tmp_path / "ckpt-5")


def test_prediction_files_are_text_or_json_lines(tmp_path):
    text, lines = tmp_path / "a.txt", tmp_path / "a.jsonl"
    text.write_text("one\n\ntwo\n")
    lines.write_text('{"question": "q", "context": "c"}\n')
    assert list(read_examples(text)) == [(f"{text}:1", {"text_a": "one"}), (f"{text}:3", {"text_a": "two"})]
    assert list(read_examples(lines)) == [(f"{lines}:1", {"question": "q", "context": "c"})]


def test_prediction_files_are_cut_at_line_feeds_alone(tmp_path):
    text, lines = tmp_path / "a.txt", tmp_path / "a.jsonl"
    text.write_bytes("\ufefffirst\u2028still first\r\n \r\nsecond\fstill second\x85\n".encode())
    assert list(read_examples(text)) == [
        (f"{text}:1", {"text_a": "first\u2028still first"}),
        (f"{text}:3", {"text_a": "second\fstill second\x85"}),
    ]
    lines.write_bytes('\ufeff{"text_a": "one\u2028text"}\r\n\r\n{"text_a": "\\ud83d\\ude00"}'.encode())
    assert list(read_examples(lines)) == [
        (f"{lines}:1", {"text_a": "one\u2028text"}),
        (f"{lines}:3", {"text_a": "\U0001f600"}),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": ', "a.jsonl:1: not valid JSON"),
        ("[1]", "a.jsonl:1: holds list"),
        ('{"text_a": "\\ud800"}', "a.jsonl:1: holds half of a surrogate pair"),
        ("[" * 100_000, "a.jsonl:1: not valid JSON"),
    ],
)
def test_a_broken_prediction_file_is_refused_with_its_line(tmp_path, content, message):
    file = tmp_path / "a.jsonl"
    file.write_text(content)
    with pytest.raises(InputError, match=message):
        list(read_examples(file))


def test_predict_wants_one_source_of_examples(tmp_path):
    with pytest.raises(InputError, match="expected either a FILE or --text"):
        predict_command(tmp_path, None, text=None)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "gs://b/runs/n", "--text", "hello"], "gs://b/runs/n: expected a folder of this machine"),
        (
            ["--model", "runs/n", "s3://b/texts.jsonl"],
            "s3://b/texts.jsonl: is in a bucket, from which --output FOLDER answers",
        ),
    ],
)
def test_predict_without_output_reads_no_bucket_and_names_its_address(words, message):
    done = CliRunner().invoke(cli.cli, ["predict", *words])
    assert done.exit_code == 2
    assert message in done.stderr


@pytest.mark.parametrize(
    ("words", "quoted"), [([], None), (["--quoted"], True), (["--no-quoted"], False), (["--no_quoted"], False)]
)
def test_predict_is_told_whether_values_are_quoted_as_the_commands_that_train_are(words, quoted, monkeypatch):
    from bigbird_components.predict import predict as module
    from bigbird_components.table_flags import as_overrides

    told = {}

    class Summary:
        answered, files = 1, ("predictions.jsonl",)

    def predict(*_, table_format, **__):
        told.update(table_format)
        return Summary

    monkeypatch.setattr(module, "predict", predict)
    done = CliRunner().invoke(
        cli.cli, ["predict", "--model", "m", "t.csv", "--output", "o", *words], catch_exceptions=False
    )
    assert (done.exit_code, told["quoted"]) == (0, quoted)
    run = cli_local.run.make_context("run", ["--data", "t.csv", *words]).params
    assert as_overrides(run) == ([] if quoted is None else [f"task.data.quoted={str(quoted).lower()}"])


def test_predict_says_when_a_run_exported_nothing(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(InputError, match="this run exported no model"):
        predict_command(tmp_path, None, text="hello")


def test_probabilities_are_named_by_class():
    assert named_probabilities({"label": "b", "probabilities": [0.25, 0.75]}, ["a", "b"])["probabilities"] == {
        "a": 0.25,
        "b": 0.75,
    }


def test_options_may_be_spelt_with_underscores_and_values_keep_theirs():
    listed = CliRunner().invoke(cli.cli, ["run", "--help"]).output
    assert "squad_v1" in listed and "--max-length" in listed
    refused = CliRunner().invoke(cli.cli, ["run", "--max_length", "8", "--task=squad_v1"])
    assert refused.exit_code == 2 and "'--max-length': 8 is not in the range" in refused.output


@pytest.mark.parametrize(
    ("words", "threshold", "counts"),
    [([], NO_THRESHOLD, False), (["--metric-threshold", "-2"], -2.0, True), (["--metric-threshold=-1"], -1.0, True)],
)
def test_a_threshold_of_r2_may_be_below_minus_1(tmp_path, words, threshold, counts):
    given = cli_local.run.make_context("run", words).params["metric_threshold"]
    arguments = make_plan(**options(tmp_path, metric_threshold=given)).arguments
    assert arguments["metric_threshold"] == threshold
    assert passes(-3.0, arguments["metric_threshold"]) is not counts
    refused = CliRunner().invoke(cli.cli, ["run", "--metric-threshold", "1.1"])
    assert refused.exit_code == 2 and "'--metric-threshold': 1.1 is not in the range x<=1" in refused.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--text", "a", "--keep", "b"), "--keep is given without --output, the folder to write the answers to"),
        (("--text", "a", "--id", "b"), "--id is given without --output"),
        (("--text", "a", "--project", "my-project"), "--project is given without --output"),
        (("--text", "a", "--text", "b"), "--text is given twice; expected one text, or --output for a table"),
        (("--output", "o"), "--output is given without a FILE; expected a table's file"),
        (("a.csv", "--output", "o", "--dry-run"), "--dry-run is given without --target"),
        (("a.csv", "--output", "o", "--project", "my-project"), "--project is given without --target"),
        (("--text", "a", "--txt", "b"), "No such option '--txt'"),
        (
            ("a.csv", "b.csv", "--output", "o"),
            "Got unexpected extra argument (b.csv); expected one FILE, before options of",
        ),
        (("a.csv", "--input", "b.csv", "--output", "o"), "--input b.csv and a.csv are both given"),
    ],
)
def test_predicts_options_belong_to_what_they_are_for(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused = CliRunner().invoke(cli.cli, ["predict", "--model", "m", *words])
    assert refused.exit_code == 2
    assert message in refused.stderr
    assert list(tmp_path.iterdir()) == []
