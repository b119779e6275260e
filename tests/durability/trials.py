"""The trials. Each returns what went wrong, in words; nothing is the answer that is wanted."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.durability.workplace import Stage, Workplace, contents, left_over, processes_of

Problems = list[str]
# What a stage says whose output is whole already: it had ended before it was to be killed.
ENDED = ("already holds files", "a run of this name exists")


# ------------------------------------------------------------------------------------------------------- kills


def kill(place: Workplace, stage: Stage, rng: random.Random, trial: Path) -> Problems:
    """A stage is killed at a random moment, sometimes twice, and started again: it ends as an unbroken one."""
    trial.mkdir(parents=True)
    problems: Problems = []
    for _ in range(rng.choice((1, 1, 1, 2))):
        process = place.popen(stage.command(trial), trial)
        try:
            process.communicate(timeout=rng.uniform(0.3, place.seconds[stage.name] * 0.95))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
        problems += _still_running(trial)
    again = place.start(stage.command(trial), trial)
    ended_before = again.code == 2 and any(words in again.stderr for words in ENDED)
    if again.code and not ended_before:
        problems.append(f"started again it ends with {again.code}: {again.stderr[-400:]}")
    if again.has_traceback:
        problems.append(f"traceback: {again.stderr[-400:]}")
    return problems + _differences(place, stage, trial) + [f"left over: {name}" for name in left_over(trial, stage)]


def _still_running(trial: Path) -> Problems:
    """Processes of a killed command that go on."""
    until = time.monotonic() + 10
    while (pids := processes_of(trial)) and time.monotonic() < until:
        time.sleep(0.05)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return [f"{len(pids)} processes went on after the kill"] if pids else []


def _differences(place: Workplace, stage: Stage, trial: Path) -> Problems:
    expected, found = contents(place.unbroken(stage)), contents(trial / stage.output)
    names = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
    return [f"not as an unbroken run's: {', '.join(names[:6])}"] if names else []


# -------------------------------------------------------------------------------------------------- two at once


def twice(place: Workplace, stage: Stage, rng: random.Random, trial: Path) -> Problems:
    """A stage is started twice: one ends well, the other is refused and names it, and nothing is mixed."""
    trial.mkdir(parents=True)
    first = place.popen(stage.command(trial), trial)
    time.sleep(rng.choice((0.0, 0.0, rng.uniform(0.0, place.seconds[stage.name] * 0.5))))
    second = place.popen(stage.command(trial), trial)
    ends = [(process.communicate(), process.returncode) for process in (first, second)]
    problems: Problems = []
    codes = sorted(code for _, code in ends)
    if codes != [0, 2]:
        problems.append(f"exit codes {codes}: {[error[-300:] for (_, error), _ in ends]}")
    for (out, error), code in ends:
        if "Traceback" in out + error:
            problems.append(f"traceback: {error[-400:]}")
        if code == 2 and not any(words in error for words in ("is being written by", "already holds", "exists")):
            problems.append(f"the second one does not name the first: {error[-300:]}")
    return problems + _differences(place, stage, trial) + [f"left over: {name}" for name in left_over(trial, stage)]


# --------------------------------------------------------------------------------------------------- full disks


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[None]:
    """A file system of so many bytes at `folder`; needs the right to mount."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def can_mount(folder: Path) -> bool:
    """Whether this process may mount a file system."""
    try:
        with small_disk(folder, 1 << 16):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def full_disk(place: Workplace, stage: Stage, rng: random.Random, trial: Path) -> Problems:
    """A stage writes to a disk that fills at a random moment: one message, code 2, and nothing that looks whole."""
    whole = sum(path.stat().st_size for path in place.unbroken(stage).rglob("*") if path.is_file())
    size = int(rng.uniform(0.02, 1.05) * whole) // 4096 * 4096 + 4096
    with small_disk(trial, size):
        end = place.start(stage.command(trial), trial)
        problems: Problems = []
        if end.has_traceback:
            problems.append(f"{size} bytes: traceback: {end.stderr[-600:]}")
        if end.code not in (0, 2):
            problems.append(f"{size} bytes: exit code {end.code}: {end.stderr[-300:]}")
        if end.code == 2 and "no space left" not in end.stderr and "No space left" not in end.stderr:
            problems.append(f"{size} bytes: the message does not say why: {end.stderr[-300:]}")
        if end.code == 0:
            problems += _differences(place, stage, trial)
        elif stage.name.startswith("train") and (trial / stage.output / "model.json").exists():
            problems.append(f"{size} bytes: failed, and yet there is a model.json")
        elif not stage.name.startswith("train") and stage.name != "run":
            problems += [f"left over: {name}" for name in left_over(trial, stage)]
    shutil.rmtree(trial, ignore_errors=True)
    return problems
