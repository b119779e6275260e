"""One implementation's training step, run whenever the benchmark asks for it: a line in, a line of JSON out.

Imported by the scripts beside it, each of which runs in its implementation's own environment; standard library only.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

HIDDEN, VOCABULARY, DROPOUT = 768, 512, 0.1  # of the base size; few words, whose table is not what is measured


def options(*modes: str, of_batches: Sequence[str] = ()) -> argparse.Namespace:
    """The step's sizes: base-size layers, so many inputs of so many tokens.

    Args:
        modes: what the script knows.
        of_batches: those that take more than one input.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=modes, default=modes[0])
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--length", type=int, default=4096, help="tokens")
    parser.add_argument("--batch", type=int, default=1, help="inputs")
    given = parser.parse_args()
    if given.batch != 1 and given.mode not in of_batches:
        parser.error(f"--batch is {given.batch} but --mode {given.mode} takes one input")
    return given


def memory(name: str) -> int:
    """Bytes of this process: VmRSS as it is, VmHWM at its highest."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def serve(build: Callable[[], Callable[[], float]], library: str = "") -> None:
    """Builds the step, runs it twice to warm up, then once for each line of standard input.

    Args:
        build: makes the step, a function that returns when all gradients are computed, giving a number made of them.

        library: what it computes with, and its version.

    Prints first {"before", "library"}: bytes before `build`; then for each step {"seconds", "peak"}.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
    before = memory("VmRSS")
    step = build()
    for _ in range(2):
        step()
    print(json.dumps({"before": before, "library": library}), file=answers, flush=True)
    for _ in sys.stdin:
        clock = time.perf_counter()
        step()
        seconds = time.perf_counter() - clock
        print(json.dumps({"seconds": seconds, "peak": memory("VmHWM")}), file=answers, flush=True)
