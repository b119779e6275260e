"""Runs the pipeline on this machine with kfp.local, each step a process of this Python environment.

KFP decides what runs and when, and passes values and artifacts on. Three of its habits are replaced while a
pipeline runs, because they stand in a user's way:
  - it mixes a step's output into its own log, line by line and late: here a step's stderr is the terminal's;
  - it names folders by the time of day: here they are `<run folder>/<step>/<output>`;
  - it puts this interpreter wherever a command says "python3", in paths of data too: here only in the command.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bigbird.artifacts import MANIFESTS
from bigbird.console import EXIT_INTERRUPTED, format_duration
from components.stage import FAILURE_FILE

# Where each stage leaves its folder inside the run's, and which kind it is.
OUTPUTS = {
    "dataset": Path("preprocess/dataset"),
    "model": Path("train/model"),
    "evaluation": Path("evaluate/evaluation"),
    "saved_model": Path("export/saved_model"),
}
INTERRUPT_PATIENCE_S = 30.0  # what an interrupted step gets to tidy up


class StepFailed(RuntimeError):
    """A step of the pipeline ended with an error."""

    def __init__(self, step: str, exit_code: int, message: str):
        super().__init__(f"step {step!r} failed: {message}")
        self.exit_code = exit_code


@dataclass
class LocalRun:
    """What a finished run leaves: its folder and the seconds that each step took, in the order they ran."""

    folder: Path
    seconds: dict[str, float] = field(default_factory=dict)

    def path(self, kind: str) -> Path:
        """The folder of a stage's output: `dataset`, `model`, `evaluation` or `saved_model`."""
        return self.folder / OUTPUTS[kind]


def run(pipeline: Any, arguments: dict[str, Any], folder: Path) -> LocalRun:
    """Runs a pipeline and waits for its end; `folder` holds everything it makes.

    Args:
        pipeline: the KFP pipeline.
        arguments: its parameters; paths must be absolute.
        folder: a new or empty folder.

    Raises:
        StepFailed: a step failed; earlier steps' outputs stay.
        KeyboardInterrupt: after the running step has stopped. Folders that are not whole are removed.
    """
    from kfp import local

    folder = folder.resolve()
    logs = folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bigbird-") as scratch, _terminated_as_interrupted():
        steps = _Steps(LocalRun(folder), logs, Path(scratch))
        try:
            with (logs / "kfp.log").open("w", encoding="utf-8") as log, _our_ways(steps, folder.name, log):
                local.init(local.SubprocessRunner(use_venv=False), str(folder.parent), str(Path(scratch, "workspace")))
                pipeline(**arguments)
        except RuntimeError as error:
            remove_unfinished(folder)
            if steps.failure is None:  # a failure of KFP itself, not of a step
                raise
            raise steps.failure from error
        except BaseException:
            remove_unfinished(folder)
            raise
        return steps.run


def remove_unfinished(folder: Path) -> None:
    """Deletes the outputs that lack the manifest which makes them whole."""
    for kind, place in OUTPUTS.items():
        if (folder / place).exists() and not (folder / place / MANIFESTS[kind]).exists():
            shutil.rmtree(folder / place, ignore_errors=True)


class _Steps:
    """Starts the steps' processes, times them and remembers which one failed and why."""

    def __init__(self, run: LocalRun, logs: Path, scratch: Path):
        self.run = run
        self.failure: StepFailed | None = None
        self._logs, self._scratch = logs, scratch

    def start(self, full_command: list[str], env_vars: dict[str, str] | None = None) -> int:
        """Runs one step to its end: stderr live, KFP's own chatter on stdout into the step's log.

        Takes the place of `run_local_subprocess` in `kfp.local.subprocess_task_handler`.
        """
        step = full_command[full_command.index("--function_to_execute") + 1].replace("_", "-")
        failure_file = self._scratch / "failure.json"
        environment = {
            **os.environ,
            **(env_vars or {}),
            "PYTHONUNBUFFERED": "1",
            "TMPDIR": str(self._scratch),
            FAILURE_FILE: str(failure_file),
        }
        sys.stderr.write(f"-- {step}\n")
        sys.stderr.flush()
        started = time.monotonic()
        with (self._logs / f"{step}.log").open("wb") as log:
            # A session of its own: Ctrl-C reaches this process, which then stops the step and all its workers.
            process = subprocess.Popen(full_command, stdout=log, env=environment, start_new_session=True)  # noqa: S603
            try:
                code = process.wait()
            except BaseException:
                _stop(process)
                raise
        seconds = time.monotonic() - started
        self.run.seconds[step] = seconds
        if code == EXIT_INTERRUPTED:
            raise KeyboardInterrupt
        if code:
            self.failure = StepFailed(step, code if code > 0 else 1, self._reason(failure_file, code, step))
        else:
            sys.stderr.write(f"   {step} finished in {format_duration(seconds)}\n")
        return code

    def _reason(self, failure_file: Path, code: int, step: str) -> str:
        if failure_file.exists():
            return json.loads(failure_file.read_text(encoding="utf-8"))["message"]
        ended = f"it was ended by signal {-code}" if code < 0 else f"it exited with code {code}"
        if code in (-signal.SIGKILL, 128 + signal.SIGKILL):
            ended += ", which is what happens when the machine runs out of memory"
        return f"{ended}; its output is above and in {self._logs / f'{step}.log'}"


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Interrupts a step and everything it started, waits for it to tidy up, and ends what remains."""
    for number, patience in ((signal.SIGINT, INTERRUPT_PATIENCE_S), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            process.wait(patience)
            return


def _command_with_this_python(full_command: list[str], executable: str) -> list[str]:
    """Puts `executable` into the shell line that starts a component, and nowhere else."""
    shell_line = full_command.index("-ec") + 1
    command = list(full_command)
    command[shell_line] = command[shell_line].replace("python3 -m", f"{shlex.quote(executable)} -m")
    return command


@contextlib.contextmanager
def _our_ways(steps: _Steps, folder_name: str, log: Any) -> Iterator[None]:
    """Replaces KFP's three habits (see above) and sends its own log to a file, until the block ends."""
    from kfp.local import executor_input_utils, subprocess_task_handler

    with contextlib.ExitStack() as stack:
        for module, name, ours in (
            (subprocess_task_handler, "run_local_subprocess", steps.start),
            (subprocess_task_handler, "replace_python_executable", _command_with_this_python),
            (executor_input_utils, "get_local_pipeline_resource_name", lambda _: folder_name),
        ):
            stack.callback(setattr, module, name, getattr(module, name))
            setattr(module, name, ours)
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", module=r"kfp\.")
        stack.enter_context(contextlib.redirect_stdout(log))
        yield


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Treats SIGTERM like Ctrl-C, so that `kill` and `timeout` leave no step running."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, interrupt)}
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # a background job: steps would ignore it too, and not stop
        before[signal.SIGINT] = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
