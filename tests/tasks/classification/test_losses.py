"""The losses against Keras' own and by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bigbird.config import load_experiment
from bigbird.models import build_model, per_example_loss

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(5, 3)).astype(np.float32) * 3


def task(**settings):
    return load_experiment("bigbird/classification", overrides=[{"task": settings}]).task


def found(config, targets, logits=LOGITS):
    value = per_example_loss(config, {"logits": tf.constant(logits)}, {"label_ids": tf.constant(targets)})
    assert value.dtype == tf.float32 and value.shape == (len(logits),)
    return value.numpy()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_one_label_is_cross_entropy_times_the_labels_weight(smoothing):
    targets = np.array([0, 2, 1, 1, 2], np.int32)
    config = task(kind="single", labels=["a", "b", "c"], class_weights={"b": 2.0, "c": 0.5}, label_smoothing=smoothing)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing, reduction=None)
    expected = loss(np.eye(3)[targets], LOGITS).numpy() * np.array([1.0, 2.0, 0.5])[targets]
    np.testing.assert_allclose(found(config, targets), expected, rtol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_several_labels_are_the_mean_of_binary_cross_entropies(smoothing):
    targets = (RNG.random((5, 3)) < 0.4).astype(np.float32)
    targets[0] = 0
    config = task(kind="multi", labels=["a", "b", "c"], label_smoothing=smoothing)
    loss = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=smoothing, reduction=None)
    np.testing.assert_allclose(found(config, targets), loss(targets, LOGITS).numpy(), rtol=1e-5)


def test_a_labels_weight_counts_where_the_label_applies():
    targets = np.array([[1, 0, 1], [0, 0, 0]], np.float32)
    config = task(kind="multi", labels=["a", "b", "c"], class_weights={"a": 3.0})
    sigmoid = 1 / (1 + np.exp(-LOGITS[:2].astype(np.float64)))
    weights = np.array([3.0, 1.0, 1.0])
    each = -(targets * weights * np.log(sigmoid) + (1 - targets) * np.log(1 - sigmoid))
    np.testing.assert_allclose(found(config, targets, LOGITS[:2]), each.mean(axis=1), rtol=1e-5)


def test_a_number_is_compared_in_standard_deviations():
    config = task(kind="number", number_mean=100.0, number_deviation=20.0)
    loss = found(config, np.array([120.0, 60.0], np.float32), np.array([[0.5], [-2.0]], np.float32))
    np.testing.assert_allclose(loss, [0.25, 0.0], atol=1e-6)


def test_the_mean_over_the_tokens_leaves_padding_out():
    encoder = {
        "vocab_size": 60, "hidden_size": 16, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
        "max_position_embeddings": 128, "block_size": 16, "num_rand_blocks": 1, "initializer_range": 0.3,
    }  # fmt: skip
    data = {"seq_length": 128}
    config = task(
        model={"pooling": "mean", "num_classes": 3, "encoder": {"bigbird": encoder}},
        train_data=data,
        validation_data=data,
    )
    model = build_model(config)
    ids = RNG.integers(1, 60, (2, 20)).astype(np.int32)
    mask = np.ones_like(ids)
    mask[1, 12:] = 0
    inputs = {"input_word_ids": ids * mask, "input_mask": mask, "input_type_ids": np.zeros_like(ids)}
    sequence = model.encoder(inputs)["sequence_output"].numpy()
    mean = np.stack([sequence[0].mean(axis=0), sequence[1, :12].mean(axis=0)])
    expected = model.logits(model.pooler_dense(mean))
    np.testing.assert_allclose(model(inputs)["logits"], expected, atol=1e-5)
