"""Runs the benchmarks one after the other and writes results.json, results.md and results.png beside this file.

    make bench
    make bench ARGS="--only preprocessing --only exported"

`BIGBIRD_DATA` names a folder with real texts (see samples.py). Every script prints its figures as JSON lines on stdout and what
it is doing on stderr. Earlier figures of the scripts that are left out stay.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import chart
import click
import results
import script

from bigbird.support.errors import InputError
from bigbird.support.progress import format_duration
from bigbird.version import revision

HERE = Path(__file__).parent
ROOT = HERE.parent
DATA = "BIGBIRD_DATA"

# In this order: each is a file here, run without options.
SCRIPTS = (
    "preprocessing",
    "input_pipeline",
    "forward_pass",
    "training_step",
    "whole_run",
    "evaluating",
    "tpu_compile",
    "tpu_profiles",
    "exported",
    "serving",
    "serving_peers",
    "gpu",
)
ASKED_FOR = ("gpu", "tpu_profiles")  # run only where they are named: they need a GPU, or an hour
WITH_TEXTS = ("preprocessing", "evaluating", "exported", "serving", "serving_peers")  # read `DATA`
PATIENCE_S = 20  # for a script that was interrupted


def run_script(name: str) -> results.Run:
    """Runs one script.

    Raises:
        ValueError: it failed, or printed something else than rows.
    """
    busy, date, begin = other_work(), f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", time.monotonic()
    paths = [str(ROOT / "model"), str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    command = [sys.executable, str(HERE / f"{name}.py")]
    child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        printed, _ = child.communicate()
    except BaseException:  # Ctrl-C: the script cleans up after itself
        child.send_signal(signal.SIGINT)
        try:
            child.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        raise
    if child.returncode:
        raise ValueError(f"ended with code {child.returncode}")
    rows = tuple(results.parse_row(line) for line in printed.splitlines() if line.strip())
    if not rows:
        raise ValueError("printed no row")
    return results.Run(
        script=name,
        rows=rows,
        command=f"{f'{DATA}=FOLDER ' if DATA in os.environ and name in WITH_TEXTS else ''}python benchmarks/{name}.py",
        machine=results.describe_machine(),
        date=date,
        revision=revision(),
        busy=round(busy, 3),
        seconds=round(time.monotonic() - begin),
    )


def other_work(seconds: float = 2.0) -> float:
    """The share of all cores that is in use, measured for some seconds."""
    before = _times()
    time.sleep(seconds)
    spent = [after - start for start, after in zip(before, _times(), strict=True)]
    return 1 - (spent[3] + spent[4]) / max(1, sum(spent))  # idle and waiting for the disk


def _times() -> list[int]:
    """Ticks that all cores spent: user, nice, system, idle, iowait, irq, softirq, steal (proc(5))."""
    first = Path("/proc/stat").read_text(encoding="utf-8").split("\n", 1)[0]
    return [int(field) for field in first.split()[1:9]]


def run_all(names: Sequence[str], folder: Path) -> list[str]:
    """Runs the scripts, writing after each; gives what went wrong."""
    problems = []
    for number, name in enumerate(names):
        runs = results.read(folder / "results.json")
        left = sum(runs[other].seconds for other in names[number:] if other in runs)
        known = f", about {format_duration(left)} left in all" if all(other in runs for other in names[number:]) else ""
        print(f"[{number + 1}/{len(names)}] {name}{known}", file=sys.stderr, flush=True)
        try:
            run = run_script(name)
        except ValueError as problem:
            problems.append(f"{name}: {problem}; its earlier figures stay")
            continue
        write_all(runs | {name: run}, folder)
        print(f"written to {folder / 'results.md'}", file=sys.stderr)
        for row in run.rows:
            bar = f", bar {row.bar}: {row.verdict}" if row.bar else ""
            print(f"  {row.what}: {results.number(row.value)} {row.unit}{bar}", file=sys.stderr)
    return problems


def write_all(runs: dict[str, results.Run], folder: Path) -> None:
    """Writes the three files."""
    results.write(folder / "results.json", runs, SCRIPTS)
    ordered = list(results.read(folder / "results.json").values())
    chart.draw(ordered, folder / "results.png")
    (folder / "results.md").write_text(results.markdown(ordered, "results.png"), encoding="utf-8")


@click.command(epilog='Example: make bench ARGS="--only preprocessing"')
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(SCRIPTS),
    help="A script to run; repeatable. All but gpu and tpu_profiles without.",
)
@click.option("--draw", is_flag=True, help="Write table and picture anew from results.json, and run nothing.")
@click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False, exists=True), default=HERE,
    help="Folder of the results.  [default: this script's]",
)  # fmt: skip
def main(only: tuple[str, ...], draw: bool, output: Path) -> None:
    """Measure speed; see results.md for what came out. Missed bars do not make it fail, scripts that end with an error do."""
    if draw:
        write_all(results.read(output / "results.json"), output)
        return
    names = [name for name in SCRIPTS if name in only or not (only or name in ASKED_FOR)]
    folder = os.environ.get(DATA)
    if folder is None:
        if set(names) & set(WITH_TEXTS):
            print(f"{DATA} names no folder, so texts are made up", file=sys.stderr)
    elif not Path(folder).is_dir():
        raise InputError(
            f"{DATA}={folder}: no such folder; expected one with real texts, see samples.py, or leave it out"
        )
    problems = run_all(names, output)
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    script.run(main)
