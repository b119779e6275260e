"""A model's folder in a bucket becomes files here, and what stands in the way is told."""

import pytest

from bigbird import storage
from bigbird.support.errors import InputError, ServiceError
from bigbird_components.register.model_files import local_folder
from tests import buckets
from tests.cloud import Cloud


@pytest.fixture
def cloud(monkeypatch):
    with Cloud() as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        server.objects |= {f"gs://bucket/m/{name}": name.encode() for name in ("signature.json", "variables/v", "")}
        yield server


def test_a_folder_is_downloaded_and_vanishes(cloud, capsys):
    with local_folder("gs://bucket/m/") as folder:
        assert {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == {
            "signature.json": b"signature.json",
            "v": b"variables/v",
        }
    assert not folder.exists()
    assert "download gs://bucket/m 1/2" in capsys.readouterr().err
    assert len(cloud.asked("GET /download/")) == 2
    with local_folder("gs://bucket/m", only="signature.json") as folder:
        assert [path.name for path in folder.rglob("*")] == ["signature.json"]


@pytest.mark.parametrize("scheme", ["gs", "s3"])
def test_a_folder_of_either_service_is_downloaded(scheme, monkeypatch):
    with buckets.SERVICES[scheme]() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        storage.write_bytes(f"{scheme}://{buckets.BUCKET}/m/signature.json", b"{}")
        with local_folder(f"{scheme}://{buckets.BUCKET}/m") as folder:
            assert (folder / "signature.json").read_bytes() == b"{}"


@pytest.mark.parametrize("name", ["../evil", "assets/../../evil", "/evil", "a\\..\\evil"])
def test_an_objects_name_that_leaves_the_folder_is_not_followed(cloud, name):
    cloud.objects[f"gs://bucket/m/{name}"] = b"x"
    with pytest.raises(InputError, match="and might lead out of the folder"), local_folder("gs://bucket/m"):
        pass
    assert not cloud.asked("GET /download/")


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("", "without a folder of its own"),
        ("/none/there", "no such folder"),
        ("gs://bucket", "is a whole bucket"),
        ("http://bucket/m", "cannot be reached from here"),
        ("gs://bucket/none", "gs://bucket/none: holds no objects; it is another folder, or was deleted"),
        ("gs://other/m", "gs://other: no such bucket"),
    ],
)
def test_what_is_not_there_is_told(cloud, uri, message):
    with pytest.raises(InputError, match=message), local_folder(uri):
        pass


def test_a_bucket_that_may_not_be_read_names_the_role(cloud):
    cloud.trouble("GET /storage/v1/b/bucket/o$", 1, status=403)
    with pytest.raises(ServiceError, match="you may not read it; ask for roles"):
        local_folder("gs://bucket/m").__enter__()
