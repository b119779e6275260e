"""Shows the examples of docstrings as code."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension

_EXAMPLE = re.compile(r"^Examples?:\n((?:    .*\n?|\n)+)", flags=re.MULTILINE)


class Examples(Extension):
    """Puts what stands below `Example:` into a block of code, where it is none yet."""

    def on_object(self, *, obj: Any, **_: Any) -> None:
        """Changes an object's docstring before it is read."""
        if obj.docstring is not None:
            obj.docstring.value = _EXAMPLE.sub(_fenced, obj.docstring.value)


def _fenced(found: re.Match[str]) -> str:
    example = found[1].rstrip("\n")
    if "```" in example:
        return found[0]
    language = "pycon" if ">>>" in example else "python"
    return f"Example:\n    ```{language}\n{example}\n    ```\n\n"
