"""What addresses name."""

import pytest

from bigbird import storage
from bigbird.storage import services
from bigbird.support.errors import InputError


@pytest.mark.parametrize(
    ("path", "remote", "reachable"),
    [
        ("/data/a.csv", False, False),
        ("gs://bucket/a.csv", True, True),
        ("s3://bucket", True, True),
        ("s3:///a.csv", True, False),
        ("hdfs://bucket/a.csv", True, False),
    ],
)
def test_an_address_is_told_from_a_path(path, remote, reachable):
    assert (storage.is_remote(path), storage.is_reachable(path)) == (remote, reachable)


@pytest.mark.parametrize("address", ["hdfs://bucket/a.csv", "s3:///a.csv", "gs://"])
def test_an_address_of_no_known_service_is_refused(address):
    with pytest.raises(
        InputError, match=f"{address}: cannot be reached from here; expected .*gs://BUCKET/PATH or s3://"
    ):
        storage.service_of(address)


def test_paths_are_joined_as_they_are_written():
    assert storage.join("/data/x", "a", "b") == "/data/x/a/b"
    assert storage.join("x", "/a") == "/a"
    assert storage.join("gs://bucket/x/", "/a", "b c") == "gs://bucket/x/a/b c"
    assert storage.split("s3://bucket/x/a.csv") == ("bucket", "x/a.csv")
    assert (storage.name("s3://bucket/x/a.csv"), storage.name("x/a.csv")) == ("a.csv", "a.csv")


def test_a_mounted_bucket_is_found_by_its_address_and_back(tmp_path, monkeypatch):
    monkeypatch.setattr(services, "MOUNT", str(tmp_path))
    (tmp_path / "bucket/folder").mkdir(parents=True)
    assert storage.mounted("gs://bucket/folder") == tmp_path / "bucket/folder"
    assert storage.for_workers(f"{tmp_path}/bucket/folder") == "gs://bucket/folder"
    assert storage.mounted("gs://bucket/other") is None and storage.mounted("s3://bucket/folder") is None
