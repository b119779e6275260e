"""A training step on a GPU: this project's on JAX, Hugging Face's BigBird, and full attention with PyTorch's fused kernel.

    python benchmarks/bench.py --only gpu

Base size, span head, AdamW, weights float32 and arithmetic bfloat16, dropout 0.1 outside attention. Needs a GPU, JAX and
PyTorch that find it, Keras and transformers; no TensorFlow. Each program runs in a process of its own, one after the other:
three steps to warm up, then the median of the next ones. Memory is what was in use at most by each one's own count.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import script

HERE = Path(__file__).parent
LIMIT_S = 240  # a program's time, compilation included
SIZES = ((4096, 8), (16384, 2), (65536, 1))  # tokens, examples

# Name -> script in peers/ and its options. Full attention is measured as it comes and with its layers compiled.
PROGRAMS = {
    "ours": ("gpu_ours.py",),
    "Hugging Face BigBird": ("gpu_torch.py",),
    "full attention": ("gpu_torch.py", "--full"),
    "full attention, compiled": ("gpu_torch.py", "--full", "--compiled"),
}
FULL = ("full attention", "full attention, compiled")


@dataclass(frozen=True)
class Answer:
    """What a program printed; None where it failed, with the reason."""

    figures: dict[str, Any] | None
    examples: int
    length: int
    problem: str = ""

    @property
    def speed(self) -> float:
        """Tokens a second; 0 where it failed."""
        return self.examples * self.length / self.figures["seconds"] if self.figures else 0.0

    def __str__(self) -> str:
        if self.figures is None:
            return self.problem
        times = "{seconds:.3f} s ({fastest:.3f} to {slowest:.3f})".format(**self.figures)
        return f"{self.speed:,.0f} tokens/s, {times}, {self.figures['peak'] / 1e9:.1f} GB, {self.examples} examples"


def measured(name: str, length: int, examples: int) -> Answer:
    """Runs a program, with fewer examples as long as its memory does not suffice."""
    script, *options = PROGRAMS[name]
    command = [sys.executable, str(HERE / "peers" / script), "--length", str(length), *options]
    print(f"{name}, {length:,} tokens, {examples} examples", file=sys.stderr, flush=True)
    with tempfile.TemporaryFile("w+") as said:
        try:
            done = subprocess.run(
                [*command, "--batch", str(examples)],
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                timeout=LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Answer(None, examples, length, f"not done after {LIMIT_S} s")
        said.seek(0)
        words = said.read()
    if done.returncode == 0:
        return Answer(json.loads(done.stdout.splitlines()[-1]), examples, length)
    if "out of memory" not in words.lower():
        print(words[-2000:], file=sys.stderr)
        raise click.ClickException(f"{name} ended with code {done.returncode}; what it said is above")
    if examples > 1:
        return measured(name, length, examples // 2)
    return Answer(None, examples, length, "out of memory with one example")


def show(what: str, value: float, unit: str, detail: str) -> None:
    """One row of results, on stdout."""
    print(json.dumps({"what": what, "value": round(value, 3), "unit": unit, "detail": detail}), flush=True)


@click.command(epilog="Example: python benchmarks/bench.py --only gpu")
def main() -> None:
    """Measure tokens a second and memory of a training step on this machine's GPU, beside the published ones."""
    if shutil.which("nvidia-smi") is None:
        raise click.ClickException("no GPU: nvidia-smi is not on this machine; expected one that JAX and PyTorch find")
    for length, examples in SIZES:
        step = f"GPU training step, base, {length:,} tokens, bfloat16"
        answers = {name: measured(name, length, examples) for name in PROGRAMS}
        ours = answers["ours"]
        failed = [f"{name}: {answer.problem}" for name, answer in answers.items() if answer.problem]
        show(f"{step}: tokens a second", ours.speed, "tokens/s", "; ".join([str(ours), *failed]))
        full = max(FULL, key=lambda name: answers[name].speed)
        for name in ("Hugging Face BigBird", full):
            if answers[name].speed:
                both = "; ".join(f"{each}: {answers[each]}" for each in (FULL if name in FULL else (name,)))
                show(f"{step}: speed against {name}", ours.speed / answers[name].speed, "x", both)


if __name__ == "__main__":
    script.run(main)
