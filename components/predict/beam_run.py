"""Answers shards on the Beam runner that the user chose."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import apache_beam as beam

from bigbird import storage
from bigbird.support.commands import EXIT_CODES, EXIT_INPUT, explained
from bigbird.support.errors import InputError, ServiceError
from bigbird.support.native_stderr import hidden_native_stderr
from bigbird.support.progress import Progress
from bigbird_components.beam_options import is_local, local_runner, quiet_beam, told_failures
from bigbird_components.predict.answering import JobFiles, answer_shards, outcome_name
from bigbird_components.predict.rows import RowRange
from bigbird_components.predict.whole_files import write_json
from bigbird_components.watching import watching


class AnswerShard(beam.DoFn):
    """`answering.answer_shards` as a step of Beam; a worker loads the model with its first shard."""

    def __init__(self, files: JobFiles):
        self._files = files

    def process(self, element: RowRange) -> Iterator[int]:
        """Answers one shard; yields its number.

        The user's mistakes and what a service refuses are written to a file, which the main process reads: raised, they would
        arrive wrapped in the runner's own errors. After a mistake the other shards are left as they are. Where workers are
        elsewhere, what a service refuses is raised besides, as their runner tries again.
        """
        if isinstance(_failure(self._files), InputError):
            return
        try:
            answer_shards(self._files, [element])
        except Exception as error:
            told = explained(error)
            if told is None or told[1] not in EXIT_CODES.values():
                raise
            message, code = told
            try:
                write_json(self._files.failed, {"message": message, "code": code})
            except (OSError, InputError, ServiceError):
                raise error from None
            if code != EXIT_INPUT and storage.is_remote(self._files.work):
                raise
            return
        yield element.number


def _failure(files: JobFiles) -> Exception | None:
    """What a worker wrote that it failed of."""
    if not storage.is_file(files.failed):
        return None
    found = json.loads(storage.read_bytes(files.failed))
    kind = next(kind for kind, code in EXIT_CODES.items() if code == found["code"])
    return kind(found["message"])


def answer_on_beam(
    files: JobFiles, shards: Sequence[RowRange], options: Any, answered: Callable[[], int], progress: Progress
) -> None:
    """Answers all shards; the files that each leaves are its result.

    Args:
        files: of the job, where the workers reach it.
        shards: the rows.
        options: Beam's.
        answered: counts the rows whose answers are there.
        progress: shows it.

    Raises:
        InputError: the model cannot be loaded, or gives numbers that are not finite.
        ServiceError: a bucket cannot be read or written.
    """
    if storage.is_file(files.failed):  # of an earlier start
        storage.delete([files.failed])
    try:
        _run(files, shards, options, answered, progress)
    except Exception as error:
        failure = _failure(files)
        if failure is None:
            raise
        raise failure from error
    names = set(storage.list_names(files.work))
    failure = _failure(files)
    # One of a shard that was answered when it was tried again is of no account.
    if failure is not None and any(outcome_name(shard.number) not in names for shard in shards):
        raise failure


def _run(
    files: JobFiles, shards: Sequence[RowRange], options: Any, answered: Callable[[], int], progress: Progress
) -> None:
    runner = local_runner(options, processes=True) if is_local(options) else None
    with (
        told_failures(options),
        hidden_native_stderr() if runner is not None else contextlib.nullcontext(),
        quiet_beam(),
        # Shards may be answered in other processes or machines.
        watching(lambda: progress.update(answered(), "rows"), 1.0 if runner is not None else 10.0),
        beam.Pipeline(runner=runner, options=options) as pipeline,
    ):
        created = pipeline | "Shards" >> beam.Create(list(shards), reshuffle=False)
        created | "Spread" >> beam.Reshuffle() | "Answer" >> beam.ParDo(AnswerShard(files))
