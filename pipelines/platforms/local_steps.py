"""Runs the pipeline on this machine with kfp.local, each step a process (processes.py) or a container (containers.py).

KFP decides what runs and when, and passes values and artifacts on. Some of its habits are replaced while a pipeline
runs, because they stand in a user's way:
  - it mixes a step's output into its own log, line by line and late: here a step's stderr is the terminal's;
  - it names folders by the time of day: here they are `<run folder>/<step>/<output>`;
  - it takes a step that exits with 0 for done: here its outputs must be there too;
  - it may take a container that failed quickly for one that succeeded: see containers.py.
"""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

from bigbird.checkpoints.native import CHECKPOINTS
from bigbird.serving.saved_model import IN_RUN
from bigbird.support.artifacts import MANIFESTS, read_json
from bigbird.support.commands import EXIT_INTERRUPTED, EXIT_TERMINATED
from bigbird.support.new_folders import delete, remove_left_over
from bigbird.support.progress import format_duration
from bigbird_components.lifeline import LIFELINE
from bigbird_components.stage import FAILURE_FILE
from bigbird_pipelines.platforms.finished import RESUMABLE, Finished

_log = logging.getLogger(__name__)

# Where each stage leaves its folder inside the run's, and which kind it is.
OUTPUTS = {
    "dataset": Path("preprocess/dataset"),
    "model": Path("train/model"),
    "evaluation": Path("evaluate/evaluation"),
    "saved_model": IN_RUN,
}
INTERRUPT_PATIENCE_S = 30.0  # what a step gets to tidy up where the machine is taken away: after SIGTERM
TELL_AFTER_S = 5.0  # when the user hears that a step is still stopping
# KFP's artifacts without a file: their values travel in the step's own record.
_WITHOUT_FILE = ("system.Metrics", "system.ClassificationMetrics", "system.SlicedClassificationMetrics")


class StepFailed(RuntimeError):
    """A step of the pipeline ended with an error."""

    def __init__(self, step: str, exit_code: int, message: str):
        super().__init__(f"step {step!r} failed: {message}")
        self.exit_code = exit_code


class Ended(NamedTuple):
    """How a step ended: its exit code, negative for a signal; and the cause, where the code does not tell it."""

    code: int
    cause: str = ""


Execute = Callable[[Sequence[str], Mapping[str, str], BinaryIO], Ended]
"""Runs a command with more environment to its end; stderr live on the terminal, the rest into the log."""


class Place(Protocol):
    """Where steps run."""

    def check(self) -> None:
        """Raises `InputError` where no step could run."""

    def begin(self) -> None:
        """Starts what the first steps can have ready. Whoever calls it calls `close`."""

    def runner(self) -> Any:
        """KFP's runner."""

    def replacements(self, steps: PipelineSteps) -> Sequence[tuple[Any, str, Any]]:
        """Module, name and what stands there while a pipeline runs, so that steps are started through `steps`."""

    def close(self) -> None:
        """Ends what was started for steps that did not come."""


@dataclass
class LocalRun:
    """What a finished run leaves: its folder and the seconds that each step took, in the order they ran."""

    folder: Path
    seconds: dict[str, float] = field(default_factory=dict)

    def path(self, kind: str) -> Path:
        """The folder of a stage's output: `dataset`, `model`, `evaluation` or `saved_model`."""
        return self.folder / OUTPUTS[kind]


def run(pipeline: Any, arguments: dict[str, Any], folder: Path, place: Place) -> LocalRun:
    """Runs a pipeline and waits for its end; `folder` holds everything it makes.

    Args:
        pipeline: the KFP pipeline.
        arguments: its parameters; paths must be absolute.
        folder: a new or empty folder, or that of the same run, which then goes on after the steps that ended well.
        place: where its steps run.

    Raises:
        StepFailed: a step failed; earlier steps' outputs stay.
        KeyboardInterrupt, SystemExit: by Ctrl-C, by SIGTERM, after the running step has stopped. Folders that are not whole are removed.
    """
    from kfp import local

    folder = folder.resolve()
    logs = folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bigbird-") as scratch, _stopped_in_good_order():
        steps = PipelineSteps(LocalRun(folder), logs, Path(scratch).resolve())
        try:
            with (logs / "kfp.log").open("w", encoding="utf-8") as log, _our_ways(steps, place, log):
                local.init(place.runner(), str(folder.parent), str(steps.scratch / "workspace"))
                pipeline(**arguments)
        except RuntimeError as error:
            remove_unfinished(folder)
            if steps.failure is None:  # a failure of KFP itself, not of a step
                raise
            raise steps.failure from error
        except BaseException:
            remove_unfinished(folder)
            raise
        finally:
            place.close()
        return steps.run


def remove_unfinished(folder: Path) -> None:
    """Deletes the outputs that lack the manifest which makes them whole, and what a killed stage left beside them.

    A model that has checkpoints stays: training goes on from them.
    """
    for kind, place in OUTPUTS.items():
        output = folder / place
        goes_on = kind == RESUMABLE and (output / CHECKPOINTS).is_dir()
        if output.exists() and not goes_on and not (output / MANIFESTS[kind]).exists():
            delete(output)
        remove_left_over(output.parent, [output.name])
        delete(output.with_name(f".{output.name}.lock"))


