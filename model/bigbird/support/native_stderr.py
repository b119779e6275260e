"""Hides what native libraries write to stderr, where it says nothing to a user."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


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
