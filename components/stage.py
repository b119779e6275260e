"""How a KFP component runs its stage: quietly, and saying why it failed to whoever started it."""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from bigbird.support.addresses import without_passwords
from bigbird.support.commands import EXIT_INTERRUPTED, explained, stoppable
from bigbird.support.log import configure_logging
from bigbird.support.scratch import scratch_folder
from bigbird.support.tensorflow_start import load_tensorflow
from bigbird_components.lifeline import end_with_starter

# Where a failed stage leaves {"message": ...}, if its runner asks for it; the local runner does.
FAILURE_FILE = "BIGBIRD_FAILURE_FILE"
# What a container writes here, Kubernetes shows as the reason of its end, and Kubeflow as the step's error; with the exit
# code, since its launcher ends with a code of its own.
TERMINATION_LOG = Path("/dev/termination-log")
TERMINATION_LOG_BYTES = 4096  # what Kubernetes keeps

Result = TypeVar("Result")
_log = logging.getLogger(__name__)


def run_stage(stage: Callable[[], Result], *, tensorflow: bool = True) -> Result:
    """Calls `stage` and ends the process with the exit codes of the stages' command lines when it fails.

    A mistake of the user is one message without a traceback; any other exception keeps its traceback.

    Args:
        stage: the stage's function.
        tensorflow: whether the stage needs TensorFlow, which is then loaded first.
    """
    end_with_starter()
    with stoppable() as stop:
        try:
            configure_logging()
            with scratch_folder():
                if tensorflow:
                    load_tensorflow()
                return stage()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) or stop.code:
                sys.exit(stop.code or EXIT_INTERRUPTED)
            told = explained(error)
            if told is not None:
                _report(*told)
                sys.exit(told[1])
            if isinstance(error, Exception):  # a bug of ours: told in full, and the process ends
                traceback.print_exc()
                _report(without_passwords(f"{type(error).__name__}: {error}"), 1)
                sys.exit(1)
            raise


def _report(message: str, code: int) -> None:
    """Hands the message to the runner, which names the step; without one it goes to stderr."""
    file = os.environ.get(FAILURE_FILE)
    if file:
        try:
            Path(file).write_text(json.dumps({"message": message}), encoding="utf-8")
        except OSError:  # the disk is full, which may be the message itself
            pass
        else:
            return
    _log.error(message)
    if TERMINATION_LOG.is_file():
        TERMINATION_LOG.write_bytes(f"exit code {code}: {message}".encode()[:TERMINATION_LOG_BYTES])
