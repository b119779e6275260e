"""How a run ended arrives at a webhook, and its address nowhere else."""

import base64

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform

from bigbird.support.errors import InputError
from bigbird_components.gate import NO_THRESHOLD
from bigbird_components.notify import notify as module
from bigbird_components.notify.notify import announce, message, notify, post
from bigbird_components.platforms import kubeflow
from bigbird_components.runs import Run, Step
from tests.cloud import PARENT, PROJECT, REGION, Cloud, task
from tests.kubeflow import Kubeflow
from tests.loopback import LoopbackServer

ERROR = "The replica workerpool0-0 exited with a non-zero status of 3."
JOB = f"{PARENT}/pipelineJobs/run-1"


@pytest.fixture
def webhook():
    with LoopbackServer(routes=[(r"POST /hook/s3cret", lambda *_: {})]) as server:
        yield server


def ended(**changes):
    given = {
        "run_name": "weekly",
        "run_id": "id-1",
        "host": "",
        "project": PROJECT,
        "state": "FAILED",
        "job": JOB,
        "error": "the DAG failed",
    }
    return given | changes


@pytest.fixture
def vertex(monkeypatch, webhook):
    """A failed run on Vertex AI, and a secret that holds the webhook's address."""
    with Cloud() as server:
        secret = base64.b64encode(f"{webhook.url}/hook/s3cret\n".encode()).decode()
        server.routes.append(
            (
                rf"GET /v1/projects/{PROJECT}/secrets/hook/versions/latest:access",
                lambda *_: {"payload": {"data": secret}},
            )
        )
        server.jobs["run-1"] = {"name": JOB, "displayName": "weekly"}
        metrics = {"metrics": {"artifacts": [{"metadata": {"accuracy": 0.9}}]}}
        server.progress = [
            (
                "PIPELINE_STATE_RUNNING",
                [
                    task(1, "evaluate", "SUCCEEDED", outputs=metrics),
                    task(2, "export", "FAILED", error=ERROR),
                    task(3, "notify", "RUNNING"),
                ],
            )
        ]
        monkeypatch.setenv("BIGBIRD_SECRET_MANAGER", server.url)
        monkeypatch.setattr("google.auth.default", lambda scopes: (AnonymousCredentials(), PROJECT))
        aiplatform.init(
            project=PROJECT,
            location=REGION,
            credentials=AnonymousCredentials(),
            api_endpoint=server.url,
            api_transport="rest",
        )
        yield server


def test_a_failure_on_vertex_arrives_with_step_error_metrics_and_links(vertex, webhook):
    notify("vertex", "hook", **ended())
    (posted,) = webhook.requests
    assert posted.body == {
        "text": (
            f"BigBird run weekly: failed\nstep export: {ERROR}\naccuracy 0.9000\nrun: https://console.cloud.google.com/vertex-ai/"
            "locations/europe-west4/pipelines/runs/run-1?project=my-project"
        ),
        "run": "weekly", "state": "FAILED", "step": "export", "error": ERROR, "metrics": {"accuracy": 0.9},
        "links": {"run": "https://console.cloud.google.com/vertex-ai/locations/europe-west4/pipelines/runs/run-1?project=my-project"},
    }  # fmt: skip


def test_bad_news_arrives_even_where_the_run_cannot_be_looked_up(vertex, webhook, capsys):
    vertex.trouble("GET .*pipelineJobs", 99, status=403, message="no")
    notify("vertex", "hook", **ended())
    assert webhook.requests[0].body["text"] == "BigBird run weekly: failed\nthe DAG failed"
    assert "the run's steps are not known: 403" in capsys.readouterr().err


def test_a_secret_that_may_not_be_read_is_told_with_the_role(vertex, webhook):
    vertex.trouble("GET .*secrets", status=403)
    with pytest.raises(
        InputError, match=r"secret hook of project my-project: .*403; .*roles/secretmanager.secretAccessor"
    ):
        notify("vertex", "hook", **ended())
    assert not webhook.requests


