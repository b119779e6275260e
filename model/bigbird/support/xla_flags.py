"""Flags for XLA, which it reads from the environment once, when a process compiles its first program."""

from __future__ import annotations

import os

# Sums and maxima by YNNPACK: while a program runs twice at once, each run may build the same part of it, and XLA keeps that
# part's constants in a list that nothing locks (the function that `EmitYnnFusionBuilder` in XLA's
# xla/backends/cpu/ynn_emitter.cc returns). By the address a training ended of it, with a segmentation fault, in one start of a hundred.
_YNN = "--xla_cpu_experimental_ynn_fusion_type"
# Releases that are known to have the flag; XLA ends a process that gives it one it does not know.
_HAVE_YNN = {"tensorflow": "2.21.", "jaxlib": "0.10."}


def without_ynn(package: str, release: str) -> None:
    """Keeps XLA from making sums and maxima by YNNPACK on a CPU, unless `XLA_FLAGS` says what is made so or names a file of flags.

    Its own loops take their place: over a training step of two base layers with 4,096 tokens they take 1.5 % longer.

    Args:
        package: whose XLA it is, `tensorflow` or `jaxlib`.
        release: its version; one that is not known to have the flag is left alone.
    """
    flags = os.environ.get("XLA_FLAGS", "").strip()
    names_a_file = flags and not flags.startswith("-")
    if not names_a_file and _YNN not in flags and release.startswith(_HAVE_YNN[package]):
        os.environ["XLA_FLAGS"] = f"{flags} {_YNN}=".strip()
