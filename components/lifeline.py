"""A process ends when the one that started it does, however that one ends.

`bigbird run` keeps the other end of a step's standard input. The system closes it with the process, also one that is killed:
the step then ends at once, with all processes that it started. Beam's workers look whether their parent is still there.
"""

from __future__ import annotations

import os
import signal
import threading
import time

POLL_S = 0.2  # seconds between two looks at the parent

# Set by a runner that holds the step's standard input open for as long as it wants the step.
LIFELINE = "BIGBIRD_LIFELINE"


def end_with_starter() -> None:
    """Ends this process's group once standard input ends, where the runner asked for that."""
    if os.environ.pop(LIFELINE, "") == "stdin":
        threading.Thread(target=_watch, name="lifeline", daemon=True).start()


def _watch() -> None:
    try:
        while os.read(0, 1):
            pass
    except OSError:
        pass
    os.killpg(0, signal.SIGKILL)


def end_with_parent(parent: int) -> None:
    """Ends this process once its parent is another one than the process of this id."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_S)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
