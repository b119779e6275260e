"""Implementations that take their steps in turns: each in a process and an environment of its own, see peers/worker.py.

What disturbs the machine disturbs all of them.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import click

from bigbird.support.progress import Progress

HERE = Path(__file__).parent
PEERS = HERE.parent / "build" / "peers"


class Implementation(NamedTuple):
    """What takes a step.

    Attributes:
        script: its name in peers/.
        environment: its name in build/peers; None for this one.
        mode: of the script.
    """

    script: str
    environment: str | None
    mode: str


class Worker:
    """An implementation that waits for its turn.

    Attributes:
        before: bytes of its process before it built its model.
        library: what it computes with, where it says so.
        answers: of its steps so far, see peers/worker.py.
    """

    def __init__(self, process: subprocess.Popen[str], name: str):
        self._process, self._name = process, name
        begun = self._read()
        self.before: int = begun["before"]
        self.library: str = begun["library"]
        self.answers: list[dict[str, float]] = []

    def step(self) -> None:
        """Has it take one step."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self.answers.append(self._read())

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise click.ClickException(f"{self._name} ended with code {self._process.wait()}; what it said is above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    @property
    def seconds(self) -> float:
        """The median of its steps."""
        return statistics.median(answer["seconds"] for answer in self.answers)

    @property
    def peak(self) -> float:
        """Bytes that its steps needed at most, with weights and gradients."""
        return self.answers[-1]["peak"] - self.before

    def __str__(self) -> str:
        times = [answer["seconds"] for answer in self.answers]
        return f"{self.seconds:.2f} s ({min(times):.2f} to {max(times):.2f})"


@contextmanager
def started(name: str, implementation: Implementation, layers: int, length: int, batch: int = 1) -> Iterator[Worker]:
    """The worker of an implementation, warmed up; stopped at the end."""
    script, environment, mode = implementation
    python = sys.executable if environment is None else str(PEERS / environment / "bin" / "python")
    if environment is not None and not (PEERS / environment / ".installed").exists():
        raise click.ClickException(
            f"{name}: build/peers/{environment} is not there or not whole; run benchmarks/peers.sh"
        )
    command = [python, str(HERE / "peers" / f"{script}.py"), "--mode", mode]
    with subprocess.Popen(
        [*command, "--layers", str(layers), "--length", str(length), "--batch", str(batch)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            yield Worker(process, name)
        finally:
            process.terminate()


def in_turns(
    implementations: Mapping[str, Implementation], rounds: int, layers: int, *lengths: int
) -> dict[tuple[str, int], Worker]:
    """Steps of all implementations at all lengths in turns; keyed by name and length."""
    kinds = [(name, length) for length in lengths for name in implementations]
    progress = Progress(f"{layers} layers", rounds * len(kinds) + len(kinds))
    with ExitStack() as stack:
        workers = {}
        for done, (name, length) in enumerate(kinds):
            progress.update(done, f"starting {name}, {length:,} tokens", force=True)
            workers[name, length] = stack.enter_context(started(name, implementations[name], layers, length))
        for number in range(rounds):
            for place, (kind, worker) in enumerate(workers.items()):
                progress.update(len(kinds) * (number + 1) + place, kind[0])
                worker.step()
    progress.finish()
    return workers


def show(what: str, value: float, unit: str, bar: str | None, detail: str) -> None:
    """One row of results, on stdout."""
    print(json.dumps({"what": what, "value": round(value, 3), "unit": unit, "bar": bar, "detail": detail}), flush=True)
