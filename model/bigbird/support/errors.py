"""The exceptions that users are meant to read."""

from __future__ import annotations

from bigbird.support.addresses import without_passwords


class _Told(Exception):
    """An exception whose message is shown, so that it holds no password of an address, whoever quoted that."""

    def __str__(self) -> str:
        return without_passwords(super().__str__())


class InputError(_Told, ValueError):
    """Something the user gave cannot be used.

    The message stands alone: it names the file and line (or record id, or configuration key), what was
    found, what was expected, and the remedy where there is one. Command lines print it without a
    traceback and exit with code 2.
    """


class DamagedError(InputError):
    """A file is not what was written: it is missing, cut short, damaged or was changed."""


class TrainingDiverged(_Told, RuntimeError):
    """The loss became NaN or passed its bound; the message names the step and the records of the batch."""


class ChecksFailed(_Told):
    """A check that was asked for found something in the user's tables; the message says which, and what."""


class ServiceError(_Told):
    """A service elsewhere refused, failed or could not be reached; its message says which, and what to do."""


class ServiceUnreachable(ServiceError):
    """It did not answer, or said that it is not available; it may do so later."""
