"""Steps as processes of this Python environment."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from bigbird.support.errors import InputError
from bigbird_pipelines.images import Backend
from bigbird_pipelines.platforms.local.standby import FIRST, NEXT, Standby
from bigbird_pipelines.platforms.local_steps import Ended, PipelineSteps, step_of, stop_step

# What the four stages import, and the distribution to name when it is absent.
REQUIRED = {
    "apache_beam": "apache-beam",
    "keras": "keras",
    "kfp": "kfp",
    "sentencepiece": "sentencepiece",
    "tensorflow": "tensorflow",
    "tensorflow_text": "tensorflow-text",
    "tokenizers": "tokenizers",
}

# Under a step, which may set it otherwise. XLA takes fresh memory for every run of a program: in pages of 4 kB a JAX update of
# the sample took half as long again on two cores.
ENVIRONMENT = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}


class Processes:
    """`Place` for steps that run here, with what is installed here.

    Args:
        backend: `runtime.backend` of the training.
    """

    def __init__(self, backend: Backend = "tensorflow"):
        self._standby = Standby(backend, ENVIRONMENT)

    def begin(self) -> None:
        """Loads the first steps' libraries while the run is being prepared."""
        for step in FIRST:
            self._standby.begin(step)

    def check(self) -> None:
        """Raises `InputError` unless every stage's libraries are installed in this environment."""
        absent = [name for module, name in REQUIRED.items() if importlib.util.find_spec(module) is None]
        if absent:
            raise InputError(
                f"not installed in this environment: {', '.join(absent)}; `bigbird run` runs every stage here. "
                "`make install` installs all of them; "
                "with --docker the stages run in their images"
            )

    def runner(self) -> Any:
        from kfp import local

        return local.SubprocessRunner(use_venv=False)

    def replacements(self, steps: PipelineSteps) -> Sequence[tuple[Any, str, Any]]:
        from kfp.local import subprocess_task_handler

        def run_local_subprocess(full_command: list[str], env_vars: dict[str, str] | None = None) -> int:
            return steps.start(full_command, env_vars, self.execute)

        return (
            (subprocess_task_handler, "run_local_subprocess", run_local_subprocess),
            (subprocess_task_handler, "replace_python_executable", _command_with_this_python),
        )

    def close(self) -> None:
        """Ends the processes that wait for a step."""
        self._standby.close()

    def execute(self, command: Sequence[str], environment: Mapping[str, str], log: BinaryIO) -> Ended:
        """Runs a step's command: stderr is the terminal's, KFP's own chatter on stdout goes into the step's log."""
        step = step_of(command)
        process = self._standby.take(step, command, environment, log) or _start(command, environment, log)
        try:
            if step in NEXT:
                self._standby.begin(NEXT[step])
            code = process.wait()
        except BaseException as error:
            _stop(process, error)
            raise
        # As a shell tells that a signal ended its command: only a step that was started as usual has one.
        return Ended(128 - code if code < 0 else code)


def _start(command: Sequence[str], environment: Mapping[str, str], log: BinaryIO) -> subprocess.Popen[bytes]:
    """A step's process."""
    # A session of its own: Ctrl-C reaches this process, which then stops the step and all its workers. Its input stays open
    # for as long as this process lives: see bigbird_components.lifeline.
    return subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.PIPE,
        stdout=log,
        env={**ENVIRONMENT, **os.environ, **environment},
        start_new_session=True,
    )


def _stop(process: subprocess.Popen[bytes], reason: BaseException) -> None:
    """Stops a step and everything it started."""

    def send(number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)

    def wait(seconds: float | None) -> bool:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    stop_step(send, wait, reason)


def _command_with_this_python(full_command: list[str], executable: str) -> list[str]:
    """Puts `executable` into the shell line that starts a component, and nowhere else.

    KFP would put it wherever a command says "python3", in paths of data too.
    """
    shell_line = full_command.index("-ec") + 1
    command = list(full_command)
    command[shell_line] = command[shell_line].replace("python3 -m", f"{shlex.quote(executable)} -m")
    return command
