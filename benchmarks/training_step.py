"""A training step on the CPU: this project's encoder, its dense layers alone, the Model Garden's and Hugging Face's.

    benchmarks/peers.sh
    python benchmarks/training_step.py [--rounds 5]

Each runs in a process and environment of its own, forward and backward with dropout, float32, batch 1, layers of base size,
and takes its step when it is its turn: what disturbs the machine disturbs all of them. Optimizers are left out, as they are
of the same cost. Memory is the highest the process had, less what it had before it built its model; code that compilers make
counts too.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click
import script

from bigbird.support.progress import Progress

HERE = Path(__file__).parent
PEERS = HERE.parent / "build" / "peers"

# Name -> its script in peers/, its environment (None: this one), its mode.
IMPLEMENTATIONS: dict[str, tuple[str, str | None, str]] = {
    "ours": ("ours", None, "graph"),
    "ours, XLA": ("ours", None, "xla"),
    "dense layers": ("ours", None, "dense"),
    "dense layers, XLA": ("ours", None, "dense_xla"),
    "ours, checkpointing": ("ours", None, "checkpointing"),
    "Model Garden": ("model_garden", "model_garden", "graph"),
    "Model Garden, XLA": ("model_garden", "model_garden", "xla"),
    "Hugging Face": ("hugging_face", "hugging_face", "eager"),
}
OURS, DENSE, GARDEN = (
    tuple(name for name in IMPLEMENTATIONS if name in (kind, f"{kind}, XLA"))
    for kind in ("ours", "dense layers", "Model Garden")
)


class Worker:
    """An implementation that waits for its turn.

    Attributes:
        before: bytes of its process before it built its model.
        answers: of its steps so far, see peers/worker.py.
    """

    def __init__(self, process: subprocess.Popen[str], name: str):
        self._process, self._name = process, name
        self.before: int = self._read()["before"]
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
def started(name: str, layers: int, length: int) -> Iterator[Worker]:
    """The worker of an implementation, warmed up; stopped at the end."""
    script, environment, mode = IMPLEMENTATIONS[name]
    python = sys.executable if environment is None else str(PEERS / environment / "bin" / "python")
    if environment is not None and not (PEERS / environment / ".installed").exists():
        raise click.ClickException(
            f"{name}: build/peers/{environment} is not there or not whole; run benchmarks/peers.sh"
        )
    command = [python, str(HERE / "peers" / f"{script}.py"), "--mode", mode]
    with subprocess.Popen(
        [*command, "--layers", str(layers), "--length", str(length)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            yield Worker(process, name)
        finally:
            process.terminate()


def in_turns(names: Sequence[str], rounds: int, layers: int, *lengths: int) -> dict[tuple[str, int], Worker]:
    """Steps of all implementations at all lengths in turns; keyed by both."""
    kinds = [(name, length) for length in lengths for name in names]
    progress = Progress(f"{layers} layers", rounds * len(kinds) + len(kinds))
    with ExitStack() as stack:
        workers = {}
        for done, (name, length) in enumerate(kinds):
            progress.update(done, f"starting {name}, {length:,} tokens", force=True)
            workers[name, length] = stack.enter_context(started(name, layers, length))
        for number in range(rounds):
            for place, (kind, worker) in enumerate(workers.items()):
                progress.update(len(kinds) * (number + 1) + place, kind[0])
                worker.step()
    progress.finish()
    return workers


def show(what: str, value: float, unit: str, bar: str | None, detail: str) -> None:
    """One row of results, on stdout."""
    print(json.dumps({"what": what, "value": round(value, 3), "unit": unit, "bar": bar, "detail": detail}), flush=True)


def faster(workers: Mapping[tuple[str, int], Worker], names: Sequence[str], length: int) -> tuple[str, Worker]:
    """The faster one of an implementation's modes."""
    name = min(names, key=lambda name: workers[name, length].seconds)
    return name, workers[name, length]


def speed(rounds: int, length: int) -> tuple[str, str]:
    """Two layers against everyone else's; names of our and the Model Garden's faster mode."""
    everyone = in_turns([name for name in IMPLEMENTATIONS if name != "ours, checkpointing"], rounds, 2, length)
    name, ours = faster(everyone, OURS, length)
    modes = "; ".join(f"{other} {everyone[other, length]}" for other in (*OURS, *DENSE, *GARDEN, "Hugging Face"))
    for who, names, bar in (
        ("the Model Garden's faster mode", GARDEN, ">= 1.6"),
        ("Hugging Face", ("Hugging Face",), ">= 2.7"),
        ("its dense layers alone", DENSE, ">= 0.85"),
    ):
        peer, worker = faster(everyone, names, length)
        detail = f"{name} {ours.seconds:.2f} s, {peer} {worker.seconds:.2f} s, medians of {rounds} in turns"
        show(
            f"training step, 2 base layers, {length:,} tokens: speed against {who}",
            worker.seconds / ours.seconds,
            "x",
            bar,
            f"{detail} ({modes})" if names is GARDEN else detail,
        )
    return name, faster(everyone, GARDEN, length)[0]


def memory(length: int, ours: str, garden: str) -> None:
    """Four layers against the Model Garden's, each in the mode that was faster with two."""
    peaks = {name: in_turns([name], 1, 4, length)[name, length].peak for name in (*OURS, *GARDEN)}
    each = ", ".join(f"{name} {peak / 1e9:.2f} GB" for name, peak in peaks.items())
    show(
        f"training step, 4 base layers, {length:,} tokens: peak memory against the Model Garden's",
        peaks[ours] / peaks[garden],
        "x",
        "<= 0.6",
        f"{ours} against {garden}, each one's faster mode; {each}",
    )


def growth(rounds: int, length: int) -> None:
    """Four times the length."""
    workers = in_turns(["ours"], rounds, 2, length, 4 * length)
    short, long = workers["ours", length], workers["ours", 4 * length]
    show(
        f"training step, 2 base layers: time at {4 * length:,} tokens over {length:,}",
        long.seconds / short.seconds,
        "x",
        "<= 4.3",
        f"{long} against {short}",
    )


def whole_model(length: int) -> None:
    """All twelve layers of the base model at a long input, checkpointed."""
    worker = in_turns(["ours, checkpointing"], 1, 12, length)["ours, checkpointing", length]
    answer = worker.answers[-1]
    show(
        f"training step, 12 base layers, {length:,} tokens, gradient checkpointing: whole process",
        answer["peak"] / 1e9,
        "GB",
        "<= 12",
        f"at its peak, {worker.before / 1e9:.2f} GB of it before the model; "
        f"{answer['seconds']:.1f} s; a word table of 512 rows",
    )


@click.command(epilog="Example: python benchmarks/training_step.py --rounds 3")
@click.option("--rounds", default=5, show_default=True, help="Steps of each.")
@click.option("--length", default=4096, show_default=True, help="Tokens.")
def main(rounds: int, length: int) -> None:
    """Measure the training step on the CPU, beside the published implementations; benchmarks/peers.sh first."""
    memory(length, *speed(rounds, length))
    growth(rounds, length)
    whole_model(4 * length)


if __name__ == "__main__":
    script.run(main)
