"""Runs the shards' pipeline on the Beam runner that the user chose, by default on this machine."""

from __future__ import annotations

import contextlib
import difflib
import io
import logging
import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from bigbird.support.console import hidden_native_stderr
from bigbird.support.errors import InputError
from bigbird_components.preprocess.local_shards import processes_for, shard_progress
from bigbird_components.preprocess.worker_pool import Workers

if TYPE_CHECKING:
    from bigbird_components.preprocess.shards import Encoding, Shard

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
    if (
        is_local(options)
        and (processes := processes_for(options, sum(shard.size for shard in shards), len(shards))) > 1
    ):
        with shard_progress(shards, done_folder, local=True), Workers(encoding, processes) as workers:
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
        shard_progress(shards, done_folder, local=runner is not None),
        beam.Pipeline(runner=runner, options=options) as pipeline,
    ):
        encode_shards(pipeline | "Shards" >> beam.Create(shards, reshuffle=False), encoding)


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
