"""Runs the shards' pipeline on the Beam runner that the user chose, by default on this machine."""

from __future__ import annotations

import contextlib
import difflib
import io
import logging
import os
import shlex
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from bigbird.support.console import Progress, hidden_native_stderr
from bigbird.support.errors import InputError
from bigbird_components.preprocess import storage
from bigbird_components.preprocess.worker_pool import Workers

if TYPE_CHECKING:
    from bigbird_components.preprocess.shards import Encoding, Shard

# Bytes of JSON lines from which a second process on this machine saves more time than its start takes.
MANY_BYTES = 20_000_000

_LOCAL = ("directrunner", "fnapirunner")


def parse_options(flags: Sequence[str] | str) -> Any:
    """Beam's PipelineOptions.

    Args:
        flags: `--name=value`, `--name value` or `--name`; or all of them in one string, quoted as in a shell.

    Raises:
        InputError: a flag that neither this command nor Beam knows, or a value that Beam does not take.
    """
    if isinstance(flags, str):
        try:
            flags = shlex.split(flags)
        except ValueError as error:
            raise InputError(
                f"Beam's options {flags!r} cannot be told apart: {error}; expected --name=value, quoted as in a shell"
            ) from None
    for i, flag in enumerate(flags):
        if not flag.startswith("--") and (i == 0 or not flags[i - 1].startswith("--") or "=" in flags[i - 1]):
            raise InputError(f"{flag!r} is no option; expected --name=value. See --help")
    complaint = io.StringIO()
    logging.disable(logging.WARNING)  # Beam warns of Google Cloud parts that are not installed and of unknown options
    try:
        from apache_beam.options.pipeline_options import PipelineOptions

        with contextlib.redirect_stderr(complaint):
            options = PipelineOptions(list(flags))
            known = options.get_all_options()
            given = options.get_all_options(drop_default=True, retain_unknown_options=True)
    except SystemExit:
        raise InputError(f"Beam refuses its options: {complaint.getvalue().strip().rpartition('error: ')[2]}") from None
    finally:
        logging.disable(logging.NOTSET)
    for name in sorted(set(given) - set(known)):
        close = difflib.get_close_matches(name, [*known, *_OWN], n=1)
        hint = f"; did you mean --{close[0].replace('_', '-') if close[0] in _OWN else close[0]}?" if close else "."
        raise InputError(f"--{name}: neither this command nor Apache Beam has this option{hint} See --help")
    _check_values(options)
    return options


def _check_values(options: Any) -> None:
    """Refuses values that Beam itself takes for granted."""
    from apache_beam.options.pipeline_options import DirectOptions, StandardOptions

    workers = options.view_as(DirectOptions).direct_num_workers
    if workers is not None and workers < 0:
        raise InputError(f"--direct_num_workers={workers}: expected 1 or more, or 0 for one per processor")
    runner = options.view_as(StandardOptions).runner
    known = {name.lower(): name for name in StandardOptions.KNOWN_RUNNER_NAMES}
    if runner and "." not in runner and runner.lower() not in known:
        close = difflib.get_close_matches(runner.lower(), known, n=1)
        hint = f"did you mean {known[close[0]]}?" if close else f"expected one of {', '.join(known.values())}"
        raise InputError(f"--runner={runner}: no runner of Apache Beam; {hint}")


# This command's own options, to suggest where one is misspelt.
_OWN = (
    "task", "input", "train_file", "validation_file", "test_file", "vocabulary", "vocabulary_size", "max_length",
    "doc_stride", "query_length", "lower_case", "max_bad_records", "output", "overwrite",
)  # fmt: skip


def is_local(options: Any) -> bool:
    """Whether the runner works in this machine's file system."""
    from apache_beam.options.pipeline_options import StandardOptions

    return (options.view_as(StandardOptions).runner or "DirectRunner").lower() in _LOCAL


