"""How a command runs and ends: errors in one message, exit codes, Ctrl-C and SIGTERM."""

from __future__ import annotations

import atexit
import errno
import gc
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bigbird.support.errors import ChecksFailed, InputError, ServiceError, TrainingDiverged
from bigbird.support.log import configure_logging
from bigbird.support.scratch import scratch_folder

_log = logging.getLogger(__name__)

# Exit codes, also in docs/reference/exit_codes.md: 0 success, 1 a bug of ours, 2 the user's input or a place that cannot be written, 3 training
# diverged, 4 a service refused or failed, 5 a step does not fit the machine's memory, 6 a check of the data that was asked for found something,
# 130 Ctrl-C, 143 SIGTERM.
EXIT_INPUT = 2
EXIT_DIVERGED = 3
EXIT_SERVICE = 4
EXIT_DOES_NOT_FIT = 5
EXIT_CHECKS_FAILED = 6
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143
EXIT_CODES: dict[type[Exception], int] = {
    InputError: EXIT_INPUT,
    TrainingDiverged: EXIT_DIVERGED,
    ServiceError: EXIT_SERVICE,
    ChecksFailed: EXIT_CHECKS_FAILED,
}
"""The errors that are told in one message, without a traceback, and the code that each ends with."""


def run_command(command: Callable[[], object], *, sends: bool = False) -> None:
    """Runs a command line's body, with logging set up, and exits the process with the code that says how it went.

    A user's mistake prints one message on stderr and no traceback; any other exception keeps its traceback.

    Args:
        command: the body.
        sends: whether it has a service do something, which may go on when the command is interrupted.
    """
    with stoppable() as stop:
        try:
            configure_logging()
            with scratch_folder():
                command()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) or stop.code == EXIT_INTERRUPTED:
                _log.info("interrupted" if sends else "interrupted; nothing half-written was left behind")
                sys.exit(EXIT_INTERRUPTED)
            if stop.code:
                sys.exit(stop.code)
            told = explained(error)
            if told is None:
                raise
            message, code = told
            _log.error(message)
            sys.exit(code)


def explained(error: BaseException) -> tuple[str, int] | None:
    """The message for the user and the exit code of an error that is no bug of ours; None for one that is.

    A full disk and a file that the system refuses are told as such wherever they come from: libraries wrap the system's
    error in their own.
    """
    for kind, code in EXIT_CODES.items():
        if isinstance(error, kind):
            return str(error), code
    if isinstance(error, SystemExit):
        return None
    for cause in _chain(error):
        if (isinstance(cause, OSError) and cause.errno in _FULL) or any(words in str(cause) for words in _FULL_WORDS):
            return (
                f"{_place(cause)}no space left on the device; free some, or write elsewhere, and start again",
                EXIT_INPUT,
            )
    for cause in _chain(error):
        if isinstance(cause, OSError) and cause.filename is not None and cause.errno is not None:
            return (
                f"{_place(cause)}{cause.strerror}; expected a file or folder that can be read or written here",
                EXIT_INPUT,
            )
    if isinstance(error, MemoryError):
        return "out of memory; give this step more memory, or use smaller batches", EXIT_DOES_NOT_FIT
    return None


_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_WORDS = ("No space left on device", "Disk quota exceeded")  # the system's, inside a library's own message


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and those that led to it."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__


def _place(error: BaseException) -> str:
    name = getattr(error, "filename", None)
    return f"{name}: " if isinstance(name, str) else ""


class Stop:
    """Whether the process was asked to stop: the exit code that says so, or 0."""

    code = 0


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Turns Ctrl-C and SIGTERM into exceptions while the block runs, and remembers which came.

    SIGTERM raises `SystemExit(143)`, so that half-written folders go away; the first process of a container would not
    even end by it otherwise. A library may wrap these exceptions in its own: what came is in the `Stop`. Whoever
    handles a signal already is left alone, and so are threads, which get none. At its end the process collects no garbage.
    """
    stop, before = Stop(), {}
    _end_quickly()

    def interrupt(*_: object) -> None:
        stop.code = EXIT_INTERRUPTED
        raise KeyboardInterrupt

    def terminate(*_: object) -> None:
        stop.code = EXIT_TERMINATED
        sys.exit(stop.code)

    for number, default, ours in (
        (signal.SIGINT, signal.default_int_handler, interrupt),
        (signal.SIGTERM, signal.SIG_DFL, terminate),
    ):
        if threading.current_thread() is threading.main_thread() and signal.getsignal(number) == default:
            before[number] = signal.signal(number, ours)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_quickly() -> None:
    """Lets the process end without a last garbage collection, which takes a second with TensorFlow's graphs."""
    atexit.unregister(gc.freeze)  # once, however often a test calls commands
    atexit.register(gc.freeze)
