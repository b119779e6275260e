"""Places to store files: a folder here, and buckets of servers that others wrote."""

import uuid

import pytest

from tests import buckets


@pytest.fixture(scope="session")
def servers():
    """Scheme -> the environment of a running server."""
    with buckets.google() as google, buckets.s3() as s3:
        yield {"gs": google, "s3": s3}


def _new_folder(service, servers, monkeypatch):
    for variable, value in servers[service].items():
        monkeypatch.setenv(variable, value)
    return f"{service}://{buckets.BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture(params=["gs", "s3"])
def bucket(request, servers, monkeypatch):
    """A new folder's address in the bucket of each service."""
    return _new_folder(request.param, servers, monkeypatch)


@pytest.fixture
def s3_bucket(servers, monkeypatch):
    """A new folder's address in the bucket of S3 alone."""
    return _new_folder("s3", servers, monkeypatch)


@pytest.fixture(params=["here", "gs", "s3"])
def place(request, servers, monkeypatch, tmp_path):
    """A new folder: of this machine, and of the bucket of each service."""
    if request.param == "here":
        (tmp_path / "folder").mkdir()
        return str(tmp_path / "folder")
    return _new_folder(request.param, servers, monkeypatch)
