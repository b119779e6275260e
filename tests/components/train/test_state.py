"""What a resumed run must not change, and how batches are counted."""

import pytest

from bigbird.config import load_experiment
from bigbird.manifests import CheckpointState
from bigbird.optimization import build_schedule
from bigbird.support.errors import InputError
from bigbird_components.train.state import State, check_setup, describe_setup

# More steps along a learning rate that is spelt out.
LONGER = (
    "trainer.train_steps=200,trainer.optimizer_config.learning_rate.polynomial.decay_steps=100,"
    "trainer.optimizer_config.warmup.polynomial.warmup_steps=10"
)


def _setup(*overrides, files=("a/train.tfrecord",), checksum="1234", replicas=1, kind="glue"):
    experiment = load_experiment(f"bigbird/{kind}", overrides=["trainer.train_steps=100", *overrides])
    schedule = build_schedule(experiment.trainer.optimizer_config, experiment.trainer.train_steps)
    return describe_setup(experiment, schedule, files, checksum, replicas)


def test_batches_left_out_are_passed_over():
    state = State(step=3, batches=3, left_out=[3, 4, 6])
    assert state.next_batch == 5
    state.take_batch()
    assert (state.step, state.batches, state.next_batch) == (4, 6, 7)


BEST = {"step": 2, "value": 0.5, "metrics": {"f1": 0.5, "loss": 1.25}, "decisions": None}


def test_a_state_survives_its_json():
    state = State(step=3, batches=4, left_out=[1], validated=2, best=BEST, seconds=1.5, setup={"a": 1})
    assert State.of(CheckpointState.model_validate(state.to_json())) == state


@pytest.mark.parametrize(
    "change",
    [
        "trainer.checkpoint_interval=7,trainer.validation_interval=7,trainer.summary_interval=7,trainer.max_to_keep=2",
        "task.validation_data.global_batch_size=3",
        "trainer.steps_per_loop=5,trainer.recovery_max_trials=3",
        "trainer.early_stopping.patience=3,trainer.early_stopping.min_delta=0.1",
        LONGER,
        "task.init_checkpoint=somewhere",
        "task.model.encoder.bigbird.attention.implementation=xla",
        "runtime.backend=jax",
    ],
)
def test_what_does_not_touch_the_weights_may_change(change):
    check_setup("model", _setup(), _setup(change))


def test_files_may_move_but_not_change():
    check_setup("model", _setup(), _setup(files=["b/train.tfrecord"]))
    with pytest.raises(InputError, match="training files' SHA-256: '1234' then, '9' now"):
        check_setup("model", _setup(), _setup(checksum="9"))
    with pytest.raises(InputError, match=r"training files: \['train.tfrecord'\] then, \['other.tfrecord'\] now"):
        check_setup("model", _setup(), _setup(files=["a/other.tfrecord"]))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("task.train_data.global_batch_size=16", ["task.train_data.global_batch_size: 32 then, 16 now"]),
        ("task.train_data.seed=3", ["task.train_data.seed: None then, 3 now"]),
        ("runtime.seed=3", ["runtime.seed: 0 then, 3 now"]),
        ("task.bucket_lengths=[512,1024]", ["task.bucket_lengths: [64, 128, 256, 512, 1024] then, [512, 1024] now"]),
        ("task.model.encoder.bigbird.num_layers=2", ["task.model.encoder.bigbird.num_layers: 12 then, 2 now"]),
        (
            "task.model.encoder.bigbird.attention.implementation=dense",
            ["task.model.encoder.bigbird.attention.implementation: None then, 'dense' now"],
        ),
        ("runtime.mixed_precision_dtype=bfloat16", ["runtime.mixed_precision_dtype: 'float32' then, 'bfloat16' now"]),
        ("trainer.optimizer_config.optimizer.adamw.beta_1=0.8", ["optimizer.adamw.beta_1: 0.9 then, 0.8 now"]),
        (
            "trainer.optimizer_config.optimizer.adamw.layer_decay=0.8",
            ["trainer.optimizer_config.optimizer.adamw.layer_decay: None then, 0.8 now"],
        ),
        (
            "trainer.optimizer_config.ema.average_decay=0.9",
            ["trainer.optimizer_config.ema.average_decay: None then, 0.9 now"],
        ),
        (
            "trainer.freeze_layers=2,trainer.freeze_embeddings=true",
            ["trainer.freeze_layers: None then, 2 now", "trainer.freeze_embeddings: None then, True now"],
        ),
        ("trainer.train_steps=200", ["decay_steps: 100 then, 200 now", "warmup_steps: 10 then, 20 now"]),
    ],
)
def test_what_touches_the_weights_is_named_with_both_values(change, named):
    with pytest.raises(InputError) as caught:
        check_setup("model", _setup(), _setup(change))
    message = str(caught.value)
    assert all(name in message for name in named)
    assert message.count(" then, ") == len(named)
    assert message.startswith("model: holds checkpoints of a run that was set up otherwise")


@pytest.mark.parametrize(
    ("kind", "change", "named"),
    [
        ("glue", "task.class_weights={bad: 2.0}", ["task.class_weights: None then, {'bad': 2.0} now"]),
        ("glue", "task.label_smoothing=0.1", ["task.label_smoothing: 0.0 then, 0.1 now"]),
        ("token_labels", "task.class_weights=balanced", ["task.class_weights: None then, 'balanced' now"]),
        (
            "classification",
            "task.number_mean=3,task.number_deviation=2",
            ["task.number_mean: 0.0 then, 3.0 now", "task.number_deviation: 1.0 then, 2.0 now"],
        ),
        ("classification", "task.kind=multi", ["task.kind: None then, 'multi' now"]),
    ],
)
def test_what_the_loss_reads_is_named_with_both_values(kind, change, named):
    before, now = _setup(kind=kind), _setup(change, kind=kind)
    with pytest.raises(InputError) as caught:
        check_setup("model", before, now)
    message = str(caught.value)
    assert all(name in message for name in named)
    assert message.count(" then, ") == len(named)
    # An earlier version's checkpoint does not say what its loss read.
    earlier = {key: value for key, value in before.items() if key not in now or value == now[key]}
    assert len(earlier) == len(before) - len(named)
    check_setup("model", earlier, now)


def test_another_number_of_replicas_is_named():
    with pytest.raises(InputError, match="runtime replicas: 1 then, 4 now"):
        check_setup("model", _setup(), _setup(replicas=4))
