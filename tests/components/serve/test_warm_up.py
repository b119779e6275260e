"""A model is served only if it gives its recorded answers."""

import ast
from pathlib import Path

import numpy as np
import pytest

from bigbird.support.artifacts import write_json
from bigbird.support.errors import InputError
from bigbird_components import export
from bigbird_components.serve import warm_up as module
from bigbird_components.serve.warm_up import WrongAnswers, warm_up

RECORDED = {"label": ["a", "ü"], "probabilities": [[0.25, 0.75], [0.5, 0.5]], "start": [3, 4]}
FOUND = {
    "label": np.array([b"a", "ü".encode()], object),
    "probabilities": np.array([[0.25, 0.75], [0.5, 0.5]], np.float32),
    "start": np.array([3, 4], np.int32),
}


class Predictor:
    fields = ("question", "context")

    def __init__(self, outputs):
        self._outputs = outputs

    def outputs(self, examples):
        assert examples == [{"question": "q", "context": "c"}, {"question": "r", "context": "d"}]
        return self._outputs


@pytest.fixture
def folder(tmp_path):
    write_json(tmp_path / "request.json", {"question": ["q", "r"], "context": ["c", "d"]})
    write_json(tmp_path / "response.json", RECORDED)
    return tmp_path


def test_the_check_in_an_exported_models_folder_has_the_servers_tolerances():
    """It stands alone, so they are written in it again; importing it would hide JAX from this process."""
    code = ast.parse((Path(export.__file__).parent / "check.py").read_text(encoding="utf-8"))
    (found,) = [
        ast.literal_eval(node.value)
        for node in code.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "(RELATIVE, ABSOLUTE)"
    ]
    assert found == (module.RELATIVE, module.ABSOLUTE)


def test_the_recorded_answers_pass_with_the_last_digits_of_floats_left_open(folder):
    assert warm_up(Predictor(FOUND), folder) == 2
    assert warm_up(Predictor({**FOUND, "probabilities": FOUND["probabilities"] * 1.00001}), folder) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("label", np.array([b"a", b"b"], object)),
        ("probabilities", FOUND["probabilities"] + 0.001),
        ("probabilities", FOUND["probabilities"] * np.float32("nan")),
        ("probabilities", FOUND["probabilities"][:, :1]),
        ("start", np.array([3, 5], np.int32)),
    ],
)
def test_another_answer_is_told_by_its_output(folder, name, value):
    with pytest.raises(WrongAnswers, match=f"its {name} for the recorded request is not the recorded one"):
        warm_up(Predictor({**FOUND, name: value}), folder)


def test_in_bfloat16_numbers_have_to_be_near_and_a_near_tie_may_be_decided_otherwise(folder):
    near = {
        "label": np.array([b"a", b"a"], object),
        "probabilities": FOUND["probabilities"] + np.float32(0.04),
        "start": np.array([3, 1], np.int32),
    }
    assert warm_up(Predictor(near), folder, "bfloat16") == 2
    for wrong in (
        FOUND["probabilities"] + 0.3,
        FOUND["probabilities"] * np.float32("nan"),
        near["probabilities"][:, :1],
    ):
        with pytest.raises(WrongAnswers, match="its probabilities"):
            warm_up(Predictor({**near, "probabilities": wrong}), folder, "bfloat16")


def test_in_bfloat16_a_list_may_have_other_objects_but_an_answer_for_each_example(folder):
    write_json(
        folder / "response.json", {"spans/score": [[0.9, 0.6], [0.8, 0.0]], "spans/label": [["A", "B"], ["A", ""]]}
    )
    other = {"spans/score": np.array([[0.9], [0.5]], np.float32), "spans/label": np.array([[b"A"], [b"B"]], object)}
    assert warm_up(Predictor(other), folder, "bfloat16") == 2
    with pytest.raises(WrongAnswers, match="its spans/score"):
        warm_up(Predictor(other), folder, "float32")
    for wrong in (other["spans/score"][:1], other["spans/score"] * np.float32("nan")):
        with pytest.raises(WrongAnswers, match="its spans/score"):
            warm_up(Predictor({**other, "spans/score": wrong}), folder, "bfloat16")


def test_other_inputs_or_outputs_are_told(folder):
    with pytest.raises(WrongAnswers, match="its outputs are"):
        warm_up(Predictor({"label": FOUND["label"]}), folder)
    other = Predictor(FOUND)
    other.fields = ("text_a",)
    with pytest.raises(WrongAnswers, match="its inputs are"):
        warm_up(other, folder)


def test_a_model_without_a_record_is_not_served(folder):
    (folder / "response.json").unlink()
    with pytest.raises(InputError, match="expected the recorded response"):
        warm_up(Predictor(FOUND), folder)
