"""The activation and its gradient, which is written by hand."""

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from bigbird.layers import fusion
from bigbird.layers.gelu import gelu, gelu_in_training

X = np.concatenate([np.linspace(-12, 12, 4001), [-1e4, -100.0, 0.0, 100.0, 1e4]]).astype("float32")


def _with_gradient(function, x, xla=None):
    @tf.function(jit_compile=xla)
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return y, tape.gradient(y, x, output_gradients=tf.ones_like(y) * 3)

    return [result.numpy().astype("float32") for result in run(x)]


@pytest.mark.parametrize("function", [gelu, gelu_in_training], ids=["inference", "training"])
@pytest.mark.parametrize("xla", [None, True], ids=["graph", "xla"])
def test_values_and_gradients_are_those_of_the_tanh_form(xla, function):
    double = tf.constant(X[np.abs(X) < 50], tf.float64)
    expected = _with_gradient(lambda x: ops.gelu(x, approximate=True), double)
    found = _with_gradient(function, tf.cast(double, tf.float32), xla)
    for one, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, right, rtol=2e-6, atol=2e-6)


def test_far_out_it_is_zero_or_the_input_itself():
    y, slope = _with_gradient(gelu, tf.constant([-1e4, -100.0, 0.0, 100.0, 1e4]))
    assert y.tolist() == [0.0, 0.0, 0.0, 100.0, 1e4]
    assert slope.tolist() == [0.0, 0.0, 1.5, 3.0, 3.0]


def test_half_precision_stays_close():
    x = tf.cast(tf.constant(X[np.abs(X) < 12]), tf.bfloat16)
    expected = _with_gradient(lambda x: ops.gelu(x, approximate=True), tf.cast(x, tf.float32))
    for found, right in zip(_with_gradient(gelu, x), expected, strict=True):
        np.testing.assert_allclose(found, right, rtol=0.03, atol=0.03)


@pytest.mark.parametrize("function", [gelu, gelu_in_training], ids=["inference", "training"])
def test_graph_mode_keeps_its_input_only(function, monkeypatch):
    """What the backward pass takes from the forward pass is the input: no other array of its size crosses over."""
    monkeypatch.setattr(fusion, "_xla_is_there", lambda: False)  # so that the operations lie open

    @tf.function
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(function(x))
        return tape.gradient(y, x)

    graph = run.get_concrete_function(tf.TensorSpec((4, 8))).graph
    sigmoids = [op for op in graph.get_operations() if op.type == "Sigmoid"]
    assert len(sigmoids) == 4  # two forward, two again backward
    assert "SigmoidGrad" not in {op.type for op in graph.get_operations()}
