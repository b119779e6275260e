import re

import pytest
import yaml
from click.testing import CliRunner

from bigbird.config import load_experiment
from bigbird.config.overrides import merge
from bigbird.support.errors import InputError
from bigbird.tasks.classification.glue import GLUE_TASKS
from bigbird.tasks.registry import families, family_of_task, pipeline_task_names
from bigbird_pipelines.cli import cli
from bigbird_pipelines.recipes import (
    BASE,
    FOLDER,
    base_text,
    default_recipe,
    recipe_file,
    recipe_names,
    recipe_text,
    resolved_text,
)


def kind(name: str) -> str:
    stated = yaml.safe_load(recipe_text(name)).get("type")
    return stated or next(
        (f"bigbird/{family}" for family in (f.name for f in families()) if family in name), "bigbird/glue"
    )


OTHERS = ("small_", "sample_", "bert_")  # than the published recipes
FILES = [name for name in recipe_names() if not name.endswith("_large")]


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads(name):
    encoder = load_experiment(kind(name), overrides=[yaml.safe_load(recipe_text(name))]).task.encoder
    if not name.startswith(OTHERS):
        large = name.endswith("_large")
        sizes = (1024, 24, 16, 4096) if large else (768, 12, 12, 3072)
        found = (encoder.hidden_size, encoder.num_layers, encoder.num_attention_heads, encoder.intermediate_size)
        assert found == sizes and encoder.use_gradient_checkpointing is large


def test_every_published_recipe_has_a_large_size():
    published = {name for name in FILES if not name.startswith(OTHERS)}
    assert {f"{name}_large" for name in published} <= set(recipe_names())
    expected = {f"glue_{task}" for task in GLUE_TASKS if task != "ax"} | {
        "squad_v1", "squad_v2", "triviaqa", "pretraining", "classification", "token_labels",
    }  # fmt: skip
    assert published == expected


def test_the_triviaqa_recipe_is_the_model_gardens():
    experiment = load_experiment("bigbird/triviaqa", [recipe_file("triviaqa")])
    task, trainer = experiment.task, experiment.trainer
    assert (task.top_k, task.max_answer_width, task.train_data.seq_length, task.train_data.doc_stride) == (
        8,
        16,
        4096,
        3072,
    )
    assert (trainer.train_steps, trainer.optimizer_config.warmup.polynomial.warmup_steps) == (51000, 5000)
    assert trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate == 1e-5
    assert trainer.optimizer_config.optimizer.adamw.weight_decay_rate == 0.1
    assert task.train_data.global_batch_size == 32


