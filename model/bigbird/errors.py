"""The one exception users are meant to read."""

from __future__ import annotations


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message stands alone: it names the file and line (or record id, or configuration key), what was
    found, what was expected, and the remedy where there is one. Command lines print it without a
    traceback and exit with code 2.
    """


class TrainingDiverged(RuntimeError):
    """The loss became NaN or passed its bound; the message names the step and the records of the batch."""
