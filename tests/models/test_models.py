"""Heads, their losses, and how a task becomes a model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bigbird.config import load_experiment, replace
from bigbird.models import build_model, per_example_loss, summarize

ENCODER = {
    "vocab_size": 60, "hidden_size": 16, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
    "max_position_embeddings": 128, "block_size": 16, "num_rand_blocks": 1, "dropout_rate": 0.0,
    "attention_dropout_rate": 0.0,
}  # fmt: skip


def _task(kind, **encoder):
    data = {"seq_length": 128}
    tree = {
        "model": {"encoder": {"bigbird": {**ENCODER, **encoder}}},
        "train_data": data,
        "validation_data": data,
    }
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
        "start_logits": ((3, 48), tf.float32),
        "end_logits": ((3, 48), tf.float32),
    }


def test_one_class_is_a_regression():
    outputs = build_model(_task("glue"), num_classes=1)(_batch())
    assert outputs["logits"].shape == (3, 1)
    loss = per_example_loss(_task("glue"), outputs, {"label_ids": tf.constant([0.0, 2.5, 5.0])})
    assert loss.shape == (3,) and loss.dtype == tf.float32
    expected = (outputs["logits"].numpy()[:, 0] - [0.0, 2.5, 5.0]) ** 2
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_the_classifier_is_a_tanh_pooler_of_the_first_token_and_a_dense_layer():
    batch = _batch()
    for encoders_pooler in (False, True):
        task = replace(_task("glue"), model={"use_encoder_pooler": encoders_pooler})
        model = build_model(task, num_classes=3)
        pooler = model.encoder.pooler if encoders_pooler else model.pooler_dense
        assert (model.pooler_dense is None) == encoders_pooler == (model.encoder.pooler is not None)
        first = model.encoder(batch)["sequence_output"].numpy()[:, 0]
        pooled = np.tanh(first @ pooler.kernel.numpy() + pooler.bias.numpy())
        expected = pooled @ model.logits.kernel.numpy() + model.logits.bias.numpy()
        np.testing.assert_allclose(model(batch)["logits"], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["glue", "squad"])
def test_dropout_is_a_function_of_the_seed_while_training_and_off_otherwise(kind):
    model, batch = build_model(_task(kind, dropout_rate=0.3), num_classes=3), _batch()

    def run(seed, training=True):
        return next(iter(model(batch, training=training, seed=tf.constant(seed)).values())).numpy()

    plain = next(iter(model(batch).values())).numpy()
    np.testing.assert_array_equal(run([1, 2], training=False), plain)
    np.testing.assert_array_equal(run([1, 2]), run([1, 2]))
    for first, second in ((run([1, 2]), plain), (run([1, 2]), run([1, 3])), (run([1, 2]), run([2, 2]))):
        assert np.abs(first - second).max() > 1e-4


@pytest.mark.parametrize("kind", ["glue", "squad"])
def test_what_stands_under_the_padding_changes_no_logit_of_a_token(kind):
    model, batch = build_model(_task(kind), num_classes=3), _batch(length=128)
    outputs = model(batch)
    live = batch["input_mask"].numpy()
    noisy = {**batch, "input_word_ids": tf.where(live == 1, batch["input_word_ids"], 7 + 0 * live)}
    for name, value in model(noisy).items():
        kept = live == 1 if kind == "squad" else slice(None)
        np.testing.assert_allclose(value.numpy()[kept], outputs[name].numpy()[kept], rtol=0, atol=1e-6)


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


_ON_JAX = """
import json, sys
import jax, keras, numpy as np
from bigbird.config import load_experiment
from bigbird.models import build_model, per_example_loss, summarize
assert keras.backend.backend() == "jax"
folder, trees = sys.argv[1], json.loads(sys.argv[2])
given = np.load(folder + "/given.npz")
batch = {name[6:]: given[name] for name in given if name.startswith("batch:")}
seed, results, gradients = np.array([3, 4], "int32"), {}, {}

def model_of(kind, checkpointing):
    trees[kind]["task"]["model"]["encoder"]["bigbird"]["use_gradient_checkpointing"] = checkpointing
    task = load_experiment("bigbird/" + kind, overrides=[trees[kind]]).task
    model = build_model(task, num_classes=3)
    for variable in model.weights:
        variable.assign(given[f"{kind}:{variable.path}"])
    return task, model

for kind in trees:
    task, model = model_of(kind, False)
    outputs = model(batch)
    results |= {f"{kind}:{name}": np.asarray(value) for name, value in outputs.items()}
    results[f"{kind}:loss"] = np.asarray(per_example_loss(task, outputs, batch))

for checkpointing in (False, True):
    task, model = model_of("glue", checkpointing)
    def loss(weights, seed):
        outputs, _ = model.stateless_call(weights, unused, batch, training=True, seed=seed)
        return per_example_loss(task, outputs, batch).mean()
    weights = [variable.value for variable in model.trainable_variables]
    unused = [variable.value for variable in model.non_trainable_variables]  # seeds of its own
    step = jax.jit(jax.value_and_grad(loss))
    gradients[checkpointing] = [step(weights, seed), step(weights, seed), step(weights, seed + 1)]
