"""Runs the shards' pipeline on the Beam runner that the user chose, by default on this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bigbird.support.native_stderr import hidden_native_stderr
from bigbird_components import beam_options
from bigbird_components.beam_options import is_local, local_runner, quiet_beam, told_failures
from bigbird_components.preprocess.local_shards import processes_for, shard_progress
from bigbird_components.preprocess.worker_pool import Workers

if TYPE_CHECKING:
    from bigbird_components.preprocess.shards import Encoding, Shard

# This command's own options, to suggest where one is misspelt.
_OWN = (
    "task", "input", "train_file", "validation_file", "test_file", "vocabulary", "vocabulary_size", "max_length",
    "doc_stride", "query_length", "lower_case", "max_bad_records", "output", "overwrite",
)  # fmt: skip


def parse_options(flags: Sequence[str] | str) -> Any:
    """As `beam_options.parse_options`, with this command's own options to suggest."""
    return beam_options.parse_options(flags, _OWN)


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
        ServiceError: a runner elsewhere failed.
    """
    if (
        is_local(options)
        and (processes := processes_for(options, sum(shard.size for shard in shards), len(shards))) > 1
    ):
        with shard_progress(shards, done_folder, local=True), Workers(processes) as workers:
            workers.begin(encoding)
            for shard in shards:
                workers.encode(shard)
            workers.finish()
        return
    import apache_beam as beam

    from bigbird_components.preprocess.beam_pipeline import encode_shards

    # Several processes are `Workers`, not Beam's: here the work needs one.
    runner = local_runner(options, processes=False) if is_local(options) else None
    with (
        told_failures(options),
        hidden_native_stderr() if runner is not None else contextlib.nullcontext(),
        quiet_beam(),
        shard_progress(shards, done_folder, local=runner is not None),
        beam.Pipeline(runner=runner, options=options) as pipeline,
    ):
        encode_shards(pipeline | "Shards" >> beam.Create(shards, reshuffle=False), encoding)
