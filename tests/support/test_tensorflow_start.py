"""TensorFlow is loaded quietly, and without what nothing uses."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bigbird.support.errors import InputError
from bigbird.support.tensorflow_start import load_tensorflow

MODEL = str(Path(__file__).parents[2] / "model")


def test_tensorflow_is_loaded_without_what_is_not_used_and_its_errors_are_shown_and_its_warnings_are_not():
    """A warning comes where a step is traced for each of many padded lengths, which is meant."""
    code = (
        "from bigbird.support.tensorflow_start import load_tensorflow\n"
        "load_tensorflow()\n"
        "import tensorflow as tf\n"
        "tf.get_logger().warning('traced again')\n"
        "tf.get_logger().error('broken')\n"
        "import sys\n"
        "print(sorted({'jax', 'keras', 'matplotlib', 'sklearn'} & set(sys.modules)))\n"
        "import matplotlib, sklearn\n"  # found again where they are needed
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": MODEL},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "broken" in done.stderr
    assert "traced again" not in done.stderr and "Logging error" not in done.stderr
    assert done.stdout == "['keras']\n"  # nothing that takes long to import and is not used


def test_a_backend_of_keras_that_is_not_installed_is_named():
    with pytest.raises(InputError, match="Keras is to compute with abacus, which is not installed"):
        load_tensorflow("abacus")
