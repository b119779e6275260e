"""Looks at work that others do."""

import threading

import pytest

from bigbird.support.errors import InputError, ServiceError
from bigbird_components.preprocess import local_shards
from bigbird_components.preprocess.shards import Shard
from bigbird_components.watching import watching


@pytest.mark.parametrize("error", [ServiceError("gs://b: cannot be reached"), InputError("no bucket"), OSError("gone")])
def test_a_look_that_fails_does_not_end_the_looks(error):
    looks, shown = [], threading.Event()

    def look():
        looks.append(1)
        if len(looks) < 3:
            raise error
        shown.set()

    with watching(look, 0.001):
        assert shown.wait(10)
    count = len(looks)
    assert not [thread for thread in threading.enumerate() if thread.name == "progress"] and len(looks) == count


def test_progress_of_preprocessing_goes_on_after_a_service_did_not_answer(monkeypatch, tmp_path):
    looks, answered = [], threading.Event()

    def list_names(folder):
        looks.append(folder)
        if len(looks) < 2:
            raise ServiceError("gs://b: cannot be reached")
        answered.set()
        return ["a.json"]

    monkeypatch.setattr(local_shards.storage, "list_names", list_names)
    shard = Shard("train", "lines", 0, 1, 5, 0, "a.tfrecord", "gs://b/done/a.json")
    with local_shards.shard_progress([shard], "gs://b/done", local=True):
        assert answered.wait(10)
