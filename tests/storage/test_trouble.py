"""What passes by itself is waited for, in one way; what does not is told in one wording. With the libraries' real requests."""

import time

import pytest

from bigbird import storage
from bigbird.storage import backends, trouble
from bigbird.support.errors import ServiceError, ServiceUnreachable
from tests import buckets
from tests.loopback import Answer, LoopbackServer

ADDRESS = {"gs": "gs://bucket/a.txt", "s3": "s3://bucket/a.txt"}
NAME = {"gs": "Cloud Storage", "s3": "S3"}
CONTENT = {"gs": r"GET /download/storage/v1/b/bucket/o/a\.txt", "s3": r"GET /bucket/a\.txt"}
WRITTEN = {"gs": {"generation": "1"}, "s3": b""}
WRITE = {"gs": r"POST /upload/storage/v1/b/bucket/o", "s3": r"PUT /bucket/a\.txt"}


def reach(monkeypatch, url):
    """Sends both libraries to an address."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    for name, value in (("ACCESS_KEY_ID", "key"), ("SECRET_ACCESS_KEY", "secret"), ("DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)


@pytest.fixture(params=["gs", "s3"])
def scheme(request, monkeypatch):
    monkeypatch.setattr(trouble, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(trouble, "PATIENCE_S", 4.0)
    return request.param


@pytest.fixture
def server(scheme, monkeypatch):
    """A service with one object; it can be made to fail."""
    routes = [
        (CONTENT[scheme], lambda *_: Answer(200, b"text")),
        (WRITE[scheme], lambda *_: Answer(200, WRITTEN[scheme])),
    ]
    with LoopbackServer(routes) as started:
        reach(monkeypatch, started.url)
        yield started


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, None])
def test_a_passing_failure_is_tried_again(server, scheme, status, monkeypatch):
    monkeypatch.setattr(trouble, "PATIENCE_S", 60.0)  # enough for three tries on a busy machine
    server.trouble(CONTENT[scheme], 2, status=status)
    assert storage.read_bytes(ADDRESS[scheme]) == b"text"
    assert len(server.asked(CONTENT[scheme])) == 3
    server.trouble(WRITE[scheme], 2, status=status)
    storage.write_bytes(ADDRESS[scheme], b"other")
    assert len(server.asked(WRITE[scheme])) == 3


def test_a_failure_that_stays_is_told_after_the_patience(server, scheme):
    server.trouble(CONTENT[scheme], 10**6, status=503, message="too busy")
    started = time.monotonic()
    with pytest.raises(
        ServiceUnreachable, match=f"{ADDRESS[scheme]}: {NAME[scheme]} cannot be asked .*try again later"
    ):
        storage.read_bytes(ADDRESS[scheme])
    assert time.monotonic() - started < 30
    assert len(server.asked(CONTENT[scheme])) > 3
    before = len(server.requests)
    with pytest.raises(ServiceUnreachable):
        storage.read_bytes(ADDRESS[scheme], patience_s=0.0)
    assert len(server.requests) == before + 1


def test_a_refusal_is_told_at_once_with_the_right_that_is_needed(server, scheme):
    read, write = {
        "gs": ("roles/storage.objectViewer", "roles/storage.objectAdmin"),
        "s3": ("s3:GetObject and s3:ListBucket", "s3:PutObject, s3:GetObject"),
    }[scheme]
    server.trouble(".", 10**6, status=403, message="no right")
    with pytest.raises(
        ServiceError, match=f"{ADDRESS[scheme]}: you may not read it; ask for {read} on {scheme}://bucket, or"
    ):
        storage.read_bytes(ADDRESS[scheme])
    with pytest.raises(ServiceError, match=f"you may not write it; ask for {write}"):
        storage.write_bytes(ADDRESS[scheme], b"")
    assert len(server.requests) == 2


def test_credentials_that_are_not_taken_are_told(server, scheme):
    remedy = {"gs": "run gcloud auth application-default login", "s3": "set AWS_ACCESS_KEY_ID"}[scheme]
    server.trouble(".", 10**6, status=401, message="who are you")
    with pytest.raises(ServiceError, match=f"no credentials were found that {NAME[scheme]} accepts .*; {remedy}"):
        storage.read_bytes(ADDRESS[scheme])
    assert len(server.requests) == 1


def test_credentials_that_are_missing_are_told(scheme, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in (
        "STORAGE_EMULATOR_HOST",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
    ):
        monkeypatch.delenv(name, raising=False)
    if scheme == "s3":
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(ServiceError, match=f"{ADDRESS[scheme]}: no credentials were found that {NAME[scheme]} accepts"):
        storage.read_bytes(ADDRESS[scheme])


def test_a_request_that_is_wrong_is_told_and_not_repeated(server, scheme):
    server.trouble(".", 10**6, status=400, message="invalid argument")
    with pytest.raises(ServiceError, match=f"{ADDRESS[scheme]}: {NAME[scheme]} refuses"):
        storage.read_bytes(ADDRESS[scheme])
    assert len(server.requests) == 1


def test_a_server_that_never_answers_is_told(scheme, monkeypatch):
    monkeypatch.setattr(backends, "READ_TIMEOUT_S", 0.3)
    with buckets.silent() as url:
        reach(monkeypatch, url)
        started = time.monotonic()
        with pytest.raises(ServiceUnreachable, match=f"{ADDRESS[scheme]}: {NAME[scheme]} cannot be asked"):
            storage.read_bytes(ADDRESS[scheme], patience_s=0.5)
        assert time.monotonic() - started < 30


def test_nobody_who_listens_is_told(scheme, monkeypatch):
    reach(monkeypatch, "http://127.0.0.1:9")
    with pytest.raises(ServiceUnreachable, match=f"{ADDRESS[scheme]}: {NAME[scheme]} cannot be asked"):
        storage.read_bytes(ADDRESS[scheme], patience_s=0.0)


def test_a_bug_stays_a_bug(scheme):
    with pytest.raises(ZeroDivisionError), trouble.explained(ADDRESS[scheme]):
        raise ZeroDivisionError
