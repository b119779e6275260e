"""Writes a SavedModel with its signatures described, and checks the reloaded model before the folder appears."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bigbird.artifacts import MANIFESTS, new_folder, read_manifest, write_json
from bigbird.config import SquadTask
from bigbird.errors import InputError

if TYPE_CHECKING:
    import tensorflow as tf

# What the recorded request asks where no text is given.
GLUE_REQUEST = {
    "text_a": ["a fine and moving film .", "dull from start to end ."],
    "text_b": ["it is a film .", "it is fun ."],
}
SQUAD_REQUEST = {
    "question": ["who built the bridge ?"],
    "context": ["the bridge over the river was built by anna kern ."],
}
TOLERANCE = 1e-5  # a reloaded graph may fuse its arithmetic otherwise


def export(model: str, output: str, dataset: str | None = None, overwrite: bool = False) -> dict[str, Any]:
    """Exports a model folder's best checkpoint.

    Args:
        model: model folder that training wrote.
        output: folder to write; must be new or empty unless `overwrite`.
        dataset: its dataset folder; must have the model's vocabulary.
        overwrite: replaces what `output` holds.

    Returns:
        The manifest, as written to signature.json.

    Raises:
        InputError: the model folder is not whole, or the dataset is another task's or vocabulary's.
        RuntimeError: the reloaded model does not give the recorded response.
    """
    import tensorflow as tf

    from bigbird.checkpoints.native import load_model

    keras_model, manifest, experiment = load_model(model)
    if dataset is not None:
        _check_dataset(manifest["dataset"], read_manifest(dataset, "dataset"), dataset)
    module, request = _module(keras_model, manifest, experiment.task, Path(model) / "vocab.model")
    response = _answer(module.signatures()["serving_default"], request)
    with new_folder(output, overwrite=overwrite) as folder:
        tf.saved_model.save(module, str(folder), signatures=module.signatures())
        (folder / "assets").mkdir(exist_ok=True)
        (folder / "assets" / "vocab.model").write_bytes((Path(model) / "vocab.model").read_bytes())
        reloaded = tf.saved_model.load(str(folder))
        _check_equal(response, _answer(reloaded.signatures["serving_default"], request))
        write_json(folder / "request.json", request)
        write_json(folder / "response.json", {name: _plain(value) for name, value in response.items()})
        described = {
            "format": 1,
            "task": manifest["task"],
            "labels": manifest["labels"],
            "metrics": manifest["metrics"],
            "buckets": experiment.task.buckets,
            "vocabulary": manifest["dataset"]["vocabulary"],
            "signatures": {name: _describe(reloaded.signatures[name]) for name in module.signatures()},
        }
        write_json(folder / MANIFESTS["saved_model"], described)
    return described


def _check_dataset(trained_on: dict[str, Any], given: dict[str, Any], folder: str | os.PathLike[str]) -> None:
    for name, expected, found in (
        ("task", trained_on["task"], given["task"]),
        ("vocabulary", trained_on["vocabulary"]["sha256"], given["vocabulary"]["sha256"]),
    ):
        if expected != found:
            raise InputError(f"{folder}: its {name} is {found}, but the model was trained on {expected}")


def _module(model: Any, manifest: dict[str, Any], task: Any, vocabulary_file: Path) -> tuple[Any, dict[str, list[str]]]:
    """The module to save and the request to record."""
    from bigbird.serving.classification import Classifier
    from bigbird.serving.question_answering import Reader
    from bigbird.tasks.glue import TASKS
    from bigbird.tasks.squad import WindowOptions
    from bigbird.vocabulary import Vocabulary

    dataset = manifest["dataset"]
    vocabulary = Vocabulary(vocabulary_file.read_bytes(), lower_case=dataset["vocabulary"]["lower_case"])
    if isinstance(task, SquadTask):
        windows = WindowOptions(
            max_length=dataset["max_length"], query_length=dataset["query_length"], doc_stride=dataset["doc_stride"]
        )
        threshold = task.null_score_diff_threshold if dataset["version_2"] else None
        reader = Reader(
            model,
            vocabulary,
            buckets=task.buckets,
            windows=windows,
            n_best_size=task.n_best_size,
            max_answer_length=task.max_answer_length,
            null_threshold=threshold,
        )
        return reader, SQUAD_REQUEST
    pairs = len(TASKS[manifest["task"]].text_columns) == 2
    classifier = Classifier(
        model,
        vocabulary,
        buckets=task.buckets,
        max_length=dataset["max_length"],
        pairs=pairs,
        labels=manifest["labels"],
    )
    return classifier, {name: GLUE_REQUEST[name] for name in ("text_a", "text_b")[: 1 + pairs]}


def _answer(signature: Any, request: dict[str, list[str]]) -> dict[str, np.ndarray]:
    import tensorflow as tf

    return {name: value.numpy() for name, value in signature(**{k: tf.constant(v) for k, v in request.items()}).items()}


def _check_equal(expected: dict[str, np.ndarray], found: dict[str, np.ndarray]) -> None:
    for name, value in expected.items():
        same = (
            np.allclose(value, found[name], rtol=0, atol=TOLERANCE)
            if value.dtype.kind == "f"
            else np.array_equal(value, found[name])
        )
        if not same:
            raise RuntimeError(f"the reloaded SavedModel's {name} is {found[name]}; the model's own is {value}")


def _plain(value: np.ndarray) -> Any:
    return [item.decode() for item in value] if value.dtype.kind in "OS" and value.ndim == 1 else value.tolist()


def _describe(signature: tf.types.experimental.ConcreteFunction) -> dict[str, Any]:
    """Names, dtypes and shapes of what goes in and comes out."""
    sides = {"inputs": signature.structured_input_signature[1], "outputs": signature.structured_outputs}
    return {
        side: {name: {"dtype": spec.dtype.name, "shape": list(spec.shape)} for name, spec in specs.items()}
        for side, specs in sides.items()
    }
