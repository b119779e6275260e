"""Concurrent requests gathered into calls of the model, by one worker thread and a bounded queue."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from bigbird.serving.text_model import CHARACTERS_AT_ONCE

Example = dict[str, str]
Answer = dict[str, Any]
Predict = Callable[[Sequence[Example]], Sequence[Answer]]


class QueueFull(Exception):
    """More examples are waiting than the queue takes."""


class PendingRequest:
    """The examples of one request.

    Args:
        examples: at least one.

    Attributes:
        future: their answers in order, or what the model raised.
        arrived: when they came, seconds of the monotonic clock.
    """

    def __init__(self, examples: Sequence[Example]):
        self.examples = examples
        self.future: Future[list[Answer]] = Future()
        self.future.set_running_or_notify_cancel()  # from here on nobody can cancel it under the worker
        self.arrived = time.monotonic()
        self._answers: dict[int, Answer] = {}

    def answer(self, row: int, answer: Answer) -> None:
        """Takes one example's answer; the last one completes the future."""
        self._answers[row] = answer
        if len(self._answers) == len(self.examples):
            self.future.set_result([self._answers[row] for row in range(len(self.examples))])


Batch = list[tuple[PendingRequest, int]]  # an example each: whose, and its row there


class Batcher:
    """A queue of examples, and the loop that answers them.

    A call takes what waits, whichever requests it is from, so that a queue that grew during the last call is emptied by
    few calls, but for long texts: a call has no more characters than `CHARACTERS_AT_ONCE`, or one example. Where little waits, the call waits for companions, but never long after the oldest example came.

    Args:
        max_batch: most examples of a call.
        max_delay_s: longest that the oldest example waits for companions, seconds.
        max_waiting: most examples in the queue, those in the running call not counted.

    Attributes:
        calls: of the model so far.
        answered: examples that those calls answered.
    """

    def __init__(self, max_batch: int, max_delay_s: float, max_waiting: int):
        self._max_batch, self._max_delay_s, self._max_waiting = max_batch, max_delay_s, max_waiting
        self._waiting: deque[tuple[PendingRequest, int]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self.calls = self.answered = 0

    def submit(self, examples: Sequence[Example]) -> Future[list[Answer]]:
        """Queues a request's examples.

        Raises:
            QueueFull: there is no room for all of them.
        """
        with self._changed:
            if len(self._waiting) + len(examples) > self._max_waiting:
                raise QueueFull
            job = PendingRequest(examples)
            self._waiting.extend((job, row) for row in range(len(examples)))
            self._changed.notify()
        return job.future

    def close(self) -> None:
        """Lets `run` end once nothing waits."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def run(self, predict: Predict) -> None:
        """Answers what is queued until `close`; for one thread.

        Args:
            predict: the model. What it raises becomes the outcome of the request that it raises it for.
        """
        while batch := self._take():
            self._answer(batch, predict)

    def _take(self) -> Batch:
        """The next call's examples; none when closed."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            if not self._waiting:
                return []
            until = self._waiting[0][0].arrived + self._max_delay_s
            while len(self._waiting) < self._max_batch and not self._closed:
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            batch: Batch = []
            characters = 0
            while self._waiting and len(batch) < self._max_batch:
                job, row = self._waiting[0]
                characters += sum(map(len, job.examples[row].values()))
                if batch and characters > CHARACTERS_AT_ONCE:
                    break
                batch.append(self._waiting.popleft())
            return batch

    def _answer(self, batch: Batch, predict: Predict) -> None:
        batch = [(job, row) for job, row in batch if not job.future.done()]  # the rest of a failed request
        if not batch:
            return
        try:
            answers = list(zip(batch, predict([job.examples[row] for job, row in batch]), strict=True))
        except Exception as error:  # noqa: BLE001 - the model's, whatever it is; the server goes on
            jobs = list(dict.fromkeys(job for job, _ in batch))
            if len(jobs) == 1:
                jobs[0].future.set_exception(error)
                return
            for job in jobs:  # companions of the request that fails are answered all the same
                self._answer([entry for entry in batch if entry[0] is job], predict)
            return
        self.calls += 1
        self.answered += len(batch)
        for (job, row), answer in answers:
            job.answer(row, answer)
