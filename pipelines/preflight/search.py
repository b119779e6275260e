"""The largest batch whose step fits a chip, found with few compilations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

MOST_PROGRAMS = 6  # of one search; each takes a minute or more at the published sizes
MOST_GROWTH = 4  # times the largest batch known to fit, so that no absurd program is compiled
# From this part of the memory on the compiler computes more and more again, and memory hardly grows with the batch:
# steps of a quarter, then halves, in place of a line.
NEARLY_FULL = 0.9


class Sized(Protocol):
    """What the search needs of a compiled step; `programs.Program` is one."""

    @property
    def rows(self) -> int:
        """Examples of the chip."""

    @property
    def fits(self) -> bool:
        """Whether it fits the chip's memory."""

    @property
    def memory(self) -> int | None:
        """Bytes that it takes, None where that is not known."""


@dataclass(frozen=True)
class Largest:
    """The outcome of a search.

    Attributes:
        rows: examples of a chip that were compiled and fit; 0 where not even one does.
        failing: the smallest batch that was compiled and does not fit; None where all fit.
    """

    rows: int
    failing: int | None

    @property
    def exact(self) -> bool:
        """Whether one example more does not fit; else there may be room for some."""
        return self.failing == self.rows + 1


def largest_batch(
    compile_rows: Callable[[int], Sized], first: int, limit: int, most_programs: int = MOST_PROGRAMS
) -> Largest:
    """Looks for the largest batch of a chip.

    Memory is nearly affine in the batch up to `NEARLY_FULL`, so two programs tell where the bound must be. What is told
    was compiled.

    Args:
        compile_rows: gives the program of a number of examples; asked once for each.
        first: examples to begin with, at least 1.
        limit: bytes of the chip's memory.
        most_programs: compiled at most.
    """
    tried = [compile_rows(first)]
    while True:
        fitting = max((one.rows for one in tried if one.fits), default=0)
        failing = min((one.rows for one in tried if not one.fits), default=None)
        found = Largest(fitting, failing)
        if found.exact or len(tried) >= most_programs:
            return found
        tried.append(compile_rows(_next(tried, fitting, failing, limit)))


def _next(tried: Sequence[Sized], fitting: int, failing: int | None, limit: int) -> int:
    """The batch to try: where a line through two programs meets the limit, between what fits and what does not."""
    full = any(one.fits and one.memory is not None and one.memory >= NEARLY_FULL * limit for one in tried)
    if full:
        return fitting + max(1, fitting // 4) if failing is None else (fitting + failing) // 2
    most = MOST_GROWTH * fitting if failing is None else failing - 1
    # The two whose memory is closest to the limit: the line is only nearly straight.
    sizes = sorted(((one.rows, one.memory) for one in tried if one.memory), key=lambda size: abs(size[1] - limit))
    guess = 2 * fitting if failing is None else (fitting + failing) // 2
    if len(sizes) >= 2:
        (rows, memory), (other_rows, other_memory) = sizes[:2]
        slope = (other_memory - memory) / (other_rows - rows)
        bound = math.floor(rows + (limit - memory) / slope) if slope > 0 else 0
        if bound >= fitting:  # else what does not fit lies on no line: the compiler saved what it could
            guess = bound
    return min(max(guess, fitting + 1), most)
