"""The serving image as an orchestrator runs it: hardened, as somebody, with the model mounted read-only."""

import http.client
import json
import os
import time

import pytest

pytestmark = pytest.mark.integration

HARDENED = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
FOUR = (
    ("preprocess", "--task", "sst2", "--input", "data", "--output", "dataset", "--vocabulary_size", 50),
    ("train", "--experiment_type", "bigbird/glue", "--config_file", "recipe.yaml", "--dataset", "dataset", "--model_dir", "model"),
    ("evaluate", "--model", "model", "--dataset", "dataset", "--output", "evaluation"),
    ("export", "--model", "model", "--dataset", "dataset", "--output", "saved_model"),
)  # fmt: skip


@pytest.fixture
def saved_model(engine, callers_folder, caller, data, recipe):
    """A model that tells a red house from a blue one, made by the other images."""
    data(callers_folder / "data")
    recipe(callers_folder / "recipe.yaml")
    user = ("--user", f"{caller[0]}:{caller[1]}", "-v", f"{callers_folder}:/work")
    for name, *arguments in FOUR:
        engine("run", "--rm", "--network", "none", *user, engine.image(name), *arguments)
    return callers_folder / "saved_model"


@pytest.fixture
def container(engine):
    """Starts the image: (options of docker run, arguments) -> its name; gone at the end."""
    names = []

    def start(*options, arguments=()):
        if not engine.has("serve"):
            pytest.skip(f"NOT RUN: {engine.image('serve')} is not built; make images IMAGES=serve")
        names.append(f"bigbird-test-serve-{os.getpid()}-{len(names)}")
        engine("run", "--detach", "--name", names[-1], *HARDENED, *options, engine.image("serve"), *arguments)
        return names[-1]

    yield start
    for name in names:
        engine("rm", "--force", name)


def _ask(port, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, body and json.dumps(body).encode(), {"Content-Type": "application/json"})
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def _until_ready(port, path="/health", seconds=120):
    """The statuses that health went through up to 200."""
    seen, until = [], time.monotonic() + seconds
    while not seen or seen[-1] != 200:
        assert time.monotonic() < until, seen
        try:
            seen.append(_ask(port, "GET", path)[0])
        except (ConnectionError, http.client.HTTPException):
            seen.append(None)
        time.sleep(0.1)
    return seen


def _port(engine, name):
    return int(engine("port", name, "8080/tcp").stdout.splitlines()[0].rpartition(":")[2])


def test_it_answers_as_vertex_ai_asks_and_stops_with_everything_answered(
    engine, container, saved_model, callers_folder, caller
):
    callers_folder.chmod(0o755)
    name = container(
        "--user",
        f"{caller[0]}:{caller[1]}",
        "-p",
        "127.0.0.1::8080",
        "-v",
        f"{saved_model}:/model:ro",
        "-e",
        "AIP_STORAGE_URI=/model",
        "-e",
        "AIP_HTTP_PORT=8080",
        "-e",
        "AIP_HEALTH_ROUTE=/v1/models/7",
        "-e",
        "AIP_PREDICT_ROUTE=/v1/models/7:predict",
    )
    port = _port(engine, name)
    seen = _until_ready(port, "/v1/models/7")
    assert set(seen[:-1]) <= {None, 503}
    status, answer = _ask(
        port,
        "POST",
        "/v1/models/7:predict",
        {"instances": ["the red house stands here", {"text_a": "the blue house here"}]},
    )
    assert status == 200
    assert [prediction["label"] for prediction in answer["predictions"]] == ["1", "0"]
    status, answer = _ask(port, "POST", "/v1/models/7:predict", {"instances": [1]})
    assert status == 400 and "instances[0]: is a number" in answer["error"]
    users = engine("top", name, "-eo", "uid,pid,comm").stdout.splitlines()[1:]
    assert {line.split()[0] for line in users} == {str(caller[0])}
    # Half a request, then `docker stop`: it is answered when its second half comes, and the exit code is 0.
    body = json.dumps({"instances": ["the red house stands here"]}).encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.putrequest("POST", "/v1/models/7:predict")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body[:9])
    _ask(port, "GET", "/v1/models/7")
    engine("kill", "--signal", "TERM", name)  # what `docker stop` begins with
    time.sleep(1.5)
    connection.send(body[9:])
    response = connection.getresponse()
    assert response.status == 200
    assert json.loads(response.read())["predictions"][0]["label"] == "1"
    engine("stop", "--time", 30, name)
    assert engine("inspect", "--format", "{{.State.ExitCode}}", name).stdout.strip() == "0"
    lines = [json.loads(line) for line in engine("logs", name).stdout.splitlines()]
    assert [line["message"] for line in lines] == [
        "serving", "listening", "loaded the model", "warmed up", "ready", "stopped",
    ]  # fmt: skip
    assert lines[-1]["unanswered"] == 0


def test_docker_stop_ends_an_idle_server_well_before_its_kill(engine, container, saved_model, callers_folder, caller):
    callers_folder.chmod(0o755)
    name = container("-p", "127.0.0.1::8080", "-v", f"{saved_model}:/model:ro", arguments=("--model", "/model"))
    _until_ready(_port(engine, name))
    users = engine("top", name, "-eo", "uid,pid,comm").stdout.splitlines()[1:]
    assert {line.split()[0] for line in users} == {"10001"}
    began = time.monotonic()
    engine("stop", "--time", 10, name)
    assert time.monotonic() - began < 8
    assert engine("inspect", "--format", "{{.State.ExitCode}}", name).stdout.strip() == "0"
