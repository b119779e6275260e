"""The programs of further padded lengths, compiled in the background while the first length's already trains.

A program takes seconds to compile on a CPU and a minute or more on a TPU, and a run has one for each padded length.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

Shapes = Mapping[str, Any]  # of a batch's arrays: anything with `shape` and `dtype`


class Ahead:
    """A function of (values, batch, *rest) under `jax.jit`, whose programs for batches to come can be made before.

    Args:
        function: the compiled function.
    """

    def __init__(self, function: Any):
        self._function = function
        self._programs: dict[Any, Future[Callable[..., Any]]] = {}

    def __call__(self, values: Any, batch: Shapes, *rest: Any) -> Any:
        """The function's result; waits for a program that is being made, and does itself what nobody has begun."""
        program = self._programs.get(_key(batch))
        if program is None or program.cancel():
            return self._function(values, batch, *rest)
        return program.result()(values, batch, *rest)

    def expect(self, values: Any, batch: Shapes, *rest: Any) -> Callable[[], None]:
        """What makes the program for a batch of such shapes; run it in another thread. The arguments may be `jax.ShapeDtypeStruct`."""
        program: Future[Callable[..., Any]] = Future()
        self._programs[_key(batch)] = program

        def make() -> None:
            if not program.set_running_or_notify_cancel():
                return  # it was needed before
            try:
                program.set_result(self._function.lower(values, batch, *rest).compile())
            except BaseException as error:  # noqa: BLE001 - it is raised where the program is needed
                program.set_exception(error)

        return make


def in_background(jobs: Sequence[Callable[[], None]]) -> None:
    """Runs jobs one after the other, none after the process began to end."""

    def work() -> None:
        for job in jobs:
            if not threading.main_thread().is_alive():
                return
            job()

    threading.Thread(target=work, name="compile-ahead").start()


def resized(
    batch: Shapes, lengths: Sequence[int], rows: Callable[[int], int]
) -> Iterator[dict[str, tuple[tuple[int, ...], Any]]]:
    """The shapes and dtypes of a batch at other lengths.

    Args:
        batch: one at any length, with `input_word_ids` [B, L].
        lengths: tokens.
        rows: of a batch by its length.
    """
    length = batch["input_word_ids"].shape[1]
    for other in lengths:
        yield {
            name: ((rows(other), *(other if size == length else size for size in value.shape[1:])), value.dtype)
            for name, value in batch.items()
        }


def is_known_at_other_lengths(batch: Shapes, classes: int | None) -> bool:
    """Whether `resized` tells the shapes of a batch: each axis is one of rows, tokens or classes.

    Of another axis, such as the masked tokens', nothing here says how it follows the length, and a program for a wrong shape is
    compiled and never used.

    Args:
        batch: as of `resized`.
        classes: of the model; None without.
    """
    length = batch["input_word_ids"].shape[1]
    return all(size in (length, classes) for value in batch.values() for size in value.shape[1:])


def _key(batch: Shapes) -> Any:
    return tuple(sorted((name, tuple(value.shape), str(value.dtype)) for name, value in batch.items()))
