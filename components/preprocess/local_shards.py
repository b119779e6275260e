"""Encodes shards in processes of this machine: how many, from when, and how far they are."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bigbird.support.progress import Progress
from bigbird_components.preprocess import storage
from bigbird_components.preprocess.worker_pool import Workers
from bigbird_components.watching import watching

if TYPE_CHECKING:
    from bigbird_components.preprocess.shards import Encoding, Shard

# Bytes of JSON lines from which a second process on this machine saves more time than its start takes.
MANY_BYTES = 20_000_000


def processes_for(options: Any, total_bytes: int, shards: int) -> int:
    """How many processes of this machine encode: as the user says, or as many as the work is worth.

    Args:
        options: Beam's.
        total_bytes: of JSON lines.
        shards: files to write; one is a process' work.
    """
    from apache_beam.options.pipeline_options import DirectOptions

    direct = options.view_as(DirectOptions)
    cores = len(os.sched_getaffinity(0))  # that this process may use
    if direct.direct_running_mode == "multi_processing":
        return min(direct.direct_num_workers or cores, shards)
    untouched = direct.direct_running_mode == "in_memory" and direct.direct_num_workers in (None, 1)
    return min(cores, shards) if untouched and total_bytes >= MANY_BYTES else 1


@contextlib.contextmanager
def shard_progress(shards: list[Shard], done_folder: str, *, local: bool) -> Iterator[None]:
    """Watches for finished shards, since a runner may do its work in other processes or machines."""
    examples = {shard.done.rpartition("/")[2]: shard.examples for shard in shards}
    progress = Progress("encode", sum(examples.values()))
    progress.update(0, f"examples in {len(shards)} files", force=True)

    def look() -> None:
        progress.update(sum(examples.get(name, 0) for name in storage.list_names(done_folder)), "examples")

    try:
        with watching(look, 0.3 if local else 10.0):
            yield
    finally:
        progress.finish()


class EarlyShards:
    """Encodes a split's first shards while its last lines are still being written, until `close`.

    What a shard's file is called depends on the number of all shards, so that early ones are called otherwise until then.

    Args:
        options: Beam's, from `parse_options`, of a runner of this machine.
        work: a folder of this machine for the early files.
    """

    def __init__(self, options: Any, work: str):
        self._work = work
        self._processes = processes_for(
            options, MANY_BYTES, sys.maxsize
        )  # how many shards there will be is not known yet
        self._stack = contextlib.ExitStack()
        self._workers: Workers | None = None
        self._shards: dict[tuple[str, int], Shard] = {}  # split and number -> what it is called early

    def close(self) -> None:
        """Ends the processes."""
        self._stack.close()

    def expect(self, size: int) -> None:
        """Starts the processes once there is enough to encode, so that they are ready when the first shard is.

        Args:
            size: bytes that will be encoded at least; called again when there are more.
        """
        if self._workers is None and self._processes > 1 and size >= MANY_BYTES:
            self._workers = self._stack.enter_context(Workers(self._processes))

    def begin(self, encoding: Encoding) -> None:
        """Says how shards are encoded; called once, before the first."""
        if self._workers is not None:
            self._workers.begin(encoding)

    def add(self, split: str, lines: str, number: int, cut: tuple[int, int, int, int]) -> None:
        """Takes a shard whose lines are in their file.

        Args:
            split: its split.
            lines: the file.
            number: the shard's in the split.
            cut: as `Lines.cuts` has it.

        Raises:
            InputError: a worker process was killed.
            WorkerError: one failed.
        """
        if self._workers is None:
            return
        from bigbird_components.preprocess.shards import Shard

        name = storage.join(self._work, f"{split}-{number:05d}")
        shard = Shard(split, lines, *cut, f"{name}.tfrecord", f"{name}.json")
        self._shards[split, number] = shard
        self._workers.encode(shard)

    def finish(self, shards: list[Shard]) -> bool:
        """Encodes the other shards too and gives all files their names; errors as `add`.

        Args:
            shards: all, by the names that they keep; those of a split in order.

        Returns:
            Whether it did; not where so little was read that no process was started.
        """
        if self._workers is None:
            return False
        numbers = dict.fromkeys((shard.split for shard in shards), 0)
        early = []
        for shard in shards:
            known = self._shards.get((shard.split, numbers[shard.split]), shard)
            numbers[shard.split] += 1
            early.append(known)
            if known is shard:
                self._workers.encode(shard)
        with shard_progress(early, self._work, local=True):
            self._workers.finish()
        for known, shard in zip(early, shards, strict=True):
            for path, name in ((known.output, shard.output), (known.done, shard.done)):
                if path != name and storage.exists(path):  # a worker that failed leaves no records
                    os.replace(path, name)
        return True
