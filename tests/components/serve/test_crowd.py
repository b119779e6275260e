"""Hundreds of slow and faulty clients at once, and few file descriptors: other clients are answered as before."""

import json
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.components.serve import crowd
from tests.components.serve.conftest import ask

pytestmark = pytest.mark.integration

FILES = 256  # file descriptors of the server
PLACES = FILES - 64
CLIENTS = 4
PAUSE = 0.02  # seconds between two requests of a well-behaved client


def _behave(server, seconds):
    """Well-behaved clients: their latencies in seconds, and how often they got 503 and had to connect again.

    Each keeps its connection for ten requests. Every answer must be right, or 503.
    """

    def client(number):
        rng, until, latencies, refused = random.Random(number), time.monotonic() + seconds, [], 0
        while time.monotonic() < until:
            if len(latencies) % 10 == 0:
                connection = server.connect()
            instances = ["a tree", {"text_a": "a house"}][: rng.randint(1, 2)]
            began = time.monotonic()
            status, answer, _ = ask(connection, "POST", "/predict", {"instances": instances})
            took = time.monotonic() - began
            time.sleep(PAUSE)
            if status == 503:
                assert answer["error"].endswith("as many as it takes; try again later")
                connection, refused = server.connect(), refused + 1
                continue
            latencies.append(took)
            assert (status, len(answer.get("predictions", []))) == (200, len(instances)), answer
        return latencies, refused

    with ThreadPoolExecutor(CLIENTS) as pool:
        results = list(pool.map(client, range(CLIENTS)))
    return sorted(latency for latencies, _ in results for latency in latencies), sum(refused for _, refused in results)


def _p99(latencies):
    return latencies[int(0.99 * len(latencies))]


def _memory(server):
    """Resident memory, MB."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def _crowd(server, *arguments):
    return subprocess.Popen(
        [sys.executable, crowd.__file__, str(server.port), *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize(
    ("slow", "malformed", "seconds", "slack"),
    [
        (
            300,
            500,
            12,
            0.5,
        ),  # so short a time is marked by how they all come at once, and by what else the machine does
        pytest.param(300, 5000, 120, 0.0, marks=pytest.mark.long),
    ],
)
def test_beside_malformed_requests_and_slow_clients_others_are_answered_as_fast(
    classified, serving, slow, malformed, seconds, slack
):
    limits = ("--header-s", "4", "--body-s", "6", "--grace-s", "5")
    with serving("--model", classified / "saved_model", *limits, files=FILES) as server:
        server.until("ready")
        _behave(server, 2)
        alone, _ = _behave(server, seconds / 2)
        first = _crowd(server, slow, 200, 3, 0)  # memory that is kept for next time is taken
        assert first.wait(60) == 0
        before = _memory(server)
        bad = _crowd(server, slow, malformed, seconds, 1)
        beside, refused = _behave(server, seconds)
        told = json.loads(bad.communicate(timeout=60)[0])
        after = _memory(server)
        again = _crowd(server, slow, 0, 60, 2)  # the end comes while they are all there
        time.sleep(2)
        began = time.monotonic()
        code, took = server.stop(), time.monotonic() - began
        again.kill()
        again.communicate()
        log, errors = [json.dumps(line) for line in server.lines], server.process.stderr.read()
    print(
        f"alone {len(alone)} requests, p99 {1000 * _p99(alone):.0f} ms; beside {len(beside)}, p99 {1000 * _p99(beside):.0f} ms; "
        f"{refused} refused; memory {before:.0f} to {after:.0f} MB; log {sum(map(len, log))} bytes; ended in {took:.1f} s; {told}"
    )
    assert (told["wrong"], told["sent"]) == ([], malformed)
    assert told["busy"] <= malformed / 20  # while they all come at once
    assert refused <= len(beside) / 20
    assert set(told["slow"]) == set(crowd.SLOW)
    # A deadline of 4 or 6 seconds, and a second to leave; none stayed longer.
    assert max(longest for ends in told["slow"].values() for _, longest in ends.values()) < 8
    assert _p99(beside) <= 2 * _p99(alone) + slack
    assert after - before < 20
    assert "raceback" not in "".join(log) + errors
    assert sum(map(len, log)) < 20_000
    assert (code, server.lines[-1]["unanswered"]) == (0, 0)
    assert took < 5
