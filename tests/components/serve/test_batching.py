"""Requests share calls of the model and nothing else."""

import threading
import time

import pytest

from bigbird_components.serve import batching
from bigbird_components.serve.batching import Batcher, QueueFull


def _example(text):
    return {"text_a": text}


@pytest.fixture
def running():
    """Starts a batcher's worker; every worker ends with the test."""
    started = []

    def start(batcher, predict):
        thread = threading.Thread(target=batcher.run, args=(predict,))
        thread.start()
        started.append((batcher, thread))
        return thread

    yield start
    for batcher, thread in started:
        batcher.close()
        thread.join(10)
        assert not thread.is_alive()


def _upper(examples):
    return [{"answer": example["text_a"].upper()} for example in examples]


def test_what_waits_is_answered_in_one_call_each_request_with_its_own(running):
    calls = []

    def predict(examples):
        calls.append(len(examples))
        return _upper(examples)

    batcher = Batcher(8, 0.0, 100)
    requests = [[_example(f"{number}-{row}") for row in range(number)] for number in (1, 3, 2, 5)]
    futures = [batcher.submit(request) for request in requests]
    running(batcher, predict)
    for request, future in zip(requests, futures, strict=True):
        assert future.result(10) == _upper(request)
    assert calls == [8, 3]  # the last request in two
    assert (batcher.calls, batcher.answered) == (2, 11)


def test_a_call_has_no_more_characters_than_the_model_reads_at_once_or_one_text(running, monkeypatch):
    monkeypatch.setattr(batching, "CHARACTERS_AT_ONCE", 10)
    calls = []

    def predict(examples):
        calls.append([len(example["text_a"]) for example in examples])
        return _upper(examples)

    batcher = Batcher(3, 0.0, 100)
    requests = [[_example("x" * length) for length in lengths] for lengths in ((4, 6), (1,), (50, 2), (3, 3, 3, 3))]
    futures = [batcher.submit(request) for request in requests]
    running(batcher, predict)
    for request, future in zip(requests, futures, strict=True):
        assert future.result(10) == _upper(request)
    assert calls == [[4, 6], [1], [50], [2, 3, 3], [3, 3]]


def test_a_request_waits_for_companions_but_not_longer_than_said(running):
    calls = []

    def predict(examples):
        calls.append(len(examples))
        return _upper(examples)

    batcher = Batcher(2, 30.0, 100)
    running(batcher, predict)
    first = batcher.submit([_example("a")])
    time.sleep(0.1)
    assert not first.done()
    batcher.submit([_example("b")])
    assert first.result(5) == [{"answer": "A"}]  # the call is full, thirty seconds or not
    assert calls == [2]
    alone = Batcher(2, 0.05, 100)
    running(alone, predict)
    assert alone.submit([_example("c")]).result(5) == [{"answer": "C"}]


def test_a_full_queue_takes_no_part_of_a_request(running):
    batcher = Batcher(8, 0.0, 3)
    kept = batcher.submit([_example("a"), _example("b")])
    with pytest.raises(QueueFull):
        batcher.submit([_example("c"), _example("d")])
    also = batcher.submit([_example("e")])
    running(batcher, _upper)
    assert kept.result(10) == [{"answer": "A"}, {"answer": "B"}]
    assert also.result(10) == [{"answer": "E"}]
    assert batcher.submit([_example("f")] * 3).result(10)  # there is room again


def test_a_request_that_the_model_fails_on_leaves_its_companions_alone(running):
    def predict(examples):
        if any(example["text_a"] == "bad" for example in examples):
            raise ValueError("no")
        return _upper(examples)

    batcher = Batcher(4, 0.0, 100)
    good = [batcher.submit([_example("a"), _example("b")])]
    bad = batcher.submit([_example("x"), _example("bad"), *[_example("y")] * 6])  # over three calls
    good.append(batcher.submit([_example("c")]))
    running(batcher, predict)
    assert [future.result(10) for future in good] == [[{"answer": "A"}, {"answer": "B"}], [{"answer": "C"}]]
    with pytest.raises(ValueError, match="no"):
        bad.result(10)
    assert batcher.submit([_example("d")]).result(10) == [{"answer": "D"}]  # it goes on


def test_a_model_that_loses_an_answer_fails_the_request(running):
    batcher = Batcher(4, 0.0, 100)
    running(batcher, lambda examples: _upper(examples)[1:])
    with pytest.raises(ValueError):
        batcher.submit([_example("a"), _example("b")]).result(10)


def test_what_waits_when_it_is_closed_is_still_answered(running):
    batcher = Batcher(4, 30.0, 100)
    futures = [batcher.submit([_example(str(number))]) for number in range(10)]
    batcher.close()
    running(batcher, _upper).join(10)
    assert [future.result(0)[0]["answer"] for future in futures] == [str(number) for number in range(10)]


def test_many_threads_get_each_their_own(running):
    batcher = Batcher(16, 0.001, 10_000)
    running(batcher, _upper)
    wrong = []

    def client(name):
        for number in range(100):
            request = [_example(f"{name}-{number}-{row}") for row in range(number % 5 + 1)]
            if batcher.submit(request).result(20) != _upper(request):
                wrong.append((name, number))

    clients = [threading.Thread(target=client, args=(name,)) for name in "abcdefgh"]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join(60)
    assert wrong == []
    assert batcher.answered == 8 * 100 * 3
