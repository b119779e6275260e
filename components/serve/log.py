"""The server's log: one line of JSON on stdout for each event, never with a text of a request."""

from __future__ import annotations

import json
import traceback
from typing import Any


def log(message: str, severity: str = "INFO", **fields: Any) -> None:
    """Prints a line with the keys that Google Cloud's logging reads, and `fields`."""
    print(json.dumps({"severity": severity, "message": message, **fields}, ensure_ascii=False), flush=True)


def log_exception(message: str, error: BaseException) -> None:
    """Prints an exception's type and where it was raised; its own message may quote a text and is left out."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    log(message, "ERROR", exception=type(error).__name__, traceback=frames)
