"""Imports TensorFlow and Keras: quietly, with the backend that is wanted, and without what nothing here uses."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from bigbird.support.errors import InputError
from bigbird.support.native_stderr import hidden_native_stderr


def load_tensorflow(keras_backend: str | None = "tensorflow") -> None:
    """Imports TensorFlow without its start-up chatter, which its log level does not stop; then errors only.

    Call it before anything else imports TensorFlow or Keras. Devices are listed but not set up: a strategy may still do that.

    Args:
        keras_backend: what Keras is to compute with. TensorFlow leaves the accelerators to another one. None leaves it as it is.

    Raises:
        InputError: that backend is not installed.
    """
    import importlib.util

    needed = keras_backend or "tensorflow"
    if importlib.util.find_spec(needed) is None:
        raise InputError(f"Keras is to compute with {needed}, which is not installed in this environment")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if keras_backend is not None:
        os.environ["KERAS_BACKEND"] = keras_backend
    stderr = sys.stderr
    with hidden_native_stderr():
        # In somebody's notebook, which says what Keras is to compute with, all of both has to work.
        with _not_installed(_UNUSED - {needed} if keras_backend else ()):
            import tensorflow as tf

            if keras_backend:
                import keras  # noqa: F401 - its import is the other half of the time that is saved here

        tf.config.list_physical_devices()
        if needed != "tensorflow":
            for kind in ("GPU", "TPU"):
                tf.config.set_visible_devices([], kind)
        logger = tf.get_logger()
        logger.setLevel("ERROR")  # a function traced for every padded length is meant, not retraced in vain
        for handler in logger.handlers:
            handler.setStream(stderr)  # it was made with the block's own, which is closed at its end


# What the imports of TensorFlow and Keras load wherever it is installed, for parts of theirs that nothing here uses (TFLite's
# converter, scikit-learn's wrappers, plots of images): a third of the time that both take.
_UNUSED = frozenset({"jax", "matplotlib", "sklearn"})


@contextmanager
def _not_installed(packages: Collection[str]) -> Iterator[None]:
    """Lets the block's imports find that `packages` are not installed; one that was imported before stays."""
    hidden = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: its import fails
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
