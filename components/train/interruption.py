"""Ctrl-C and SIGTERM (a machine's notice that it is taken away): finish the step, write a checkpoint, then stop.

Workers that train together stop at the same step, or those that go on would wait for the others' gradients without end.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_log = logging.getLogger(__name__)


class Interrupted(Exception):
    """The process was asked to stop."""


class Interruption:
    """Whether the process was asked to stop; `signal` says how."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._agreed: Callable[[int], bool] | None = None
        self._asked, self._is_time = 0, False

    def agree_by(self, agreed: Callable[[int], bool]) -> None:
        """Lets the workers agree when to stop, once SIGTERM has reached one of them.

        Args:
            agreed: given how often this worker has asked, whether this is the time; it is the same for all. From now on SIGTERM
                is its own.
        """
        self._agreed = agreed

    def due(self) -> bool:
        """Whether to stop now. Workers that train together all have to ask equally often."""
        if self._agreed is None:
            return self.signal is not None
        self._asked += 1
        if not self._is_time and self._agreed(self._asked):
            self._is_time = True  # they agree on one time; whoever asks after it is told the same
            if self.signal is None:
                self.signal = signal.SIGTERM
                _say("a worker was asked to stop: stopping after this step")
        return self._is_time

    def check(self) -> None:
        """Raises `Interrupted` once it is time to stop."""
        if self.due():
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
            again = "press Ctrl-C again to end" if number == signal.SIGINT else "a second signal ends"
            _say(f"stopping after this step; {again} it at once")
            if self._agreed is not None:
                os.kill(os.getpid(), signal.SIGTERM)  # which the workers' agreement listens to

        def restore() -> None:
            for number, handler in before.items():
                if self._agreed is None or number != signal.SIGTERM:
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


def _say(words: str) -> None:
    _log.info(words)
