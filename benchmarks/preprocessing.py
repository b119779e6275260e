"""Speed of the whole preprocessing stage at the size of SQuAD v1.1 and of SST-2 and on a large table, on two cores and on one.

    BIGBIRD_DATA=FOLDER python benchmarks/preprocessing.py [--rounds 3] [--only 'a table']

Runs the stage's command, `bigbird preprocess`, on official-format files of full size (training and
validation) and on a user's own table of 200,000 records, as one file and as eight, with a given vocabulary and the
default settings, and once more on a few examples: what that takes is
start-up (the interpreter, imports, Beam's own start) and is taken off. The few examples run in one process, so the
start of worker processes counts as work. Rounds alternate between all variants; figures are of the median times. Other
work on the machine shows in that the seconds of CPU fill less than the cores.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import click
import samples
import script

from bigbird.support.progress import Progress

ROOT = Path(__file__).parents[1]
CORES = 2
RECORDS = 200_000  # of the table, 186 MB
ONE_WORKER = "--direct_num_workers=1", "--direct_running_mode=multi_threading"  # as Beam is told to stay in one process


@dataclass
class Case:
    """A task at full size.

    Attributes:
        name: what is measured.
        task: its name.
        unit: what is counted.
        bar: least units per second on two cores; None without one.
        gain: least units per second on two cores against one; None without one.
        full, small: folder with its files.
        examples: units in `full`.
        options: of the command.
        seconds: variant -> wall-clock time of each run.
        cpu: variant -> CPU time of each run, over all its processes.
    """

    name: str
    task: str
    unit: str
    bar: int | None
    gain: float | None
    full: Path
    small: Path
    examples: int
    options: tuple[str, ...] = ()
    seconds: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)

    def net(self, variant: str) -> float:
        """Seconds without start-up, of the medians."""
        return statistics.median(self.seconds[variant]) - statistics.median(self.seconds["start-up"])


def make_cases(source: samples.Source, folder: Path) -> list[Case]:
    """Writes the files: SQuAD v1.1's and SST-2's numbers of examples, a table's, and a few of each."""
    squad = [("full", 87_599, 18_896, 10_570, 2_067), ("small", 20, 5, 20, 5)]
    for name, train, train_paragraphs, dev, dev_paragraphs in squad:
        (folder / f"squad-{name}").mkdir()
        samples.write_squad(source, folder / f"squad-{name}" / "train-v1.1.json", train, train_paragraphs, seed=1)
        samples.write_squad(source, folder / f"squad-{name}" / "dev-v1.1.json", dev, dev_paragraphs, seed=2)
    for name, train, dev in (("full", 67_349, 872), ("small", 20, 20)):
        (folder / f"sst2-{name}").mkdir()
        samples.write_sst2(source, folder / f"sst2-{name}" / "train.tsv", train, seed=1)
        samples.write_sst2(source, folder / f"sst2-{name}" / "dev.tsv", dev, seed=2)
    for name, records, files in (("table", RECORDS, 1), ("tables", RECORDS, 8), ("few", 200, 1)):
        (folder / name).mkdir()
        samples.write_tables(source, folder / name, records, files)
    columns = "--text", "text", "--label", "label", "--max-length", "512"
    questions, sentences = 87_599 + 10_570, 67_349 + 872
    return [
        Case(
            "squad_v1", "squad_v1", "questions", 4_000, None, folder / "squad-full", folder / "squad-small", questions
        ),
        Case("sst2", "sst2", "examples", 20_000, None, folder / "sst2-full", folder / "sst2-small", sentences),
        *(
            Case(what, "classification", "records", None, 1.7, folder / name, folder / "few", RECORDS, columns)
            for what, name in (("a table", "table"), ("a table in eight files", "tables"))
        ),
    ]


def run_stage(task: str, data: Path, vocabulary: Path, *options: str) -> tuple[float, float]:
    """Seconds that the stage takes, its process's start and end included: on the clock, and of all cores."""
    with tempfile.TemporaryDirectory(dir=vocabulary.parent) as out:
        command = [sys.executable, "-m", "bigbird_components.preprocess", "--task", task, "--input", str(data)]
        command += ["--vocabulary", str(vocabulary), "--output", f"{out}/dataset", *options]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'model'}{os.pathsep}{ROOT}"}
        begin, cpu = time.perf_counter(), _cpu()
        done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, check=False)
        seconds = time.perf_counter() - begin
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
        return seconds, _cpu() - cpu


def _cpu() -> float:
    """Seconds of CPU that all ended child processes took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(cases: list[Case], vocabulary: Path, rounds: int) -> None:
    """Fills the cases' times."""
    variants = ("start-up", ()), ("two cores", ()), ("one core", ONE_WORKER)
    progress, done = Progress("preprocessing", rounds * len(cases) * len(variants), interval_s=0), 0
    progress.update(0)
    for _ in range(rounds):
        for case in cases:
            for variant, options in variants:
                data = case.small if variant == "start-up" else case.full
                seconds, cpu = run_stage(case.task, data, vocabulary, *case.options, *options)
                case.seconds.setdefault(variant, []).append(seconds)
                case.cpu.setdefault(variant, []).append(cpu)
                done += 1
                progress.update(done, f"{case.name}, {variant}: {seconds:.1f} s")
    progress.finish()


def rows(case: Case, origin: str) -> list[dict]:
    """The case's figures."""
    times = {
        name: f"{statistics.median(s):.1f} s ({min(s):.1f} to {max(s):.1f}; {statistics.median(case.cpu[name]):.1f} s of CPU)"
        for name, s in case.seconds.items()
    }
    rate, alone = (case.examples / case.net(variant) for variant in ("two cores", "one core"))
    detail = f"{case.examples:,} {case.unit} in {times['two cores']}, start-up {times['start-up']}; {origin}"
    return [
        {
            "what": f"preprocessing {case.name}, whole stage, two cores",
            "value": round(rate),
            "unit": f"{case.unit}/s",
            "bar": None if case.bar is None else f">= {case.bar}",
            "detail": detail,
        },
        {
            "what": f"preprocessing {case.name}, two cores against one",
            "value": round(rate / alone, 2),
            "unit": "x",
            "bar": None if case.gain is None else f">= {case.gain}",
            "detail": f"one core {alone:,.0f} {case.unit}/s, {times['one core']}; records are read and checked by one process",
        },
    ]


@click.command()
@click.option("--rounds", default=3, show_default=True, help="Runs of each variant.")
@click.option("--only", help="Cases whose names begin so.  [default: all]")
@click.option("--data", envvar="BIGBIRD_DATA", help="Folder with real texts to vary; made-up ones without.")
def main(rounds: int, only: str | None, data: str | None) -> None:
    """Measure the preprocessing stage."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    with tempfile.TemporaryDirectory(prefix="bigbird-bench-") as folder:
        print("writing files of full size", file=sys.stderr)
        source = samples.load(data)
        vocabulary = Path(folder) / "vocab.model"
        vocabulary.write_bytes(source.vocabulary)
        cases = [case for case in make_cases(source, Path(folder)) if case.name.startswith(only or "")]
        measure(cases, vocabulary, rounds)
    for case in cases:
        for row in rows(case, source.origin):
            print(json.dumps(row))


if __name__ == "__main__":
    script.run(main)
