"""The activations and their gradients, which are written by hand."""

import math

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from bigbird.layers import fusion
from bigbird.layers.gelu import gelu, gelu_erf, gelu_erf_in_training, gelu_in_training

FUNCTIONS = {  # the function, and whether it is the tanh form
    "tanh": (gelu, True),
    "tanh_training": (gelu_in_training, True),
    "erf": (gelu_erf, False),
    "erf_training": (gelu_erf_in_training, False),
}
ALL = pytest.mark.parametrize(("function", "tanh"), FUNCTIONS.values(), ids=FUNCTIONS.keys())
X = np.concatenate([np.linspace(-12, 12, 4001), [-1e4, -100.0, 0.0, 100.0, 1e4]]).astype("float32")


def _with_gradient(function, x, xla=None):
    @tf.function(jit_compile=xla)
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return y, tape.gradient(y, x, output_gradients=tf.ones_like(y) * 3)

    return [result.numpy().astype("float32") for result in run(x)]


@ALL
@pytest.mark.parametrize("xla", [None, True], ids=["graph", "xla"])
def test_values_and_gradients_are_those_of_the_form(xla, function, tanh):
    double = tf.constant(X[np.abs(X) < 50], tf.float64)
    expected = _with_gradient(lambda x: ops.gelu(x, approximate=tanh), double)
    found = _with_gradient(function, tf.cast(double, tf.float32), xla)
    for one, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, right, rtol=2e-6, atol=2e-6)


def test_the_exact_form_is_the_normal_distributions():
    x = np.array([-3.0, -1.0, 0.5, 2.0])
    expected = [each * (1 + math.erf(each / math.sqrt(2))) / 2 for each in x]
    np.testing.assert_allclose(gelu_erf(tf.constant(x, tf.float32)), expected, rtol=0, atol=3e-7)
    assert np.abs(gelu(tf.constant(x, tf.float32)) - expected).max() > 1e-4  # the tanh form is another function


@ALL
def test_far_out_it_is_zero_or_the_input_itself(function, tanh):
    y, slope = _with_gradient(function, tf.constant([-1e4, -100.0, 0.0, 100.0, 1e4]))
    for found, expected in ((y, [0.0, 0.0, 0.0, 100.0, 1e4]), (slope, [0.0, 0.0, 1.5, 3.0, 3.0])):
        if tanh:
            assert found.tolist() == expected
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=0)


@ALL
def test_half_precision_stays_close(function, tanh):
    x = tf.cast(tf.constant(X[np.abs(X) < 12]), tf.bfloat16)
    expected = _with_gradient(lambda x: ops.gelu(x, approximate=tanh), tf.cast(x, tf.float32))
    tolerance = 0.03 if tanh else 0.004  # the exact form is computed in float32
    for found, right in zip(_with_gradient(function, x), expected, strict=True):
        np.testing.assert_allclose(found, right, rtol=tolerance, atol=tolerance)


@ALL
def test_graph_mode_keeps_its_input_only(function, tanh, monkeypatch):
    """What the backward pass takes from the forward pass is the input: no other array of its size crosses over."""
    monkeypatch.setattr(fusion, "_xla_is_ready", lambda: False)  # so that the operations lie open

    @tf.function
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(function(x))
        return tape.gradient(y, x)

    graph = run.get_concrete_function(tf.TensorSpec((4, 8))).graph
    types = [op.type for op in graph.get_operations()]
    assert types.count("Sigmoid" if tanh else "Erf") == 4  # two forward, two again backward
    assert "SigmoidGrad" not in types


_ON_JAX = """
import json, sys
import jax, numpy as np
from bigbird.layers import gelu
folder, found = sys.argv[1], {}
x = np.load(folder + "/given.npz")["x"]
half = jax.numpy.asarray(x, "bfloat16")
for name in json.loads(sys.argv[2]):
    function = getattr(gelu, name)
    slope = jax.grad(lambda x: function(x).sum())
    found |= {name: function(x), f"{name} slope": jax.jit(slope)(x), f"{name} half": np.asarray(function(half), "float32")}
    assert slope(half).dtype == half.dtype
    np.testing.assert_allclose(slope(half).astype("float32"), slope(half.astype("float32")), rtol=0.004, atol=0.004)
np.savez(folder + "/found.npz", **found)
"""


@pytest.mark.slow
def test_the_exact_form_is_the_same_on_jax(check_on_jax):
    x = np.linspace(-6, 6, 101).astype("float32")
    half, expected = tf.cast(tf.constant(x), tf.bfloat16), {}
    functions = {"gelu_erf": gelu_erf, "gelu_erf_in_training": gelu_erf_in_training}
    for name, function in functions.items():
        (y, slope), (half_y, _) = (_with_gradient(function, each) for each in (tf.constant(x), half))
        expected |= {name: y, f"{name} slope": slope / 3, f"{name} half": half_y}
    check_on_jax(_ON_JAX, list(functions), {"x": x}, expected)
