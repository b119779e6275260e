"""A small task with all its stages as commands, and what an unbroken run of each of them writes."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 600

RECIPE = {
    "task": {
        "model": {"encoder": {"bigbird": {
            "hidden_size": 16, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
            "max_position_embeddings": 64, "block_size": 16, "num_rand_blocks": 1,
        }}},
        "bucket_lengths": [32, 64],
        "train_data": {"seq_length": 64, "global_batch_size": 8},
        "validation_data": {"seq_length": 64, "global_batch_size": 8},
    },
    "trainer": {
        "train_steps": 120, "checkpoint_interval": 8, "validation_interval": 16, "summary_interval": 12, "steps_per_loop": 4,
        "max_to_keep": 3, "optimizer_config": {"learning_rate": {"polynomial": {"initial_learning_rate": 0.01}}},
    },
}  # fmt: skip
# What a file says of the clock, which no two runs share.
CLOCK = ("seconds",)
# Written beside results, and different in every run: TensorBoard's events, speeds, the graph as TensorFlow numbers it.
OTHER_EVERY_TIME = ("logs", "speed.json", "saved_model.pb", "fingerprint.pb", "kfp.log")


@dataclass(frozen=True)
class Stage:
    """A stage as a command.

    Attributes:
        name: as reports call it.
        output: the folder that it writes, inside the folder of a trial.
        command: its arguments, for a trial's folder.
    """

    name: str
    output: str
    command: Callable[[Path], list[str]]


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def has_traceback(self) -> bool:
        return "Traceback (most recent call last)" in self.stderr + self.stdout


class Workplace:
    """Data, a recipe and the unbroken outputs of every stage in one folder."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.data = folder / "data"
        self.recipe = folder / "recipe.yaml"
        self.reference = folder / "reference"
        self.seconds: dict[str, float] = {}

    def prepare(self) -> None:
        """Writes the data and runs every stage once, unbroken."""
        self.data.mkdir(parents=True)
        for split, size in (("train", 200), ("dev", 48)):
            (self.data / f"{split}.tsv").write_text(_sentences(size, seed=size), encoding="utf-8")
        self.recipe.write_text(yaml.safe_dump(RECIPE), encoding="utf-8")
        self.reference.mkdir()
        for name in ("preprocess", "train", "evaluate", "export"):
            self._prepare(name, self.reference)
        for name in ("train on jax", "run"):
            folder = self.folder / f"reference of {name}"
            folder.mkdir()
            self._prepare(name, folder)

    def _prepare(self, name: str, folder: Path) -> None:
        done = self.start(self.stages[name].command(folder), folder)
        if done.code:
            raise RuntimeError(f"{name} does not run unbroken: {done.stderr[-2000:]}")
        self.seconds[name] = done.seconds

    @cached_property
    def stages(self) -> dict[str, Stage]:
        """Every stage by its name."""
        python = [sys.executable, "-m"]

        def preprocess(trial: Path) -> list[str]:
            return [
                *python, "bigbird_components.preprocess", "--task=sst2", f"--input={self.data}", f"--output={trial / 'dataset'}",
                "--vocabulary_size=80", "--max_length=64", "--direct_running_mode=multi_processing", "--direct_num_workers=2",
            ]  # fmt: skip

        def train(trial: Path, *more: str) -> list[str]:
            return [
                *python, "bigbird_components.train", "--experiment_type=bigbird/glue", f"--config_file={self.recipe}",
                f"--dataset={self.reference / 'dataset'}", f"--model_dir={trial / 'model'}", *more,
            ]  # fmt: skip

        def evaluate(trial: Path) -> list[str]:
            return [
                *python,
                "bigbird_components.evaluate",
                f"--model={self.reference / 'model'}",
                f"--dataset={self.reference / 'dataset'}",
                f"--output={trial / 'evaluation'}",
            ]

        def export(trial: Path) -> list[str]:
            return [
                *python,
                "bigbird_components.export",
                f"--model={self.reference / 'model'}",
                f"--dataset={self.reference / 'dataset'}",
                f"--output={trial / 'saved_model'}",
            ]

        def run(trial: Path) -> list[str]:
            return [
                sys.executable, "-c", "from bigbird_pipelines.cli import main; main()", "run", "--task=sst2", f"--data={self.data}",
                f"--recipe={self.recipe}", "--vocabulary-size=80", f"--runs={trial / 'runs'}", "--name=it",
            ]  # fmt: skip

        jax = ("--params_override=runtime.backend=jax",)
        listed = (
            Stage("preprocess", "dataset", preprocess),
            Stage("train", "model", train),
            Stage("train on jax", "model", lambda trial: train(trial, *jax)),
            Stage("evaluate", "evaluation", evaluate),
            Stage("export", "saved_model", export),
            Stage("run", "runs/it", run),
        )
        return {stage.name: stage for stage in listed}

    def unbroken(self, stage: Stage) -> Path:
        """The output of the unbroken run."""
        own = self.folder / f"reference of {stage.name}"
        return (own if own.exists() else self.reference) / stage.output

    # ------------------------------------------------------------------------------------------------- commands

    def environment(self, trial: Path) -> dict[str, str]:
        """Of a command, with a folder of its own for temporary files."""
        temporary = trial / "tmp"
        temporary.mkdir(exist_ok=True)
        paths = os.pathsep.join((str(ROOT / "model"), str(ROOT)))
        return {**os.environ, "PYTHONPATH": paths, "TMPDIR": str(temporary), "TF_CPP_MIN_LOG_LEVEL": "3"}

    def popen(self, command: list[str], trial: Path) -> subprocess.Popen[str]:
        """Starts a command in a session of its own."""
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=self.environment(trial),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def start(self, command: list[str], trial: Path) -> Outcome:
        """Runs a command to its end."""
        started = time.monotonic()
        process = self.popen(command, trial)
        try:
            stdout, stderr = process.communicate(timeout=TIMEOUT_S)
        finally:
            process.kill()
        return Outcome(process.returncode, stdout, stderr, time.monotonic() - started)


