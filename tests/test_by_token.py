import keras
import numpy as np
import pytest

from bigbird.by_token import by_token


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")


def test_tokens_get_what_the_layer_makes_of_them(x):
    layer = keras.layers.Dense(4)
    layer.build((None, 3))
    bias = np.array([1.0, 2.0, 3.0, 4.0])
    layer.bias.assign(bias)
    y = keras.ops.convert_to_numpy(by_token(layer, x))
    expected = np.einsum("blh,hf->blf", x, keras.ops.convert_to_numpy(layer.kernel)) + bias
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


def test_the_layer_meets_a_single_axis_of_tokens(x):
    seen = []
    by_token(lambda tokens: seen.append(tuple(tokens.shape)) or tokens, x)
    assert seen == [(10, 3)]


def test_the_number_of_inputs_may_be_unknown():
    y = by_token(keras.layers.Dense(4), keras.KerasTensor((None, 5, 3)))
    assert y.shape == (None, 5, 4)
