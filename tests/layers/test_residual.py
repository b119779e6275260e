"""What a layer adds, and the norm after it: its own gradient against automatic differentiation."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bigbird.layers.dropout import dropout
from bigbird.layers.residual import add_and_norm

SEED = tf.constant([3, 5])


def _norm(width, dtype="float32"):
    norm = keras.layers.LayerNormalization(epsilon=1e-12, dtype=dtype)
    norm.build((None, None, width))
    rng = np.random.default_rng(1)
    norm.set_weights([rng.normal(1.0, 0.3, width), rng.normal(0.0, 0.5, width)])
    return norm


def _results(function, norm, *arrays, xla=None):
    """The value, and the gradients of x, of the update and of the norm's weights."""
    variables = [weight.value for weight in norm.trainable_variables]

    @tf.function(jit_compile=xla)
    def run(x, update, upstream):
        with tf.GradientTape() as tape:
            tape.watch([x, update])
            y = function(x, update, norm)
        return [y, *tape.gradient(y, [x, update, *variables], output_gradients=upstream)]

    return [np.asarray(tf.cast(result, tf.float32)) for result in run(*arrays)]


def _inputs(dtype=tf.float32, shape=(2, 9, 48)):
    rng = np.random.default_rng(0)
    return [tf.constant(rng.normal(0.3, 1.5, shape), dtype) for _ in range(3)]


@pytest.mark.parametrize("xla", [None, True], ids=["graph", "xla"])
@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_value_and_gradients_are_those_of_its_parts(rate, xla):
    norm = _norm(48)
    found = _results(lambda *args: add_and_norm(*args, rate, SEED), norm, *_inputs(), xla=xla)
    expected = _results(lambda x, update, norm: norm(x + dropout(update, rate, SEED)), norm, *_inputs())
    for one, other in zip(found, expected, strict=True):
        assert np.abs(other).max() > 0.1
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-6)
    assert (np.mean(found[2] == 0) > 0.2) == (rate > 0)  # what was dropped gets no gradient


def test_without_a_seed_it_is_the_sum_and_its_norm():
    norm, (x, update, _) = _norm(48), _inputs()
    np.testing.assert_array_equal(add_and_norm(x, update, norm, 0.3, None), norm(x + update))


def test_half_precision_norms_in_float32():
    """Close to what float32 gives for the same numbers, whose mean is so far from zero that bfloat16 loses their variance."""
    x, update, upstream = _inputs(tf.bfloat16)
    arrays = x + tf.cast(30.0, x.dtype), tf.zeros_like(update), upstream
    found = _results(lambda *args: add_and_norm(*args, 0.0, SEED), _norm(48, "mixed_bfloat16"), *arrays)
    same = (tf.cast(array, tf.float32) for array in arrays)
    expected = _results(lambda x, update, norm: norm(x + update), _norm(48), *same)
    for one, other in zip(found, expected, strict=True):
        assert np.linalg.norm(one - other) / np.linalg.norm(other) < 0.004


def test_a_row_of_equal_numbers_has_no_variance_and_stays_finite():
    norm = _norm(48)
    same = tf.ones((1, 2, 48))
    for array in _results(lambda *args: add_and_norm(*args, 0.0, SEED), norm, same, same, same):
        assert np.isfinite(array).all()
