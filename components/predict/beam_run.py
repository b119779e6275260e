"""Answers shards on the Beam runner that the user chose."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import apache_beam as beam

from bigbird.support.console import Progress, hidden_native_stderr
from bigbird_components.beam_options import is_local, local_runner, quiet_beam
from bigbird_components.predict.answering import Place, answer_shards
from bigbird_components.predict.rows import Shard


class AnswerShard(beam.DoFn):
    """`answering.answer_shards` as a step of Beam; a worker loads the model with its first shard."""

    def __init__(self, place: Place):
        self._place = place

    def process(self, element: Shard) -> Iterator[int]:
        """Answers one shard; yields its number."""
        answer_shards(self._place, [element])
        yield element.number


def answer_on_beam(
    place: Place, shards: Sequence[Shard], options: Any, answered: Callable[[], int], progress: Progress
) -> None:
    """Answers all shards; the files that each leaves are its result.

    Args:
        place: of the job, where the workers reach it.
        shards: the rows.
        options: Beam's.
        answered: counts the rows whose answers are there.
        progress: shows it.
    """
    runner = local_runner(options, processes=True) if is_local(options) else None
    with (
        hidden_native_stderr() if runner is not None else contextlib.nullcontext(),
        quiet_beam(),
        _watched(answered, progress, 1.0 if runner is not None else 10.0),
        beam.Pipeline(runner=runner, options=options) as pipeline,
    ):
        created = pipeline | "Shards" >> beam.Create(list(shards), reshuffle=False)
        created | "Spread" >> beam.Reshuffle() | "Answer" >> beam.ParDo(AnswerShard(place))


@contextlib.contextmanager
def _watched(answered: Callable[[], int], progress: Progress, every_s: float) -> Iterator[None]:
    """Looks for answers, since a runner may do its work in other processes or machines."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(every_s):
            progress.update(answered(), "rows")

    watcher = threading.Thread(target=watch, name="progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
