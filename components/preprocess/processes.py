"""Encodes shards in several processes of this machine.

Beam has such a mode. Its main process waits for ever when a worker raises an exception or is killed, as the system does
where memory runs out; so these processes are ours, and run the same `EncodeShard`.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING

from bigbird.errors import InputError

if TYPE_CHECKING:
    from components.preprocess.shards import Encoding, Shard

POLL_S = 0.05  # seconds between two looks at the processes


class WorkerError(RuntimeError):
    """A worker failed in a way that is no mistake of the user's; the message holds its traceback."""


def encode_in_processes(shards: Sequence[Shard], encoding: Encoding, processes: int) -> None:
    """Encodes all shards; when one process fails, the others end too.

    Args:
        shards: the files to write; each process gets every `processes`-th.
        encoding: how.
        processes: how many.

    Raises:
        InputError: a process was killed.
        WorkerError: a process failed.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(Path(path).resolve()) for path in sys.path)}
    command = [sys.executable, "-m", "components.preprocess.worker", str(os.getpid())]
    with contextlib.ExitStack() as stack:
        workers: list[tuple[subprocess.Popen[bytes], IO[bytes]]] = []
        for first in range(processes):
            work, told = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(2))
            work.write(json.dumps([_as_json(encoding), shards[first::processes]]).encode())
            work.seek(0)
            process = subprocess.Popen(command, env=environment, stdin=work, stderr=told)  # noqa: S603 - our own command
            stack.callback(_end, process)
            workers.append((process, told))
        while sum(_runs(*worker) for worker in workers):  # looks at every one
            time.sleep(POLL_S)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _runs(process: subprocess.Popen[bytes], told: IO[bytes]) -> bool:
    """Whether a process still runs; raises where it did not end well."""
    code = process.poll()
    if code is not None and code < 0:
        raise InputError(
            f"a worker process was killed (signal {-code}), most likely because memory ran out; expected more memory, or "
            "fewer workers: --direct_running_mode=in_memory"
        )
    if code:
        told.seek(0)
        raise WorkerError(f"a worker process failed\n{told.read().decode('utf-8', 'replace')}")
    return code is None


def _as_json(encoding: Encoding) -> dict[str, object]:
    return {name: sorted(value) if isinstance(value, frozenset) else value for name, value in asdict(encoding).items()}
