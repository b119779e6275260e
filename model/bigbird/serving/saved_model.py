"""An exported model as anybody loads it: TensorFlow and tensorflow-text, none of the code that trained it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from bigbird.manifests import SavedModelManifest
from bigbird.support.console import hidden_native_stderr, load_tensorflow
from bigbird.support.errors import InputError
from bigbird.support.paths import plain_path

IN_RUN = Path("export/saved_model")  # where a run has it
SHORT = 40  # characters of a value that a message shows


def named_probabilities(answer: dict[str, Any], labels: list[str] | None) -> dict[str, Any]:
    """Probabilities by the name of their class, where the model has classes."""
    if labels and "probabilities" in answer:
        return {**answer, "probabilities": dict(zip(labels, answer["probabilities"], strict=True))}
    return answer


def as_recorded(value: np.ndarray) -> Any:
    """An output as response.json has it: nested lists of numbers or texts."""
    plain = value.tolist()
    return _decoded(plain) if value.dtype.kind in "OS" else plain


def _decoded(value: Any) -> Any:
    return [_decoded(item) for item in value] if isinstance(value, list) else value.decode("utf-8")


def find_saved_model(folder: Path) -> Path:
    """The SavedModel's folder, given it or the folder of the run that exported it.

    Raises:
        InputError: the run exported no model.
    """
    inside = folder / IN_RUN
    if inside.is_dir():
        return inside
    if (folder / "run.json").exists():
        raise InputError(
            f"{folder}: this run exported no model; its metric was below the threshold, or it did not finish"
        )
    return folder


def open_saved_model(folder: Path) -> SavedModelManifest:
    """The manifest of an exported model's folder, whose files are those that it names.

    Raises:
        DamagedError: a file is missing, damaged or was changed.
        InputError: the folder is none of an exported model.
    """
    manifest = SavedModelManifest.read(folder)
    manifest.check_files(folder)
    return manifest


def check_example(where: str, example: Mapping[str, Any], fields: Sequence[str]) -> None:
    """Refuses what is no example of a model.

    Args:
        where: what the message begins with.
        example: what should hold a text for each of the fields, and nothing else.
        fields: names of the model's inputs.

    Raises:
        InputError: a field is absent or not the model's; or its value is no text, empty, or not Unicode.
    """
    expected = " and ".join(fields)
    if set(example) != set(fields):
        found = ", ".join(shown(name) for name in example) or "no field"
        raise InputError(f"{where}: has {found}; this model expects {expected}")
    for name, text in example.items():
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"{where}: {name} is {shown(text)}; expected a text that is not empty")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InputError(
                f"{where}: {name} has half a surrogate pair at character {error.start}; expected Unicode text"
            ) from None


def shown(value: Any) -> str:
    """A JSON value for a message: its beginning where it is long, only its kind where it holds others."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = json.dumps(value, default=str)
    return text if len(text) <= SHORT else f"{text[:SHORT]}…"


class Predictor:
    """An exported model on raw text.

    Args:
        folder: the SavedModel's folder.

    Raises:
        InputError: it holds no SavedModel that can be loaded.
    """

    def __init__(self, folder: Path):
        load_tensorflow(None)
        import tensorflow as tf
        import tensorflow_text  # noqa: F401 - registers the tokenizer's operations

        try:
            with hidden_native_stderr(), plain_path(folder) as plain:
                self._model = tf.saved_model.load(plain)
            signature = self._model.signatures["serving_default"]
        except (OSError, ValueError, KeyError, AttributeError, TypeError, IndexError, tf.errors.OpError) as error:
            raise InputError(
                f"{folder}: cannot be loaded as a SavedModel ({' '.join(str(error).split())[:300]}); export the model again"
            ) from None
        self._answer_with(signature, signature.structured_input_signature[1])

    def _answer_with(self, function: Any, fields: Iterable[str]) -> None:
        """Takes a function of texts, string[B] for each field by name, that gives the outputs."""
        self._function, self.fields = function, tuple(sorted(fields))  # they have no order of their own
        self._chatters = True

    def check(self, where: str, example: dict[str, Any]) -> None:
        """Raises `InputError` unless `example` holds a text for each of the model's fields, and nothing else."""
        check_example(where, example, self.fields)

    def outputs(self, examples: Sequence[Mapping[str, str]]) -> dict[str, np.ndarray]:
        """Answers a batch: output name -> array, a row for each example, in the order of the names."""
        import tensorflow as tf

        inputs = {name: tf.constant([example[name] for example in examples]) for name in self.fields}
        chatter = hidden_native_stderr() if self._chatters else nullcontext()
        self._chatters = False  # from the second call on, what native code says is worth reading
        with chatter:
            outputs = self._function(**inputs)  # in no order of its own
            return {name: outputs[name].numpy() for name in sorted(outputs)}

    def __call__(self, examples: Sequence[Mapping[str, str]]) -> Iterator[dict[str, Any]]:
        """Answers a batch; yields each example's outputs as plain values; several called LIST/FIELD are one list of objects."""
        outputs = self.outputs(examples)
        for row in range(len(examples)):
            yield _with_lists({name: values[row] for name, values in outputs.items()})


def _with_lists(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """An example's outputs as plain values, those called LIST/FIELD as objects of a list.

    The objects are padded to as many as another example of the batch has: one whose texts are all empty is none.
    """
    answer: dict[str, Any] = {}
    fields: dict[str, dict[str, Any]] = {}
    for name, value in outputs.items():
        place, slash, field = name.partition("/")
        if slash:
            fields.setdefault(place, {})[field] = value
            answer.setdefault(place, [])
        else:
            answer[name] = _plain(value)
    for name, columns in fields.items():
        texts = [values for values in columns.values() if values.dtype == object]
        count = sum(any(row) for row in zip(*texts, strict=True))
        answer[name] = [{field: _plain(values[i]) for field, values in columns.items()} for i in range(count)]
    return answer


def _plain(value: Any) -> Any:
    """NumPy and bytes to what JSON can say; floats to six digits."""
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, np.ndarray):
        items = [_plain(item) for item in value]
        while value.dtype == object and items and items[-1] == "":  # texts of a row that has fewer than another
            items.pop()
        return items
    if isinstance(value, np.floating):
        return round(float(value), 6)
    return value.item() if isinstance(value, np.generic) else value
