"""The Model Garden's tree: what it takes, what it refuses and in which words."""

import pytest
import yaml

from bigbird.config import BigBirdEncoderConfig, load_experiment, parse_override, replace, with_sections
from bigbird.support.errors import InputError

MODEL_GARDEN = {
    "bigbird/glue": """
task:
  hub_module_url: ''
  model:
    num_classes: 3
    encoder: {type: bigbird, bigbird: {use_gradient_checkpointing: false}}
  init_checkpoint: 'TODO'
  metric_type: 'accuracy'
  train_data: {drop_remainder: true, global_batch_size: 32, input_path: 'TODO', is_training: true, seq_length: 1024, label_type: 'int'}
  validation_data: {drop_remainder: false, global_batch_size: 32, input_path: 'TODO', is_training: false, seq_length: 1024, label_type: 'int'}
trainer:
  checkpoint_interval: 3000
  optimizer_config:
    learning_rate: {type: polynomial, polynomial: {decay_steps: 36813, end_learning_rate: 0.0, initial_learning_rate: 3.0e-05, power: 1.0}}
    optimizer: {type: adamw}
    warmup: {type: polynomial, polynomial: {power: 1, warmup_steps: 3681}}
  steps_per_loop: 1000
  summary_interval: 1000
  train_steps: 36813
  validation_interval: 6135
  validation_steps: 307
  best_checkpoint_export_subdir: 'best_ckpt'
  best_checkpoint_eval_metric: 'cls_accuracy'
  best_checkpoint_metric_comp: 'higher'
""",
    "bigbird/squad": """
task:
  hub_module_url: ''
  model:
    encoder: {type: bigbird, bigbird: {use_gradient_checkpointing: false}}
  max_answer_length: 30
  n_best_size: 20
  null_score_diff_threshold: 0.0
  init_checkpoint: 'TODO'
  train_data: {drop_remainder: true, global_batch_size: 48, input_path: 'TODO', is_training: true, seq_length: 1024}
  validation_data:
    do_lower_case: true
    doc_stride: 128
    drop_remainder: false
    global_batch_size: 48
    input_path: 'TODO'
    is_training: false
    query_length: 64
    seq_length: 1024
    tokenization: SentencePiece
    version_2_with_negative: false
    vocab_file: 'TODO'
trainer:
  checkpoint_interval: 1000
  max_to_keep: 5
  optimizer_config:
    learning_rate: {type: polynomial, polynomial: {decay_steps: 3699, end_learning_rate: 0.0, initial_learning_rate: 8.0e-05, power: 1.0}}
    optimizer: {type: adamw}
    warmup: {type: polynomial, polynomial: {power: 1, warmup_steps: 370}}
  steps_per_loop: 1000
  summary_interval: 1000
  train_steps: 3699
  validation_interval: 1000
  validation_steps: 226
  best_checkpoint_export_subdir: 'best_ckpt'
  best_checkpoint_eval_metric: 'final_f1'
  best_checkpoint_metric_comp: 'higher'
""",
}


