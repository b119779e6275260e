"""What containers of `bigbird run --docker` get of the caller's environment; they themselves are in tests/docker."""

import pytest

from bigbird.support.errors import InputError
from bigbird_pipelines.images import Images
from bigbird_pipelines.platforms.docker.containers import _ACCESS, Containers, _access_to_buckets, _copy, _reachable

BOTH = ["sh", "-ec", "...", "--executor_input", '{"data": "gs://bucket/a.csv", "vocabulary": "s3://bucket/vocab.txt"}']


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home without credentials, and none in the environment."""
    monkeypatch.setenv("HOME", str(tmp_path))
    files = [name for _, usual_files in _ACCESS.values() for name in usual_files]
    for name in (*files, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_SESSION_TOKEN", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    return tmp_path


def test_nothing_is_handed_on_where_there_is_nothing(home, monkeypatch):
    monkeypatch.setenv("HOME_AWS_X", "other")
    monkeypatch.setenv("AWS_PROFILE", "")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(home / "absent"))
    assert _access_to_buckets(BOTH) == ({}, [])


def test_variables_that_name_credentials_and_services_are_handed_on(home, monkeypatch):
    given = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "STORAGE_EMULATOR_HOST": "http://there:1"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert _access_to_buckets(BOTH) == (given, [])


def test_credentials_in_files_are_mounted_and_named_where_they_are(home, monkeypatch):
    google, amazon, own = (
        home / ".config/gcloud/application_default_credentials.json",
        home / ".aws/credentials",
        home / "key.json",
    )
    for file in (google, amazon, own):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
    variables = {"GOOGLE_APPLICATION_CREDENTIALS": str(google), "AWS_SHARED_CREDENTIALS_FILE": str(amazon)}
    assert _access_to_buckets(BOTH) == (variables, sorted([google, amazon]))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(own))
    assert _access_to_buckets(BOTH)[0]["GOOGLE_APPLICATION_CREDENTIALS"] == str(own)


def test_a_step_that_names_no_bucket_gets_nothing_and_one_that_does_only_what_is_for_it(home, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.setenv(name, "given")
    assert _access_to_buckets(["python3", "--data", "/data/table.csv"]) == ({}, [])
    assert _access_to_buckets(["python3", "--data", "s3://bucket/table.csv"]) == ({"AWS_ACCESS_KEY_ID": "given"}, [])
    assert _access_to_buckets(["python3", "--data", "gs://bucket/table.csv"]) == ({"GOOGLE_CLOUD_PROJECT": "given"}, [])


def test_what_links_lead_to_is_mounted_and_links_in_a_circle_are_told(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "real").write_text("found")
    (data / "first").symlink_to("../second")
    (tmp_path / "second").symlink_to("real")
    assert list(_reachable(data)) == [data, tmp_path / "second", tmp_path / "real"]
    (data / "a").symlink_to("b")
    (data / "b").symlink_to("a")
    for path, named in ((data, "data/[ab]"), (data / "a", "data/a")):
        with pytest.raises(InputError, match=rf"{named}: is a link that leads back to itself"):
            Containers(Images.named(tag="x"), [path])


def test_a_steps_output_is_read_to_its_end_on_a_full_disk(capsys):
    output = iter([(b"out", None), (None, b"told "), (b"x", "später\n".encode()[:4]), (None, "später\n".encode()[4:])])
    with open("/dev/full", "wb", buffering=0) as full:
        _copy(output, full)
    assert list(output) == [] and capsys.readouterr().err == "told später\n"