def run_shards(shards: list[Shard], encoding: Encoding, options: Any, done_folder: str) -> None:
    """Encodes all shards, showing how many examples are done.

    Args:
        shards: the files to write.
        encoding: how.
        options: Beam's, from `parse_options`.
        done_folder: where every finished shard leaves its statistics.

    Raises:
        InputError: a worker process of this machine was killed.
        WorkerError: one failed.
    """
    if is_local(options) and (processes := _processes(options, sum(shard.size for shard in shards), len(shards))) > 1:
        with _progress(shards, done_folder, local=True), Workers(encoding, processes) as workers:
            for shard in shards:
                workers.encode(shard)
            workers.finish()
        return
    import apache_beam as beam

    from bigbird_components.preprocess.beam_pipeline import encode_shards

    runner = _local_runner(options) if is_local(options) else None
    with (
        hidden_native_stderr() if runner is not None else contextlib.nullcontext(),
        _quiet_beam(),
        _progress(shards, done_folder, local=runner is not None),
        beam.Pipeline(runner=runner, options=options) as pipeline,
    ):
        encode_shards(pipeline | "Shards" >> beam.Create(shards, reshuffle=False), encoding)


class EarlyShards:
    """Encodes a split's first shards while its last lines are still being written; a context, at whose end it ends.

    What a shard's file is called depends on the number of all shards, so that early ones are called otherwise until then.

    Args:
        encoding: how.
        options: Beam's, from `parse_options`, of a runner of this machine.
        work: a folder of this machine for the early files.
    """

    def __init__(self, encoding: Encoding, options: Any, work: str):
        self._encoding, self._work = encoding, work
        self._processes = _processes(options, MANY_BYTES, sys.maxsize)  # how many shards there will be is not known yet
        self._stack = contextlib.ExitStack()
        self._workers: Workers | None = None
        self._shards: dict[tuple[str, int], Shard] = {}  # split and number -> what it is called early

    def __enter__(self) -> EarlyShards:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

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
        if self._processes == 1:
            return
        from bigbird_components.preprocess.shards import Shard

        name = storage.join(self._work, f"{split}-{number:05d}")
        shard = Shard(split, lines, *cut, f"{name}.tfrecord", f"{name}.json")
        self._shards[split, number] = shard
        if self._workers is not None:
            self._workers.encode(shard)
        elif sum(shard.size for shard in self._shards.values()) >= MANY_BYTES:
            self._workers = self._stack.enter_context(Workers(self._encoding, self._processes))
            for each in self._shards.values():
                self._workers.encode(each)

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
        with _progress(early, self._work, local=True):
            self._workers.finish()
        for known, shard in zip(early, shards, strict=True):
            for path, name in ((known.output, shard.output), (known.done, shard.done)):
                if path != name and storage.exists(path):  # a worker that failed leaves no records
                    os.replace(path, name)
        return True


def _processes(options: Any, total_bytes: int, shards: int) -> int:
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


def _local_runner(options: Any) -> Any:
    """Beam's Python runner in this process. DirectRunner may fetch another runner's binary and start it."""
    from apache_beam.options.pipeline_options import DirectOptions
    from apache_beam.portability.api import beam_provision_api_pb2
    from apache_beam.runners.portability.fn_api_runner import fn_runner
    from apache_beam.runners.portability.portable_runner import JobServiceHandle

    direct = options.view_as(DirectOptions)
    if direct.direct_running_mode == "multi_processing":  # of which the work needs one
        direct.direct_running_mode, direct.direct_num_workers = "in_memory", 1
    encoded = JobServiceHandle.encode_pipeline_options(options.get_all_options())
    provision = beam_provision_api_pb2.ProvisionInfo(pipeline_options=encoded)
    return fn_runner.FnApiRunner(provision_info=fn_runner.ExtendedProvisionInfo(provision))


@contextlib.contextmanager
def _quiet_beam() -> Iterator[None]:
    """Keeps Beam's notes off the terminal; its errors still show."""
    logger = logging.getLogger("apache_beam")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _progress(shards: list[Shard], done_folder: str, *, local: bool) -> Iterator[None]:
    """Watches for finished shards, since a runner may do its work in other processes or machines."""
    examples = {shard.done.rpartition("/")[2]: shard.examples for shard in shards}
    progress = Progress("encode", sum(examples.values()))
    progress.update(0, f"examples in {len(shards)} files", force=True)
    finished = threading.Event()

    def watch() -> None:
        while not finished.wait(0.3 if local else 10.0):
            progress.update(sum(examples.get(name, 0) for name in storage.list_names(done_folder)), "examples")

    watcher = threading.Thread(target=watch, name="progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        finished.set()
        watcher.join()
        progress.finish()