@pytest.fixture
def file(tmp_path):
    """Function (text, name) -> a recipe's path."""

    def write(text, name="recipe.yaml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def _leaves(tree, path=()):
    """(path, value) of everything in a nested mapping that is no mapping."""
    for key, value in tree.items():
        yield from _leaves(value, (*path, key)) if isinstance(value, dict) else [((*path, key), value)]


@pytest.mark.parametrize("kind", MODEL_GARDEN)
def test_every_setting_of_the_model_gardens_recipe_arrives(kind, file):
    built = dict(_leaves(load_experiment(kind, [file(MODEL_GARDEN[kind])]).model_dump()))
    given = dict(_leaves(yaml.safe_load(MODEL_GARDEN[kind])))
    assert len(given) > 30
    assert {path: built[path] for path in given} == given


def test_the_model_gardens_command_line_is_taken(file):
    """Several --params_override of several assignments, over the recipe's own 'TODO's."""
    experiment = load_experiment(
        "bigbird/squad",
        [file(MODEL_GARDEN["bigbird/squad"])],
        [
            "task.init_checkpoint=gs://bucket/model.ckpt-0",
            (
                "task.train_data.input_path=train.tfrecord,task.validation_data.input_path=dev.json,"
                "task.validation_data.vocab_file=vocab_sp.model"
            ),
            "runtime.distribution_strategy=tpu",
            {"runtime": {"tpu": "name"}},
        ],
    )
    task = experiment.task
    assert (task.init_checkpoint, task.train_data.input_path) == ("gs://bucket/model.ckpt-0", "train.tfrecord")
    assert (task.validation_data.input_path, task.validation_data.vocab_file) == ("dev.json", "vocab_sp.model")
    assert (experiment.runtime.distribution_strategy, experiment.runtime.tpu) == ("tpu", "name")
    assert (task.n_best_size, task.validation_data.do_lower_case, experiment.trainer.train_steps) == (20, True, 3699)


@pytest.mark.parametrize("kind", MODEL_GARDEN)
def test_the_model_gardens_tree_is_taken_and_survives_its_own_yaml(kind, file):
    experiment = load_experiment(kind, [file(MODEL_GARDEN[kind])])
    assert experiment.task.train_data.seq_length == 1024
    again = load_experiment(config_files=[file(experiment.to_yaml(), "again.yaml")])
    assert again == experiment


def test_later_files_win_over_earlier_ones_and_overrides_over_files(file):
    first = file("trainer: {train_steps: 1, max_to_keep: 2, epochs: 3}")
    second = file("trainer: {train_steps: 4, max_to_keep: 6}", "second.yaml")
    overrides = ["trainer.train_steps=7", {"trainer": {"train_steps": 8}}, "trainer.train_steps=9"]
    trainer = load_experiment("bigbird/glue", [first, second], overrides).trainer
    assert (trainer.train_steps, trainer.max_to_keep, trainer.epochs) == (9, 6, 3.0)
    assert load_experiment("bigbird/glue", [second, first]).trainer.train_steps == 1


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a.b=1,a.c=x", {"a": {"b": 1, "c": "x"}}),
        ("a=[1,2],b=true", {"a": [1, 2], "b": True}),
        ("path=train-*.tfrecord,more", {"path": "train-*.tfrecord,more"}),
        ("rate=3e-05", {"rate": 3e-05}),
        ("a=", {"a": ""}),
        ("a.b=1,a.b=2", {"a": {"b": 2}}),
    ],
)
def test_overrides_are_assignments_of_yaml_values(text, tree):
    assert parse_override(text) == tree


def test_a_rate_in_any_spelling_is_a_number():
    for spelling in ("3e-05", "3.0e-5", "0.00003"):
        key = "trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate"
        rate = load_experiment("bigbird/glue", overrides=[f"{key}={spelling}"]).trainer.optimizer_config.learning_rate
        assert rate.polynomial.initial_learning_rate == 3e-5


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("trainer.train_step=5", ["trainer.train_step: unknown key", "did you mean 'train_steps'?", "Allowed here: train_steps, epochs"]),
        ("task.model.encoder.bigbird.heads=5", ["task.model.encoder.bigbird.heads: unknown key", "num_attention_heads"]),
        ("task.train_data.doc_stride=5", ["task.train_data.doc_stride: unknown key", "label_type"]),
        ("training.steps=5", ["training: unknown key", "Allowed here: task, trainer, runtime"]),
        ("trainer.train_steps=many", ["trainer.train_steps: found 'many'; expected a valid integer"]),
        ("trainer.train_steps=-1", ["trainer.train_steps: found -1; expected greater than or equal to 0"]),
        ("task.model.encoder.bigbird.dropout_rate=1.0", ["task.model.encoder.bigbird.dropout_rate: found 1.0; expected less than 1"]),
        ("task.metric_type=bleu", ["task.metric_type: found 'bleu'; expected 'accuracy', 'f1', 'matthews_corrcoef'"]),
        ("task.model.encoder.bigbird.hidden_size=100", ["task.model.encoder.bigbird: hidden_size 100 is not a multiple of num_attention_heads 12"]),
        ("task.train_data.seq_length=8192", ["task: seq_length 8192 is above model.encoder.bigbird.max_position_embeddings 4096"]),
        ("task.bucket_lengths=[512,256,1024]", ["bucket_lengths [512, 256, 1024] must ascend"]),
        ("task.bucket_lengths=[256,512]", ["must end with the longest seq_length, 1024, not 512"]),
        ("task.model.encoder.bigbird.full_attention_max_length=100", ["full_attention_max_length 100 is below 704"]),
        ("task.model.encoder.type=bert", ["task.model.encoder.type: found 'bert'; expected 'bigbird'"]),
        ("task.hub_module_url=https://x", ["task.hub_module_url: found 'https://x'"]),
        ("runtime.seed=-3", ["runtime.seed: found -3"]),
        ("task=5", ["task: found 5"]),
        ("task=0", ["task: found 0; expected a valid dictionary"]),
        ("trainer=[]", ["trainer: found []; expected a valid dictionary"]),
        ("trainer.train_steps=true", ["trainer.train_steps: found True; expected a number"]),
        ("runtime.seed=false", ["runtime.seed: found False; expected a number"]),
        ("trainer.epochs=true", ["trainer.epochs: found True; expected a number"]),
        ("trainer.epochs=.inf", ["trainer.epochs: found inf; expected a finite number"]),
        ("trainer.max_to_keep=2.5", ["trainer.max_to_keep: found 2.5; expected a valid integer"]),
        ("trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate=nan", ["initial_learning_rate: found 'nan'; expected a finite number"]),
        ("trainer.optimizer_config.learning_rate.constant.learning_rate=-1e-5", ["constant.learning_rate: found -1e-05; expected greater than or equal to 0"]),
        ("task.bucket_lengths=[]", ["task: bucket_lengths is empty; it must end with the longest seq_length, 1024"]),
        ("task.model.encoder.bigbird.size=huge", ["task.model.encoder.bigbird.size: found 'huge'; expected 'small', 'base' or 'large'"]),
        ("task.model.encoder.bigbird.size=[base]", ["task.model.encoder.bigbird.size: found ['base']; expected 'small', 'base' or 'large'"]),
        ("task.model.encoder.bigbird.random_range=447", ["task.model.encoder.bigbird: random_range 447 is below 448 = (num_rand_blocks + 4) * block_size"]),
        ("task.train_data.input_path=[1]", ["task.train_data.input_path: found [1]; expected a valid string", "task.train_data.input_path.0: found 1; expected a valid string"]),
        ("task.zzz=1", ["task.zzz: unknown key. Allowed here: init_checkpoint, hub_module_url"]),
    ],
)  # fmt: skip
def test_what_is_refused_is_named_with_its_path_and_what_is_allowed(override, parts):
    with pytest.raises(InputError) as caught:
        load_experiment("bigbird/glue", overrides=[override])
    for part in parts:
        assert part in str(caught.value)


