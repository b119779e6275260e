"""One writer at a time, on Cloud Storage's conditions, which gcp-storage-emulator does not know."""

import json
import threading
from contextlib import suppress

import pytest

from bigbird.storage import trouble
from bigbird.storage.backends import backend
from bigbird.storage.bucket_lock import _renewed, _take, locked_in_bucket
from bigbird.support import locks
from bigbird.support.errors import InputError, ServiceError
from tests.loopback import Answer, LoopbackServer

ADDRESS = "folder/.dataset.lock"


class Bucket(LoopbackServer):
    """One bucket whose objects have generations, as Cloud Storage's."""

    def __init__(self):
        self.objects, self.generations = {}, iter(range(1, 10**6))
        super().__init__(
            routes=[
                (r"POST /upload/storage/v1/b/bucket/o", self._upload),
                (r"GET /storage/v1/b/bucket/o/(.+)", self._get),
                (r"GET /download/storage/v1/b/bucket/o/(.+)", lambda match, _: Answer(200, self._found(match[1])[1])),
                (r"DELETE /storage/v1/b/bucket/o/(.+)", self._delete),
            ]
        )

    def _found(self, name):
        if name not in self.objects:
            raise Answer(404, {"error": {"code": 404, "message": "no such object"}})
        return self.objects[name]

    def _check(self, name, request):
        wanted = request.query.get("ifGenerationMatch")
        if wanted is not None and int(wanted) != self.objects.get(name, (0, b""))[0]:
            raise Answer(412, {"error": {"code": 412, "message": "conditionNotMet"}})

    def _described(self, name):
        return {"name": name, "bucket": "bucket", "generation": str(self.objects[name][0])}

    def _upload(self, _, request):
        name = request.query["name"]
        self._check(name, request)
        self.objects[name] = next(self.generations), json.dumps(request.body).encode()
        return self._described(name)

    def _get(self, match, request):
        content = self._found(match[1])[1]
        return Answer(200, content) if request.query.get("alt") == "media" else self._described(match[1])

    def _delete(self, match, request):
        self._check(match[1], request)
        del self.objects[match[1]]
        return {}


@pytest.fixture
def bucket(monkeypatch):
    with Bucket() as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "my-project")
        monkeypatch.setattr(trouble, "FIRST_PAUSE_S", 0.01)
        monkeypatch.setattr(locks, "WATCH_S", 2.0)
        monkeypatch.setattr(locks, "RENEW_S", 0.05)
        yield server


def test_the_lock_is_an_object_that_goes_with_its_holder(bucket):
    with locked_in_bucket("gs://bucket/folder/dataset", "preprocessing"):
        assert json.loads(bucket.objects[ADDRESS][1])["what"] == "preprocessing"
    assert bucket.objects == {}


def test_a_second_process_is_refused_and_told_who_holds_the_folder(bucket):
    with locked_in_bucket("gs://bucket/folder/dataset", "the first"):
        with pytest.raises(
            InputError, match=r"gs://bucket/folder/dataset: is being written by the first, process \d+ on"
        ):
            locked_in_bucket("gs://bucket/folder/dataset", "the second").__enter__()
        with locked_in_bucket("gs://bucket/folder/other", "the third"):
            assert len(bucket.objects) == 2
    assert bucket.objects == {}


def test_a_lock_that_nobody_renews_is_taken_over(bucket, monkeypatch, capsys):
    monkeypatch.setattr(locks, "WATCH_S", 0.3)
    bucket.objects[ADDRESS] = 7, json.dumps({"what": "training", "host": "elsewhere"}).encode()
    with locked_in_bucket("gs://bucket/folder/dataset", "preprocessing"):
        assert json.loads(bucket.objects[ADDRESS][1])["what"] == "preprocessing"
    assert "was being written by training on elsewhere; watching" in capsys.readouterr().err
    assert bucket.objects == {}


