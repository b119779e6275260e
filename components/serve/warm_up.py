"""Asks a loaded model its recorded request: the first call is slow, and a model that answers otherwise is not served."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bigbird.serving.saved_model import Predictor, as_recorded
from bigbird.support.artifacts import read_json

RELATIVE, ABSOLUTE = 1e-4, 1e-5  # float32 summed up in another order


class WrongAnswers(RuntimeError):
    """The model does not answer as it did when it was exported."""


def warm_up(predictor: Predictor, folder: Path) -> int:
    """Compares the answers to request.json with response.json.

    Args:
        predictor: the model, loaded from the folder.
        folder: the SavedModel's.

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
        if not _same(outputs[name], recorded):
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
