"""What every command shares: how it reports errors, exit codes and progress."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from bigbird.support.errors import ChecksFailed, InputError, ServiceError, TrainingDiverged
from bigbird.support.log import configure_logging
from bigbird.support.scratch import scratch_folder

if TYPE_CHECKING:
    from bigbird.support.terminal import ProgressLine

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
DRAW_EVERY_S = 0.2  # between two drawings of a line of progress on a terminal


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
    handles a signal already is left alone, and so are threads, which get none.
    """
    stop, before = Stop(), {}

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


@contextmanager
def hidden_native_stderr() -> Iterator[None]:
    """Hides what native libraries write to file descriptor 2; Python's stderr stays. Shown after all if the block fails.

    The descriptor is the process's: of blocks that overlap, in one thread or several, the first hides and the last shows.
    """
    try:
        number = sys.__stderr__.fileno()  # type: ignore[union-attr]
    except (AttributeError, OSError, ValueError):  # there is no such descriptor, as in some notebooks
        yield
        return
    _native_stderr.enter(number)
    failed = True
    try:
        yield
        failed = False
    finally:
        _native_stderr.leave(failed)


class _NativeStderr:
    """The process's descriptor of stderr, and how many blocks hide what is written to it."""

    def __init__(self) -> None:
        self._lock, self._blocks, self._failed = threading.Lock(), 0, False
        self._hiding = ExitStack()

    def enter(self, number: int) -> None:
        with self._lock:
            if not self._blocks:
                self._hiding.enter_context(self._hide(number))
            self._blocks += 1

    def leave(self, failed: bool) -> None:
        with self._lock:
            self._blocks -= 1
            self._failed = self._failed or failed
            if not self._blocks:
                self._hiding.close()

    @contextmanager
    def _hide(self, number: int) -> Iterator[None]:
        import tempfile

        self._failed = False
        shown, python_stderr = os.dup(number), sys.stderr
        with tempfile.TemporaryFile() as hidden, os.fdopen(shown, "w", buffering=1, encoding="utf-8") as terminal:
            if python_stderr is sys.__stderr__:
                sys.stderr = terminal
            os.dup2(hidden.fileno(), number)
            try:
                yield
            finally:
                os.dup2(shown, number)
                sys.stderr = python_stderr
                if self._failed:
                    hidden.seek(0)
                    os.write(shown, hidden.read())


_native_stderr = _NativeStderr()


class Progress:
    """How far a loop is: on a terminal one line that moves, in a log one line every few seconds.

    Example on a terminal: `train ━━━╸━━━━━━ 120/700  17%  1m 05s left  9.1/s  loss 0.431  lr 8.1e-04  41k tokens/s`; in a
    log: `train 120/700  loss 0.431  lr 8.1e-04  41k tokens/s  1m 05s left`.

    Args:
        label: the first word of the line.
        total: how many units there are to do, or None when unknown.
        interval_s: seconds between lines of a log.
    """

    def __init__(self, label: str, total: int | None = None, interval_s: float = 5.0):
        import time

        self._clock = time.monotonic
        self.label, self.total = label, total
        self._start = self._clock()
        self._last = float("-inf")
        self._first_done: int | None = None
        self._line = _progress_line()
        self._interval = interval_s if self._line is None else DRAW_EVERY_S

    def update(self, done: int, detail: str = "", *, force: bool = False) -> None:
        """Shows that `done` units of `total` are finished; cheap to call on every unit."""
        now = self._clock()
        if self._first_done is None:  # a resumed run starts above zero; the rate counts from here
            self._first_done, self._start = done, now
        if not force and now - self._last < self._interval:
            return
        self._last = now
        progressed = done - self._first_done
        self._show(done, detail, (now - self._start) / progressed if progressed > 0 else None)

    def prepare(self, done: int, detail: str) -> None:
        """Shows what is done before the first unit; its time says nothing of the units' and is left out of their rate."""
        self._show(done, detail, None)

    def _show(self, done: int, detail: str, seconds: float | None) -> None:
        """Shows the units, with the seconds that one has taken so far."""
        count = f"{done:,}/{self.total:,}" if self.total else f"{done:,}"
        left = f"{format_duration(seconds * (self.total - done))} left" if self.total and seconds is not None else ""
        if self._line is None:
            _log.info("  ".join(part for part in (f"{self.label} {count}", detail, left) if part))
        else:
            percent = f"{done * 100 // self.total}%" if self.total else ""
            figures = [part for part in (count, percent, left, _rate(seconds), detail) if part]
            self._line.show(self.label, done, self.total, figures)

    def finish(self, message: str = "") -> None:
        """Takes the line away and says a closing message. Another update shows the line again."""
        if self._line is not None:
            self._line.clear()
        if message:
            _log.info(message)


def _progress_line() -> ProgressLine | None:
    """The line of this process's terminal; None where there is none or nothing is to be told."""
    if not sys.stderr.isatty() or not _log.isEnabledFor(logging.INFO):
        return None
    from bigbird.support.terminal import LINE

    return LINE if LINE.can_be_drawn() else None


def _rate(seconds: float | None) -> str:
    """Units per second, or seconds per unit where one takes longer."""
    if not seconds:
        return ""
    return f"{seconds:.1f}s each" if seconds > 1 else f"{1 / seconds:,.{0 if seconds < 0.01 else 1}f}/s"


def format_duration(seconds: float) -> str:
    """Seconds as people say them: `42s`, `3m 07s`, `2h 15m`."""
    seconds = max(0, round(seconds))
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m {seconds % 60:02d}s"
    return f"{seconds // 3600}h {seconds % 3600 // 60:02d}m"
