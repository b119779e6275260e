"""Heads, their losses, and how a task becomes a model."""

import numpy as np
import pytest
import tensorflow as tf

from bigbird.config import load_experiment
from bigbird.heads import build_model, per_example_loss

ENCODER = {
    "vocab_size": 60, "hidden_size": 16, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
    "max_position_embeddings": 128, "block_size": 16, "num_rand_blocks": 1, "dropout_rate": 0.0,
    "attention_dropout_rate": 0.0,
}  # fmt: skip


def _task(kind, **encoder):
    data = {"seq_length": 128}
    tree = {
        "model": {"encoder": {"bigbird": {**ENCODER, **encoder}}}, "train_data": data, "validation_data": data,
    }  # fmt: skip
    return load_experiment(f"bigbird/{kind}", overrides=[{"task": tree}]).task


def _batch(length=48, batch=3, seed=0):
    rng = np.random.default_rng(seed)
    mask = np.ones((batch, length), np.int32)
    mask[1:, length // 2 :] = 0
    ids = rng.integers(1, 60, (batch, length)).astype(np.int32) * mask
    return {
        "input_word_ids": tf.constant(ids), "input_mask": tf.constant(mask),
        "input_type_ids": tf.zeros_like(ids), "label_ids": tf.constant([0, 2, 1]),
        "start_positions": tf.constant([3, 0, 7]), "end_positions": tf.constant([5, 0, 7]),
    }  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_outputs_are_float32_logits_whatever_the_arithmetic(dtype):
    batch = _batch()
    logits = build_model(_task("glue"), num_classes=3, dtype=dtype)(batch)["logits"]
    assert logits.shape == (3, 3) and logits.dtype == tf.float32
    spans = build_model(_task("squad"), dtype=dtype)(batch)
    assert {name: (value.shape, value.dtype) for name, value in spans.items()} == {
        "start_logits": ((3, 48), tf.float32), "end_logits": ((3, 48), tf.float32),
    }  # fmt: skip


def test_classification_loss_is_cross_entropy():
    logits = np.array([[2.0, -1.0, 0.5], [0.0, 0.0, 3.0], [100.0, 0.0, -100.0]], np.float32)
    batch = {"label_ids": tf.constant([0, 1, 2])}
    loss = per_example_loss(_task("glue"), {"logits": tf.constant(logits)}, batch).numpy()
    wide = logits.astype(np.float64)
    expected = np.log(np.exp(wide).sum(axis=1)) - wide[range(3), [0, 1, 2]]
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_regression_loss_is_the_squared_error():
    batch = {"label_ids": tf.constant([0.5, 5.0])}
    loss = per_example_loss(_task("glue"), {"logits": tf.constant([[1.0], [2.0]])}, batch).numpy()
    np.testing.assert_allclose(loss, [0.25, 9.0])


def test_span_loss_is_the_mean_over_both_ends_and_leaves_padding_out():
    rng, task = np.random.default_rng(1), _task("squad")
    start, end = (rng.normal(size=(3, 48)).astype(np.float32) for _ in range(2))
    batch = _batch()
    loss = per_example_loss(task, {"start_logits": tf.constant(start), "end_logits": tf.constant(end)}, batch).numpy()
    lengths = batch["input_mask"].numpy().sum(axis=1)
    for row, length in enumerate(lengths):
        first, last = (int(batch[f"{side}_positions"][row]) for side in ("start", "end"))
        parts = [
            np.log(np.exp(logits[row, :length]).sum()) - logits[row, place]
            for logits, place in ((start, first), (end, last))
        ]
        assert loss[row] == pytest.approx(sum(parts) / 2, rel=1e-5)
    wider = {
        name: tf.pad(value, [[0, 0], [0, 16]]) if len(value.shape) == 2 else value for name, value in batch.items()
    }
    outputs = {
        f"{side}_logits": tf.constant(np.pad(x, ((0, 0), (0, 16)), constant_values=9.0))
        for side, x in (("start", start), ("end", end))
    }
    np.testing.assert_allclose(per_example_loss(task, outputs, wider), loss, rtol=1e-6)


def test_training_without_a_seed_is_refused_where_there_is_dropout():
    with pytest.raises(ValueError, match="training with dropout needs the step's seed"):
        build_model(_task("glue", dropout_rate=0.1), num_classes=2)(_batch(), training=True)
    model = build_model(_task("glue"), num_classes=2)
    np.testing.assert_array_equal(model(_batch(), training=True)["logits"], model(_batch())["logits"])


def test_a_classifier_without_a_number_of_classes_is_refused():
    with pytest.raises(ValueError, match="num_classes is not known"):
        build_model(_task("glue"))


def test_the_parameters_are_those_of_the_formula():
    h, f = 16, 32
    embeddings = (60 + 128 + 16 + 2) * h  # words, positions, types, layer norm
    layer = 4 * (h * h + h) + 2 * h * f + f + h + 4 * h
    head = h * h + h + 2 * h + 2
    assert build_model(_task("glue"), num_classes=2).count_params() == embeddings + layer + head