def contents(folder: Path) -> dict[str, Any]:
    """What a stage's folder holds, by path inside: values of JSON but for the clock's, else a digest.

    Manifests' checksums of other files that are different every time are left out.
    """
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if not path.is_file() or set(name.parts) & set(OTHER_EVERY_TIME) or ".finished" in name.parts:
            continue
        if path.suffix in (".json", ".html", ".log") or path.name == "report":
            found[str(name)] = _timeless(json.loads(path.read_bytes())) if path.suffix == ".json" else "there"
        else:
            found[str(name)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _timeless(inner)
            for key, inner in value.items()
            if key not in (*CLOCK, "checksums", "manifest_sha256", "trained_model", "uri")
            and not str(inner).startswith("/")
        }
    return [_timeless(inner) for inner in value] if isinstance(value, list) else value


def left_over(trial: Path, stage: Stage) -> list[str]:
    """Temporary files and hidden ones that nobody deletes."""
    hidden = [path for path in trial.rglob(".*") if path.name != ".finished"]
    return sorted(str(path.relative_to(trial)) for path in [*hidden, *(trial / "tmp").iterdir()])


def processes_of(trial: Path) -> list[int]:
    """Ids of the processes that have a trial's folder in their environment."""
    mark, found = f"TMPDIR={trial / 'tmp'}".encode(), []
    for process in Path("/proc").iterdir():
        try:
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
            if process.name.isdigit() and state != "Z" and mark in (process / "environ").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def _sentences(size: int, seed: int) -> str:
    """SST-2's format: a word in each sentence tells its label."""
    rng, filler = random.Random(seed), "the a tree house river over under then away never often bird".split()
    telling = {"0": ["awful", "dull", "sad"], "1": ["great", "lovely", "bright"]}
    rows = ["sentence\tlabel"]
    for number in range(size):
        label = str(number % 2)
        words = [*rng.choices(filler, k=rng.randint(1, 40)), rng.choice(telling[label])]
        rng.shuffle(words)
        rows.append(f"{' '.join(words)}\t{label}")
    return "\n".join(rows) + "\n"
