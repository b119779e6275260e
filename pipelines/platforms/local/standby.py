"""The next step's process, started while a step runs: its libraries are loaded by the time it is needed."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from bigbird_components.lifeline import LIFELINE
from bigbird_components.stage import FAILURE_FILE
from bigbird_components.standby import KFP_RUNTIME, LOADED

_log = logging.getLogger(__name__)

# Which steps' libraries are loaded while the run is prepared, and which while a step runs.
FIRST = ("train", "preprocess")  # the longest of all first
NEXT = {"train": "evaluate", "evaluate": "export"}
# They are not kept longer: with TensorFlow one takes 200 MB of its own, and after a long step two seconds do not matter.
LONGEST_S = 60.0
# Variables that a step may add: nothing looks at them while libraries are loaded.
_TOLD_LATER = {"PYTHONUNBUFFERED", "TMPDIR", FAILURE_FILE, LIFELINE}
_UNBUFFERED = {"PYTHONUNBUFFERED": "1"}
# What KFP starts a component with.
_SHELL_LINE = re.compile(
    r'program_path=\$\(mktemp -d\) printf "%s" "\$0" > "\$program_path/ephemeral_component\.py" _KFP_RUNTIME=true .+ '
    r'-m kfp\.dsl\.executor_main --component_module_path "\$program_path/ephemeral_component\.py" "\$@"'
)


class Standby:
    """Processes that wait to become a step's; at most one for each step.

    Args:
        backend: `runtime.backend` of the training.
        environment: variables that a process gets where this process and the step do not set them.
    """

    def __init__(self, backend: str, environment: Mapping[str, str]):
        self._backend, self._environment = backend, environment
        self._lock = threading.Lock()
        self._waiting: dict[str, tuple[subprocess.Popen[bytes], threading.Timer]] = {}

    def begin(self, step: str) -> None:
        """Starts the process for a step; where that cannot be done, the step starts as usual later."""
        try:
            process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "bigbird_components.standby", step, self._backend],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**self._environment, **os.environ, **_UNBUFFERED, **KFP_RUNTIME},
                start_new_session=True,
            )
        except OSError as error:  # no more processes, no memory
            _log.debug(f"{step}: its libraries are not loaded ahead: {error}")
            return
        timer = threading.Timer(LONGEST_S, self._end, [step, process])
        timer.daemon = True
        with self._lock:
            self._waiting[step] = process, timer
        try:
            timer.start()
        except RuntimeError:  # no more threads
            self._end(step, process)

    def take(
        self, step: str, command: Sequence[str], environment: Mapping[str, str], log: BinaryIO
    ) -> subprocess.Popen[bytes] | None:
        """The process that waits for this step, which has begun then; None where none does, or the command is not as expected.

        Args:
            step: its name.
            command: KFP's for it.
            environment: variables that it adds.
            log: where its standard output goes.
        """
        with self._lock:
            if step not in self._waiting:
                return None
            process, timer = self._waiting.pop(step)
        timer.cancel()
        told = _step(command)
        try:
            if told is not None and not environment.keys() - _TOLD_LATER:
                told |= {"environment": dict(environment), "log": log.name}
                if _tell(process, told):
                    return process
        except BaseException:  # Ctrl-C
            _kill(process)
            raise
        _kill(process)
        return None

    def close(self) -> None:
        """Ends all that wait."""
        with self._lock:
            for process, timer in self._waiting.values():
                timer.cancel()
                _kill(process)
            self._waiting.clear()

    def _end(self, step: str, process: subprocess.Popen[bytes]) -> None:
        """Ends one if it still waits."""
        with self._lock:
            if step in self._waiting and self._waiting[step][0] is process:
                del self._waiting[step]
                _kill(process)


def _step(command: Sequence[str]) -> dict[str, Any] | None:
    """The component's module and the executor's arguments; None where KFP's shell line does more than to write the one and pass the others."""
    if list(command[:2]) != ["sh", "-ec"] or not _SHELL_LINE.fullmatch(" ".join(command[2].split())):
        return None
    return {"source": command[3], "arguments": list(command[4:])}


def _tell(process: subprocess.Popen[bytes], step: Mapping[str, Any]) -> bool:
    """Waits until the process has loaded all, and tells it its step; False where it has ended."""
    if process.stdin is None or process.stdout is None or process.stdout.readline() != LOADED:
        return False
    try:
        process.stdin.write(json.dumps(step).encode() + b"\n")
        process.stdin.flush()
    except OSError:
        return False
    return True


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for end in (process.stdin, process.stdout):
        if end is not None:
            with contextlib.suppress(OSError):  # what it was not told any more
                end.close()