(first, first_gradient), (again, _), (other, _) = gradients[False]
assert first == again and abs(first - other) > 1e-5, (first, again, other)
recomputed, recomputed_gradient = gradients[True][0]
assert abs(first - recomputed) < 1e-6, (first, recomputed)
assert max(abs(g).max() for g in first_gradient) > 1e-3
for plain, repeated in zip(first_gradient, recomputed_gradient, strict=True):
    np.testing.assert_allclose(repeated, plain, rtol=0, atol=1e-6)
np.savez(folder + "/found.npz", **results)
"""


@pytest.mark.slow
def test_models_and_losses_are_the_same_on_jax(check_on_jax):
    """Sparse attention, padded rows; on JAX, dropout and its recomputation are held to the seed as well."""
    batch = {name: value.numpy() for name, value in _batch(length=128).items()}
    places = np.zeros((3, 128), np.int32)
    places[[0, 1, 2], [100, 20, 7]] = places[0, 90] = 1
    batch |= {"answer_starts": places, "answer_ends": places}
    batch |= {"masked_lm_positions": places[:, :4] + [[2, 9, 11, 60]], "masked_lm_ids": places[:, :4] + 5}
    batch["masked_lm_positions"] = batch["masked_lm_positions"].astype(np.int32)
    batch["masked_lm_weights"] = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]], np.float32)
    given, expected, trees = {f"batch:{name}": value for name, value in batch.items()}, {}, {}
    for kind in ("glue", "squad", "triviaqa", "pretraining"):
        task = _task(kind, dropout_rate=0.3)
        trees[kind] = {"task": task.model_dump(mode="json", exclude_unset=True)}
        keras.utils.set_random_seed(5)
        model = build_model(task, num_classes=3)
        given |= {f"{kind}:{variable.path}": variable.numpy() for variable in model.weights}
        outputs = model(batch)
        expected |= {f"{kind}:{name}": value.numpy() for name, value in outputs.items()}
        expected[f"{kind}:loss"] = per_example_loss(task, outputs, batch).numpy()
    check_on_jax(_ON_JAX, trees, given, expected)


def test_training_without_dropout_needs_no_seed():
    keras.utils.set_random_seed(1)
    model = build_model(_task("glue"), num_classes=2)
    np.testing.assert_allclose(
        model(_batch(), training=True)["logits"], model(_batch())["logits"], rtol=1e-4, atol=1e-6
    )


def test_a_classifier_without_a_number_of_classes_is_refused():
    with pytest.raises(ValueError, match="num_classes is not known"):
        build_model(_task("glue"))


def test_the_parameters_are_those_of_the_formula():
    h, f = 16, 32
    embeddings = (60 + 128 + 16 + 2) * h  # words, positions, types, layer norm
    layer = 4 * (h * h + h) + 2 * h * f + f + h + 4 * h
    head = h * h + h + 2 * h + 2
    assert build_model(_task("glue"), num_classes=2).count_params() == embeddings + layer + head


def test_the_masked_lm_loss_is_the_mean_over_each_examples_masked_tokens():
    task = _task("pretraining")
    model = build_model(task)
    positions = np.array([[3, 9, 20, 0], [5, 0, 0, 0], [1, 2, 3, 4]], np.int32)
    weights = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]], np.float32)
    ids = np.array([[7, 8, 9, 0], [10, 0, 0, 0], [11, 12, 13, 14]], np.int32)
    batch = _batch() | {
        "masked_lm_positions": tf.constant(positions),
        "masked_lm_ids": tf.constant(ids),
        "masked_lm_weights": tf.constant(weights),
    }
    sequence = model.encoder(batch)["sequence_output"].numpy()
    masked = np.stack([sequence[row, places] for row, places in enumerate(positions)])
    head, table = model.masked_lm, model.encoder.embeddings.word.embeddings.numpy()
    logits = head.layer_norm(head.dense(masked)).numpy() @ table.T + head.bias.numpy()
    np.testing.assert_allclose(model(batch)["logits"], logits, atol=1e-5)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    losses = -np.log(np.take_along_axis(probabilities, ids[..., None], axis=-1)[..., 0])
    expected = (losses * weights).sum(axis=1) / weights.sum(axis=1)
    np.testing.assert_allclose(per_example_loss(task, model(batch), batch), expected, rtol=1e-4)
    sums = {name: value.numpy() for name, value in summarize(task, model(batch), batch).items()}
    np.testing.assert_allclose(sums["masked_lm_loss"], (losses * weights).sum(axis=1), rtol=1e-4)
    np.testing.assert_array_equal(sums["masked_lm_count"], weights.sum(axis=1))
    right = (logits.argmax(axis=-1) == ids) * weights
    np.testing.assert_array_equal(sums["masked_lm_correct"], right.sum(axis=1))
