"""Asks a loaded model its recorded request: the first call is slow, and a model that answers otherwise is not served."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bigbird.serving.saved_model import Predictor, as_recorded
from bigbird.support.artifacts import read_json

RELATIVE, ABSOLUTE = 1e-4, 1e-5  # float32 summed up in another order
# Another processor rounds otherwise at other places: logits of MiniLM-L6 moved by up to 0.12 of 2.8. Which of two labels or spans that
# are nearly equal is the better one may then change.
_BFLOAT16 = 0.1


class WrongAnswers(RuntimeError):
    """The model does not answer as it did when it was exported."""


def warm_up(predictor: Predictor, folder: Path, precision: str | None = None) -> int:
    """Compares the answers to request.json with response.json.

    Args:
        predictor: the model, loaded from the folder.
        folder: the SavedModel's.
        precision: what the model computes in. In bfloat16 numbers have to be near; texts and places, and how many objects a list has,
            need not be the same.

    Returns:
        How many examples were asked.

    Raises:
        WrongAnswers: an answer is another, or the model cannot be asked; names the output.
        InputError: the folder lacks one of the two files.
    """
    request, response = (read_json(folder / f"{name}.json", f"recorded {name}") for name in ("request", "response"))
    if set(request) != set(predictor.fields):
        raise WrongAnswers(f"its inputs are {sorted(predictor.fields)}; recorded are {sorted(request)}")
    examples = [dict(zip(request, texts, strict=True)) for texts in zip(*request.values(), strict=True)]
    outputs = predictor.outputs(examples)
    if set(outputs) != set(response):
        raise WrongAnswers(f"its outputs are {sorted(outputs)}; recorded are {sorted(response)}")
    for name, recorded in response.items():
        same = (
            _near(outputs[name], recorded, "/" in name) if precision == "bfloat16" else _same(outputs[name], recorded)
        )
        if not same:
            raise WrongAnswers(f"its {name} for the recorded request is not the recorded one")
    return len(examples)


def _same(found: np.ndarray, recorded: list) -> bool:
    if found.dtype == object:
        return as_recorded(found) == recorded
    expected = np.array(recorded)
    if found.shape != expected.shape:
        return False
    if found.dtype.kind == "f":
        return np.allclose(found, expected, rtol=RELATIVE, atol=ABSOLUTE)
    return np.array_equal(found, expected)


def _near(found: np.ndarray, recorded: list, of_objects: bool) -> bool:
    """As `_same` for bfloat16; `of_objects` is a field of a list's objects, of which there may be others now."""
    if len(found) != len(recorded):
        return False
    if found.dtype.kind != "f":
        return True
    if of_objects:
        return bool(np.isfinite(found).all())
    expected = np.array(recorded)
    return found.shape == expected.shape and np.allclose(found, expected, rtol=_BFLOAT16, atol=_BFLOAT16)
