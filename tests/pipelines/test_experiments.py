import pytest
import yaml

from bigbird.config import load_experiment
from bigbird.support.errors import InputError
from bigbird.tasks.classification.glue import GLUE_TASKS
from bigbird.tasks.registry import families, family_of_task, pipeline_task_names
from bigbird_pipelines.recipes import FOLDER, default_recipe, recipe_file, recipe_names, recipe_text


def kind(name: str) -> str:
    return next((f"bigbird/{family}" for family in (f.name for f in families()) if family in name), "bigbird/glue")


FILES = [name for name in recipe_names() if not name.endswith("_large")]


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads(name):
    encoder = load_experiment(kind(name), overrides=[yaml.safe_load(recipe_text(name))]).task.encoder
    published = not name.startswith(("small", "sample"))
    if published:
        large = name.endswith("_large")
        sizes = (1024, 24, 16, 4096) if large else (768, 12, 12, 3072)
        found = (encoder.hidden_size, encoder.num_layers, encoder.num_attention_heads, encoder.intermediate_size)
        assert found == sizes and encoder.use_gradient_checkpointing is large


def test_every_published_recipe_has_a_large_size():
    published = {name for name in FILES if not name.startswith(("small", "sample"))}
    assert {f"{name}_large" for name in published} <= set(recipe_names())
    expected = {f"glue_{task}" for task in GLUE_TASKS if task != "ax"} | {
        "squad_v1", "squad_v2", "triviaqa", "pretraining", "classification",
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
@pytest.mark.parametrize("checkpoint", ["", "weights"])
def test_every_task_has_a_default_recipe(task, checkpoint):
    name = default_recipe(task, checkpoint)
    assert kind(name) == family_of_task(task).experiment_type
    assert name.startswith("small") is (not checkpoint)
    recipe_file(name)


def test_an_unknown_recipe_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"small_sst3.*small_sst2"):
        recipe_file("small_sst3")
