"""Encodes shards in several processes of this machine.

Beam has such a mode. Its main process waits for ever when a worker raises an exception or is killed, as the system does
where memory runs out; so these processes are ours, and run the same `ShardEncoder`.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING

from bigbird.support.errors import InputError

if TYPE_CHECKING:
    from bigbird_components.preprocess.shards import Encoding, Shard

POLL_S = 0.05  # seconds between two looks at the processes


class WorkerError(RuntimeError):
    """A worker failed in a way that is no mistake of the user's; the message holds its traceback."""


class Workers:
    """Processes of this machine that encode shards as they are given; a context, at whose end they end.

    They start at once, and wait for `begin`.

    Args:
        processes: how many.
    """

    def __init__(self, processes: int):
        self._waiting: queue.SimpleQueue[Shard | None] = queue.SimpleQueue()
        self._workers: list[tuple[subprocess.Popen[bytes], IO[bytes]]] = []
        self._feeders: list[threading.Thread] = []
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(Path(path).resolve()) for path in sys.path)}
        command = [sys.executable, "-m", "bigbird_components.preprocess.worker", str(os.getpid())]
        with contextlib.ExitStack() as stack:
            for _ in range(processes):
                told = stack.enter_context(tempfile.TemporaryFile())
                process = subprocess.Popen(  # noqa: S603 - our own command
                    command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=told
                )
                stack.callback(_end, process)
                self._workers.append((process, told))
            self._stack = stack.pop_all()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()  # a feeder that waits for its process sees its end
        for _feeder in self._feeders:
            self._waiting.put(None)
        for feeder in self._feeders:
            feeder.join()

    def begin(self, encoding: Encoding) -> None:
        """Says how shards are encoded; called once, before the first."""
        for process, _told in self._workers:
            feeder = threading.Thread(target=self._feed, args=(process, _as_json(encoding)), daemon=True)
            self._feeders.append(feeder)
            feeder.start()

    def encode(self, shard: Shard) -> None:
        """Gives a shard to the next process that is free.

        Raises:
            InputError: a process was killed.
            WorkerError: a process failed.
        """
        self._waiting.put(shard)
        for worker in self._workers:
            _runs(*worker)

    def finish(self) -> None:
        """Waits until all shards are encoded; errors as `encode`."""
        for _feeder in self._feeders:
            self._waiting.put(None)
        while sum(_runs(*worker) for worker in self._workers):  # looks at every one
            time.sleep(POLL_S)

    def _feed(self, process: subprocess.Popen[bytes], encoding: dict[str, object]) -> None:
        """Writes a process' work to it, a shard after it has answered that the one before is done."""
        assert process.stdin  # noqa: S101 - a pipe
        assert process.stdout  # noqa: S101 - a pipe
        with contextlib.suppress(OSError):  # of a process that has ended; `_runs` tells why
            process.stdin.write(json.dumps(encoding).encode() + b"\n")
            for shard in iter(self._waiting.get, None):
                process.stdin.write(json.dumps(shard).encode() + b"\n")
                process.stdin.flush()
                if not process.stdout.readline():
                    break
        with contextlib.suppress(OSError):
            process.stdin.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    assert process.stdout  # noqa: S101 - a pipe
    process.stdout.close()


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
