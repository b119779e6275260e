"""What this machine's processor can do, by the instructions that Linux lists."""

from __future__ import annotations

import os
from pathlib import Path

_FACTS = Path("/proc/cpuinfo")
_BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16"})
# With one of them TensorFlow uses oneDNN unless it is told not to (DefaultOneDnnPolicy in its core/util/util.cc).
_ONE_DNN = frozenset({"avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16"})


def instructions() -> frozenset[str] | None:
    """The processor's instructions; None where they are not known: on other systems than Linux, and on Arm."""
    try:
        with _FACTS.open(encoding="utf-8", errors="replace") as lines:  # which the system makes as they are read
            for line in lines:
                name, _, value = line.partition(":")
                if name.strip() == "flags":  # of the first core
                    return frozenset(value.split())
    except OSError:
        pass
    return None


def multiplies_bfloat16() -> bool | None:
    """Whether there are instructions that multiply numbers in bfloat16; None where that is not known."""
    found = instructions()
    return None if found is None else not _BFLOAT16.isdisjoint(found)


def one_dnn_is_used() -> bool:
    """Whether TensorFlow computes with oneDNN on this processor."""
    asked = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "").strip().lower()
    if asked:
        return asked in ("1", "true")
    return not _ONE_DNN.isdisjoint(instructions() or ())
