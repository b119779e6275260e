"""`bigbird predict`: loads an exported model and answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bigbird.artifacts import read_manifest
from bigbird.console import hidden_native_stderr, load_tensorflow
from bigbird.errors import InputError
from pipelines.targets.local import OUTPUTS

BATCH = 16  # examples sent to the model at once
FIELDS = {"text": "text_a", "text_b": "text_b", "question": "question", "context": "context"}


def predict_command(model: Path, file: Path | None, **texts: str | None) -> None:
    """Prints one line of JSON for every example.

    Raises:
        InputError: the folder holds no exported model, or an example has not the model's fields.
    """
    given = {FIELDS[option]: text for option, text in texts.items() if text is not None}
    if bool(given) == bool(file):
        raise InputError("expected either a FILE or --text, or --question with --context")
    folder = find_saved_model(model)
    manifest = read_manifest(folder, "saved_model")
    examples = list(read_examples(file)) if file else [("the command line", given)]
    predictor = Predictor(folder)
    for where, example in examples:
        predictor.check(where, example)
    for start in range(0, len(examples), BATCH):
        batch = [example for _, example in examples[start : start + BATCH]]
        for answer in predictor(batch):
            print(json.dumps(named_probabilities(answer, manifest.get("labels")), ensure_ascii=False))


def find_saved_model(folder: Path) -> Path:
    """The SavedModel's folder, given it or the folder of the run that exported it."""
    inside = folder / OUTPUTS["saved_model"]
    if inside.is_dir():
        return inside
    if (folder / "run.json").exists():
        raise InputError(
            f"{folder}: this run exported no model; its metric was below the threshold, or it did not finish"
        )
    return folder


def read_examples(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields (where it stands, fields) for every line of a JSON lines or text file that is not blank."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read as UTF-8 text ({error})") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if file.suffix not in {".jsonl", ".json"}:
            yield f"{file}:{number}", {"text_a": line}
            continue
        try:
            example = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{file}:{number}: not valid JSON ({error.msg}); expected one object a line") from None
        if not isinstance(example, dict):
            raise InputError(
                f'{file}:{number}: holds {type(example).__name__}; expected an object such as {{"text_a": …}}'
            )
        yield f"{file}:{number}", example


def named_probabilities(answer: dict[str, Any], labels: list[str] | None) -> dict[str, Any]:
    """Probabilities by the name of their class, where the model has classes."""
    if labels and "probabilities" in answer:
        return {**answer, "probabilities": dict(zip(labels, answer["probabilities"], strict=True))}
    return answer


class Predictor:
    """An exported model on raw text.

    Args:
        folder: the SavedModel's folder.
    """

    def __init__(self, folder: Path):
        load_tensorflow()
        import tensorflow as tf
        import tensorflow_text  # noqa: F401 - registers the tokenizer's operations

        self._tf = tf
        with hidden_native_stderr():
            self._model = tf.saved_model.load(str(folder))
        self._signature = self._model.signatures["serving_default"]
        self.fields = tuple(self._signature.structured_input_signature[1])

    def check(self, where: str, example: dict[str, Any]) -> None:
        """Raises `InputError` unless `example` holds a text for each of the model's fields, and nothing else."""
        if set(example) != set(self.fields):
            raise InputError(
                f"{where}: has {', '.join(sorted(example))}; this model expects {', '.join(sorted(self.fields))}"
            )
        for name, text in example.items():
            if not isinstance(text, str) or not text.strip():
                raise InputError(f"{where}: {name} is {text!r}; expected a text that is not empty")

    def __call__(self, examples: list[dict[str, str]]) -> Iterator[dict[str, Any]]:
        """Answers a batch; yields each example's outputs as plain values."""
        inputs = {name: self._tf.constant([example[name] for example in examples]) for name in self.fields}
        with hidden_native_stderr():
            outputs = {name: value.numpy() for name, value in self._signature(**inputs).items()}
        for row in range(len(examples)):
            yield {name: _plain(values[row]) for name, values in outputs.items()}


def _plain(value: Any) -> Any:
    """NumPy and bytes to what JSON can say; floats to six digits."""
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, np.floating):
        return round(float(value), 6)
    return value.item() if isinstance(value, np.generic) else value
