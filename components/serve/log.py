"""The server's log: one line of JSON on stdout for each event, never with a text of a request."""

from __future__ import annotations

import json
import time
import traceback
from typing import Any

SELDOM_S = 10.0


def log(message: str, severity: str = "INFO", **fields: Any) -> None:
    """Prints a line with the keys that Google Cloud's logging reads, and `fields`."""
    print(json.dumps({"severity": severity, "message": message, **fields}, ensure_ascii=False), flush=True)


def log_exception(message: str, error: BaseException) -> None:
    """Prints an exception's type and where it was raised; its own message may quote a text and is left out."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    log(message, "ERROR", exception=type(error).__name__, traceback=frames)


class Seldom:
    """Logs an event that clients can bring about as often as they like: one line in ten seconds, and how many it stands for."""

    def __init__(self) -> None:
        self._next, self._count = 0.0, 0

    def __call__(self, message: str, severity: str, **fields: Any) -> None:
        """As `log`, or nothing where the last line is not long ago."""
        self._count += 1
        if time.monotonic() >= self._next:
            log(message, severity, times=self._count, **fields)
            self._next, self._count = time.monotonic() + SELDOM_S, 0
