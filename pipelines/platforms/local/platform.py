"""This machine: each step is a process of this Python environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from bigbird.support.errors import InputError
from bigbird_pipelines.images import Backend
from bigbird_pipelines.platforms.local_steps import Place
from bigbird_pipelines.platforms.platform import Finding, LocalPlatform
from bigbird_pipelines.team_settings import TeamSettings


class Local(LocalPlatform):
    """Processes of this Python environment."""

    name = "local"
    title = "this machine"
    examples: ClassVar = {"doctor": ("bigbird doctor --target local",)}

    def place(self, inputs: Sequence[Path], backend: Backend, options: Mapping[str, Any]) -> tuple[Place, None]:
        """This environment, with what is installed in it."""
        from bigbird_pipelines.platforms.local.processes import Processes

        del inputs, options
        return Processes(backend), None

    def checks(self, settings: TeamSettings) -> Iterator[Finding]:
        """Every stage's libraries."""
        from bigbird_pipelines.platforms.local.processes import REQUIRED, Processes

        del settings
        try:
            Processes().check()
        except InputError as error:
            yield Finding("libraries", False, str(error))
        else:
            yield Finding("libraries", True, f"{', '.join(REQUIRED.values())} are installed")


PLATFORM = Local()
