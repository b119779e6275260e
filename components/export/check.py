"""Asks a SavedModel its recorded request: `echo '"FOLDER"' | python check.py`, with tensorflow and tensorflow-text alone.

Exit code 0 where the answers are the recorded ones, 1 where one is not, which it names.
"""

# ruff: noqa: E402

import json
import sys
from pathlib import Path

# TensorFlow and Keras, which TensorFlow Text brings along, load these where they are installed, and use them for nothing
# that is done here: a third of the time of the imports.
sys.modules.update(dict.fromkeys(("jax", "matplotlib", "sklearn")))  # type: ignore[arg-type]

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401 - registers the tokenizer's operations

RELATIVE, ABSOLUTE = 1e-4, 1e-5  # float32 summed up in another order


def _encoded(texts: list) -> list:
    """Texts, or lists of them, as TensorFlow has them."""
    return [_encoded(text) if isinstance(text, list) else text.encode() for text in texts]


def main(folder: Path) -> int:
    """Compares each output with response.json."""
    request, response = (json.loads((folder / f"{name}.json").read_bytes()) for name in ("request", "response"))
    model = tf.saved_model.load(str(folder))
    outputs = model.signatures["serving_default"](**{name: tf.constant(texts) for name, texts in request.items()})
    if outputs.keys() != response.keys():
        print(f"its outputs are {sorted(outputs)}; recorded are {sorted(response)}", file=sys.stderr)
        return 1
    for name, expected in response.items():
        found = outputs[name].numpy()
        if found.dtype == object:
            same = found.tolist() == _encoded(expected)
        elif found.dtype.kind == "f":
            same = np.allclose(found, np.array(expected), rtol=RELATIVE, atol=ABSOLUTE)
        else:
            same = np.array_equal(found, np.array(expected))
        if not same:
            print(f"its {name} is {found.tolist()}; recorded is {expected}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit("takes no arguments; expected a JSON text with the folder on its standard input")
    sys.exit(main(Path(json.load(sys.stdin))))
