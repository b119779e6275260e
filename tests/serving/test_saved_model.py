"""How outputs of a signature become answers."""

import numpy as np

from bigbird.serving.saved_model import Predictor


class Made(Predictor):
    """A predictor whose outputs are made up."""

    def __init__(self, outputs):
        self._outputs = outputs

    def outputs(self, examples):
        return self._outputs


def test_outputs_called_list_and_field_are_a_list_of_objects():
    outputs = {
        "number": np.array([1.5, 2.25], np.float32),
        "spans/end": np.array([[4, 9], [0, 0]], np.int32),
        "spans/label": np.array([[b"P", b"Q"], [b"", b""]], object),
        "spans/score": np.array([[0.25, 1 / 3], [0, 0]], np.float32),
    }
    assert list(Made(outputs)([{}, {}])) == [
        {
            "number": 1.5,
            "spans": [{"end": 4, "label": "P", "score": 0.25}, {"end": 9, "label": "Q", "score": 0.333333}],
        },
        {"number": 2.25, "spans": []},
    ]
    none = {"spans/end": np.zeros((1, 0), np.int32), "spans/label": np.empty((1, 0), object)}
    assert list(Made(none)([{}])) == [{"spans": []}]