def test_the_least_random_range_that_is_taken_has_a_plan():
    from bigbird.layers.attention.pattern import random_blocks
    from bigbird.models.encoder import attention_pattern

    for blocks, tokens in ((3, 448), (2, 384), (0, 256)):
        config = BigBirdEncoderConfig(num_rand_blocks=blocks, random_range=tokens)
        assert random_blocks(attention_pattern(config), 1024, 0).shape == (12, 14, blocks)
    # Where the old plan takes no notice of the range, or no input is long enough to be sparse, any range will do.
    assert random_blocks(attention_pattern(BigBirdEncoderConfig(random_range=128)), 1024, 0).shape == (12, 14, 3)
    assert BigBirdEncoderConfig(random_range=256, max_position_embeddings=512).random_range == 256


def test_a_key_of_the_other_task_is_refused():
    with pytest.raises(InputError, match=r"task\.n_best_size: unknown key"):
        load_experiment("bigbird/glue", overrides=["task.n_best_size=20"])
    with pytest.raises(InputError, match=r"task\.metric_type: unknown key"):
        load_experiment("bigbird/squad", overrides=["task.metric_type=f1"])


def test_a_heading_with_nothing_under_it_is_the_defaults(file):
    assert load_experiment(config_files=[file("type: bigbird/glue\ntrainer:\n")]) == load_experiment("bigbird/glue")


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("(", "found '(': missing ), unterminated subpattern at position 0; expected a regular expression of Python"),
        ("*bias", "found '*bias': nothing to repeat"),
        ("a{99999999999}", "found 'a{99999999999}': the repetition number is too large"),
        (")" * 9000, "(9,002 characters): unbalanced parenthesis"),
    ],
)
def test_what_is_no_regular_expression_is_refused(pattern, found):
    adamw = {"exclude_from_weight_decay": ["bias", pattern]}
    with pytest.raises(InputError) as caught:
        load_experiment("bigbird/glue", overrides=[{"trainer": {"optimizer_config": {"optimizer": {"adamw": adamw}}}}])
    assert str(caught.value).startswith("trainer.optimizer_config.optimizer.adamw.exclude_from_weight_decay")
    assert found in str(caught.value)


