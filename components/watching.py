"""Looking again and again how far work is that others do."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from bigbird.support.errors import InputError, ServiceError


@contextlib.contextmanager
def watching(look: Callable[[], object], every_s: float) -> Iterator[None]:
    """Calls a function in a thread of its own every so many seconds while the block runs.

    A look that fails of a service or of the disk is left: the next one may do, and the work itself tells what lasts.
    """
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(every_s):
            with contextlib.suppress(InputError, ServiceError, OSError):
                look()

    watcher = threading.Thread(target=watch, name="progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
