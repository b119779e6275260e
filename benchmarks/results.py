"""What was measured: `results.json` is the data, `results.md` the same for people.

A run of one script is one entry: its rows, the command, the machine and the date. Running a script again replaces its entry.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("tensorflow", "keras", "jax", "torch", "transformers", "numpy", "apache-beam", "sentencepiece")
_BAR = re.compile(r"(>=|<=) ?([\d.]+)")
_KEYS: dict[str, Any] = {"what": str, "value": (int, float), "unit": str, "bar": (str, type(None)), "detail": str}


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        what: what was measured.
        value: the figure.
        unit: its unit.
        bar: what it should be, ">= 0.9" or "<= 4.3"; None where there is no bar.
        detail: medians, spread, sizes.
    """

    what: str
    value: float
    unit: str
    bar: str | None = None
    detail: str = ""

    @property
    def ratio(self) -> float | None:
        """How far the bar is passed: 1 just meets it, below 1 misses it; None without a bar."""
        if self.bar is None:
            return None
        sign, number = _BAR.fullmatch(self.bar).groups()  # type: ignore[union-attr]
        bar = float(number)
        return self.value / bar if sign == ">=" else bar / max(self.value, 1e-12)

    @property
    def verdict(self) -> str:
        """met, missed or nothing."""
        return "" if self.ratio is None else "met" if self.ratio >= 1 else "MISSED"


@dataclass(frozen=True)
class Run:
    """A script's rows and how they came about.

    Attributes:
        script: its name.
        rows: what it printed.
        command: what was run, without this machine's paths.
        machine: as `describe_machine` has it.
        date: when it began, UTC.
        revision: the code's commit.
        busy: share of the cores that other work took just before.
        seconds: how long it ran.
    """

    script: str
    rows: tuple[Row, ...]
    command: str
    machine: str
    date: str
    revision: str
    busy: float
    seconds: float


def parse_row(line: str) -> Row:
    """A row as scripts print it.

    Raises:
        ValueError: it is none; says what was found and expected.
    """
    try:
        found = json.loads(line)
    except json.JSONDecodeError:
        raise ValueError(f"{line[:200]!r} is no JSON; expected a row on each line of stdout") from None
    if not isinstance(found, dict) or not found.keys() >= {"what", "value", "unit"} or found.keys() - _KEYS.keys():
        raise ValueError(f"{line[:200]!r} is no row; expected {', '.join(_KEYS)}")
    wrong = [name for name, value in found.items() if not isinstance(value, _KEYS[name]) or isinstance(value, bool)]
    if wrong:
        raise ValueError(f"{line[:200]!r}: {wrong[0]} is {found[wrong[0]]!r}")
    if found.get("bar") is not None and not _BAR.fullmatch(found["bar"]):
        raise ValueError(f"{found['what']}: the bar is {found['bar']!r}; expected '>= NUMBER' or '<= NUMBER'")
    return Row(**found)


def describe_machine() -> str:
    """This machine's processor, cores, memory and versions, in a line."""
    cpu = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    cores = len(os.sched_getaffinity(0))
    gpu = f", {_gpus()}" if shutil.which("nvidia-smi") else ""
    return f"{cpu}, {cores} cores, {memory:.0f} GB{gpu}, Linux {platform.release()}; {', '.join(versions)}"


def _gpus() -> str:
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip().replace("\n", ", ")


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines()


def read(file: Path) -> dict[str, Run]:
    """Script -> its last run, from results.json; empty where there is none yet."""
    if not file.exists():
        return {}
    runs = json.loads(file.read_text(encoding="utf-8"))
    return {run["script"]: Run(**run | {"rows": tuple(Row(**row) for row in run["rows"])}) for run in runs}


def write(file: Path, runs: dict[str, Run], order: Sequence[str]) -> None:
    """Writes results.json, the scripts in the given order and any others after them."""
    ordered = sorted(runs.values(), key=lambda run: order.index(run.script) if run.script in order else len(order))
    file.write_text(json.dumps([asdict(run) for run in ordered], indent=1) + "\n", encoding="utf-8")


def markdown(runs: Sequence[Run], chart: str) -> str:
    """results.md: the bars, then every row with its command, machine and date.

    Args:
        runs: in the order to show them.
        chart: the picture's file name.
    """
    machines = list(dict.fromkeys(run.machine for run in runs))
    rows = [row for run in runs for row in run.rows]
    barred = [row for row in rows if row.bar is not None]
    missed = [row for row in barred if row.verdict == "MISSED"]
    intro = (
        "# What was measured\n\n`make bench` writes this file, the picture and `results.json`. A figure is a median of runs "
        "on one machine; ratios are of both sides in turns.\n"
    )
    met = f"{len(barred) - len(missed)} of {len(barred)} bars are met.{_missed(missed)}\n"
    parts = [
        intro,
        met,
        f"![Measured against the bars]({chart})\n",
        *(_section(run, chr(ord("A") + machines.index(run.machine))) for run in runs),
        "## Machines\n\n" + "".join(f"- {chr(ord('A') + i)}: {machine}\n" for i, machine in enumerate(machines)),
    ]
    return "\n".join(parts)


def _missed(rows: Sequence[Row]) -> str:
    return (
        ""
        if not rows
        else " Missed:\n\n"
        + "\n".join(f"- **{_cell(row.what)}**: {number(row.value)} {row.unit}, the bar is {row.bar}" for row in rows)
    )


def _section(run: Run, machine: str) -> str:
    noisy = f"; other work took {run.busy:.0%} of the cores before it began" if run.busy >= 0.05 else ""
    header = f"## {run.script}\n\n`{run.command}`: machine {machine}, {run.date}, commit {run.revision}{noisy}.\n\n"
    table = "| what | measured | bar | | how |\n|---|---|---|---|---|\n"
    for row in run.rows:
        verdict = f"**{row.verdict}**" if row.verdict == "MISSED" else row.verdict
        cells = (_cell(row.what), f"{number(row.value)} {row.unit}", row.bar or "", verdict, _cell(row.detail))
        table += f"| {' | '.join(cells)} |\n"
    return header + table


def number(value: float) -> str:
    """As people read it: thousands apart, three digits of what is small."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
