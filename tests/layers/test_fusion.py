"""Elementwise work that is compiled."""

import numpy as np
import pytest
import tensorflow as tf

from bigbird.layers import fusion
from bigbird.layers.fusion import fused


@fused
def _line(x, slope, offset):
    return x * slope + offset


def _calls(function):
    """Operations of a graph, and whether one of the functions it calls must be compiled."""
    graph = function.get_concrete_function(tf.TensorSpec((3,))).graph
    kinds = {operation.type for operation in graph.get_operations()}
    definitions = graph.as_graph_def().library.function
    return kinds, any(definition.attr["_XlaMustCompile"].b for definition in definitions)


def test_a_graph_calls_a_compiled_program():
    kinds, compiled = _calls(tf.function(lambda x: _line(x, 2.0, 1.0)))
    assert compiled and "Mul" not in kinds


def test_where_there_is_no_xla_the_operations_stand_in_the_graph(monkeypatch):
    monkeypatch.setattr(fusion, "_xla_is_ready", lambda: False)
    kinds, compiled = _calls(tf.function(lambda x: _line(x, 2.0, 1.0)))
    assert not compiled and "Mul" in kinds


@pytest.mark.parametrize("there", [True, False])
def test_the_values_are_the_same(there, monkeypatch):
    monkeypatch.setattr(fusion, "_xla_is_ready", lambda: there)
    np.testing.assert_array_equal(_line(tf.constant([1.0, 2.0, 3.0]), 2.0, 1.0), [3.0, 5.0, 7.0])


def test_this_build_has_xla():
    """Or the tests above, and what is measured, would be of something else."""
    fusion._xla_is_ready.cache_clear()
    assert fusion._xla_is_ready()
