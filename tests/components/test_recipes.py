import pytest

from bigbird.config.overrides import join_overrides
from bigbird.support.errors import InputError
from bigbird_components.run_configuration import preprocessing_settings, resolve_experiment
from bigbird_pipelines.shortcuts import shortcut_overrides

RECIPE = """
task:
  bucket_lengths: [64, 256, 1024]
  train_data: {seq_length: 1024, global_batch_size: 8}
  validation_data: {seq_length: 1024, global_batch_size: 8}
trainer:
  train_steps: 500
  optimizer_config:
    learning_rate: {polynomial: {initial_learning_rate: 1.0e-3, decay_steps: 500}}
    warmup: {polynomial: {warmup_steps: 50}}
"""


def resolved(overrides="", **options):
    """The experiment of a command with these options."""
    return resolve_experiment(
        "sst2", RECIPE, overrides=join_overrides([*shortcut_overrides(options, "sst2", RECIPE), overrides])
    )


def test_a_recipe_of_another_type_than_the_tasks_is_refused():
    with pytest.raises(
        InputError, match="the recipe is of type 'bigbird/glue', and --task squad_v1 needs bigbird/squad"
    ):
        resolve_experiment("squad_v1", "type: bigbird/glue")


def test_what_is_not_given_leaves_the_recipes_values():
    experiment = resolved(max_length=None, batch_size=None, learning_rate=None, epochs=None)
    assert experiment == resolve_experiment("sst2", RECIPE)
    assert experiment.task.buckets == [64, 256, 1024]
    assert experiment.task.train_data.global_batch_size == 8
    assert experiment.trainer.train_steps == 500


def test_options_win_over_the_recipe():
    experiment = resolved(max_length=512, batch_size=16, learning_rate=2e-4)
    assert [data.seq_length for data in (experiment.task.train_data, experiment.task.validation_data)] == [512, 512]
    assert [data.global_batch_size for data in (experiment.task.train_data, experiment.task.validation_data)] == [
        16,
        16,
    ]
    assert experiment.trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate == 2e-4
    assert resolve_experiment("sst2", RECIPE, init_checkpoint="w").task.init_checkpoint == "w"


def test_the_precision_is_an_option():
    assert resolved().runtime.mixed_precision_dtype == "float32"
    assert resolved(precision="bfloat16").runtime.mixed_precision_dtype == "bfloat16"


def test_a_shorter_length_cuts_the_recipes_buckets():
    assert resolved(max_length=512).task.buckets == [64, 256, 512]


def test_epochs_replace_steps_and_let_the_schedule_follow_them():
    trainer = resolved(epochs=2.5).trainer
    assert (trainer.epochs, trainer.train_steps) == (2.5, 0)
    assert trainer.optimizer_config.learning_rate.polynomial.decay_steps is None
    assert trainer.optimizer_config.warmup.polynomial.warmup_steps is None


def test_overrides_win_over_options():
    experiment = resolved("task.train_data.global_batch_size=4,runtime.seed=7", batch_size=16)
    assert (experiment.task.train_data.global_batch_size, experiment.runtime.seed) == (4, 7)


@pytest.mark.parametrize(
    ("task", "metric", "label_type"),
    [
        ("cola", "matthews_corrcoef", "int"),
        ("qqp", "f1", "int"),
        ("stsb", "pearson_spearman_corr", "float"),
        ("rte", "accuracy", "int"),
    ],
)
def test_metric_and_label_type_follow_the_task(task, metric, label_type):
    experiment = resolve_experiment(task)
    assert experiment.task.metric_type == metric
    assert experiment.task.train_data.label_type == label_type


def test_only_squad_v2_has_questions_without_answers():
    assert resolve_experiment("squad_v2").task.validation_data.version_2_with_negative
    assert not resolve_experiment("squad_v1").task.validation_data.version_2_with_negative


def test_preprocessing_reads_the_same_recipe():
    overrides = join_overrides(shortcut_overrides({"max_length": 512}, "sst2", RECIPE))
    assert preprocessing_settings("sst2", RECIPE, overrides) == {"max_length": 512}
    recipe = (
        "task: {train_data: {seq_length: 384}, validation_data: {seq_length: 384, doc_stride: 96, do_lower_case: true}}"
    )
    expected = {"max_length": 384, "doc_stride": 96, "query_length": 64, "lower_case": True}
    assert preprocessing_settings("squad_v1", recipe) == expected


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("task: [", "recipe, line 1: not valid YAML"),
        ("task:\n  x: !!int y", "recipe, line 2: not valid YAML .'y' is no !!int, at column 6"),
        ("trainer: {train_steps: 1:30}", "trainer.train_steps: found '1:30'; expected a valid integer"),
        ("trainer: 5", "trainer: found 5; expected a valid dictionary"),
        ("task: [1]", "task: found [1]; expected a valid dictionary"),
        ("- task", "holds list; expected a mapping"),
        ("trainer: {train_step: 5}", "trainer.train_step: unknown key; did you mean 'train_steps'"),
    ],
)
def test_an_unusable_recipe_is_refused(recipe, message):
    with pytest.raises(InputError, match=message.replace("[", r"\[")):
        resolve_experiment("sst2", recipe)