class PipelineSteps:
    """Starts the steps, times them and remembers which one failed and why.

    Args:
        run: the run they belong to.
        logs: the folder of their logs.
        scratch: a folder for temporary files, gone after the run.
    """

    def __init__(self, run: LocalRun, logs: Path, scratch: Path):
        self.run, self.scratch = run, scratch
        self.failure: StepFailed | None = None
        self._logs, self._finished = logs, Finished(run.folder)
        self._anew = False  # whether a step has run here: what comes after it has another input

    def start(
        self, full_command: Sequence[str], env_vars: Mapping[str, str] | None, execute: Execute, image: str = ""
    ) -> int:
        """Runs one step to its end.

        Args:
            full_command: KFP's command for it.
            env_vars: the component's own environment.
            execute: starts the command and waits.
            image: that it runs in; empty for none.

        Returns:
            0, or the exit code of a step that failed; `failure` then says more.
        """
        step = step_of(full_command)
        outputs = json.loads(_argument(full_command, "--executor_input"))["outputs"]
        before = None if self._anew else self._finished.seconds(step, full_command, image)
        if before is not None:
            self.run.seconds[step] = before
            _log.info(f"-- {step}: done before")
            return 0
        self._anew = True
        self._finished.clear(step, outputs)
        log_file, failure_file = self._logs / f"{step}.log", self.scratch / "failure.json"
        environment = {
            **(env_vars or {}),
            "PYTHONUNBUFFERED": "1",
            "TMPDIR": str(self.scratch),
            FAILURE_FILE: str(failure_file),
            LIFELINE: "stdin",
        }
        _log.info(f"-- {step}")
        started = time.monotonic()
        with log_file.open("wb") as log:
            ended = execute(full_command, environment, log)
        seconds = time.monotonic() - started
        self.run.seconds[step] = seconds
        if ended.code == EXIT_INTERRUPTED:
            raise KeyboardInterrupt
        if ended.code:
            message = self._reason(failure_file, ended, log_file)
            self.failure = StepFailed(step, ended.code if ended.code > 0 else 1, message)
            return ended.code
        absent = _absent_outputs(outputs)
        if absent:
            message = (
                f"it ended without an error but did not write {', '.join(absent)}; what it printed is in {log_file}"
            )
            self.failure = StepFailed(step, 1, message)
            return 1
        self._finished.note(step, full_command, outputs, seconds, image)
        _log.info(f"   {step} finished in {format_duration(seconds)}")
        return 0

    def _reason(self, failure_file: Path, ended: Ended, log_file: Path) -> str:
        if failure_file.exists():
            return read_json(failure_file, "reason of the failure")["message"]
        how = f"it was ended by signal {-ended.code}" if ended.code < 0 else f"it exited with code {ended.code}"
        if ended.cause:
            how = ended.cause
        elif ended.code in (-signal.SIGKILL, 128 + signal.SIGKILL):
            how += ", which is what happens when the machine runs out of memory"
        return f"{how}; what it printed is above and in {log_file}"


def step_of(command: Sequence[str]) -> str:
    """The name of the step that KFP's command runs."""
    return _argument(command, "--function_to_execute").replace("_", "-")


def _argument(command: Sequence[str], name: str) -> str:
    return command[list(command).index(name) + 1]


def _absent_outputs(outputs: dict[str, Any]) -> list[str]:
    """What a finished step should have written and has not: its record, and each artifact that is a file or folder."""
    expected = {"its record": outputs["outputFile"]}
    for name, given in outputs.get("artifacts", {}).items():
        artifact = given["artifacts"][0]
        if artifact["type"]["schemaTitle"] not in _WITHOUT_FILE:
            expected[f"its output {name!r}"] = artifact["uri"]
    return [what for what, path in expected.items() if not Path(path).exists()]


@contextlib.contextmanager
def _our_ways(steps: PipelineSteps, place: Place, log: Any) -> Iterator[None]:
    """Replaces KFP's habits (see above) and sends its own log to a file, until the block ends."""
    from kfp.local import executor_input_utils

    folder_name = steps.run.folder.name
    names = (executor_input_utils, "get_local_pipeline_resource_name", lambda _: folder_name)
    with contextlib.ExitStack() as stack:
        for module, name, ours in (names, *place.replacements(steps)):
            stack.callback(setattr, module, name, getattr(module, name))
            setattr(module, name, ours)
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", module=r"kfp\.")
        stack.enter_context(contextlib.redirect_stdout(log))
        yield


def stop_step(
    send: Callable[[signal.Signals], None], wait: Callable[[float | None], bool], reason: BaseException
) -> None:
    """Interrupts a step, waits for it to tidy up, and ends it if it does not.

    After Ctrl-C it has as long as it takes: training finishes its update and writes a checkpoint. A second one ends it at once.

    Args:
        send: sends the step a signal; does nothing where it has ended.
        wait: waits for its end for so many seconds, None without limit; tells whether it has ended.
        reason: what ended the wait for the step: KeyboardInterrupt, or SystemExit by SIGTERM.
    """
    with contextlib.suppress(KeyboardInterrupt, SystemExit):
        send(signal.SIGINT)
        if isinstance(reason, KeyboardInterrupt):
            ended = wait(TELL_AFTER_S)
            if not ended:
                _log.info("waiting until the step has stopped; press Ctrl-C again to end it at once")
                ended = wait(None)
        else:
            ended = wait(INTERRUPT_PATIENCE_S)
        if ended:
            return
    send(signal.SIGKILL)
    with contextlib.suppress(KeyboardInterrupt, SystemExit):
        wait(INTERRUPT_PATIENCE_S)


@contextlib.contextmanager
def _stopped_in_good_order() -> Iterator[None]:
    """Lets SIGTERM and SIGHUP unwind like Ctrl-C, so that `kill`, `timeout` and a closed terminal leave no step running."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def terminate(*_: object) -> None:
        sys.exit(EXIT_TERMINATED)

    handlers = {signal.SIGTERM: terminate, signal.SIGHUP: interrupt}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # a background job: steps would ignore it too, and not stop
        before[signal.SIGINT] = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
