"""What a model computes in: float32, or bfloat16 with weights in float32."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")

_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}

_FACTS = Path("/proc/cpuinfo")
# Instructions that multiply in bfloat16, by the names that Linux gives them: x86's AVX-512, AMX and AVX, and Arm's.
_BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"})


def policy(precision: Precision) -> str:
    """Keras' name of it."""
    return _POLICIES[precision]


def multiplies_bfloat16() -> bool | None:
    """Whether this processor multiplies numbers in bfloat16; None where the system does not tell, as others than Linux."""
    try:
        lines = _FACTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):  # of the first core
            return not _BFLOAT16.isdisjoint(value.split())
    return None


def slow_here(precision: str | None) -> str:
    """What to know where this machine computes slowly in a precision; empty where it does not. TensorFlow must be loaded.

    Without its instructions a processor takes bfloat16 apart: MiniLM-L6 took 2.1 to 5 times as long as in float32.

    Args:
        precision: of the model; None where it is not known.
    """
    if precision != "bfloat16" or multiplies_bfloat16() is not False:
        return ""
    import tensorflow as tf

    if any(tf.config.list_physical_devices(kind) for kind in ("GPU", "TPU")):
        return ""
    return "the model computes in bfloat16, which this processor has no instructions for: it takes several times as long as in float32"
