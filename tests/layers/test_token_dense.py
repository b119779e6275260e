import keras
import numpy as np
import pytest
import tensorflow as tf

from bigbird.layers.gelu import gelu, gelu_erf
from bigbird.layers.token_dense import TokenDense


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")


def test_values_are_those_of_a_dense_layer(x):
    layer = TokenDense(4)
    layer.build((None, None, 3))
    bias = np.array([1.0, 2.0, 3.0, 4.0])
    layer.bias.assign(bias)
    expected = np.einsum("blh,hf->blf", x, keras.ops.convert_to_numpy(layer.kernel)) + bias
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(x)), expected, rtol=1e-5, atol=1e-6)


def test_the_product_meets_a_single_axis_of_tokens(x, monkeypatch):
    shapes, matmul = [], keras.ops.matmul

    def noting(a, b):
        shapes.append(tuple(a.shape))
        return matmul(a, b)

    monkeypatch.setattr(keras.ops, "matmul", noting)
    TokenDense(4)(x)
    assert (10, 3) in shapes
    assert not [shape for shape in shapes if len(shape) != 2]


def test_the_activation_follows_and_the_number_of_inputs_may_be_unknown(x):
    assert float(keras.ops.min(TokenDense(4, activation="relu")(x))) == 0.0
    assert TokenDense(4)(keras.KerasTensor((None, 5, 3))).shape == (None, 5, 4)


FORMS = pytest.mark.parametrize("approximate", [True, False], ids=["tanh", "exact"])


@FORMS
def test_gelu_in_one_with_the_product_is_gelu_of_the_product(x, approximate):
    layer = TokenDense(4)
    layer.build((None, None, 3))
    layer.bias.assign([-6.0, -1.0, 0.5, 6.0])
    found = tf.function(lambda x: layer.with_gelu(x, approximate=approximate))(x)
    function = gelu if approximate else gelu_erf
    assert found.shape == (2, 5, 4)
    np.testing.assert_allclose(found, function(layer(x)), rtol=2e-6, atol=2e-6)
