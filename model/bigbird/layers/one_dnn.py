"""Where TensorFlow computes with oneDNN, some work of graphs that answer is put in the form that it does best."""

from __future__ import annotations

import keras

from bigbird.layers.own_gradient import gradients_needed
from bigbird.support.processors import one_dnn_is_used


def answers_by_one_dnn() -> bool:
    """Whether what is being built only answers (`without_gradients`), on TensorFlow, which computes with oneDNN on this processor."""
    return not gradients_needed() and keras.backend.backend() == "tensorflow" and one_dnn_is_used()
