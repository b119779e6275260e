"""Compiled steps, with progress meanwhile: TensorFlow's is lowered in one process and compiled in another, JAX's in a single one."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bigbird.config import Experiment
from bigbird.support.artifacts import read_json, write_json
from bigbird.support.progress import Progress, format_duration
from bigbird_pipelines.machines import Machine
from bigbird_pipelines.preflight.compiler import COMPILED, ENVIRONMENT
from bigbird_pipelines.preflight.lowering import REQUEST

LOOK_S = 0.2  # between two looks at a process
TOLD = 3000  # characters of a failed process's last words


@dataclass(frozen=True)
class Program:
    """A step compiled for one chip. Sizes in bytes; those of a program that does not fit are not known.

    Attributes:
        rows: examples of the chip.
        fits: whether the compiler could place it in the chip's memory.
        seconds: that lowering and compiling took.
        arguments: batch, weights and the optimizer's state.
        outputs: results that take no argument's place.
        temporaries: what is held meanwhile.
        code: the program itself, which lies in the same memory.
        cycles: of a core, the compiler's estimate.
        without_estimate: runs of costly instructions that carry no estimate, by kind.
        unknown_loops: loops that are counted once, for their number of runs cannot be read.
        collective_bytes: what the chips sum or tell each other; 0 where the program is for one chip, as TensorFlow's is.
        needed, usable: the least that is needed and what can be had, where it does not fit and the compiler says so.
    """

    rows: int
    fits: bool
    seconds: float
    arguments: int = 0
    outputs: int = 0
    temporaries: int = 0
    code: int = 0
    cycles: int = 0
    without_estimate: Mapping[str, int] | None = None
    unknown_loops: int = 0
    collective_bytes: int = 0
    needed: int | None = None
    usable: int | None = None

    @property
    def memory(self) -> int | None:
        """All that the step takes of the chip's memory, in bytes; the least it needs where it does not fit, None if not told."""
        if not self.fits:
            return self.needed
        return self.arguments + self.outputs + self.temporaries + self.code

    def described(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self) | {"memory": self.memory}


class Compiler:
    """Compiles steps of one experiment, each once.

    Args:
        experiment: what is trained; its number of classes is known.
        machine: the TPU it is trained on.
        length: tokens to which a batch is padded.
        limit: bytes of a chip's memory; a program that the compiler takes fits only if it is no larger.
        note: what the progress says of these programs.
    """

    def __init__(self, experiment: Experiment, machine: Machine, length: int, limit: int, note: str = ""):
        self._experiment, self._machine, self._length, self._limit = experiment, machine, length, limit
        self._note = f", {note}" if note else ""
        self._known: dict[int, Program] = {}
        self._progress = Progress("preflight: program")

    def __enter__(self) -> Compiler:
        """The compiler itself; the block's end closes the line of progress."""
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.finish()

    @property
    def programs(self) -> list[Program]:
        """Those compiled so far, the smallest batch first."""
        return [self._known[rows] for rows in sorted(self._known)]

    def __call__(self, rows: int) -> Program:
        """The step of `rows` examples on a chip.

        Raises:
            RuntimeError: TensorFlow, JAX or the compiler failed, for another reason than a lack of memory.
        """
        if rows not in self._known:
            self._known[rows] = self._compile(rows)
        return self._known[rows]

    def _compile(self, rows: int) -> Program:
        began, least = time.monotonic(), self._least(rows)
        if least > self._limit:  # hopeless, and so large that tracing it may overflow
            return Program(rows, fits=False, seconds=0.0, needed=least)
        with tempfile.TemporaryDirectory(prefix="bigbird-preflight-") as name:
            folder = Path(name)
            tree = self._experiment.model_dump(mode="json", exclude_unset=True) | {"type": self._experiment.type}
            request = {"experiment": tree, "rows": rows, "length": self._length}
            step = f"a step of {rows} × {self._length:,} tokens{self._note}"
            if self._experiment.runtime.backend == "jax":
                wired = {name: getattr(self._machine, name) for name in ("generation", "topology", "chips")}
                write_json(folder / REQUEST, request | wired)
                self._run("sharded", folder, f"tracing and compiling {step}", ENVIRONMENT)
            else:
                write_json(folder / REQUEST, request)
                self._run("lowering", folder, f"tracing {step}")
                self._run("compiler", folder, f"compiling {step}", ENVIRONMENT)
            answer = read_json(folder / COMPILED, "compiler's answer")
        program = Program(rows, seconds=time.monotonic() - began, **answer)
        if program.fits and (program.memory or 0) > self._limit:
            program = replace(program, fits=False, needed=program.memory)
        words = "fits" if program.fits else "does not fit"
        self._tell(f"{rows} × {self._length:,} tokens on a chip{self._note}: {words}", program.seconds, force=True)
        return program

    def _least(self, rows: int) -> int:
        """Bytes of a layer's output, which every step holds."""
        item = 4 if self._experiment.runtime.mixed_precision_dtype == "float32" else 2
        return rows * self._length * self._experiment.task.encoder.hidden_size * item

    def _run(self, module: str, folder: Path, words: str, environment: Mapping[str, str] | None = None) -> None:
        """Runs a module of this package as a process and waits for its end."""
        command = [sys.executable, "-m", f"bigbird_pipelines.preflight.{module}", str(folder)]
        log = folder / f"{module}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - this Python and a module of ours
                command,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
            began = time.monotonic()
            try:
                while process.poll() is None:
                    self._tell(words, time.monotonic() - began)
                    time.sleep(LOOK_S)
            finally:
                if process.poll() is None:  # Ctrl-C, or an error here
                    process.kill()
                    process.wait()
        if process.returncode:
            said = log.read_text(encoding="utf-8", errors="replace").strip()[-TOLD:]
            raise RuntimeError(f"{words} ended with code {process.returncode}:\n{said}")

    def _tell(self, words: str, seconds: float, *, force: bool = False) -> None:
        self._progress.update(len(self._known) + 1, f"{words}  {format_duration(seconds)}", force=force)
