"""What the backward pass computes again waits for the gradient that arrives."""

import time

import numpy as np
import pytest
import tensorflow as tf

from bigbird.layers.recompute import _other, after


@pytest.mark.parametrize("xla", [None, True], ids=["graph", "xla"])
@pytest.mark.parametrize("upstream", [0.0, -3.5, np.inf, np.nan], ids=str)
def test_a_value_that_waits_for_another_is_unchanged_whatever_that_one_is(upstream, xla):
    x = np.array([1.5, -0.25, np.inf], "float32")
    for function in (after, _other):
        run = tf.function(function, jit_compile=xla)
        found = run(tf.constant(x), tf.fill((2, 3), tf.constant(upstream, tf.float32)))
        assert found.numpy().tolist() == x.tolist()


def test_nothing_is_computed_from_it_before_the_gradient_is_there():
    seen = []

    def tell(name, seconds):
        def told(x):
            time.sleep(seconds)
            seen.append(name)
            return x

        return lambda x: tf.ensure_shape(tf.numpy_function(told, [x], x.dtype, stateful=False), x.shape)

    @tf.function
    def run(x, wait):
        slow = tell("gradient", 0.2)(x)
        return tell("recomputed", 0)(after(x, slow) if wait else x + 1) + slow

    assert run(tf.constant([2.0]), True).numpy().tolist() == [4.0]
    assert seen == ["gradient", "recomputed"]
    seen.clear()
    assert run(tf.constant([2.0]), False).numpy().tolist() == [5.0]
    assert seen == ["recomputed", "gradient"]  # what would happen otherwise
