"""The serving container's server beside ONNX Runtime and transformers' BigBird, each behind HTTP, base size, long texts.

    benchmarks/peers.sh
    python benchmarks/serving_peers.py [--rounds 3] [--length 2048]

A request is one text that fills the length; a few connections send the next when the last is answered. All servers run at once and
get their requests in turns. Ours answers in float32 and in bfloat16, as the model was exported. ONNX Runtime has full attention,
fused; transformers' BigBird has the same blocks as ours. Both compute in float32.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
import fresh
import samples
import script
from serving import Server, measure, percentiles, started
from turns import HERE, PEERS, show

from bigbird.support.precision import Precision
from bigbird.support.processors import multiplies_bfloat16
from bigbird.support.progress import Progress
from bigbird.support.tensorflow_start import load_tensorflow
from bigbird.text.vocabulary import Vocabulary

LENGTHS = (512, 2048, 4096)
REQUESTS = {512: 32, 2048: 8, 4096: 4}  # of a turn
BARS = {512: None, 2048: ">= 1.5", 4096: ">= 1.5"}
READY_BAR = "<= 10"
PEER_MODES = {"ONNX Runtime": "onnx", "BigBird by transformers": "bigbird"}
CONNECTIONS = 4


@contextmanager
def peer(name: str, mode: str, length: int, layers: int, vocabulary: Path) -> Iterator[Server]:
    """A peer's server that has answered, stopped with the block."""
    python = PEERS / "hugging_face" / "bin" / "python"
    if not python.exists():
        raise click.ClickException("build/peers/hugging_face is not there; run benchmarks/peers.sh")
    command = [str(python), str(HERE / "peers" / "http_model.py"), "--mode", mode, "--vocabulary", str(vocabulary)]
    command += ["--length", str(length), "--layers", str(layers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            for line in process.stdout or ():
                if line.startswith("{"):
                    begun = json.loads(line)
                    break
            else:
                raise click.ClickException(f"{name} ended with code {process.wait()}")
            yield Server(begun["library"], process, begun["port"])
        finally:
            process.terminate()


def bodies(source: samples.Source, length: int, count: int) -> list[bytes]:
    """Requests of one text each, with nearly as many tokens as the length holds beside the two at its ends."""
    vocabulary = Vocabulary(source.vocabulary)
    requests = []
    for text in samples.documents(source, count, length):
        words = text.split()
        while (tokens := len(vocabulary.encode([" ".join(words)])[0])) > length - 2:
            del words[-max(1, (tokens - length + 2) * len(words) // (2 * tokens)) :]
        requests.append(json.dumps({"instances": [{"text_a": " ".join(words)}]}).encode())
    return requests


def rate(server: Server) -> float:
    """Requests a second."""
    return len(server.latencies) / server.seconds


def described(server: Server) -> str:
    """Its rate and the latency that 99 of a hundred requests stay below."""
    return f"{rate(server):.3f} requests/s, p99 {percentiles(server)[2] / 1000:.2f} s"


def compare(
    models: dict[str, Path], source: samples.Source, vocabulary: Path, length: int, layers: int, rounds: int
) -> None:
    """Prints the rows of one length."""
    count = REQUESTS.get(length, 4)
    requests, progress = bodies(source, length, count * rounds), Progress(f"{length:,} tokens", rounds + 1)
    with ExitStack() as stack:
        progress.update(0, "starting", force=True)
        ours = {name: stack.enter_context(started(name, str(model))) for name, model in models.items()}
        peers = [stack.enter_context(peer(name, mode, length, layers, vocabulary)) for name, mode in PEER_MODES.items()]
        everyone = [*ours.values(), *peers]
        for server in everyone:
            measure(server, requests[:CONNECTIONS], CONNECTIONS)  # not counted
            server.latencies, server.seconds = [], 0.0
        for turn in range(rounds):
            for server in everyone:
                progress.update(turn + 1, server.name)
                measure(server, requests[turn::rounds], CONNECTIONS)
        progress.finish()
        best = max(peers, key=rate)
        others = "; ".join(f"{server.name}: {described(server)}" for server in peers)
        for name, server in ours.items():
            show(
                f"server, {layers} base layers, {length:,} tokens, {name}: requests a second against the better of ONNX Runtime and "
                "transformers' BigBird",
                rate(server) / rate(best),
                "x",
                BARS.get(length),
                f"ours {described(server)}; {others}; {len(server.latencies)} requests each, {CONNECTIONS} at once, in turns",
            )


@click.command(epilog="Example: python benchmarks/serving_peers.py --length 2048")
@click.option("--rounds", default=3, show_default=True, help="Turns of each server.")
@click.option("--layers", default=12, show_default=True, help="Of base size.")
@click.option(
    "--length", "lengths", multiple=True, type=int, default=LENGTHS, show_default=True, help="Tokens; repeatable."
)
@click.option("--data", envvar="BIGBIRD_DATA", help="Folder with real texts to vary; made-up ones without.")
def main(rounds: int, layers: int, lengths: tuple[int, ...], data: str | None) -> None:
    """Measure the server beside ONNX Runtime and transformers' BigBird; benchmarks/peers.sh first."""
    load_tensorflow()
    source = samples.load(data)
    precisions: list[Precision] = ["float32", "bfloat16"] if multiplies_bfloat16() else ["float32"]
    with tempfile.TemporaryDirectory(prefix="bigbird-bench-") as folder:
        models = {}
        for precision in precisions:
            working = Path(folder) / precision
            working.mkdir()
            models[precision] = fresh.export_classifier(
                source, working, max(lengths), {"num_layers": layers}, precision
            ).folder
        for precision, model in models.items():
            with started(precision, str(model)) as server:
                show(
                    f"server, {layers} base layers, {precision}: ready",
                    server.ready_s,
                    "s",
                    READY_BAR,
                    "from the command until the recorded request was answered",
                )
        vocabulary = Path(folder) / "given.model"
        vocabulary.write_bytes(source.vocabulary)
        for length in lengths:
            compare(models, source, vocabulary, length, layers, rounds)


if __name__ == "__main__":
    script.run(main)
