"""What installed packages add to a registry, as entry points."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from typing import Any, TypeVar

Entry = TypeVar("Entry")


def with_installed(
    own: Sequence[Entry], group: str, what: str, problem: Callable[[Any, Sequence[Entry]], str]
) -> tuple[Entry, ...]:
    """The entries of a registry: this package's own, then those of installed packages by the names of their entry points.

    One that cannot be used is left out, with a warning on standard error: the others go on working.

    Args:
        own: this package's.
        group: the entry points' group.
        what: an entry is, for the warning.
        problem: says why a loaded object cannot join those before it; "" where it can.
    """
    found = list(own)
    for entry in sorted(entry_points(group=group), key=lambda entry: entry.name):
        try:
            loaded = entry.load()
        except Exception as error:  # noqa: BLE001 - whatever somebody's module does
            reason = f"it cannot be loaded ({type(error).__name__}: {error}); fix or uninstall the package"
        else:
            reason = problem(loaded, found)
        if not reason:
            found.append(loaded)
            continue
        # Found before a command has set up logging.
        print(f"warning: {what} {entry.name!r} ({entry.value}) is left out: {reason}", file=sys.stderr)
    return tuple(found)
