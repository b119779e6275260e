"""A terminal's line of progress, drawn by rich. Loaded where stderr is a terminal, and only then."""

from __future__ import annotations

import atexit
import os
from collections.abc import Sequence

from rich.console import Console, ConsoleDimensions
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

BAR_WIDTH = 20
NARROW = 60
"""Columns of a terminal that is too narrow for a bar beside the words."""


class _Stderr(Console):
    """What `sys.stderr` is at the time, with the width of that terminal: other streams of a step are files."""

    def __init__(self) -> None:
        super().__init__(stderr=True)

    @property  # type: ignore[misc]  # rich's can be set
    def size(self) -> ConsoleDimensions:
        try:
            width, height = os.get_terminal_size(self.file.fileno())
        except (AttributeError, OSError, ValueError):
            return super().size
        return ConsoleDimensions(width, height) if width and height else super().size

    def show_cursor(self, show: bool = True) -> bool:
        """Leaves the cursor alone: a process that is killed could not show it again."""
        return False


class ProgressLine:
    """One line that is drawn in place. It is never longer than the terminal is wide, so that a message can replace it.

    It is drawn when it is shown, by no thread of its own.
    """

    def __init__(self) -> None:
        self._live = Live(
            console=_Stderr(), auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )

    def can_be_drawn(self) -> bool:
        """Whether the terminal takes what moves its cursor."""
        return self._live.console.is_interactive

    def show(self, label: str, done: int, total: int | None, figures: Sequence[str]) -> None:
        """Draws the line in place of the one before.

        Args:
            label: what is done; it keeps its room longest.
            done: units done.
            total: units to do, or None when unknown.
            figures: what stands behind the bar, what matters most first; the last are cut on a narrow terminal.
        """
        line = Table.grid(padding=(0, 1))
        line.add_column(no_wrap=True, overflow="ellipsis")
        cells: list[Text | ProgressBar] = [Text(label)]
        if self._live.console.width >= NARROW:
            line.add_column(no_wrap=True)
            cells.append(ProgressBar(total, done, width=BAR_WIDTH))
        line.add_column()  # the one that gives way
        cells.append(Text("  ".join(figures), no_wrap=True, overflow="ellipsis"))
        line.add_row(*cells)
        self._live.start()
        self._live.update(line, refresh=True)

    def clear(self) -> None:
        """Takes the line away."""
        self._live.stop()


LINE = ProgressLine()
"""The process's one; whatever ends the process takes it away."""
atexit.register(LINE.clear)
