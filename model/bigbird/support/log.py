"""What commands tell while they work: standard `logging`, on stderr.

Modules log to `logging.getLogger(__name__)`. A command calls `configure_logging`; whoever imports the packages configures
logging as in any other program. In the cloud, where stderr is no terminal, each line is a JSON object, whose keys Google
Cloud's logging reads: plain lines on stderr would all count as errors there.
"""

from __future__ import annotations

import datetime
import json
import logging
import os
import sys
from typing import TextIO

from bigbird.support.errors import InputError

PACKAGES = ("bigbird", "bigbird_components", "bigbird_pipelines")

LEVEL = "BIGBIRD_LOG_LEVEL"
"""Variable with a level's name. `--quiet` and `--verbose` set it, so that the processes of a run follow them."""
FORMAT = "BIGBIRD_LOG_FORMAT"
"""Variable: "text" or "json"."""

LEVELS = ("debug", "info", "warning", "error")
# Set in every container of Kubernetes, and of Vertex AI's custom jobs.
_CLOUD = ("KUBERNETES_SERVICE_HOST", "CLOUD_ML_JOB_ID")
CLEAR_LINE = "\r\x1b[2K"
"""Empties a terminal's line, where a progress line may stand."""


def configure_logging() -> None:
    """Sends what the packages log to stderr, by the variables `LEVEL` and `FORMAT`. Again it replaces what it did.

    Raises:
        InputError: a variable has another value.
    """
    level = _variable(LEVEL, LEVELS, "info")
    in_cloud = not sys.stderr.isatty() and any(map(os.environ.get, _CLOUD))
    handler = _StderrHandler()
    handler.setFormatter(
        _JsonLines() if _variable(FORMAT, ("text", "json"), "json" if in_cloud else "text") == "json" else _Text()
    )
    for package in PACKAGES:
        logger = logging.getLogger(package)
        logger.handlers = [handler]
        logger.propagate = False  # TensorFlow gives the root a handler of its own
        logger.setLevel(level.upper())


def logging_environment() -> dict[str, str]:
    """The variables above that are set, for a process that does not inherit the environment."""
    return {name: os.environ[name] for name in (LEVEL, FORMAT) if os.environ.get(name)}


def _variable(name: str, values: tuple[str, ...], default: str) -> str:
    value = os.environ.get(name, "").lower() or default
    if value not in values:
        raise InputError(f"{name} is {os.environ[name]!r}; expected {', '.join(values)}")
    return value


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what stderr is at that time, over a progress line."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr

    def format(self, record: logging.LogRecord) -> str:
        moves = sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")
        return (CLEAR_LINE if moves else "") + super().format(record)


class _Text(logging.Formatter):
    """The message; what is more or less than information says so."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return text if record.levelno == logging.INFO else f"{record.levelname.lower()}: {text}"


class _JsonLines(logging.Formatter):
    """An object of severity, message, time and logger."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line = {
            "severity": record.levelname,
            "message": super().format(record),
            "time": time.isoformat(),
            "logger": record.name,
        }
        return json.dumps(line, ensure_ascii=False)
