"""BigBird for TensorFlow / Keras 3: the model, its tasks and its data, shared by every stage of the pipeline.

What a program of your own uses is here by name, and loaded when it is first used:

| name | what it is |
|---|---|
| `load_model`, `predict`, `TextModel` | a trained model on raw texts |
| `BigBirdEncoder`, `BigBirdEncoderConfig` | the encoder, a Keras layer |
| `BigBirdClassifier`, `BigBirdSpanModel`, `BigBirdMaskedLM` | Keras models on it; all have `from_preset` |
| `Vocabulary`, `load_vocabulary`, `encode_texts` | texts to what those take |
| `InputError` | what is raised where a file or a text cannot be used |

Example:
    >>> import bigbird
    >>> bigbird.predict("runs/reviews", "a lovely film")["label"] in ("0", "1")
    True
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bigbird.checkpoints.presets import load_vocabulary
    from bigbird.config import BigBirdEncoderConfig
    from bigbird.models import BigBirdClassifier, BigBirdEncoder, BigBirdMaskedLM, BigBirdSpanModel
    from bigbird.serving.text_model import TextModel, load_model, predict
    from bigbird.support.errors import InputError
    from bigbird.tasks.model_inputs import encode_texts
    from bigbird.text.vocabulary import Vocabulary

__all__ = [
    "BigBirdClassifier",
    "BigBirdEncoder",
    "BigBirdEncoderConfig",
    "BigBirdMaskedLM",
    "BigBirdSpanModel",
    "InputError",
    "TextModel",
    "Vocabulary",
    "encode_texts",
    "load_model",
    "load_vocabulary",
    "predict",
]

_MODULES = {
    "bigbird.checkpoints.presets": ("load_vocabulary",),
    "bigbird.config": ("BigBirdEncoderConfig",),
    "bigbird.models": ("BigBirdClassifier", "BigBirdEncoder", "BigBirdMaskedLM", "BigBirdSpanModel"),
    "bigbird.serving.text_model": ("TextModel", "load_model", "predict"),
    "bigbird.support.errors": ("InputError",),
    "bigbird.tasks.model_inputs": ("encode_texts",),
    "bigbird.text.vocabulary": ("Vocabulary",),
}
_PLACES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Loads a public name (PEP 562): the module itself, which every stage imports, loads nothing."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_PLACES[name]), name)
    globals()[name] = value  # found without this function from now on
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
