"""A real server process over loopback: answers are evaluation's, bad requests hurt nobody, and its end loses none."""

import json
import random
import re
import shutil
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from bigbird.scoring import read_examples
from bigbird.support.artifacts import read_json, write_json, write_manifest
from bigbird.support.integrity import content
from tests.components.serve.conftest import JSON, ask, connects

pytestmark = pytest.mark.integration

CLIENTS = 16
BAD = [  # (body, headers, status, part of the reason)
    (b"{", JSON, 400, "not valid JSON"),
    ({"instances": []}, JSON, 400, "an empty list"),
    ({"instances": ["fine", {"text_a": 7}]}, JSON, 400, "instances[1]: text_a is 7"),
    ({"instances": ["\ud800"]}, JSON, 400, "half a surrogate pair"),
    ({"instances": ["a"] * 129}, JSON, 400, "expected at most 128"),
    (b"x" * 1_500_001, JSON, 413, "more than 1,500,000 bytes"),
    (b"x", {"Content-Type": "text/plain"}, 415, "expected application/json"),
]


def _evaluated(stages):
    """Texts of the validation split with evaluation's label and probabilities."""
    lines = (stages / "evaluation" / "predictions.tsv").read_text(encoding="utf-8").splitlines()[1:]
    texts = [example["text_a"] for example in read_examples(stages / "dataset", "validation")]
    rows = [line.split("\t") for line in lines]
    return [(text, row[1], [float(cell) for cell in row[3:]]) for text, row in zip(texts, rows, strict=True)]


def _same(prediction, label, probabilities):
    found = [prediction["probabilities"][name] for name in ("0", "1")]
    return prediction["label"] == label and np.allclose(found, probabilities, rtol=0, atol=1e-5)