@pytest.mark.parametrize("name", FILES)
def test_every_recipe_states_command_hardware_time_and_score(name):
    head = [line for line in (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    assert [line[:11].strip("# ") for line in head if line[2:11].rstrip().endswith(":")] == [
        "Command:",
        "Hardware:",
        "Time:",
        "Score:",
    ]


@pytest.mark.parametrize("task", [name for name in GLUE_TASKS if name != "ax"])
def test_published_glue_recipes_fit_their_task(task):
    experiment = load_experiment("bigbird/glue", [recipe_file(f"glue_{task}")])
    assert experiment.task.model.num_classes == GLUE_TASKS[task].num_classes
    assert experiment.task.train_data.label_type == ("int" if GLUE_TASKS[task].labels else "float")
    assert (experiment.task.train_data.global_batch_size, experiment.task.train_data.seq_length) == (32, 1024)


def test_the_mnli_recipe_is_the_model_gardens():
    trainer = load_experiment("bigbird/glue", [recipe_file("glue_mnli")]).trainer
    rates = trainer.optimizer_config.learning_rate.polynomial
    assert (trainer.train_steps, trainer.optimizer_config.warmup.polynomial.warmup_steps) == (36813, 3681)
    assert (rates.initial_learning_rate, rates.end_learning_rate, rates.decay_steps) == (3e-5, 0.0, 36813)
    assert (trainer.checkpoint_interval, trainer.validation_interval, trainer.validation_steps) == (3000, 6135, 307)
    assert trainer.best_checkpoint_eval_metric == "cls_accuracy"


def test_the_squad_recipe_is_the_model_gardens():
    experiment = load_experiment("bigbird/squad", [recipe_file("squad_v1")])
    trainer, data = experiment.trainer, experiment.task.validation_data
    assert (trainer.train_steps, trainer.optimizer_config.warmup.polynomial.warmup_steps) == (3699, 370)
    assert trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate == 8e-5
    assert (data.global_batch_size, data.seq_length, data.doc_stride, data.query_length) == (48, 1024, 128, 64)
    assert (trainer.validation_steps, trainer.best_checkpoint_eval_metric) == (226, "final_f1")


@pytest.mark.parametrize("task", pipeline_task_names())
@pytest.mark.parametrize("published", [False, True])
def test_every_task_has_a_default_recipe(task, published):
    name = default_recipe(task, published=published)
    assert kind(name) == family_of_task(task).experiment_type
    assert name.startswith("small") is not published
    recipe_file(name)


def test_an_unknown_recipe_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"small_sst3.*small_sst2"):
        recipe_file("small_sst3")


# What recipes said in full before they held only what differs from the defaults.
BEFORE = {
    "glue_mnli": {
        "task.model.num_classes": 3, "task.metric_type": "accuracy", "task.train_data.drop_remainder": True,
        "task.validation_data.drop_remainder": False, "task.validation_data.is_training": False,
        "task.train_data.label_type": "int", "trainer.checkpoint_interval": 3000, "trainer.steps_per_loop": 1000,
        "trainer.summary_interval": 1000, "trainer.validation_interval": 6135, "trainer.validation_steps": 307,
        "trainer.best_checkpoint_export_subdir": "best_ckpt", "trainer.best_checkpoint_metric_comp": "higher",
        "trainer.optimizer_config.warmup.polynomial.power": 1.0, "trainer.optimizer_config.optimizer.type": "adamw",
        "trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate": 3e-5,
    },
    "squad_v2": {
        "task.max_answer_length": 30, "task.n_best_size": 20, "task.null_score_diff_threshold": 0.0,
        "task.train_data.version_2_with_negative": True, "task.validation_data.version_2_with_negative": True,
        "task.train_data.do_lower_case": None, "task.validation_data.do_lower_case": True,
        "task.validation_data.doc_stride": 128, "task.validation_data.query_length": 64, "task.bucket_lengths": None,
        "trainer.max_to_keep": 5, "trainer.train_steps": 5490, "trainer.validation_steps": -1,
        "trainer.optimizer_config.learning_rate.polynomial.decay_steps": 5490,
        "trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate": 8e-5,
        "trainer.optimizer_config.warmup.polynomial.warmup_steps": 549, "trainer.best_checkpoint_eval_metric": "final_f1",
    },
    "triviaqa": {
        "task.top_k": 8, "task.max_answer_width": 16, "task.bucket_lengths": [1024, 2048, 4096],
        "task.model.encoder.bigbird.dropout_rate": 0.1, "task.model.encoder.bigbird.attention_dropout_rate": 0.3,
        "task.train_data.doc_stride": 3072, "trainer.checkpoint_interval": 1000, "trainer.validation_interval": 8500,
        "trainer.optimizer_config.optimizer.adamw.epsilon": 1e-6, "trainer.best_checkpoint_export_subdir": "best",
        "trainer.optimizer_config.optimizer.adamw.gradient_clip_norm": 1.0,
    },
    "small_sst2": {
        "task.model.encoder.bigbird.hidden_size": 128, "task.model.encoder.bigbird.max_position_embeddings": 1024,
        "task.model.encoder.bigbird.dropout_rate": 0.1, "task.bucket_lengths": [32, 64, 128], "trainer.epochs": 2.0,
        "trainer.steps_per_loop": 50, "trainer.checkpoint_interval": 500,
        "trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate": 5e-4,
    },
}  # fmt: skip


def value_at(tree, path):
    for key in path.split("."):
        tree = tree[key]
    return tree


@pytest.mark.parametrize("name", BEFORE)
def test_a_recipe_that_holds_what_differs_means_what_it_meant(name):
    experiment = load_experiment(kind(name), [recipe_file(name)]).model_dump()
    assert {path: value_at(experiment, path) for path in BEFORE[name]} == BEFORE[name]


def uncommented(text):
    return re.sub(r"^( *)# (?=[a-z]\w*: |\w+:$)", r"\1", text, flags=re.MULTILINE)


def test_the_base_names_every_key_with_its_default_and_its_meaning():
    assert BASE.read_text(encoding="utf-8") == base_text(), "write base_text() to it again"
    assert " # None\n" not in base_text()
    common, *own = uncommented(base_text()).split("\ntype: ")
    for part in own:
        experiment_type, text = part.split("\n", 1)
        tree = merge(yaml.safe_load(common), yaml.safe_load(text))
        defaults = load_experiment(experiment_type)
        assert load_experiment(experiment_type, overrides=[tree]) == defaults
        assert tree == {key: value for key, value in defaults.model_dump(mode="json").items() if key != "type"}


@pytest.mark.parametrize(
    "name", ["small_sst2", "squad_v1", "triviaqa_large", "classification", "pretraining", "sample_squad"]
)
def test_a_whole_recipe_is_the_recipe_and_can_be_copied(name, tmp_path):
    whole = tmp_path / "mine.yaml"
    whole.write_text(resolved_text(name), encoding="utf-8")
    short = load_experiment(kind(name), overrides=[yaml.safe_load(recipe_text(name))])
    copied = load_experiment(config_files=[whole])
    assert copied == short
    # Only what the recipe sets is set: what is left out may be the dataset's to say.
    assert copied.task.encoder.model_fields_set == short.task.encoder.model_fields_set
    everything = uncommented(resolved_text(name))
    assert yaml.safe_load(everything) == short.model_dump(mode="json")


def test_the_command_prints_a_recipe_with_all_its_keys():
    shown = CliRunner().invoke(cli, ["recipes", "squad_v1"])
    assert shown.exit_code == 0 and shown.stdout == resolved_text("squad_v1")
    assert "\n  validation_steps: 226  # batches per validation; -1 is all\n" in shown.stdout
    assert "\n  # epochs: null  # passes over the training examples" in shown.stdout
    unknown = CliRunner().invoke(cli, ["recipes", "squad_v3"])
    assert unknown.exit_code == 2 and "squad_v1" in unknown.stderr