def test_of_two_that_start_at_once_one_gets_it(bucket):
    barrier, outcomes, ended = threading.Barrier(2), [], threading.Event()

    def begin():
        barrier.wait()
        try:
            with locked_in_bucket("gs://bucket/folder/dataset", "preprocessing"):
                outcomes.append("held")
                ended.wait(30)
        except InputError:
            outcomes.append("refused")
            ended.set()

    threads = [threading.Thread(target=begin) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["held", "refused"]


def test_a_lock_whose_answer_was_lost_is_ours(bucket, capsys):
    bucket.trouble("POST", status=503, handled=True)
    with locked_in_bucket("gs://bucket/folder/dataset", "preprocessing"):
        assert list(bucket.objects) == [ADDRESS]
    assert bucket.objects == {}
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("times", [1, 100])  # found at the next attempt, or at the next renewal
def test_a_renewal_whose_answer_was_lost_is_ours_and_the_next_ones_go_on(bucket, monkeypatch, times):
    monkeypatch.setattr(trouble, "PATIENCE_S", 0.2)
    place, folder = f"gs://bucket/{ADDRESS}", "gs://bucket/folder/dataset"
    lock, holder = backend(place), locks.this_holder("training")
    version = _take(lock, place, folder, holder)
    bucket.trouble("POST", times, status=503, handled=True)
    for renewals in (1, 2, 3):
        with suppress(ServiceError):
            version = _renewed(lock, place, folder, holder, version, renewals)
        bucket.troubles.clear()
    found, content = bucket.objects[ADDRESS]
    assert (version, json.loads(content)["renewals"]) == (str(found), 3)


@pytest.mark.parametrize("gone", [False, True])
def test_a_lock_that_another_has_taken_is_told_and_not_touched(bucket, gone):
    other = 7, json.dumps({**locks.this_holder("preprocessing"), "host": "elsewhere", "renewals": 0}).encode()
    told = "another process, which has ended" if gone else r"preprocessing, process \d+ on elsewhere since"

    def hold():
        with locked_in_bucket("gs://bucket/folder/dataset", "training") as held:
            held.check()
            bucket.objects[ADDRESS] = other
            if gone:
                del bucket.objects[ADDRESS]
            for _ in range(2):
                with pytest.raises(locks.LockLost, match=f"gs://bucket/folder/dataset: was taken over by {told}"):
                    held.check()

    with pytest.raises(locks.LockLost, match=told):
        hold()
    assert bucket.objects == ({} if gone else {ADDRESS: other})


def test_a_lock_that_was_lost_is_told_when_the_block_ends(bucket):
    other = 7, json.dumps({"what": "preprocessing", "host": "elsewhere"}).encode()
    with pytest.raises(locks.LockLost, match="was taken over by preprocessing"):
        with locked_in_bucket("gs://bucket/folder/dataset", "training"):
            bucket.objects[ADDRESS] = other
    assert bucket.objects == {ADDRESS: other}


def test_a_service_that_cannot_be_asked_leaves_it_open_who_holds_a_lock(bucket, monkeypatch):
    monkeypatch.setattr(trouble, "PATIENCE_S", 0.1)
    with locked_in_bucket("gs://bucket/folder/dataset", "training") as held:
        bucket.trouble("POST", 100, status=503)
        with pytest.raises(ServiceError, match=r"\.dataset\.lock: Cloud Storage cannot be asked"):
            held.check()
        bucket.troubles.clear()
        held.check()
        bucket.trouble("POST", 100, status=503)  # what was written is whole: no failure at the end
    assert bucket.objects == {}


def test_a_bucket_that_refuses_is_the_services_error(bucket):
    bucket.trouble("POST", status=403, message="no right to write")
    with pytest.raises(ServiceError, match=r"gs://bucket/folder/dataset: cannot be locked \(.*no right to write"):
        locked_in_bucket("gs://bucket/folder/dataset", "preprocessing").__enter__()
