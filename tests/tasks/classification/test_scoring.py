"""What an exported model answers, against a dataset's labels."""

import numpy as np
import pytest

from bigbird.support.errors import InputError
from bigbird.tasks.classification.scoring import score_answers
from tests import manifests

OUTPUTS = {"single": "label", "multi": "labels", "number": "number"}


@pytest.mark.parametrize("kind", OUTPUTS)
@pytest.mark.parametrize("answered", OUTPUTS)
def test_a_model_that_answers_another_kind_of_labels_is_told(kind, answered):
    labels = {"single": ["a", "b"], "multi": [["a"], []], "number": [1.0, 2.0]}[kind]
    outputs = {
        "label": np.array([b"a", b"b"], object),
        "labels": np.array([[b"a"], [b""]], object),
        "number": np.array([1.0, 2.0], np.float32),
    }
    manifest = manifests.dataset(labels=None if kind == "number" else ["a", "b"], kind=kind)
    lines = [{"label": label} for label in labels]
    name = {"single": "accuracy", "multi": "subset_accuracy", "number": "r2"}[kind]
    given = {name: value for name, value in outputs.items() if name == OUTPUTS[answered]}
    if answered == kind:
        assert score_answers(lines, given, manifest, name) == 1.0
        return
    with pytest.raises(
        InputError,
        match=f"the model answers {OUTPUTS[answered]}; the dataset's labels are of kind '{kind}', for which a model answers {OUTPUTS[kind]}",
    ):
        score_answers(lines, given, manifest, name)
