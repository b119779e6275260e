"""How long the device waits for its next batch, and one word about it where that is much."""

from __future__ import annotations

import logging
from collections.abc import Sequence

_log = logging.getLogger(__name__)

WARM_UP_LOOKS = 5  # looks at the loss that are not judged: buffers fill, steps are compiled
LEAST_STEPS, LEAST_SECONDS = 20, 20.0  # after which a run is judged
MOST_SHARE = 0.1  # of the time, that is still fine

ADVICE = (
    "Put the TFRecord files on a disk of this machine or a bucket in its region, or use a machine with more CPU cores; a "
    "new run may read more files side by side (task.train_data.cycle_length). TensorBoard's train/input_wait has the share "
    "over time"
)


def waited(waits: Sequence[float]) -> float:
    """Seconds that the device had nothing to do, of some updates in a row.

    Between two looks at the loss the host runs ahead of an accelerator: what it waits for batches then, the device spends
    on updates started before. Only before the first update after a look is the device known to be idle; so that wait
    stands for the others, and is never more than all of them.

    Args:
        waits: seconds in which each update's batch came; the first one's began with an idle device.
    """
    return min(sum(waits), len(waits) * waits[0])


class InputWait:
    """Warns once per run, on stderr, when the device waits for its input more than `MOST_SHARE` of the time."""

    def __init__(self) -> None:
        self._looks, self._warned = 0, False
        self._steps, self._waited, self._seconds = 0, 0.0, 0.0

    def add(self, steps: int, waited_s: float, seconds: float) -> None:
        """Counts the updates between two looks at the loss, which took `seconds` in all."""
        self._looks += 1
        if self._looks <= WARM_UP_LOOKS or self._warned:
            return
        self._steps, self._waited, self._seconds = (
            self._steps + steps,
            self._waited + waited_s,
            self._seconds + seconds,
        )
        if self._steps < LEAST_STEPS or self._seconds < LEAST_SECONDS:
            return
        share = self._waited / self._seconds
        if share > MOST_SHARE:
            self._warned = True
            _log.warning(f"the device waits for its input {share:.0%} of the time. {ADVICE}")
        self._steps, self._waited, self._seconds = 0, 0.0, 0.0
