import pytest

from bigbird.config import load_experiment
from bigbird.errors import InputError
from bigbird.tasks.families import FAMILIES, experiment_type
from bigbird.tasks.glue import TASKS
from pipelines.recipes import FOLDER, default_recipe, recipe_file, recipe_names


def kind(name: str) -> str:
    return next((f"bigbird/{family}" for family in FAMILIES if family in name), "bigbird/glue")


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads(name):
    load_experiment(kind(name), [recipe_file(name)])


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_states_command_hardware_and_score(name):
    head = [line for line in (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    assert [line[:11].strip("# ") for line in head if line[2:11].rstrip().endswith(":")] == [
        "Command:",
        "Hardware:",
        "Score:",
    ]


@pytest.mark.parametrize("task", [name for name in TASKS if name != "ax"])
def test_published_glue_recipes_fit_their_task(task):
    experiment = load_experiment("bigbird/glue", [recipe_file(f"glue_{task}")])
    assert experiment.task.model.num_classes == TASKS[task].num_classes
    assert experiment.task.train_data.label_type == ("int" if TASKS[task].labels else "float")
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


@pytest.mark.parametrize("task", [*(name for name in TASKS if name != "ax"), "squad_v1", "squad_v2"])
@pytest.mark.parametrize("checkpoint", ["", "weights"])
def test_every_task_has_a_default_recipe(task, checkpoint):
    name = default_recipe(task, checkpoint)
    assert kind(name) == experiment_type(task)
    assert name.startswith("small") is (not checkpoint)
    recipe_file(name)


def test_an_unknown_recipe_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"small_sst3.*small_sst2"):
        recipe_file("small_sst3")
