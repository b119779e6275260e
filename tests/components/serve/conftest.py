"""Servers as processes of their own, and a client that says what became of each request."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
JSON = {"Content-Type": "application/json"}


class RunningServer:
    """`bigbird serve` as a process.

    Args:
        arguments: the command's.
        environment: variables beside this process'.
        files: most file descriptors that it may have; as many as this process, unless given.

    Attributes:
        lines: its log so far.
        port: where it listens, once `until("listening")` has returned.
    """

    def __init__(self, *arguments, environment=None, files=None):
        settings = {**os.environ, "PYTHONPATH": f"{ROOT / 'model'}{os.pathsep}{ROOT}", **(environment or {})}
        limited = ["sh", "-c", 'ulimit -n "$0" && exec "$@"', str(files)] if files else []
        self.process = subprocess.Popen(
            [*limited, sys.executable, "-m", "bigbird_components.serve", "--port", "0", *map(str, arguments)],
            env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.lines = []
        self.port = 0
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for text in self.process.stdout:  # to the end: a server whose log nobody reads comes to a halt
            with self._news:
                self.lines.append(json.loads(text))
                self._news.notify()
        with self._news:
            self.lines.append({"message": "end"})
            self._news.notify()

    def until(self, message):
        """Waits for a message in the log."""
        with self._news:
            while message not in (told := [line["message"] for line in self.lines]):
                assert "end" not in told, f"ended before {message!r}: {self.lines} {self.process.stderr.read()}"
                assert self._news.wait(60), f"no {message!r} within a minute: {self.lines}"
            (listening,) = (line for line in self.lines if line["message"] == "listening")
            self.port = int(listening["address"].rpartition(":")[2])
        return self

    def stop(self, number=signal.SIGTERM):
        """Sends a signal and waits; returns the exit code."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self):
        """Waits for the end of the log and of the process; returns the exit code."""
        self._reader.join(60)
        self.lines = [line for line in self.lines if line["message"] != "end"]
        return self.process.wait(60)

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def get(self, path):
        return ask(self.connect(), "GET", path)

    def post(self, body, headers=JSON):
        return ask(self.connect(), "POST", "/predict", body, headers)


def connects(connection):
    """Whether the port is open: not if it refuses, nor if it closes while the connection is being made."""
    try:
        connection.connect()
    except (ConnectionRefusedError, ConnectionResetError):
        return False
    return True


def ask(connection, method, path, body=None, headers=JSON):
    """(status, parsed body, headers) of one request; `body` is JSON unless it is bytes."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    connection.request(method, path, data, headers)
    response = connection.getresponse()
    content = response.read()
    return response.status, json.loads(content), response.headers


@pytest.fixture(scope="session")
def serving():
    """Context manager (arguments of the command) -> a running server; killed at the end if it still runs."""

    @contextmanager
    def start(*arguments, **options):
        server = RunningServer(*arguments, **options)
        try:
            yield server
        finally:
            server.process.kill()
            server.wait()
            server.process.stdout.close()
            server.process.stderr.close()

    return start


@pytest.fixture(scope="session")
def classifying(classified, serving):
    """A ready server of the SST-2 model."""
    with serving("--model", classified / "saved_model", "--access-log") as server:
        yield server.until("ready")
