"""Padding costs time and nothing else: a batch gives the same loss and gradients in its bucket as at the full length.

With full attention. Sparse attention's pattern depends on the padded length by design; dropout draws by shape.
"""

import numpy as np
import pytest

from bigbird.config import load_experiment
from bigbird.optimization import build_schedule
from bigbird.records import features
from bigbird_components.train.steps import HOST_ONLY
from bigbird_components.train.tensorflow_step import TensorFlowSteps

LONGEST, BUCKET, RECORDS = 96, 40, 8
TASKS = ("bigbird/glue", "bigbird/squad", "bigbird/triviaqa")


def _record(kind, number, rng):
    length = int(rng.integers(9, BUCKET + 1))
    answer = int(rng.integers(4, length - 2))
    types = [0] * 4 + [1] * (length - 4)
    record = {"input_ids": rng.integers(1, 100, length).tolist(), "segment_ids": types}
    if kind == "bigbird/glue":
        return record | {"label_ids": [number % 2], "example_id": [number]}
    if kind == "bigbird/squad":
        places = {"start_positions": [answer], "end_positions": [answer + 1], "is_impossible": [0]}
        return record | places | {"paragraph_mask": types, "unique_ids": [number]}
    places = {"answer_starts": [answer, 5], "answer_ends": [answer + 1, 6]} if number else {}
    return record | {"answer_starts": [], "answer_ends": [], "unique_ids": [number]} | places


@pytest.fixture
def records(tmp_path):
    """Function (kind) -> a file of records that fit the bucket."""

    def write(kind, count=RECORDS):
        rng = np.random.default_rng(3)
        file = tmp_path / "train.tfrecord"
        encoded = (features.encode(_record(kind, number, rng)) for number in range(count))
        file.write_bytes(b"".join(features.frame(record) for record in encoded))
        return [str(file)]

    return write


def _steps(kind, files, buckets, **data):
    encoder = {
        "hidden_size": 16, "num_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 100,
        "max_position_embeddings": LONGEST, "block_size": 16, "num_rand_blocks": 1, "initializer_range": 0.2,
        "dropout_rate": 0.0, "attention_dropout_rate": 0.0,
    }  # fmt: skip
    model = {"encoder": {"bigbird": encoder}} | ({"num_classes": 2} if kind == "bigbird/glue" else {})
    data = {"seq_length": LONGEST, "global_batch_size": RECORDS, "shuffle_buffer_size": 0, **data}
    task = {"model": model, "train_data": data, "validation_data": data, "bucket_lengths": buckets}
    experiment = load_experiment(kind, overrides=[{"task": task, "trainer": {"train_steps": 4}}])
    return TensorFlowSteps(experiment, build_schedule(experiment.trainer.optimizer_config, 4), files)


def _gradients(steps, batch):
    inputs = {name: value for name, value in batch.items() if name not in HOST_ONLY}
    gradients, loss, tokens = steps._replica_gradients(inputs, np.zeros(2, np.int32))
    names = [variable.path for variable in steps.model.trainable_variables]
    return {name: gradient.numpy() for name, gradient in zip(names, gradients, strict=True)}, float(loss), float(tokens)


@pytest.mark.slow
@pytest.mark.parametrize("kind", TASKS)
def test_a_batch_in_its_bucket_gives_the_loss_and_gradients_of_the_full_length(records, kind):
    files, results, ids = records(kind), [], []
    for buckets in ([BUCKET, LONGEST], [LONGEST]):
        steps = _steps(kind, files, buckets)
        batch = next(steps.training_batches(0, []))
        assert batch["input_word_ids"].shape == (RECORDS, buckets[0])
        ids.append(batch["record_id"].numpy().tolist())
        results.append(_gradients(steps, batch))
    (short, short_loss, short_tokens), (long, long_loss, long_tokens) = results
    assert ids[0] == ids[1] == list(range(RECORDS))
    assert short_tokens == long_tokens
    assert short_loss > 0.1
    assert short_loss == pytest.approx(long_loss, rel=1e-5)
    norm = np.sqrt(sum(np.square(gradient).sum() for gradient in long.values()))
    assert norm > 0.1
    for name, gradient in long.items():
        np.testing.assert_allclose(short[name], gradient, rtol=1e-5, atol=1e-5 * norm / 10, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("kind", TASKS)
def test_predictions_do_not_depend_on_the_bucket(records, kind):
    files, outputs = records(kind), []
    for buckets in ([BUCKET, LONGEST], [LONGEST]):
        (prediction,) = _steps(kind, files, buckets).predictions(files, labels=True)
        outputs.append(prediction)
    short, long = outputs
    np.testing.assert_allclose(short.losses, long.losses, rtol=1e-5)
    for name, value in short.outputs.items():
        np.testing.assert_allclose(value, long.outputs[name][:, : value.shape[1]], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_batch_of_a_token_budget_has_the_mean_loss_of_its_examples(records):
    """16 records of one bucket in one batch: the loss and gradients of two batches of 8, averaged."""
    kind, half = "bigbird/glue", 8
    files = records(kind, 2 * half)
    small = _steps(kind, files, [BUCKET, LONGEST])
    batches = small.training_batches(0, [])
    halves = [_gradients(small, next(batches)) for _ in range(2)]
    large = _steps(kind, files, [BUCKET, LONGEST], tokens_per_batch=LONGEST * half + 7)
    batch = next(large.training_batches(0, []))
    assert batch["input_word_ids"].shape == (2 * half, BUCKET)
    gradients, loss, tokens = _gradients(large, batch)
    assert loss == pytest.approx((halves[0][1] + halves[1][1]) / 2, rel=1e-5)
    assert tokens == halves[0][2] + halves[1][2]
    for name, gradient in gradients.items():
        mean = (halves[0][0][name] + halves[1][0][name]) / 2
        np.testing.assert_allclose(gradient, mean, rtol=1e-4, atol=1e-7, err_msg=name)
