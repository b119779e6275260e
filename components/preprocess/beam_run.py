"""Runs the shards' pipeline on the Beam runner that the user chose, by default on this machine."""

from __future__ import annotations

import contextlib
import difflib
import io
import logging
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from bigbird.console import Progress
from bigbird.errors import InputError
from components.preprocess import storage

if TYPE_CHECKING:
    from components.preprocess.shards import Encoding, Shard

# Bytes of JSON lines from which a second process on this machine saves more time than its start takes.
MANY_BYTES = 40_000_000

_LOCAL = ("DirectRunner", "FnApiRunner", "BundleBasedDirectRunner")


def parse_options(flags: Sequence[str]) -> Any:
    """Beam's PipelineOptions.

    Args:
        flags: `--name=value`, `--name value` or `--name`.

    Raises:
        InputError: a flag that neither this command nor Beam knows, or a value that Beam does not take.
    """
    logging.disable(logging.WARNING)  # importing Beam warns of Google Cloud parts that are not installed
    try:
        from apache_beam.options.pipeline_options import PipelineOptions
    finally:
        logging.disable(logging.NOTSET)
    for i, flag in enumerate(flags):
        if not flag.startswith("--") and (i == 0 or not flags[i - 1].startswith("--") or "=" in flags[i - 1]):
            raise InputError(f"{flag!r} is no option; expected --name=value. See --help")
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            options = PipelineOptions(list(flags))
            known = options.get_all_options()
            given = options.get_all_options(drop_default=True, retain_unknown_options=True)
    except SystemExit:
        raise InputError(f"Beam refuses its options: {complaint.getvalue().strip().rpartition('error: ')[2]}") from None
    for name in sorted(set(given) - set(known)):
        close = difflib.get_close_matches(name, [*known, *_OWN], n=1)
        hint = f"; did you mean --{close[0]}?" if close else ""
        raise InputError(f"--{name}: neither this command nor Apache Beam has this option{hint} See --help")
    return options


# This command's own options, to suggest where one is misspelt.
_OWN = (
    "task", "input", "train_file", "validation_file", "test_file", "vocabulary", "vocabulary_size", "max_length",
    "doc_stride", "query_length", "lower_case", "max_bad_records", "output", "overwrite",
)  # fmt: skip


def is_local(options: Any) -> bool:
    """Whether the runner works in this machine's file system."""
    from apache_beam.options.pipeline_options import StandardOptions

    return (options.view_as(StandardOptions).runner or "DirectRunner") in _LOCAL


def run_shards(shards: list[Shard], encoding: Encoding, options: Any, done_folder: str) -> None:
    """Encodes all shards, showing how many examples are done."""
    import apache_beam as beam

    from components.preprocess.shards import encode_shards

    runner = None
    if is_local(options):
        runner = _local_runner(options, sum(shard.size for shard in shards), len(shards))
    with _quiet_beam(), _worker_path(), _progress(shards, done_folder, local=runner is not None):
        with beam.Pipeline(runner=runner, options=options) as pipeline:
            encode_shards(pipeline | "Shards" >> beam.Create(shards, reshuffle=False), encoding)


def _local_runner(options: Any, total_bytes: int, shards: int) -> str:
    """Settles the number of processes where the user left it open; returns the runner's name.

    DirectRunner may fetch another runner's binary and start it; FnApiRunner is the part of it that runs in Python.
    """
    from apache_beam.options.pipeline_options import DirectOptions, StandardOptions

    direct = options.view_as(DirectOptions)
    processes = min(os.cpu_count() or 1, shards)
    untouched = direct.direct_running_mode == "in_memory" and direct.direct_num_workers in (None, 1)
    if untouched and total_bytes >= MANY_BYTES and processes > 1:
        direct.direct_running_mode, direct.direct_num_workers = "multi_processing", processes
    elif direct.direct_running_mode == "in_memory":
        direct.direct_num_workers = 1
    chosen = options.view_as(StandardOptions).runner
    return chosen if chosen == "BundleBasedDirectRunner" else "FnApiRunner"


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
def _worker_path() -> Iterator[None]:
    """Lets worker processes import what this one can."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(os.path.abspath(path) for path in sys.path)
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


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