def test_a_thousand_mixed_requests_get_evaluations_answers_and_bad_ones_between_them_their_reason(
    classifying, classified
):
    evaluated = _evaluated(classified)
    local = threading.local()

    def client(number):
        if not hasattr(local, "connection"):
            local.connection = classifying.connect()
        rng = random.Random(number)
        if number % 10 == 9:
            body, headers, status, reason = BAD[number // 10 % len(BAD)]
            found, answer, _ = ask(local.connection, "POST", "/predict", body, headers)
            return found == status and reason in answer["error"]
        chosen = [rng.choice(evaluated) for _ in range(rng.randint(1, 8))]
        instances = [text if rng.random() < 0.5 else {"text_a": text} for text, _, _ in chosen]
        found, answer, _ = ask(local.connection, "POST", "/predict", {"instances": instances})
        predictions = answer["predictions"]
        return found == 200 and all(
            _same(prediction, *expected[1:]) for prediction, expected in zip(predictions, chosen, strict=True)
        )

    with ThreadPoolExecutor(CLIENTS) as pool:
        results = list(pool.map(client, range(1112)))  # a thousand good ones and a little more than a hundred bad ones
    assert [number for number, fine in enumerate(results) if not fine] == []


def test_answers_do_not_depend_on_companions(classifying, classified):
    texts = [text for text, _, _ in _evaluated(classified)]
    _, together, _ = classifying.post({"instances": texts})
    for text, prediction in list(zip(texts, together["predictions"], strict=True))[:20]:
        _, alone, _ = classifying.post({"instances": [text]})
        np.testing.assert_allclose(alone["predictions"][0]["logits"], prediction["logits"], rtol=0, atol=1e-5)


def test_a_body_in_chunks_is_read_and_the_refusal_of_a_long_one_arrives(classifying):
    headers = {**JSON, "Transfer-Encoding": "chunked"}
    body = json.dumps({"instances": ["a tree"]}).encode()
    for chunks, status in (((body[:5], body[5:]), 200), ((b"x" * 100_000,) * 40, 413)):
        connection = classifying.connect()
        connection.request("POST", "/predict", iter(chunks), headers, encode_chunked=True)
        response = connection.getresponse()
        assert response.status == status, response.read()
        connection.close()


def test_what_is_no_http_or_breaks_off_leaves_the_server_up(classifying):
    for data in (b"\x16\x03\x01 hello\r\n\r\n", b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n{"):
        with socket.create_connection(("127.0.0.1", classifying.port)) as connection:
            connection.sendall(data)
    assert classifying.get("/health")[:2] == (200, {"status": "ready"})


def _post(body, length=None, extra=b""):
    header = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" + extra
    return header + b"Content-Length: %d\r\n\r\n" % (len(body) if length is None else length) + body


def _answers(connection):
    """(status, parsed body or None) of each response, read to the end of the connection."""
    received, found = b"".join(iter(lambda: connection.recv(65536), b"")), []
    received = received.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    while received:
        header, _, rest = received.partition(b"\r\n\r\n")
        (length,) = re.findall(rb"content-length: (\d+)", header)
        found.append((int(header.split()[1]), json.loads(rest[: int(length)])))
        received = rest[int(length) :]
    return found


@pytest.fixture(scope="module")
def impatient(classified, serving):
    """A ready server that gives a header half a second, and a body one."""
    options = ("--header-s", "0.5", "--body-s", "1")
    with serving("--model", classified / "saved_model", *options) as server:
        yield server.until("ready")


EARLY = b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n"  # answered before its body has come
LATE = {"error": "the body did not arrive within 1 seconds"}


@pytest.mark.parametrize(
    ("before", "drip", "answers", "seconds"),
    [
        (b"", b"", [], 0.5),
        (b"POST /predict HT", b"", [(408, {"error": "the header did not arrive within 0.5 seconds"})], 0.5),
        (b"GET /health HTTP/1.1\r\nA: b", b"b", [(408, {"error": "the header did not arrive within 0.5 seconds"})], 0.5),
        (_post(b"{", 99), b"", [(408, LATE)], 1),
        (_post(b"{", 99), b" ", [(408, LATE)], 1),
        (_post(b"{", 99, b"Expect: 100-continue\r\n"), b" ", [(408, LATE)], 1),
        (_post(b'{"instances": 7}') + _post(b"{", 99), b" ", [(400, None), (408, LATE)], 1),
        (EARLY, b" ", [(404, None)], 1),
    ],
    ids=["silent", "half a line", "dripping header", "half a body", "dripping body", "expecting", "second", "answered"],
)  # fmt: skip
def test_half_a_request_is_given_up_at_its_deadline_however_it_drips(impatient, before, drip, answers, seconds):
    with socket.create_connection(("127.0.0.1", impatient.port), timeout=10) as connection:
        began, ended = time.monotonic(), threading.Event()
        connection.sendall(before)

        def send():
            while drip and not ended.wait(0.1):
                try:
                    connection.sendall(drip)
                except OSError:  # it was sent away
                    return

        dripping = threading.Thread(target=send)
        dripping.start()
        found = _answers(connection)
        ended.set()
        dripping.join()
        assert seconds - 0.1 < time.monotonic() - began < seconds + 2
    assert [status for status, _ in found] == [status for status, _ in answers]
    assert all(expected in (None, answer) for (_, answer), (_, expected) in zip(found, answers, strict=True))


def test_between_two_requests_a_client_may_take_longer_than_over_one(impatient):
    connection = impatient.connect()
    assert ask(connection, "GET", "/health")[0] == 200
    time.sleep(1.5)
    assert ask(connection, "POST", "/predict", {"instances": ["a"]})[0] == 200


def test_a_client_that_says_it_is_done_gets_what_it_asked_for(impatient):
    whole = _post(b'\xef\xbb\xbf{"instances": ["a"]}')
    with socket.create_connection(("127.0.0.1", impatient.port), timeout=10) as connection:
        connection.sendall(whole + whole + whole[:-1])
        connection.shutdown(socket.SHUT_WR)
        assert [status for status, _ in _answers(connection)] == [200, 200, 400]


def test_a_client_that_takes_no_answers_is_cut_off(impatient):
    with socket.create_connection(("127.0.0.1", impatient.port), timeout=1) as connection:
        until, cut_off = time.monotonic() + 30, False
        while not cut_off and time.monotonic() < until:
            try:
                connection.sendall(b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n" * 1000)
            except TimeoutError:  # the server reads no more while its answers are not taken
                continue
            except ConnectionError:
                cut_off = True
        assert cut_off
    assert impatient.get("/health")[0] == 200


def test_where_all_places_are_taken_one_who_comes_gets_503_at_once_and_later_the_place_of_one_who_is_slow(
    classified, serving
):
    with serving("--model", classified / "saved_model", "--max-connections", 3) as server:
        server.until("ready")
        kept = server.connect()
        assert ask(kept, "GET", "/health")[0] == 200
        slow = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(2)]
        began, refusals = time.monotonic(), []
        while time.monotonic() - began < 0.2:
            refusals.append(server.post({"instances": ["a"]}))
        for status, answer, headers in refusals:
            assert (status, headers["connection"], headers["retry-after"]) == (503, "close", "1")
            assert answer == {"error": "the server has 3 connections, as many as it takes; try again later"}
        assert refusals
        slow[0].sendall(b"GET /he")
        time.sleep(0.5)
        assert server.post({"instances": ["a"]})[0] == 200
        reason = {"error": "the header did not arrive and other clients wait for a connection"}
        assert _answers(slow[0]) == [(408, reason)]
        assert ask(kept, "GET", "/health")[0] == 200  # those who are slow go first
        slow[1].close()
        assert server.stop() == 0
        told = [line for line in server.lines if line["severity"] == "WARNING"]
        assert len(told) == 1 and told[0]["places"] == 3


def test_more_connections_than_open_files_are_refused_by_name_and_none_asked_for_are_as_many_as_fit(
    classified, serving
):
    model = ("--model", classified / "saved_model")
    with serving(*model, "--max-connections", "201", files=256) as server:
        assert server.wait() == 2
        assert (
            "--max-connections 201 is more than 256 open files allow; expected at most 192"
            in server.process.stderr.read()
        )
    for files, expected in ((256, 192), (2000, 1000)):
        with serving(*model, files=files) as server:
            server.until("listening")
            assert server.lines[-1]["connections"] == expected


def test_questions_get_evaluations_answers(answered, serving):
    predictions = read_json(answered / "evaluation" / "predictions.json", "predictions")
    asked = [
        (question["id"], {"question": question["question"], "context": line["context"]})
        for line in read_examples(answered / "dataset", "validation")
        for question in line["questions"]
    ]
    with serving("--model", answered / "saved_model") as server:
        server.until("ready")
        with ThreadPoolExecutor(8) as pool:
            replies = list(pool.map(lambda pair: server.post({"instances": [pair[1]]}), asked))
        for (key, example), (status, reply, _) in zip(asked, replies, strict=True):
            (prediction,) = reply["predictions"]
            assert (status, prediction["answer"]) == (200, predictions[key])
            assert example["context"][prediction["start"] : prediction["end"]] == predictions[key]
        assert server.post({"instances": ["a"]})[1]["error"].endswith("an object with context and question")
        assert server.stop(signal.SIGINT) == 0


def _load(server, evaluated, begun, keep_alive):
    """One client, until it is refused: (answered, refused, what else happened)."""
    rng, done, connection = random.Random(threading.get_ident()), 0, None
    while True:
        chosen = [rng.choice(evaluated) for _ in range(rng.randint(1, 8))]
        if connection is None or not keep_alive:
            connection = server.connect()
        if connection.sock is None and not connects(connection):  # a new one, or one that was told to close
            return done, 1, []
        try:
            status, answer, _ = ask(connection, "POST", "/predict", {"instances": [text for text, _, _ in chosen]})
        except Exception as error:  # noqa: BLE001 - a lost request, whichever way
            return done, 0, [repr(error)]
        pairs = zip(answer.get("predictions", ()), chosen, strict=True)
        if status != 200 or not all(_same(prediction, *expected[1:]) for prediction, expected in pairs):
            return done, 0, [f"{status} {answer}"]
        done += 1
        begun.release()


def test_sigterm_under_load_answers_every_accepted_request_and_refuses_later_ones(classified, serving, pytestconfig):
    """Half of the clients keep their connection, half open one for each request; none retries."""
    evaluated = _evaluated(classified)
    for _ in range(pytestconfig.getoption("--repeats")):
        with serving("--model", classified / "saved_model", "--access-log") as server:
            server.until("ready")
            begun = threading.Semaphore(0)
            with ThreadPoolExecutor(CLIENTS) as pool:
                clients = [pool.submit(_load, server, evaluated, begun, number % 2) for number in range(CLIENTS)]
                for _ in range(100):
                    assert begun.acquire(timeout=30)
                assert server.stop() == 0
                outcomes = [client.result(30) for client in clients]
        assert [trouble for _, _, trouble in outcomes if trouble] == []
        assert sum(refused for _, refused, _ in outcomes) == CLIENTS
        told = [line["status"] for line in server.lines if line["message"] == "request"]
        assert told == [200] * sum(done for done, _, _ in outcomes)  # what was answered arrived, and nothing else
        assert server.lines[-1]["message"] == "stopped" and server.lines[-1]["unanswered"] == 0


def test_a_request_on_its_way_when_the_signal_comes_is_answered_and_one_that_stays_half_given_up(classified, serving):
    """The body's second half is sent after the port has closed; an idle connection is closed and holds nothing up."""
    body = json.dumps({"instances": ["a tree"]}).encode()
    with serving("--model", classified / "saved_model", "--grace-s", "60") as server:
        server.until("ready")
        idle, half, never = (socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(3))
        kept = server.connect()
        half.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:9])
        never.sendall(_post(b"{", 99))
        assert ask(kept, "GET", "/health")[0] == 200
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        while connects(server.connect()):
            assert time.monotonic() - began < 30, "the port stays open"
        status, answer, headers = ask(kept, "GET", "/health")
        assert (status, answer, headers["connection"]) == (503, {"status": "draining"}, "close")
        half.sendall(body[9:])
        received = b"".join(iter(lambda: half.recv(65536), b""))
        assert received.startswith(b"HTTP/1.1 200") and b'"predictions"' in received
        assert _answers(never) == [(408, {"error": "the body did not arrive within 2 seconds"})]
        assert idle.recv(1) == b""
        assert server.wait() == 0  # what was never whole was not accepted
        assert time.monotonic() - began < 10


def test_at_the_end_of_the_grace_what_was_accepted_and_not_answered_is_counted_and_the_code_is_1(classified, serving):
    """Half a request is given up too, and not counted."""
    many = ("--max-batch", 1, "--max-instances", 100_000, "--max-queue", 100_000)
    with serving("--model", classified / "saved_model", "--grace-s", "1", *many) as server:
        server.until("ready")
        half = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        half.sendall(_post(b"{", 99))
        connection = server.connect()
        connection.request("POST", "/predict", json.dumps({"instances": ["a"] * 100_000}).encode(), JSON)
        server.get("/health")
        time.sleep(1)
        began = time.monotonic()
        assert server.stop() == 1
        assert time.monotonic() - began < 10
        assert server.lines[-1]["unanswered"] == 1
        response = connection.getresponse()
        assert response.status == 503
        assert json.loads(response.read()) == {"error": "the server is stopping and did not answer this request"}


def test_a_signal_while_loading_ends_at_once_and_vertex_ais_variables_are_followed(classified, serving):
    environment = {
        "AIP_STORAGE_URI": str(classified / "saved_model"),
        "AIP_HTTP_PORT": "1",
        "AIP_HEALTH_ROUTE": "/v1/models/7",
        "AIP_PREDICT_ROUTE": "/v1/models/7:predict",
    }
    with serving(environment=environment) as server:  # with --port 0, which goes before the variable
        server.until("listening")
        assert server.get("/v1/models/7")[:2] == (503, {"status": "loading"})
        assert ask(server.connect(), "POST", "/v1/models/7:predict", {"instances": ["a"]})[0] == 503
        assert server.get("/health")[0] == 404
        assert server.stop() == 0
        assert [line["message"] for line in server.lines] == ["serving", "listening", "stopped"]


def test_a_model_that_answers_otherwise_is_never_ready(classified, serving, tmp_path):
    folder = tmp_path / "saved_model"
    shutil.copytree(classified / "saved_model", folder)
    response = read_json(folder / "response.json", "response")
    response["logits"][0][0] += 0.01
    write_json(folder / "response.json", response)
    with serving("--model", folder) as server:
        assert server.wait() == 2
        assert "response.json: " in server.process.stderr.read()
    write_manifest(folder, "saved_model", content(read_json(folder / "signature.json", "manifest")))
    with serving("--model", folder) as server:
        assert server.wait() == 1
        assert "ready" not in [line["message"] for line in server.lines]
        assert server.lines[-1]["severity"] == "ERROR"
        assert "its logits for the recorded request is not the recorded one" in server.lines[-1]["message"]
        assert "Traceback" not in server.process.stderr.read()
