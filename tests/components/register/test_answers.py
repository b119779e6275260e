"""Batches of a champion's answers, joined."""

import numpy as np

from bigbird_components.register.answers import _joined


def test_lists_are_padded_to_the_longest_batch():
    texts = [np.array([[b"a", b"b"], [b"c", b""]], object), np.array([[b"d"]], object), np.empty((1, 0), object)]
    assert _joined(texts).tolist() == [[b"a", b"b"], [b"c", b""], [b"d", b""], [b"", b""]]
    numbers = [np.ones((1, 1), np.float32), np.full((2, 3), 2, np.float32)]
    assert _joined(numbers).tolist() == [[1, 0, 0], [2, 2, 2], [2, 2, 2]]
    assert _joined([np.array([1, 2]), np.array([3])]).tolist() == [1, 2, 3]
