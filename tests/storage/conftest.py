"""Places to store files: a folder here, and buckets of servers that others wrote."""

import uuid

import pytest

from tests import buckets


@pytest.fixture(scope="session")
def servers():
    """Scheme -> the environment of a running server."""
    with buckets.google() as google, buckets.s3() as s3:
        yield {"gs": google, "s3": s3}


@pytest.fixture(params=["gs", "s3"])
def bucket(request, servers, monkeypatch):
    """A new folder's address in the bucket of each service."""
    for variable, value in servers[request.param].items():
        monkeypatch.setenv(variable, value)
    return f"{request.param}://{buckets.BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture(params=["here", "gs", "s3"])
def place(request, servers, monkeypatch, tmp_path):
    """A new folder: of this machine, and of the bucket of each service."""
    if request.param == "here":
        (tmp_path / "folder").mkdir()
        return str(tmp_path / "folder")
    for variable, value in servers[request.param].items():
        monkeypatch.setenv(variable, value)
    return f"{request.param}://{buckets.BUCKET}/{uuid.uuid4().hex}"
