"""A bucket's folder is copied whole, and no object's name leads out of it."""

import base64
import hashlib
from urllib.parse import unquote

import pytest

from bigbird import storage
from bigbird.storage import download, trouble
from bigbird.support.errors import InputError
from bigbird_components.serve.download import local_model
from tests import buckets
from tests.loopback import Answer, LoopbackServer


@pytest.fixture
def bucket(monkeypatch):
    """Function (objects by name) -> a server that holds them in the bucket `models`; what was asked is in its requests."""
    servers = []

    def start(objects, page=2):
        def describe(name):
            return {
                "kind": "storage#object", "bucket": "models", "name": name, "size": str(len(objects[name])),
                "md5Hash": base64.b64encode(hashlib.md5(objects[name]).digest()).decode(), "generation": "1",
            }  # fmt: skip

        def listing(_, request):
            names = sorted(name for name in objects if name.startswith(request.query.get("prefix", "")))
            first = int(request.query.get("pageToken", 0))
            more = {"nextPageToken": str(first + page)} if first + page < len(names) else {}
            items = [describe(name) for name in names[first : first + page]]
            return {"kind": "storage#objects", "items": items, **more}

        def content(match, _):
            return Answer(200, objects[unquote(match[1])])

        def facts(match, _):
            name = unquote(match[1])
            return describe(name) if name in objects else Answer(404, {"error": {"code": 404}})

        routes = [
            (r"GET /storage/v1/b/models/o", listing),
            (r"GET /download/storage/v1/b/models/o/(.+)", content),
            (r"GET /storage/v1/b/models/o/(.+)", facts),
        ]
        server = LoopbackServer(routes).__enter__()
        servers.append(server)
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        return server

    yield start
    for server in servers:
        server.__exit__()


MODEL = {
    "runs/7/model/": b"",  # a console's mark of a folder
    "runs/7/model/saved_model.pb": b"graph" * 1000,
    "runs/7/model/signature.json": b"{}",
    "runs/7/model/variables/variables.index": b"",
    "runs/7/model/variables/ünd data.bin": bytes(range(256)),
    "runs/7/model2/saved_model.pb": b"another's",
}


def test_every_object_below_the_folder_is_copied_and_nothing_else(bucket, tmp_path):
    bucket(MODEL)
    download("gs://models/runs/7/model/", tmp_path)
    found = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    prefix = "runs/7/model/"
    assert found == {
        name.removeprefix(prefix): data for name, data in MODEL.items() if name.startswith(prefix) and name != prefix
    }


def test_the_copy_goes_with_the_block(bucket, capsys):
    bucket(MODEL)
    with local_model("gs://models/runs/7/model") as folder:
        assert (folder / "variables/variables.index").exists()
    assert '"files": 4' in capsys.readouterr().out
    assert not folder.exists()


def test_of_a_run_the_exported_model_alone_is_copied(bucket):
    server = bucket(
        {
            "runs/7/run.json": b"{}",
            "runs/7/dataset/train.tfrecord": b"much",
            "runs/7/export/saved_model/signature.json": b"{}",
            "runs/7/export/saved_model/variables/variables.index": b"few",
        }
    )
    for location in ("gs://models/runs/7", "gs://models/runs/7/"):
        with local_model(location) as folder:
            names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        assert names == ["signature.json", "variables/variables.index"]
    assert not any("tfrecord" in str(request) for request in server.asked("/download/"))


def test_a_run_that_exported_no_model_is_told_before_anything_is_copied(bucket):
    server = bucket({"runs/7/run.json": b"{}", "runs/7/dataset/train.tfrecord": b"much"})
    with pytest.raises(InputError, match="gs://models/runs/7: this run exported"), local_model("gs://models/runs/7/"):
        pass
    assert server.asked("/download/") == []


def test_a_passing_failure_is_tried_again(bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(trouble, "FIRST_PAUSE_S", 0.01)
    server = bucket(MODEL)
    server.trouble("GET /download/.*pb", status=503)
    server.trouble(r"GET /storage/v1/b/models/o$", status=503)
    download("gs://models/runs/7/model", tmp_path)
    assert (tmp_path / "saved_model.pb").read_bytes() == b"graph" * 1000


@pytest.mark.parametrize("name", ["m/../../evil", "m//etc/passwd", "m/./a", "m/..", "m/a\\..\\b"])
def test_a_name_that_leads_out_of_the_folder_is_refused_and_nothing_is_written(bucket, tmp_path, name):
    server = bucket({"m/saved_model.pb": b"", name: b"evil"})
    (tmp_path / "inner").mkdir()
    with pytest.raises(
        InputError, match=r"its name cannot be a file's, as it has an empty part, '\.', '\.\.', a backslash"
    ):
        download("gs://models/m", tmp_path / "inner")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert server.asked("/download/") == []


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("gs://models/absent", "gs://models/absent: holds no objects; it is another folder, or was deleted"),
        ("gs://other/m", "gs://other: no such bucket"),
        ("gs:///m", "expected a path of this machine, gs://BUCKET/PATH or s3://BUCKET/PATH"),
        ("http://models/m", "expected a path of this machine, gs://BUCKET/PATH or s3://BUCKET/PATH"),
    ],
)
def test_what_cannot_be_copied_is_told(bucket, location, message):
    bucket(MODEL)
    with pytest.raises(InputError, match=message), local_model(location):
        pass


def test_a_file_in_the_place_of_a_folder_is_told(bucket, tmp_path):
    bucket({"m/a": b"1", "m/a/b": b"2"})
    with pytest.raises(InputError, match="gs://models/m/a: cannot be copied, as its name"):
        download("gs://models/m", tmp_path)


def test_a_copy_that_is_cut_short_is_told(bucket, tmp_path):
    server = bucket({"m/a": b"whole"})
    server.routes[1] = (server.routes[1][0], lambda *_: Answer(200, b"who"))
    with pytest.raises(InputError, match="gs://models/m/a: arrived with 3 of 5 bytes"):
        download("gs://models/m", tmp_path)


@pytest.mark.parametrize("scheme", ["gs", "s3"])
def test_a_model_in_a_bucket_of_either_service_is_copied(scheme, monkeypatch):
    with buckets.SERVICES[scheme]() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        for name in ("saved_model.pb", "signature.json", "variables/variables.index"):
            storage.write_bytes(f"{scheme}://{buckets.BUCKET}/runs/7/saved_model/{name}", name.encode())
        with local_model(f"{scheme}://{buckets.BUCKET}/runs/7/saved_model") as folder:
            assert (folder / "variables/variables.index").read_bytes() == b"variables/variables.index"
