"""Ctrl-C and SIGTERM while training: finish the step, write a checkpoint, then stop."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Interrupted(Exception):
    """The process was asked to stop."""


class Interruption:
    """Whether the process was asked to stop; `signal` says how."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def check(self) -> None:
        """Raises `Interrupted` once the process was asked to stop."""
        if self.signal is not None:
            raise Interrupted

    @contextmanager
    def listen(self) -> Iterator[Interruption]:
        """Catches the first Ctrl-C or SIGTERM inside the block; a second one stops the process at once.

        When the block was interrupted, the process ends as its signal asks: KeyboardInterrupt (exit code 130) or
        exit code 143.
        """
        if threading.current_thread() is not threading.main_thread():
            yield self  # signals only ever reach the main thread
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def note(number: int, _: FrameType | None) -> None:
            self.signal = number
            restore()
            print("\nstopping after this step; once more to stop at once", file=sys.stderr, flush=True)

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        for number in before:
            signal.signal(number, note)
        try:
            yield self
        except Interrupted:
            raise self._exception() from None
        finally:
            restore()

    def _exception(self) -> Any:
        return KeyboardInterrupt() if self.signal == signal.SIGINT else SystemExit(128 + signal.SIGTERM)
