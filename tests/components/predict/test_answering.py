"""Answering shards: the model is loaded once."""

import threading

import pytest

from bigbird_components.predict import answering


@pytest.fixture
def loaded(monkeypatch):
    """The models that were loaded; loading one waits a moment for another thread to do so too."""
    made, others = [], threading.Barrier(4)

    class Model:
        digest = "d"

        def __init__(self, folder):
            made.append(folder)
            try:
                others.wait(0.3)
            except threading.BrokenBarrierError:
                others.reset()

    monkeypatch.setattr(answering, "_Asked", Model)
    answering._load.cache_clear()
    yield made
    answering._load.cache_clear()


def test_threads_that_ask_at_once_share_one_model(loaded, tmp_path):
    found = []
    threads = [threading.Thread(target=lambda: found.append(answering._asked(str(tmp_path), "d"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert loaded == [tmp_path]
    assert len(found) == 4 and len(set(map(id, found))) == 1
