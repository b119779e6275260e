"""`bigbird doctor` against a project on this machine in which one thing after the other is wrong."""

import json
import re

import pytest

from tests.cloud import PROJECT
from tests.loopback import Answer, LoopbackServer

ACCOUNT = "runner@my-project.iam.gserviceaccount.com"
QUOTA = "aiplatform.googleapis.com/custom_model_training_tpu_v5e"


@pytest.fixture
def healthy(cloud, monkeypatch):
    """A project in which everything is as it should be; each answer can be replaced by its name."""
    monkeypatch.setenv("BIGBIRD_SERVICE_ACCOUNT", ACCOUNT)
    answers = {
        "apis": lambda request: {"services": [
            {"name": f"projects/1/services/{name}.googleapis.com", "state": "ENABLED"}
            for name in ("aiplatform", "storage", "artifactregistry", "dataflow", "secretmanager")
        ]},
        "roles": lambda request: request.body,
        "account": lambda request: request.body,
        "permissions": lambda request: {
            "permissions": [f"storage.objects.{name}" for name in ("create", "delete", "get", "list")]
        },
        "bucket": lambda request: {"location": "EUROPE-WEST4"},
        "image": lambda request: {"schemaVersion": 2},
        "quota": lambda request: {"consumerQuotaLimits": [{"quotaBuckets": [
            {"effectiveLimit": "0"}, {"effectiveLimit": "4", "dimensions": {"region": "europe-west4"}},
        ]}]},
    }  # fmt: skip
    for name, pattern in {
        "apis": rf"GET /v1/projects/{PROJECT}/services:batchGet",
        "roles": rf"POST /v1/projects/{PROJECT}:testIamPermissions",
        "account": rf"POST /v1/projects/-/serviceAccounts/{ACCOUNT}:testIamPermissions",
        "permissions": r"GET /storage/v1/b/bucket/iam/testPermissions",
        "bucket": r"GET /storage/v1/b/bucket",
        "image": r"GET /v2/my-project/images/bigbird-([a-z-]+)/manifests/0123456789ab",
        "quota": rf"GET /v1beta1/projects/{PROJECT}/services/aiplatform.googleapis.com/consumerQuotaMetrics/{QUOTA}",
    }.items():
        cloud.routes.append((pattern, lambda match, request, name=name: answers[name](request)))
    return answers


def refuse(status, message):
    def answer(request):
        raise Answer(status, {"error": {"code": status, "message": message}})

    return answer


def test_a_healthy_project_passes_every_check(healthy, bigbird):
    output = bigbird("doctor", "--machine", "tpu-v5e-4").stdout
    assert "FAILED" not in output
    assert "unknown" not in output
    checks = re.findall(r"^ok +([^:]+):", output, flags=re.MULTILINE)
    assert checks == [
        "settings", "credentials", "APIs", "your roles", "service account", "bucket", "bucket's place", "image preprocess",
        "image train", "image evaluate", "image export", "image register", "image serve", "quota for tpu-v5e-4",
    ]  # fmt: skip
    assert "project = my-project  (BIGBIRD_PROJECT)" in output
    assert f"{QUOTA}: 4 in europe-west4; a run takes 4" in output


