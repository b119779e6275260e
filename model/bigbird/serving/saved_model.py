"""An exported model as anybody loads it: TensorFlow and tensorflow-text, none of the code that trained it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from bigbird import storage
from bigbird.manifests import SavedModelManifest
from bigbird.support.artifacts import MANIFESTS, RUN_RECORD
from bigbird.support.errors import InputError
from bigbird.support.native_stderr import hidden_native_stderr
from bigbird.support.paths import plain_path
from bigbird.support.tensorflow_start import load_tensorflow

IN_RUN = Path("export/saved_model")  # where a run has it
SHORT = 40  # characters of a value that a message shows


def named_probabilities(answer: dict[str, Any], labels: list[str] | None) -> dict[str, Any]:
    """Probabilities by the name of their class, where the model has classes."""
    if labels and "probabilities" in answer:
        return {**answer, "probabilities": dict(zip(labels, answer["probabilities"], strict=True))}
    return answer


def as_recorded(value: np.ndarray) -> Any:
    """An output, of any shape, as response.json has it: nested lists of numbers or texts."""
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
    if (folder / RUN_RECORD).exists():
        raise _nothing_exported(folder)
    return folder


def find_in_bucket(location: str) -> str:
    """As `find_saved_model` for a folder in a bucket: a run's data and checkpoints are not to be copied with its model.

    Raises:
        InputError: the run exported no model.
        ServiceError: the bucket cannot be asked.
    """
    folder = location.rstrip("/")
    inside = storage.join(folder, IN_RUN.as_posix())
    if storage.exists(storage.join(inside, MANIFESTS["saved_model"])):
        return inside
    if storage.exists(storage.join(folder, RUN_RECORD)):
        raise _nothing_exported(folder)
    return location


def _nothing_exported(folder: str | Path) -> InputError:
    return InputError(f"{folder}: this run exported no model; its metric was below the threshold, or it did not finish")


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
        """Answers a batch of B examples: output name -> array [B, ...] of float32, int32 or bytes, in the order of the names."""
        import tensorflow as tf

        inputs = {name: tf.constant([example[name] for example in examples]) for name in self.fields}
        chatter = hidden_native_stderr() if self._chatters else nullcontext()
        self._chatters = False  # from the second call on, what native code says is worth reading
        with chatter:
            outputs = self._function(**inputs)  # in no order of its own
            return {name: outputs[name].numpy() for name in sorted(outputs)}

    def __call__(self, examples: Sequence[Mapping[str, str]]) -> Iterator[dict[str, Any]]:
        """Answers a batch; yields each example's outputs as plain values; several called LIST/FIELD are one list of objects."""
        columns: dict[str, list[Any]] = {}
        objects: dict[str, dict[str, np.ndarray]] = {}
        for name, values in self.outputs(examples).items():
            place, slash, field = name.partition("/")
            if slash:
                objects.setdefault(place, {})[field] = values
                columns.setdefault(place, [])
            else:
                columns[name] = _plain(values)
        for name, fields in objects.items():
            columns[name] = _objects(fields)
        for row in zip(*columns.values(), strict=True):
            yield dict(zip(columns, row, strict=True))


def _objects(fields: Mapping[str, np.ndarray]) -> list[list[dict[str, Any]]]:
    """Outputs that are fields of objects, as each example's list of them.

    The objects are padded to as many as another example of the batch has: one whose texts are all empty is none.

    Args:
        fields: field -> [examples, most objects].
    """
    texts = [values for values in fields.values() if values.dtype == object]
    plain = {field: [_plain_items(row) for row in values] for field, values in fields.items()}
    found = []
    for row in range(len(next(iter(fields.values())))):
        count = sum(any(items) for items in zip(*(values[row] for values in texts), strict=True))
        found.append([{field: rows[row][i] for field, rows in plain.items()} for i in range(count)])
    return found


def _plain_items(values: np.ndarray) -> list[Any]:
    """The values of a row as JSON can say them; floats to six digits."""
    if values.dtype == object:
        return [value.decode("utf-8") for value in values]
    return _rounded(values.tolist()) if values.dtype.kind == "f" else values.tolist()


def _plain(values: np.ndarray) -> list[Any]:
    """An output's rows as JSON can say them; floats to six digits."""
    rows = values.tolist()  # of a whole output at once, which takes a tenth of the time that value by value does
    if values.dtype == object:
        rows = _texts(rows)
    elif values.dtype.kind == "f":
        rows = _rounded(rows)
    return rows


def _rounded(values: list[Any]) -> list[Any]:
    if values and isinstance(values[0], list):  # then all are: they are an array's
        return [_rounded(value) for value in values]
    return [round(value, 6) for value in values]


def _texts(values: list[Any]) -> list[Any]:
    """Bytes as texts; of a row's list without the empty ones at its end, where it has fewer than another row."""
    found = []
    for value in values:
        if isinstance(value, list):
            items = _texts(value)
            while items and items[-1] == "":
                items.pop()
            found.append(items)
        else:
            found.append(value.decode("utf-8"))
    return found
