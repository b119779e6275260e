"""Settings: flags go before the environment, this before the file; what is wrong is told with its source."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from bigbird.support.errors import InputError
from bigbird_pipelines.team_settings import TeamSettings, load_settings, require


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "bigbird.toml"
    path.write_text('[bigbird]\nproject = "in-the-file"\nregion = "us-central1"\nnotify_emails = ["a@b.c", "d@e.f"]\n')
    return path


def test_flags_go_before_the_environment_and_this_before_the_file(file):
    settings, sources = load_settings(
        {"bucket": "gs://flag", "region": None},
        file=file,
        environment={"BIGBIRD_REGION": "europe-west4", "BIGBIRD_BUCKET": "gs://env"},
    )
    assert (settings.project, settings.region, settings.bucket) == ("in-the-file", "europe-west4", "gs://flag")
    assert settings.notify_emails == ("a@b.c", "d@e.f")
    assert sources == {
        "project": str(file),
        "region": "BIGBIRD_REGION",
        "bucket": "--bucket",
        "notify_emails": str(file),
    }


def test_without_anything_all_is_empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_settings({}, environment={}) == (TeamSettings(), {})


def test_the_file_beside_is_found(file, monkeypatch):
    monkeypatch.chdir(file.parent)
    assert load_settings({}, environment={})[0].project == "in-the-file"


def test_an_empty_flag_takes_a_setting_back(file):
    settings, sources = load_settings({"notify_emails": "", "region": None}, file=file, environment={})
    assert (settings.notify_emails, settings.region) == ((), "us-central1")
    assert "notify_emails" not in sources


def test_a_way_to_name_the_images_goes_before_another_one_below(tmp_path):
    file = tmp_path / "bigbird.toml"
    file.write_text('[bigbird]\nimages = "build/images.json"\n')
    settings, _ = load_settings({"image_prefix": "r/p/bird"}, file=file, environment={})
    assert (settings.images, settings.image_prefix) == ("", "r/p/bird")
    settings, _ = load_settings({"images": "mine.json"}, file=file, environment={"BIGBIRD_IMAGE_TAG": "7"})
    assert (settings.images, settings.image_tag) == ("mine.json", "")


def test_addresses_of_mail_may_stand_in_one_string():
    assert load_settings({"notify_emails": "a@b.c, d@e.f,"}, environment={})[0].notify_emails == ("a@b.c", "d@e.f")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[bigbird\n", "bigbird.toml: not TOML"),
        ("project = 'x'\n", r"bigbird.toml: holds project; expected one table, \[bigbird\]"),
        ("[bigbird]\n[other]\n", "holds bigbird, other"),
        ("[bigbird]\nproyect = 'my-project'\n", "bigbird.toml: proyect: no such setting; expected project, region"),
        (
            "[bigbird]\nregion = 'Belgium'\n",
            "bigbird.toml: region is 'Belgium'; expected: Region of Vertex AI, as europe-west4",
        ),
        ("[bigbird]\nbucket = 'my-bucket'\n", "bucket is 'my-bucket'; expected: .*gs://"),
        ("[bigbird]\nproject = " + "[" * 5000, "bigbird.toml: not TOML .maximum recursion depth exceeded"),
        ("[bigbird]\nproject = " + "9" * 6000, "bigbird.toml: not TOML .Exceeds the limit"),
        ("[bigbird]\nproject = 0x" + "f" * 6000, "project is a value too long to show .int.; Input should be"),
        (f"[bigbird]\n{'x' * 100_000} = 1\n", "x…: no such setting; expected project, region"),
        ("[bigbird]\n" + "".join(f"x{n} = 1\n" for n in range(500)), "x0: no such setting.*and 49[0-9] more problems"),
        ("[bigbird]\nproject = 3\n", "project is 3; Input should be a valid string"),
        (
            "[bigbird]\nnotify_webhook = 'https://hooks.example/s3cret'\n",
            "notify_webhook is .*expected: Secret that holds",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_source(tmp_path, content, message):
    file = tmp_path / "bigbird.toml"
    file.write_text(content)
    with pytest.raises(InputError, match=message):
        load_settings({}, file=file, environment={})


def test_a_file_may_begin_with_a_byte_order_mark_and_end_its_lines_as_windows_does(tmp_path):
    file = tmp_path / "bigbird.toml"
    file.write_bytes('\ufeff[bigbird]\r\nregion = "europe-west4"\r\n'.encode())
    assert load_settings({}, file=file, environment={})[0].region == "europe-west4"
    file.write_bytes(b"[bigbird]\nregion = '\xff'\n")
    with pytest.raises(InputError, match=r"bigbird\.toml: not UTF-8 at byte 20; expected TOML"):
        load_settings({}, file=file, environment={})


def test_a_file_that_was_named_must_be_there(tmp_path):
    with pytest.raises(InputError, match=r"--settings .*other\.toml: no such file"):
        load_settings({}, file=tmp_path / "other.toml", environment={})


def test_what_is_needed_and_not_set_is_told_with_every_way_to_set_it():
    with pytest.raises(
        InputError, match=r"not set: region \(--region, BIGBIRD_REGION, or region in bigbird.toml\): Region of Vertex"
    ):
        require(TeamSettings(project="my-project"), "project", "region")


def test_a_folder_is_no_settings_file_and_a_pipe_may_be_one(tmp_path):
    with pytest.raises(InputError, match="is a folder; expected TOML"):
        load_settings({}, file=tmp_path, environment={})
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        pool.submit(pipe.write_text, '[bigbird]\nproject = "from-the-pipe"\n')
        assert load_settings({}, file=pipe, environment={})[0].project == "from-the-pipe"


def test_variables_are_spelled_in_capitals_and_an_empty_one_or_another_ones_is_none():
    environment = {"bigbird_region": "europe-west4", "BIGBIRD_PROJECT": "", "BIGBIRD_COLOUR": "red", "REGION": "x"}
    assert load_settings({}, environment=environment) == (TeamSettings(), {})


def test_settings_that_are_made_by_hand_take_nothing_from_the_environment(monkeypatch):
    monkeypatch.setenv("BIGBIRD_REGION", "europe-west4")
    assert TeamSettings(project="my-project").region == ""
    assert load_settings({"project": "my-project"})[0].region == "europe-west4"
