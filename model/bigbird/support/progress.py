"""Progress of loops, on a terminal and in a log."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bigbird.support.terminal import ProgressLine

_log = logging.getLogger(__name__)

DRAW_EVERY_S = 0.2  # between two drawings of a line of progress on a terminal


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
