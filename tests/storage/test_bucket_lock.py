"""One writer at a time, against servers that others wrote.

gcp-storage-emulator knows no conditions, so whatever depends on them is tried in test_bucket_lock_conditions.py, and here
against S3 alone.
"""

import json
import threading

import pytest

from bigbird import storage
from bigbird.storage.bucket_lock import locked_in_bucket
from bigbird.support import locks
from bigbird.support.errors import InputError


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(locks, "WATCH_S", 2.0)
    monkeypatch.setattr(locks, "RENEW_S", 0.05)


def test_the_lock_is_an_object_that_goes_with_its_holder(bucket):
    with locked_in_bucket(f"{bucket}/dataset/", "preprocessing"):
        assert json.loads(storage.read_bytes(f"{bucket}/.dataset.lock"))["what"] == "preprocessing"
        assert storage.list_names(bucket) == [".dataset.lock"]
    assert storage.list_names(bucket) == []


def test_a_whole_bucket_is_no_folder(bucket):
    with (
        pytest.raises(InputError, match="is a whole bucket; expected a folder in it"),
        locked_in_bucket("/".join(bucket.split("/")[:3]), "a test"),
    ):
        pass


def test_a_bucket_that_does_not_exist_is_told(bucket):
    with pytest.raises(InputError, match="://other: no such bucket"):
        locked_in_bucket(bucket.replace("://bucket", "://other"), "preprocessing").__enter__()


def test_a_second_process_is_refused_and_told_who_holds_the_folder(s3_bucket):
    folder = f"{s3_bucket}/dataset"
    with locked_in_bucket(folder, "the first"):
        with pytest.raises(InputError, match=rf"{folder}: is being written by the first, process \d+ on"):
            _enter_as_another(folder)
        with locked_in_bucket(f"{s3_bucket}/other", "the third"):
            assert len(storage.list_names(s3_bucket)) == 2
    assert storage.list_names(s3_bucket) == []


def _enter_as_another(folder):
    locked_in_bucket(folder, "the second").__enter__()


def test_a_lock_that_nobody_renews_is_taken_over(s3_bucket, monkeypatch, capsys):
    monkeypatch.setattr(locks, "WATCH_S", 0.3)
    storage.write_bytes(f"{s3_bucket}/.dataset.lock", json.dumps({"what": "training", "host": "elsewhere"}).encode())
    with locked_in_bucket(f"{s3_bucket}/dataset", "preprocessing"):
        assert json.loads(storage.read_bytes(f"{s3_bucket}/.dataset.lock"))["what"] == "preprocessing"
    assert "was being written by training on elsewhere; watching" in capsys.readouterr().err
    assert storage.list_names(s3_bucket) == []


def test_who_did_not_renew_a_lock_learns_that_another_has_taken_it(s3_bucket, monkeypatch):
    monkeypatch.setattr(locks, "WATCH_S", 0.3)
    monkeypatch.setattr(locks, "RENEW_S", 60.0)  # as of a machine that is suspended
    folder = f"{s3_bucket}/dataset"

    def hold_both():
        with locked_in_bucket(folder, "the first") as first, locked_in_bucket(folder, "the second") as second:
            second.check()
            with pytest.raises(locks.LockLost, match=r"dataset: was taken over by the second, process \d+ on"):
                first.check()
            second.check()

    with pytest.raises(locks.LockLost, match=r"dataset: was taken over by the second"):
        hold_both()
    assert storage.list_names(s3_bucket) == []


def test_of_two_that_start_at_once_one_gets_it(s3_bucket):
    barrier, outcomes, ended = threading.Barrier(2), [], threading.Event()

    def begin(number):
        barrier.wait()
        try:
            with locked_in_bucket(f"{s3_bucket}/dataset", f"writer {number}"):
                outcomes.append("held")
                ended.wait(30)
        except InputError:
            outcomes.append("refused")
            ended.set()

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["held", "refused"]
