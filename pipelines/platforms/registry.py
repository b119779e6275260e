"""Which platforms there are: this package's own, and those that installed packages bring.

A package brings one as an entry point of the group `bigbird.platforms`, whose value is an instance of `LocalPlatform` or
`RemotePlatform`:

    [project.entry-points."bigbird.platforms"]
    my_platform = "my_package.platform:PLATFORM"
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any

from bigbird.support.entry_points import with_installed
from bigbird.support.errors import InputError
from bigbird.support.text_files import shown
from bigbird_pipelines.platforms.platform import LocalPlatform, Platform, RemotePlatform

GROUP = "bigbird.platforms"
OWN = ("local", "docker", "vertex", "kubeflow")
"""Folders here that hold a platform. The first one that runs on this machine, and the first one elsewhere, are the default."""


@cache
def platforms() -> tuple[LocalPlatform | RemotePlatform, ...]:
    """All platforms, this package's first. An installed one that cannot be used is left out, with a warning."""
    own = [import_module(f"bigbird_pipelines.platforms.{name}.platform").PLATFORM for name in OWN]
    return with_installed(own, GROUP, "platform", _problem)


def _problem(loaded: Any, found: Sequence[Platform]) -> str:
    """Why an installed platform cannot be used; "" where it can."""
    if not isinstance(loaded, LocalPlatform | RemotePlatform):
        kinds = "LocalPlatform or RemotePlatform of bigbird_pipelines.platforms.platform"
        return f"it is a {type(loaded).__name__}; expected an instance of {kinds}"
    needed = ("name", "title", *(("default_machine", "recurring") if isinstance(loaded, RemotePlatform) else ()))
    if absent := [name for name in needed if not hasattr(loaded, name)]:
        return f"it has no {absent[0]}"
    if isinstance(loaded, RemotePlatform) and loaded.default_machine not in loaded.machines:
        return f"its default_machine {loaded.default_machine!r} is none of its machines"
    if loaded.name in {platform.name for platform in found}:
        return f"the name {loaded.name!r} is another platform's; expected a new one"
    taken = {option for platform in found for option in platform.options}
    if again := taken & set(loaded.options):
        return f"the option {min(again)!r} is another platform's; expected a new one"
    return ""


def local_platforms() -> tuple[LocalPlatform, ...]:
    """Those that run the steps on this machine, the default first."""
    return tuple(platform for platform in platforms() if isinstance(platform, LocalPlatform))


def remote_platforms() -> tuple[RemotePlatform, ...]:
    """Those that pipelines are sent to, the default first."""
    return tuple(platform for platform in platforms() if isinstance(platform, RemotePlatform))


def platform_of(name: str) -> LocalPlatform | RemotePlatform:
    """A platform by name.

    Raises:
        InputError: there is no such platform, or what it needs is not installed.
    """
    for platform in platforms():
        if platform.name == name:
            platform.check_installed()
            return platform
    raise InputError(f"--target {shown(name)}: expected one of {', '.join(each.name for each in platforms())}")


def remote_platform(name: str) -> RemotePlatform:
    """A platform that pipelines are sent to.

    Raises:
        InputError: there is no such platform, or what it needs is not installed.
    """
    platform = platform_of(name)
    if not isinstance(platform, RemotePlatform):
        raise InputError(
            f"--target {name}: runs on this machine, with bigbird run; expected one of "
            f"{', '.join(each.name for each in remote_platforms())}"
        )
    return platform
