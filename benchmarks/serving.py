"""Latency and throughput of the serving container's server, with and without batching, side by side.

    python benchmarks/serving.py [--model FOLDER] [--requests 1000] [--concurrency 16]

Without a model it exports a tiny one, up to 128 tokens: what is measured then is the server more than the model. Starts two servers on this machine, one with the default batching and one with a single example in each call of the
model, and sends both the same requests, in turns of a few hundred. A request has 1 to 8 examples: the model's recorded ones,
cut to mixed lengths.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click
import fresh
import samples
import script

from bigbird.support.progress import Progress
from bigbird.support.tensorflow_start import load_tensorflow

ROOT = Path(__file__).parents[1]
SEED = 7
MOST_INSTANCES = 8
TURNS = 4
LONGER = "text_a", "context"  # the field that is cut
TINY = {"num_layers": 2, "hidden_size": 64, "num_attention_heads": 2, "intermediate_size": 128}
TINY_LENGTH = 128


@dataclass
class Server:
    """A running server and what was measured of it."""

    name: str
    process: subprocess.Popen
    port: int
    latencies: list[float] = field(default_factory=list)  # seconds
    examples: int = 0
    seconds: float = 0.0
    stopped: dict = field(default_factory=dict)  # its last line
    ready_s: float = 0.0  # from the command until it can answer


@contextmanager
def started(name: str, model: str, *options: str) -> Iterator[Server]:
    """A server that is ready, stopped with the block."""
    command = [
        sys.executable,
        "-m",
        "bigbird_components.serve",
        "--model",
        model,
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        *options,
    ]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'model'}{os.pathsep}{ROOT}"}
    begin = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    lines = (json.loads(line) for line in process.stdout or ())
    port = 0
    for line in lines:
        if line["message"] == "listening":
            port = int(re.findall(r":(\d+)$", line["address"])[0])
        if line["message"] == "ready":
            break
    else:
        raise SystemExit(f"the server ended with {process.wait()}")
    server = Server(name, process, port, ready_s=time.perf_counter() - begin)
    try:
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        for line in lines:
            server.stopped = line
        process.wait()


def make_requests(model: Path, count: int) -> list[bytes]:
    """Bodies of `count` requests."""
    (file,) = model.rglob("request.json")
    recorded = json.loads(file.read_text(encoding="utf-8"))
    examples = [dict(zip(recorded, texts, strict=True)) for texts in zip(*recorded.values(), strict=True)]
    rng = random.Random(SEED)
    bodies = []
    for _ in range(count):
        chosen = [dict(rng.choice(examples)) for _ in range(rng.randint(1, MOST_INSTANCES))]
        for example in chosen:
            for name in LONGER:
                if name in example:
                    words = example[name].split()
                    example[name] = " ".join(words[: rng.randint(1, len(words))])
        bodies.append(json.dumps({"instances": chosen}).encode())
    return bodies


def measure(server: Server, bodies: list[bytes], concurrency: int) -> None:
    """Sends the requests over `concurrency` connections, each the next when its last is answered."""
    local = threading.local()

    def send(body: bytes) -> tuple[float, int]:
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection("127.0.0.1", server.port)
        begin = time.perf_counter()
        local.connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
        response = local.connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise SystemExit(f"{server.name}: {response.status} {content[:200]!r}")
        return time.perf_counter() - begin, len(json.loads(content)["predictions"])

    begin = time.perf_counter()
    with ThreadPoolExecutor(concurrency) as pool:
        results = list(pool.map(send, bodies))
    server.seconds += time.perf_counter() - begin
    server.latencies += [latency for latency, _ in results]
    server.examples += sum(examples for _, examples in results)


def percentiles(server: Server) -> tuple[float, float, float]:
    """The latencies that 50, 95 and 99 of a hundred requests stay below, in milliseconds."""
    ordered = sorted(server.latencies)
    p50, p95, p99 = (1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.95, 0.99))
    return p50, p95, p99


def row(server: Server) -> str:
    """A line of the table."""
    p50, p95, p99 = percentiles(server)
    per_call = server.stopped["examples"] / server.stopped["calls"]
    rates = f"{len(server.latencies) / server.seconds:10.1f} | {server.examples / server.seconds:10.1f}"
    return f"| {server.name:22} | {rates} | {p50:8.1f} | {p95:8.1f} | {p99:8.1f} | {per_call:13.1f} |"


def figures(batching: Server, single: Server, what: str, how: str) -> list[dict]:
    """The rows for results.md."""
    (p50, p95, p99), alone = percentiles(batching), len(single.latencies) / single.seconds
    rate = len(batching.latencies) / batching.seconds
    return [
        {
            "what": f"server, {what}: requests",
            "value": round(rate, 1),
            "unit": "requests/s",
            "bar": None,
            "detail": how,
        },
        {
            "what": f"server, {what}: latency, median",
            "value": round(p50, 1),
            "unit": "ms",
            "bar": None,
            "detail": f"p95 {p95:.0f} ms, p99 {p99:.0f} ms; {how}",
        },
        {
            "what": f"server, {what}: batching against one example a call",
            "value": round(rate / alone, 2),
            "unit": "x",
            "bar": None,
            "detail": f"one example a call: {alone:.1f} requests/s",
        },
    ]


@click.command()
@click.option("--model", help="Folder of a SavedModel or of a run; a tiny one is made without.")
@click.option("--requests", "count", default=1000, show_default=True, help="Requests to each server.")
@click.option("--concurrency", default=16, show_default=True, help="Requests under way at once.")
@click.option("--max-batch", help="The batching server's; its default without.")
@click.option("--max-delay-ms", help="The batching server's; its default without.")
@click.option("--data", envvar="BIGBIRD_DATA", help="Folder with real texts for the tiny model; made-up ones without.")
def main(
    model: str | None, count: int, concurrency: int, max_batch: str | None, max_delay_ms: str | None, data: str | None
) -> None:
    """Measure the server with and without batching."""
    given = [("--max-batch", max_batch), ("--max-delay-ms", max_delay_ms)]
    options = [text for name, value in given if value for text in (name, value)]
    with tempfile.TemporaryDirectory(prefix="bigbird-bench-") as folder:
        what = "the given model" if model else f"a tiny model, up to {TINY_LENGTH} tokens"
        if model is None:
            load_tensorflow()
            model = str(fresh.export_classifier(samples.load(data), Path(folder), TINY_LENGTH, TINY).folder)
        batching, single = compare(model, count, concurrency, options)
    how = f"{count:,} requests, {concurrency} at once, 1 to {MOST_INSTANCES} examples, {os.cpu_count()} cores, client included"
    print(how, file=sys.stderr)
    print(
        "|                        | requests/s | examples/s | p50 (ms) | p95 (ms) | p99 (ms) | examples/call |",
        file=sys.stderr,
    )
    print("|---|---|---|---|---|---|---|", file=sys.stderr)
    for server in (batching, single):
        print(row(server), file=sys.stderr)
    for figure in figures(batching, single, what, how):
        print(json.dumps(figure))


def compare(model: str, count: int, concurrency: int, options: list[str]) -> tuple[Server, Server]:
    """Both servers, measured in turns and stopped."""
    bodies = make_requests(Path(model), count)
    progress, done = Progress("serving", 2 * TURNS), 0
    with (
        started("batching", model, *options) as batching,
        started("one example a call", model, "--max-batch", "1") as single,
    ):
        for server in (batching, single):
            measure(server, bodies[: 2 * concurrency], concurrency)  # not counted
            server.latencies, server.examples, server.seconds = [], 0, 0.0
        for turn in range(TURNS):
            for server in (batching, single):
                progress.update(done, server.name)
                measure(server, bodies[turn::TURNS], concurrency)
                done += 1
    progress.finish()
    return batching, single


if __name__ == "__main__":
    script.run(main)
