"""Answering shards: the model is loaded once; small batches are answered two at once, large ones one by one."""

import json
import threading
import time
from types import SimpleNamespace

import pytest

from bigbird.serving.text_model import CHARACTERS_AT_ONCE
from bigbird_components.predict import answering
from bigbird_components.predict.rows import RowRange


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


class WatchedModel:
    """Answers a text by its length; notes how many characters it was asked in calls that overlap."""

    def __init__(self):
        self.asked, self.most, self.calls, self.most_calls, self._lock = 0, 0, 0, 0, threading.Lock()

    def answer(self, examples):
        size = sum(len(example["text"]) for example in examples)
        with self._lock:
            self.asked += size
            self.calls += 1
            self.most, self.most_calls = max(self.most, self.asked), max(self.most_calls, self.calls)
        time.sleep(0.01)
        with self._lock:
            self.asked -= size
            self.calls -= 1
        return [{"label": str(len(example["text"]))} for example in examples]


@pytest.fixture
def answered(monkeypatch, tmp_path):
    """Function (lengths of texts) -> the model that answered them, and its answers in the order that they were written."""

    def answer(lengths):
        rows = [
            json.dumps({"fields": {"text": "a" * length}, "id": i, "kept": {}, "place": f"row {i}"}).encode() + b"\n"
            for i, length in enumerate(lengths)
        ]
        (tmp_path / "rows.jsonl").write_bytes(b"".join(rows))
        half = len(rows) // 2
        sizes = [sum(map(len, rows[:half])), sum(map(len, rows[half:]))]
        shards = [RowRange(0, 0, sizes[0], half), RowRange(1, sizes[0], sizes[1], len(rows) - half)]
        model = WatchedModel()
        family = SimpleNamespace(labels_of=lambda answer: [answer["label"]])
        asked = SimpleNamespace(model=model, family=family, count_cut=lambda examples: 0)
        monkeypatch.setattr(answering, "_asked", lambda model, digest: asked)
        files = answering.JobFiles("model", "d", str(tmp_path))
        answering.answer_shards(files, shards)
        lines = [line for shard in shards for line in open(files.part(shard), encoding="utf-8")]
        return model, [json.loads(line) for line in lines]

    return answer


def test_small_batches_are_answered_two_at_once_and_written_in_the_order_of_the_rows(answered):
    lengths = [(7 * i) % 50 + 1 for i in range(900)]
    model, answers = answered(lengths)
    assert model.most_calls == 2
    assert [(answer["id"], answer["label"]) for answer in answers] == [(i, str(n)) for i, n in enumerate(lengths)]


@pytest.mark.parametrize("length", [2_100, 3_000, 70_000, CHARACTERS_AT_ONCE, CHARACTERS_AT_ONCE + 1])
def test_batches_of_long_texts_are_answered_one_by_one(answered, length):
    model, answers = answered([length] * 300 if length < 10_000 else [length] * 8)
    assert model.most_calls == 1 and model.most <= max(length, CHARACTERS_AT_ONCE)
    assert [answer["id"] for answer in answers] == list(range(len(answers)))