@pytest.mark.parametrize(
    ("name", "answer", "told", "remedy"),
    [
        ("apis", lambda request: {"services": []}, "off: aiplatform.googleapis.com", "gcloud services enable aiplatform"),
        ("roles", lambda request: {}, "you lack aiplatform.customJobs.create", "--role roles/aiplatform.user"),
        ("account", lambda request: {}, "you may not let steps run as", "--role roles/iam.serviceAccountUser"),
        ("permissions", refuse(404, "none"), "gs://bucket: there is none", "gcloud storage buckets create gs://bucket"),
        ("permissions", lambda request: {"permissions": []}, "you lack storage.objects.create", "roles/storage.objectUser"),
        ("image", refuse(404, "none"), "bigbird-serve:0123456789ab: is not there", "make images push"),
        ("image", refuse(403, "denied"), "403 denied", "roles/artifactregistry.reader"),
        ("quota", lambda request: {"consumerQuotaLimits": [{"quotaBuckets": [{"effectiveLimit": "0"}]}]},
         "0 in europe-west4; a run takes 1", "iam-admin/quotas"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_what_to_do(healthy, bigbird, name, answer, told, remedy):
    healthy[name] = answer
    result = bigbird("doctor", code=2)
    assert re.search(rf"^FAILED .*{re.escape(told)}", result.stdout, flags=re.MULTILINE), result.stdout
    assert remedy in result.stdout
    assert "failed" in result.stderr


def test_images_of_this_machine_fail_as_a_run_with_them_is_refused(healthy, bigbird):
    output = bigbird("doctor", "--image-prefix", "bigbird", code=2).stdout
    assert (
        "FAILED   image train: bigbird-train-tpu:0123456789ab: lies on this machine, where Vertex AI cannot see it"
        in output
    )
    assert '-> make images push REGISTRY=… IMAGES="preprocess train-tpu evaluate export register serve", then' in output
    assert "unknown  image serve: docker.io/x-serve" in bigbird("doctor", "--image-prefix", "docker.io/x").stdout


def test_an_image_is_looked_up_by_its_tag_or_digest_and_one_without_either_fails(
    healthy, bigbird, cloud, tmp_path, monkeypatch
):
    monkeypatch.delenv("BIGBIRD_IMAGE_PREFIX", raising=False)
    monkeypatch.delenv("BIGBIRD_IMAGE_TAG", raising=False)
    stages = ("preprocess", "train-tpu", "evaluate", "export", "register", "serve")
    names = {stage: f"europe-west4-docker.pkg.dev/my-project/images/bigbird-{stage}" for stage in stages}
    cloud.routes.append((r"GET /v2/my-project/images/bigbird-[a-z]+/manifests/sha256:[0-9a-f]+", lambda *_: {}))
    images = {stage: f"{name}:0123456789ab" for stage, name in names.items()} | {
        "train-tpu": names["train-tpu"],
        "evaluate": f"{names['evaluate']}@sha256:ab",
        "export": f"{names['export']}:1@sha256:ab",
    }
    (tmp_path / "images.json").write_text(json.dumps(images))
    output = bigbird("doctor", "--images", str(tmp_path / "images.json"), code=2).stdout
    assert f"FAILED   image train: {names['train-tpu']}: names no tag or digest" in output
    for stage in ("preprocess", "evaluate", "export"):
        assert f"ok       image {stage}: {images[stage]}" in output


@pytest.mark.parametrize("name", ["apis", "quota"])
def test_what_may_not_be_looked_at_is_unknown_and_no_failure(healthy, bigbird, name):
    healthy[name] = refuse(403, "denied")
    assert re.search(r"^unknown .*403 denied", bigbird("doctor").stdout, flags=re.MULTILINE)


def test_a_bucket_elsewhere_is_pointed_out(healthy, bigbird):
    healthy["bucket"] = lambda request: {"location": "US-CENTRAL1"}
    assert "unknown  bucket's place: us-central1; runs are in europe-west4" in bigbird("doctor").stdout


def test_without_settings_the_first_check_fails_and_says_how_to_give_them(bigbird, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    output = bigbird("doctor", code=2).stdout
    assert "FAILED   settings: not set: project (--project, BIGBIRD_PROJECT, or project in bigbird.toml)" in output


def test_without_credentials_that_is_told(bigbird, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "absent.json"))
    output = bigbird(
        "doctor", "--project", "my-project", "--region", "europe-west4", "--bucket", "gs://b", code=2
    ).stdout
    assert "FAILED   credentials: " in output
    assert "gcloud auth application-default login" in output


def test_kubeflow_that_answers_passes(kubeflow, bigbird):
    output = bigbird("doctor", "--target", "kubeflow").stdout
    assert f"ok       Kubeflow Pipelines: {kubeflow.url} answers; it has 0 recurring runs here" in output
    assert "ok       images: registry/project/bigbird-train:0123456789ab" in output


def test_kubeflow_that_does_not_answer_fails(kubeflow, bigbird):
    output = bigbird("doctor", "--target", "kubeflow", "--host", "http://127.0.0.1:9", code=2).stdout
    assert "FAILED   Kubeflow Pipelines: listing schedules (http://127.0.0.1:9): cannot be reached" in output


def test_this_machine_has_what_the_stages_import(bigbird):
    output = bigbird("doctor", "--target", "local").stdout
    assert re.search(r"^ok +libraries: apache-beam, keras, .* are installed$", output, flags=re.MULTILINE)


def test_a_docker_engine_is_asked_for_each_image_and_pulls_none(bigbird, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    here = "bigbird-preprocess:t1"

    def image(match, _):
        if match[1] != here:
            raise Answer(404, {"message": f"No such image: {match[1]}"})
        return {"Id": "sha256:1"}

    routes = [
        (r"GET /version", lambda *_: {"ApiVersion": "1.43"}),
        (r"GET /v1.43/_ping", lambda *_: {}),
        (r"GET /v1.43/images/(.+)/json", image),
    ]
    # What a team's settings name is for the cloud: `bigbird run --docker` does not take it either.
    (tmp_path / "bigbird.toml").write_text('[bigbird]\nimage_prefix = "registry/team"\n')
    with LoopbackServer(routes) as engine:
        monkeypatch.setenv("DOCKER_HOST", engine.url.replace("http", "tcp"))
        output = bigbird("doctor", "--target", "docker", "--image-tag", "t1", code=2).stdout
        assert [line for line in output.splitlines() if not line.startswith("setting")] == [
            "ok       Docker engine: answers",
            f"ok       image preprocess: {here}",
            *(
                line
                for name in ("train", "evaluate", "export")
                for line in (
                    f"FAILED   image {name}: bigbird-{name}:t1: not in the local engine",
                    "         -> make images builds those of this code",
                )
            ),
        ]
        named = bigbird("doctor", "--target", "docker", "--image-tag", "t1", "--image-prefix", "registry/x").stdout
        assert "unknown  image train: registry/x-train:t1: not in the local engine\n         -> a run pulls it" in named


def test_without_a_docker_engine_that_is_told(bigbird, monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    output = bigbird("doctor", "--target", "docker", "--image-tag", "t1", code=2).stdout
    assert "FAILED   Docker engine: --docker: no Docker engine answers" in output


def test_this_machine_has_no_machines_to_choose_from(bigbird):
    told = bigbird("doctor", "--target", "local", "--machine", "cpu", code=2).stderr
    assert "--machine is given with --target local, which is this machine as it is" in told
