"""Compiled programs that JAX keeps for later runs: the next run of the same sizes does not compile them again."""

from __future__ import annotations

import hashlib
import logging
import os
import platform
from pathlib import Path

import jax

from bigbird.support.processors import instructions

# JAX's own variables. Whoever sets one of them decides.
VARIABLES = "JAX_COMPILATION_CACHE_DIR", "JAX_ENABLE_COMPILATION_CACHE"
MOST_BYTES = 2**30  # of all programs; JAX deletes those that were not used for longest
LEAST_S = 0.05  # that compiling one takes; quicker ones are not kept

_log = logging.getLogger(__name__)


def keep_programs() -> None:
    """Has JAX keep them in the user's cache folder, unless the environment names another one or forbids it."""
    if any(variable in os.environ for variable in VARIABLES):
        return
    try:
        folder = programs_folder()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (OSError, RuntimeError) as error:  # a home that is read only, or none
        _log.debug(f"compiled programs are not kept: {error}")
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", MOST_BYTES)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", LEAST_S)


def programs_folder() -> Path:
    """Where they are: below `XDG_CACHE_HOME` or `~/.cache`, apart for each kind of processor, as homes are shared.

    A program for a CPU has that processor's instructions, which JAX does not tell apart. Where the system does not list them, as on
    Arm, each machine has its own folder.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    found = instructions()
    kind = platform.node() if found is None else " ".join(sorted(found))
    return cache / "bigbird" / "jax" / hashlib.sha256(kind.encode()).hexdigest()[:12]
