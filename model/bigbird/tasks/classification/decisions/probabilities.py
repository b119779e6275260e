"""Logits as probabilities.

Shapes: N examples, C labels.
"""

from __future__ import annotations

import numpy as np


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Softmax of logits [N, C] divided by the temperature; float64[N, C], rows sum to 1."""
    return np.exp(log_softmax(logits, temperature))


def sigmoid(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Sigmoid of logits [N, C] divided by the temperature; float64[N, C]."""
    return np.exp(log_sigmoid(np.asarray(logits, np.float64) / temperature))


def log_softmax(logits: np.ndarray, temperature: float) -> np.ndarray:
    """The logarithm of `softmax`, float64[N, C] from [N, C]; exact where a probability is 0 as a number."""
    scaled = np.asarray(logits, np.float64) / temperature
    shifted = scaled - scaled.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def log_sigmoid(logits: np.ndarray) -> np.ndarray:
    """The logarithm of the sigmoid, float64 of the shape of the logits; exact where a probability is 0 as a number."""
    return -np.logaddexp(0.0, -logits)
