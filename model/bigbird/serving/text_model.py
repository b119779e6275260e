"""`load_model` and `predict`: a trained model on raw texts, in a few words of Python."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

from bigbird.serving.saved_model import Predictor, find_saved_model, named_probabilities, open_saved_model
from bigbird.support.artifacts import MANIFESTS
from bigbird.support.errors import InputError
from bigbird.support.precision import slow_here
from bigbird.support.safe_paths import folder_here
from bigbird.support.tensorflow_start import load_tensorflow

_log = logging.getLogger(__name__)

BATCH = 16  # examples that the model reads at once
CHARACTERS_AT_ONCE = 1 << 18
"""Of all texts of one call of the model, where many are asked: of long documents a few are read at once, a longer one alone."""


class TextModel:
    """A trained model on raw texts. It cuts them into pieces, pads them and reads long ones as the model was trained to.

    Made by `bigbird.load_model`.

    Attributes:
        task: what it was trained for.
        fields: names of the texts that it takes: text_a; text_a and text_b; or context and question.
        labels: names of the classes; None where it has none.

    Example:
        >>> import bigbird
        >>> model = bigbird.load_model("runs/reviews")
        >>> model.fields, model.labels
        (('text_a',), ['0', '1'])
        >>> sorted(model.predict("a lovely film"))
        ['label', 'logits', 'probabilities']
    """

    def __init__(self, predictor: Predictor, task: str, labels: list[str] | None):
        self._predictor, self.task, self.fields, self.labels = predictor, task, predictor.fields, labels

    def __repr__(self) -> str:
        return f"TextModel(task={self.task!r}, fields={self.fields!r}, labels={self.labels!r})"

    def predict(self, texts: Any, *, batch_size: int = BATCH) -> Any:
        """Answers texts.

        Args:
            texts: a text; a list of texts; where the model has two fields, a mapping with a text for each of them, a list of such,
                or a mapping with a list for each of them.
            batch_size: examples that the model reads at once; the answers are the same for every size.

        Returns:
            For each example a dict, in their order; for a single one the dict itself. A classifier's has `label` (`labels` where
            several may apply), `probabilities` by label, and `logits`; a number's has `number` or `score`. An answer from a
            context has `answer`, its first character `start`, one past its last `end`, `score`, and where there may be no answer
            `null_score`. Numbers have six digits.

        Raises:
            InputError: an example does not have the model's fields, or a text is empty.

        Example:
            >>> import bigbird
            >>> model = bigbird.load_model("runs/reviews")
            >>> answers = model.predict(["a lovely film", "dull from start to end"])
            >>> [sorted(answer["probabilities"]) for answer in answers]
            [['0', '1'], ['0', '1']]
        """
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}; expected at least 1")
        examples, single = self._examples(texts)
        for number, example in enumerate(examples):
            self._predictor.check("the example" if single else f"example {number}, counted from 0", example)
        answers: list[dict[str, Any]] = []
        for start in range(0, len(examples), batch_size):
            answers += self.answer(examples[start : start + batch_size])
        return answers[0] if single else answers

    def answer(self, examples: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
        """Answers examples that `check` takes, all in one call of the model; as `predict` does."""
        return [named_probabilities(answer, self.labels) for answer in self._predictor(examples)]

    def check(self, where: str, example: dict[str, Any]) -> None:
        """Raises `InputError`, whose message begins with `where`, unless an example holds a text for each field and no more."""
        self._predictor.check(where, example)

    def _examples(self, texts: Any) -> tuple[list[dict[str, Any]], bool]:
        """Texts by field, an example each; and whether it was a single one, not in a list."""
        if isinstance(texts, Mapping):
            if all(isinstance(value, str) for value in texts.values()):
                return [dict(texts)], True
            columns = {name: [value] if isinstance(value, str) else list(value) for name, value in texts.items()}
            sizes = {name: len(column) for name, column in columns.items()}
            if len(set(sizes.values())) != 1:
                found = ", ".join(f"{name} has {size}" for name, size in sizes.items())
                raise InputError(f"{found}; expected as many texts for each field")
            return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)], False
        if isinstance(texts, str):
            return [self._by_field(texts)], True
        return [dict(text) if isinstance(text, Mapping) else self._by_field(text) for text in texts], False

    def _by_field(self, text: Any) -> dict[str, Any]:
        if len(self.fields) > 1:
            raise InputError(
                f"this model expects {' and '.join(self.fields)} of each example; found a {type(text).__name__}. Give a "
                f"dict: {{{', '.join(f'{name!r}: ...' for name in self.fields)}}}"
            )
        return {self.fields[0]: text}


def load_model(folder: str | os.PathLike[str]) -> TextModel:
    """Loads a trained model to ask it raw texts.

    Args:
        folder: of this machine: a run's, the SavedModel's that it exported, or the trained model's (runs/NAME/train/model), which
            needs no export but Keras on TensorFlow.

    Raises:
        InputError: there is no model in it, or it cannot be loaded; a run whose metric was below its threshold has exported
            none.

    Example:
        >>> import bigbird
        >>> bigbird.load_model("runs/reviews")
        TextModel(task='sst2', fields=('text_a',), labels=['0', '1'])
    """
    place = folder_here(folder, "copy it here first")
    if (place / MANIFESTS["model"]).exists():
        load_tensorflow(None)
        from bigbird.serving.trained import TrainedPredictor

        trained = TrainedPredictor(place)
        if slow := slow_here(trained.trained.precision):
            _log.warning(f"{place}: {slow}")
        return TextModel(trained, trained.trained.task, trained.trained.manifest.labels)
    place = find_saved_model(place)
    manifest = open_saved_model(place)
    predictor = Predictor(place)
    if slow := slow_here(manifest.precision):
        _log.warning(f"{place}: {slow}; `bigbird export --precision float32` writes one for this machine")
    return TextModel(predictor, manifest.task, manifest.labels)


def predict(folder: str | os.PathLike[str], texts: Any, *, batch_size: int = BATCH) -> Any:
    """`load_model(folder).predict(texts)`, in one call. Who asks more than once loads the model once.

    Args:
        folder: as `load_model` takes it.
        texts: as `TextModel.predict` takes them.
        batch_size: as there.

    Returns:
        As `TextModel.predict` gives it.

    Raises:
        InputError: there is no model in the folder, or an example is not the model's.

    Example:
        >>> import bigbird
        >>> sorted(bigbird.predict("runs/reviews", "a lovely film")["probabilities"])
        ['0', '1']
    """
    return load_model(folder).predict(texts, batch_size=batch_size)