def test_every_problem_is_listed_at_once():
    with pytest.raises(InputError) as caught:
        load_experiment("bigbird/glue", overrides=["trainer.stepz=1,trainer.epochs=-2,runtime.seed=x,task.lr=3"])
    assert [line.split(":")[0] for line in sorted(str(caught.value).splitlines())] == [
        "runtime.seed",
        "task.lr",
        "trainer.epochs",
        "trainer.stepz",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task: [1, 2", r"recipe.yaml:\d+:\d+: not valid YAML"),
        ("- a\n- b", "holds list; expected a mapping with task, trainer, runtime"),
        ("task: !!python/object/apply:os.system ['true']", "not valid YAML"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused_with_its_place(file, text, message):
    with pytest.raises(InputError, match=message):
        load_experiment("bigbird/glue", [file(text)])


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.yaml: no such file"):
        load_experiment("bigbird/glue", [tmp_path / "nowhere.yaml"])
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"binary\.yaml: not UTF-8 at byte 0; expected a YAML configuration"):
        load_experiment("bigbird/glue", [tmp_path / "binary.yaml"])


def test_a_file_may_begin_with_a_byte_order_mark_and_end_its_lines_as_windows_does(file):
    recipe = file("\ufefftype: bigbird/glue\r\ntrainer:\r\n  train_steps: 0100\r\n")
    assert load_experiment(config_files=[recipe]).trainer.train_steps == 100


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"x{n}: 1\n" for n in range(500)),
        "task:\n" + "".join(f"  x{n}: 1\n" for n in range(500)),
        "task:\n  bucket_lengths: [" + ", ".join("x" for _ in range(500)) + "]",
        f"task:\n  init_checkpoint: [{'x' * 100_000}]",
        f"task:\n  {'x' * 100_000}: 1",
        f"trainer: {'x' * 100_000}",
        f"type: {'x' * 100_000}",
        f"{'x' * 100_000}: 1",
        "task:\n  bucket_lengths: [" + ", ".join(str(n) for n in range(500, 0, -1)) + "]",
        f"task:\n  init_checkpoint: {{a: {'1' * 90}, b: [{', '.join(['x'] * 10_000)}]}}",
    ],
)
def test_a_message_is_short_however_much_is_wrong(file, text):
    with pytest.raises(InputError) as caught:
        load_experiment("bigbird/glue", [file(text)])
    message = str(caught.value)
    assert len(message) <= 1000
    if "x499" in text or "x, x" in text[:60]:
        shown = message.count("\n")
        assert message.endswith(f"and {500 - shown:,} more problems")


def test_a_type_that_is_no_text_is_refused(file):
    with pytest.raises(InputError, match=r"experiment type \['bigbird/glue'\] is not known"):
        load_experiment(config_files=[file("type: [bigbird/glue]")])


def test_the_type_must_be_given_once_and_known(file):
    with pytest.raises(InputError, match="the experiment's type is not given"):
        load_experiment()
    with pytest.raises(InputError, match="experiment type 'bert/glue' is not known; expected one of bigbird/glue"):
        load_experiment("bert/glue")
    with pytest.raises(InputError, match="--experiment-type is 'bigbird/squad' but the configuration file says"):
        load_experiment("bigbird/squad", [file("type: bigbird/glue")])


def test_sizes_fill_what_is_not_given():
    def sizes(**given):
        config = BigBirdEncoderConfig(**given)
        return config.hidden_size, config.num_layers, config.num_attention_heads, config.intermediate_size

    assert sizes() == sizes(size="base") == (768, 12, 12, 3072)
    assert sizes(size="large") == (1024, 24, 16, 4096)
    assert sizes(size="small") == (128, 2, 2, 512)
    assert sizes(size="large", num_layers=3) == (1024, 3, 16, 4096)


def test_replaced_settings_keep_what_was_given_and_are_validated():
    task = load_experiment("bigbird/glue", overrides=["task.model.encoder.bigbird.size=small"]).task
    changed = replace(task, model={"num_classes": 3, "encoder": {"bigbird": {"num_layers": 4}}})
    assert (changed.encoder.num_layers, changed.encoder.hidden_size, changed.model.num_classes) == (4, 128, 3)
    with pytest.raises(ValueError, match="not a multiple"):
        replace(task, model={"encoder": {"bigbird": {"num_attention_heads": 3}}})


def test_default_buckets_double_up_to_the_longest_input():
    def buckets(*overrides):
        return load_experiment("bigbird/glue", overrides=overrides).task.buckets

    assert buckets() == [64, 128, 256, 512, 1024]
    lengths = "task.train_data.seq_length={0},task.validation_data.seq_length={0}"
    assert buckets(lengths.format(100)) == [64, 100]
    assert buckets(lengths.format(64)) == [64]
    assert buckets("task.bucket_lengths=[300,1024]") == [300, 1024]


def test_a_copy_with_another_section_is_checked_and_keeps_its_kind():
    experiment = load_experiment("bigbird/glue", overrides=["trainer.epochs=2"])
    trainer = replace(experiment.trainer, train_steps=7)
    changed = with_sections(experiment, trainer=trainer)
    assert changed.trainer.train_steps == 7 and changed.trainer.epochs == 2
    assert type(changed.task) is type(experiment.task) and changed.task == experiment.task
    with pytest.raises(ValueError, match="trainer"):
        with_sections(experiment, trainer=experiment.runtime)
