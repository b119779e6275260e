"""The routes, with a model made up here."""

import asyncio
import json
import threading

import httpx
import pytest

from bigbird_components.serve.app import DISCARDED_BYTES, ServerState, build_app
from bigbird_components.serve.batching import Batcher


def _upper(examples):
    return [{"answer": example["text_a"].upper()} for example in examples]


class Client:
    """Sends requests to an application without a network."""

    def __init__(self, app):
        self._transport = httpx.ASGITransport(app)

    def request(self, method, path, **options):
        async def send():
            async with httpx.AsyncClient(transport=self._transport, base_url="http://server") as client:
                return await client.request(method, path, **options)

        return asyncio.run(send())

    def get(self, path):
        return self.request("GET", path)

    def post(self, path, **options):
        return self.request("POST", path, **options)


@pytest.fixture
def service():
    batcher = Batcher(4, 0.0, 8)
    return ServerState(batcher, max_body_bytes=1000, max_instances=8, phase="ready", fields=("text_a",))


@pytest.fixture
def client(service):
    return Client(build_app(service, "/health", "/v1/models/7:predict", access_log=True))


@pytest.fixture
def working(service):
    """Starts the worker, with a model of the test's where it gives one."""
    threads = []

    def start(predict=_upper):
        threads.append(threading.Thread(target=service.batcher.run, args=(predict,)))
        threads[0].start()

    yield start
    service.batcher.close()
    for thread in threads:
        thread.join(10)


def _post(client, value, **options):
    return client.post("/v1/models/7:predict", json=value, **options)


def test_answers_come_in_the_order_of_the_instances(client, working):
    working()
    response = _post(client, {"instances": ["a", {"text_a": "ü 東"}]})
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert response.json() == {"predictions": [{"answer": "A"}, {"answer": "Ü 東"}]}


@pytest.mark.parametrize(("phase", "status"), [("loading", 503), ("ready", 200), ("draining", 503)])
def test_health_is_200_only_when_ready(client, service, phase, status):
    service.phase = phase
    response = client.get("/health")
    assert (response.status_code, response.json()) == (status, {"status": phase})
    assert response.headers.get("connection") == ("close" if phase == "draining" else None)


def test_while_loading_predictions_are_503(client, service):
    service.phase, service.fields = "loading", ()
    response = _post(client, {"instances": ["a"]})
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert response.json() == {"error": "the model is being loaded"}


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "reason"),
    [
        ("GET", "/nowhere", {}, 404, "no such path; expected /v1/models/7:predict or /health"),
        ("GET", "/health/", {}, 404, "no such path; expected /v1/models/7:predict or /health"),
        ("GET", "/v1/models/7:predict", {}, 405, "GET is not allowed here; expected POST"),
        ("POST", "/v1/models/7:predict", {"content": b"x", "headers": {"Content-Type": "text/plain"}}, 415,
         "Content-Type is text/plain; expected application/json"),
        ("POST", "/v1/models/7:predict", {"content": b"x" * 1001}, 413, "the body has more than 1,000 bytes"),
        ("POST", "/v1/models/7:predict", {"content": b"x" * (DISCARDED_BYTES + 2_000_000)}, 413, "more than 1,000 bytes"),
        ("POST", "/v1/models/7:predict", {"content": b"x"}, 400, "the body is not valid JSON"),
        ("POST", "/v1/models/7:predict", {"json": {"instances": ["a"] * 9}}, 400, "instances holds 9; expected at most 8"),
    ],
)  # fmt: skip
def test_every_refusal_is_json_with_the_reason(client, method, path, options, status, reason):
    response = client.request(method, path, **options)
    assert response.status_code == status
    assert reason in response.json()["error"]


def test_what_fails_outside_the_model_is_json_too(service, capsys):
    app = build_app(service, "/health", "/predict")
    service.phase = object()  # no JSON
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)

    async def send():
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return await client.get("/health")

    response = asyncio.run(send())
    assert response.status_code == 500
    assert response.json() == {"error": "the server failed (TypeError); its log says where"}
    assert json.loads(capsys.readouterr().out)["message"] == "a request failed"


def test_a_full_queue_is_429_and_says_when_to_come_again(client, service):
    waiting = service.batcher.submit([{"text_a": "a"}] * 4)
    response = _post(client, {"instances": ["b"] * 5})
    assert (response.status_code, response.headers["retry-after"]) == (429, "1")
    assert "too many requests" in response.json()["error"]
    assert not waiting.done()


def test_a_model_that_fails_is_500_and_the_log_has_the_place_without_the_text(client, working, capsys):
    def predict(examples):
        if examples[0]["text_a"] == "very private":
            raise KeyError(examples[0]["text_a"])
        return [{"score": float("nan")}] if examples[0]["text_a"] == "nan" else _upper(examples)

    working(predict)
    failed = _post(client, {"instances": ["very private"]})
    assert failed.status_code == 500
    assert failed.json() == {"error": "the model failed (KeyError); the server's log says where"}
    assert _post(client, {"instances": ["nan"]}).status_code == 500  # JSON has no such number
    assert _post(client, {"instances": ["a"]}).json() == {"predictions": [{"answer": "A"}]}
    assert client.get("/private").status_code == 404
    printed = capsys.readouterr()
    lines = [json.loads(line) for line in printed.out.splitlines()]
    assert lines[0]["exception"] == "KeyError" and "in predict" in lines[0]["traceback"]
    assert [line["status"] for line in lines if line["message"] == "request"] == [500, 500, 200, 404]
    assert lines[-1]["route"] == "other"
    assert "private" not in printed.out + printed.err
