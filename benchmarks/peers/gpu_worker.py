"""A training step on a GPU, timed; imported by the scripts beside it. Standard library only."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable

VOCABULARY = 50_358  # the published vocabulary


def options() -> argparse.Namespace:
    """The step's sizes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--length", type=int, default=4096, help="tokens")
    parser.add_argument("--batch", type=int, default=1, help="examples")
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--full", action="store_true", help="full attention instead of BigBird's")
    parser.add_argument("--compiled", action="store_true", help="under torch.compile")
    return parser.parse_args()


def measure(build: Callable[[], Callable[[], float]], peak: Callable[[], int]) -> None:
    """Builds the step, runs it three times to warm up, then `--steps` times, and prints one line of JSON.

    Args:
        build: makes the step, a function that returns the loss when the update is done.
        peak: gives the bytes of the device's memory that were in use at most.

    Prints {"seconds": median, "fastest", "slowest", "peak", "first": seconds until the first step was done, "loss"}.
    """
    given = options()
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
    clock = time.perf_counter()
    step = build()
    loss = step()
    first = time.perf_counter() - clock
    for _ in range(2):
        step()
    times = []
    for _ in range(given.steps):
        clock = time.perf_counter()
        loss = step()
        times.append(time.perf_counter() - clock)
    figures = {"seconds": statistics.median(times), "fastest": min(times), "slowest": max(times)}
    print(json.dumps({**figures, "peak": peak(), "first": first, "loss": loss}), file=answers, flush=True)