def test_a_failure_on_kubeflow_arrives_too_its_address_from_the_environment(webhook, monkeypatch):
    monkeypatch.setenv(module.WEBHOOK, f" {webhook.url}/hook/s3cret\n")
    with Kubeflow() as server:
        monkeypatch.setenv(kubeflow.ENDPOINT, server.url)
        server.runs["id-1"] = {"run_id": "id-1", "display_name": "weekly"}
        server.progress = [
            (
                "RUNNING",
                [{"display_name": "train", "state": "FAILED", "error": {"message": "Error (exit code 3): diverged"}}],
            )
        ]
        notify("kubeflow", "hook", **ended(host=server.url))
        link = f"{server.url}/#/runs/details/id-1"
    body = webhook.requests[0].body
    assert (body["step"], body["error"], body["links"]["run"]) == ("train", "Error (exit code 3): diverged", link)


def test_the_metric_is_announced_where_the_exit_task_is_not_told_of_it(webhook, monkeypatch):
    monkeypatch.setenv(module.WEBHOOK, f"{webhook.url}/hook/s3cret\n")  # as a secret that was made from a file
    announce("weekly", "id-1", "http://kfp", "accuracy", 0.93, 0.9, True)
    body = webhook.requests[0].body
    assert body["text"] == (
        "BigBird run weekly: evaluated\naccuracy 0.9300; threshold 0.9000 reached, so it is exported\n"
        "run: http://kfp/#/runs/details/id-1"
    )
    assert body["metrics"] == {"accuracy": 0.93}
    announce("weekly", "id-1", "", "matthews_corrcoef", -0.5, NO_THRESHOLD, True)
    assert webhook.requests[1].body["text"] == (
        "BigBird run weekly: evaluated\nmatthews_corrcoef -0.5000; no threshold was set, so it is exported"
    )


def test_a_webhook_that_does_not_take_an_announcement_fails_no_run(webhook, monkeypatch, capsys):
    monkeypatch.setenv(module.WEBHOOK, f"{webhook.url}/hook/gone")
    announce("weekly", "id-1", "", "accuracy", 0.93, 0.9, True)
    assert "not announced: the webhook at 127.0.0.1 answered 404" in capsys.readouterr().err


def test_nothing_logs_the_address_of_a_webhook_that_does_not_answer(caplog):
    with pytest.raises(InputError, match="cannot be reached"):
        post("http://127.0.0.1:9/hook/s3cret", {"text": "x"})
    assert "s3cret" not in caplog.text


def test_success_is_told_without_an_error():
    body = message(
        Run("weekly", "RUNNING", (Step("train", "SUCCEEDED"),), metrics={"f1": 0.5}, link="http://x"), "SUCCEEDED"
    )
    assert body["text"] == "BigBird run weekly: succeeded\nf1 0.5000\nrun: http://x"
    assert (body["step"], body["error"]) == (None, None)


def test_an_answer_of_503_is_tried_again(webhook, monkeypatch):
    webhook.trouble("POST", 2, status=503)
    post(f"{webhook.url}/hook/s3cret", {"text": "x"})
    assert len(webhook.requests) == 3


@pytest.mark.parametrize(
    ("address", "told"),
    [("{url}/hook/gone-s3cret", "answered 404"), ("not an address s3cret", "does not hold an address"),
     ("file:///etc/s3cret", "does not hold an address"), ("http://127.0.0.1:9/s3cret", "cannot be reached")],
)  # fmt: skip
def test_a_webhook_that_does_not_take_it_is_told_without_its_address(webhook, monkeypatch, address, told):
    monkeypatch.setattr(module, "_RETRIES", 0)
    with pytest.raises(InputError, match=told) as caught:
        post(address.format(url=webhook.url), {"text": "x"})
    assert "s3cret" not in str(caught.value)


def test_chat_rooms_that_refuse_other_fields_get_the_text_alone(webhook, monkeypatch):
    monkeypatch.setattr(module, "_TEXT_ONLY", ("127.0.0.1",))
    post(f"{webhook.url}/hook/s3cret", {"text": "x", "run": "y"})
    assert webhook.requests[0].body == {"text": "x"}


def test_without_credentials_the_secret_is_named(monkeypatch):
    from google.auth.exceptions import DefaultCredentialsError

    def none(scopes):
        raise DefaultCredentialsError("none found")

    monkeypatch.setattr("google.auth.default", none)
    with pytest.raises(InputError, match="secret hook of project my-project: Secret Manager cannot be asked"):
        notify("vertex", "hook", **ended())


def test_without_a_secret_there_is_nothing_to_post_to(monkeypatch):
    monkeypatch.delenv(module.WEBHOOK, raising=False)
    with pytest.raises(InputError, match="BIGBIRD_WEBHOOK is empty"):
        notify("kubeflow", "hook", **ended())
