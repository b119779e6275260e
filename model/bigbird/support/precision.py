"""What a model computes in: float32, or bfloat16 with weights in float32."""

from __future__ import annotations

from typing import Literal

from bigbird.support.processors import multiplies_bfloat16

Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")

_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def policy(precision: Precision) -> str:
    """Keras' name of it."""
    return _POLICIES[precision]


def slow_here(precision: str | None) -> str:
    """What to know where this machine computes slowly in a precision; empty where it does not. Imports TensorFlow.

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
