"""What a run's parameters mean on the day it runs."""

import json
import os

import pytest

from bigbird.support.errors import InputError, ServiceError
from bigbird_components.preprocess.inputs import resolve_inputs, run_day, with_date
from tests.cloud import PARENT, PROJECT, REGION, Cloud

TIME = "2026-01-05T03:00:00Z"


@pytest.fixture
def days(tmp_path):
    """A folder of two days' files."""
    for day in ("2026-01-05", "2026-01-06"):
        (tmp_path / day).mkdir()
        for name in ("train.tsv", "dev.tsv"):
            (tmp_path / day / name).write_text(day)
    return tmp_path


def test_the_date_is_the_days_on_which_the_run_was_due(days):
    inputs = resolve_inputs({"data": f"{days}/{{date}}", "vocabulary": ""}, "", TIME)
    assert inputs.data == f"{days}/2026-01-05"
    assert (inputs.train_file, inputs.vocabulary, inputs.init_checkpoint) == ("", "", "")
    assert (
        resolve_inputs({"train_file": f"{days}/{{date:%Y-%m}}-06/train.tsv"}, "", TIME).train_file
        == f"{days}/2026-01-06/train.tsv"
    )


@pytest.mark.parametrize(
    ("path", "resolved"),
    [("gs://b/{date}/x", "gs://b/2026-01-05/x"), ("gs://b/{date:%Y/%m/%d}", "gs://b/2026/01/05"), ("gs://b/{other}", "gs://b/{other}"),
     ("{date}{date:%j}", "2026-01-05005"), ("{date.__class__}", "{date.__class__}")],
)  # fmt: skip
def test_only_dates_are_filled_in(path, resolved):
    assert with_date(path, run_day(TIME)) == resolved


def test_a_time_in_another_zone_is_the_day_in_utc_and_none_is_today(monkeypatch):
    assert run_day("2026-01-05T23:30:00-03:00").date().isoformat() == "2026-01-06"
    for unfilled in ("", "{{$.pipeline_job_schedule_time_utc}}"):
        assert abs(run_day(unfilled).timestamp() - __import__("time").time()) < 60
    with pytest.raises(InputError, match="run time 'soon': not a time"):
        run_day("soon")


def test_the_version_changes_with_the_files_and_with_nothing_else(days):
    def version(*paths):
        return resolve_inputs(dict(zip(("data", "vocabulary"), paths, strict=False)), "", TIME).version

    first = version(f"{days}/2026-01-05")
    assert version(f"{days}/2026-01-05") == first
    assert version(f"{days}/2026-01-06") != first
    assert version(f"{days}/2026-01-05", f"{days}/2026-01-06/dev.tsv") != first
    file = days / "2026-01-05" / "train.tsv"
    os.utime(file, (1, 1))
    changed = version(f"{days}/2026-01-05")
    assert changed != first
    file.write_text("other and longer")
    assert version(f"{days}/2026-01-05") not in (first, changed)


def test_a_day_without_data_is_told(days):
    with pytest.raises(InputError, match="2026-02-01: no such file or folder"):
        resolve_inputs({"data": f"{days}/{{date}}"}, "", "2026-02-01T00:00:00Z")


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A project with one registered model, the SavedModel of which lies in a folder."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import aiplatform

    (tmp_path / "trained").mkdir()
    (tmp_path / "trained" / "vocab.model").write_text("vocabulary")
    (tmp_path / "saved_model").mkdir()
    (tmp_path / "saved_model" / "signature.json").write_text(json.dumps({"trained_model": f"{tmp_path}/trained"}))
    model = {
        "name": f"{PARENT}/models/7", "displayName": "bigbird-sst2", "versionId": "3", "versionAliases": ["default"],
        "artifactUri": str(tmp_path / "saved_model"), "labels": {"bigbird": "register"},
    }  # fmt: skip

    def listed(match, request):
        return {"models": [model] if request.query["filter"] == 'display_name="bigbird-sst2"' else []}

    with Cloud() as server:
        server.models_labels = model["labels"]
        server.routes[:0] = [
            (rf"GET /v1/{PARENT}/models", listed),
            (rf"GET /v1/{PARENT}/models/7@default", lambda *_: model),
        ]
        aiplatform.init(
            project=PROJECT,
            location=REGION,
            credentials=AnonymousCredentials(),
            api_endpoint=server.url,
            api_transport="rest",
        )
        yield server


def test_a_run_starts_from_the_default_version_of_a_registered_model_with_its_vocabulary(days, registry, tmp_path):
    inputs = resolve_inputs({"data": f"{days}/{{date}}"}, "registry:bigbird-sst2", TIME, PROJECT, REGION)
    assert inputs.init_checkpoint == f"{tmp_path}/trained"
    assert inputs.vocabulary == f"{tmp_path}/trained/vocab.model"
    assert registry.asked("GET .*/models/7@default")


def test_other_weights_are_another_version_of_them_and_not_of_the_data(days, tmp_path):
    (tmp_path / "bert.index").write_text("x")
    (tmp_path / "bert.data-00000-of-00001").write_text("x")

    def resolved():
        return resolve_inputs({"data": f"{days}/{{date}}"}, f"{tmp_path}/bert", TIME)

    first = resolved()
    (tmp_path / "bert.data-00000-of-00001").write_text("other weights")
    assert resolved().version == first.version
    assert resolved().weights_version not in ("", first.weights_version)


def test_a_model_that_somebody_else_uploaded_is_not_ours(days, registry):
    registry.models_labels.clear()
    with pytest.raises(InputError, match="has no model of this name"):
        resolve_inputs({"data": f"{days}/{{date}}"}, "registry:bigbird-sst2", TIME, PROJECT, REGION)


def test_a_registry_that_may_not_be_read_is_told_with_the_role(days, registry):
    registry.trouble("GET .*/models", 9, status=403)
    with pytest.raises(ServiceError, match=r"roles/aiplatform\.user"):
        resolve_inputs({"data": f"{days}/{{date}}"}, "registry:bigbird-sst2", TIME, PROJECT, REGION)


def test_a_model_that_is_not_registered_is_told(days, registry):
    with pytest.raises(
        InputError, match=r"registry:other: project my-project has no model of this name in europe-west4"
    ):
        resolve_inputs({"data": f"{days}/{{date}}"}, "registry:other", TIME, PROJECT, REGION)


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ("{}", r"signature\.json does not say which trained model it was exported from"),
        ('{"trained_model": ["a"]}', r"signature\.json does not say which trained model"),
        ("[]", r"signature\.json: holds list; expected the manifest of the registered SavedModel, a JSON object"),
    ],
)
def test_a_registered_model_of_an_unknown_origin_is_told(days, registry, tmp_path, manifest, message):
    (tmp_path / "saved_model" / "signature.json").write_text(manifest)
    with pytest.raises(InputError, match=message):
        resolve_inputs({"data": f"{days}/{{date}}"}, "registry:bigbird-sst2", TIME, PROJECT, REGION)
