"""What a person waits for: `bigbird run --sample glue`, from the command to its end, on TensorFlow and on JAX.

    python benchmarks/whole_run.py [--rounds 3]

The runs take turns: on TensorFlow, on JAX for the first time, and on JAX when compiled programs are kept from the time before. Outside of
training's loop is what the run takes less the seconds from the end of the first step to the end of the last validation.
"""

from __future__ import annotations

import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import click
import script
from turns import show

from bigbird.support.progress import Progress

COMMAND = "from bigbird_pipelines.cli import main; main()"
PATIENCE_S = 15  # for a run that was interrupted
FIRST_STEP = re.compile(r"train 1/\d+ .*loss")
VALIDATED = re.compile(r"validation at step \d+")


class Times(NamedTuple):
    """Seconds after the command: the first step's end, the last validation's, the run's."""

    first_step: float
    validated: float
    whole: float

    @property
    def loop(self) -> float:
        """From the first step's end to the last validation's."""
        return self.validated - self.first_step


def run(folder: Path, backend: str, cache: Path) -> Times:
    """One run.

    Args:
        folder: where it leaves its files.
        backend: `runtime.backend`.
        cache: where compiled programs are kept.
    """
    command = [
        sys.executable,
        "-c",
        COMMAND,
        "run",
        "--sample",
        "glue",
        "--epochs",
        "1",
        "--name",
        "measured",
        "--overwrite",
    ]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BIGBIRD_", "JAX_"))}
    environment = {**kept, "XDG_CACHE_HOME": str(cache)}
    begun, first_step, validated, told = time.monotonic(), 0.0, 0.0, []
    with subprocess.Popen(
        [*command, "--backend", backend], cwd=folder, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:  # fmt: skip
        assert process.stderr is not None
        try:
            for line in process.stderr:
                told.append(line)
                if FIRST_STEP.search(line) and not first_step:
                    first_step = time.monotonic() - begun
                elif VALIDATED.search(line):
                    validated = time.monotonic() - begun
        except BaseException:  # Ctrl-C: the run stops its step
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE_S)
            raise
    if process.returncode or not first_step or not validated:
        raise click.ClickException(f"the run ended with code {process.returncode}: {''.join(told[-5:])}")
    return Times(first_step, validated, time.monotonic() - begun)


def spread(seconds: list[float]) -> str:
    """The median and what it lies in."""
    return f"{statistics.median(seconds):.1f} s ({min(seconds):.1f} to {max(seconds):.1f})"


@click.command(epilog="Example: python benchmarks/whole_run.py --rounds 1")
@click.option("--rounds", default=3, show_default=True, help="Runs of each kind.")
def main(rounds: int) -> None:
    """Measure the sample's run on this machine."""
    kinds = ("tensorflow", "jax, the first time", "jax")
    times: dict[str, list[Times]] = {kind: [] for kind in kinds}
    progress = Progress("runs", rounds * len(kinds))
    with tempfile.TemporaryDirectory(prefix="bigbird-bench-") as name:
        folder = Path(name)
        for number in range(rounds):
            for place, kind in enumerate(kinds):
                progress.update(number * len(kinds) + place, kind, force=True)
                cache = folder / f"cache{number}"  # of this round, so that each has a first time
                times[kind].append(run(folder, kind.partition(",")[0], cache))
    progress.finish()
    ours = times["tensorflow"]
    show(
        "bigbird run --sample glue, one epoch: outside of training's loop",
        statistics.median(each.whole - each.loop for each in ours),
        "s",
        "<= 20",
        f"{spread([each.whole - each.loop for each in ours])} of {spread([each.whole for each in ours])}, {rounds} runs",
    )
    show(
        "the same: from the command to the end of the first training step",
        statistics.median(each.first_step for each in ours),
        "s",
        None,
        spread([each.first_step for each in ours]),
    )
    for kind, bar in (("jax", "<= 0.95"), ("jax, the first time", None)):
        runs = times[kind]
        show(
            f"the same on {kind.replace('jax', 'JAX')}: time to training's end against TensorFlow",
            statistics.median(each.validated for each in runs) / statistics.median(each.validated for each in ours),
            "x",
            bar,
            f"{spread([each.validated for each in runs])} against {spread([each.validated for each in ours])}, {rounds} runs in turns; "
            f"whole runs {spread([each.whole for each in runs])}",
        )


if __name__ == "__main__":
    script.run(main)
