"""A training step compiled for a TPU v5e, with no TPU: this project's and the Model Garden's, read the same way.

    benchmarks/peers.sh
    python benchmarks/tpu_compile.py

BigBird base, span head, AdamW, batch 2, 4,096 tokens, bfloat16. Cycles and memory are the compiler's own figures, not
measurements; what carries no estimate is told beside them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
import script

from bigbird.config import load_experiment
from bigbird.support.artifacts import read_json
from bigbird_pipelines.machines import MACHINES
from bigbird_pipelines.preflight.compiler import COMPILED, ENVIRONMENT
from bigbird_pipelines.preflight.lowering import LOWERED
from bigbird_pipelines.preflight.programs import Compiler, Program
from bigbird_pipelines.recipes import recipe_file

HERE = Path(__file__).parent
GARDEN = HERE.parent / "build" / "peers" / "model_garden"
BATCH, LENGTH = 2, 4096
CHIP = 16 * 2**30  # bytes


def ours(checkpointing: bool) -> Program:
    """The recipe's step at the benchmark's sizes."""
    data = {"seq_length": LENGTH, "global_batch_size": BATCH}
    changes = {
        "task": {
            "model": {"encoder": {"bigbird": {"use_gradient_checkpointing": checkpointing}}},
            "train_data": data,
            "validation_data": data,
        },
        "runtime": {"mixed_precision_dtype": "bfloat16"},
    }
    experiment = load_experiment("bigbird/squad", config_files=[recipe_file("squad_v1")], overrides=[changes])
    with Compiler(experiment, MACHINES["tpu-v5e-1"], LENGTH, CHIP) as compiler:
        return compiler(BATCH)


def model_garden(checkpointing: bool) -> Program:
    """The Model Garden's own step, lowered in its environment."""
    if not (GARDEN / ".installed").exists():
        raise click.ClickException("build/peers/model_garden is not there or not whole; run benchmarks/peers.sh")
    print("lowering and compiling the Model Garden's step, about three minutes", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="bigbird-bench-") as folder:
        lower = [str(GARDEN / "bin" / "python"), str(HERE / "peers" / "model_garden_tpu.py")]
        arguments = [str(Path(folder) / LOWERED), str(BATCH), str(LENGTH), *(["checkpointing"] * checkpointing)]
        _run([*lower, *arguments], {})
        _run([sys.executable, "-m", "bigbird_pipelines.preflight.compiler", folder], ENVIRONMENT)
        return Program(BATCH, seconds=0, **read_json(Path(folder) / COMPILED, "compiler's answer"))


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env={**os.environ, **environment}, stdout=sys.stderr, check=False)
    if done.returncode:
        raise click.ClickException(f"{Path(command[1]).name} ended with code {done.returncode}; what it said is above")


def told(program: Program) -> str:
    """The figures of one program."""
    missing = ", ".join(f"{count} {kind}s" for kind, count in sorted((program.without_estimate or {}).items()))
    return (
        f"{program.cycles / 1e6:.1f} Mcycles (without {missing or 'nothing'}), temporaries {program.temporaries / 1e9:.2f} GB, "
        f"arguments {program.arguments / 1e9:.2f} GB"
    )


def show(what: str, value: float, bar: str | None, detail: str) -> None:
    """One row of results, on stdout: ours over theirs."""
    print(json.dumps({"what": what, "value": round(value, 3), "unit": "x", "bar": bar, "detail": detail}), flush=True)


@click.command(epilog="Example: python benchmarks/tpu_compile.py")
def main() -> None:
    """Compare the TPU compiler's figures of our step and the Model Garden's; benchmarks/peers.sh first."""
    step = f"TPU v5e step, base, batch {BATCH}, {LENGTH:,} tokens, bfloat16"
    for checkpointing, name, bars in (
        (False, step, ("<= 0.6", "<= 0.45")),
        (True, f"{step}, gradient checkpointing", (None, None)),
    ):
        mine, theirs = ours(checkpointing), model_garden(checkpointing)
        detail: tuple[Any, ...] = (f"ours {told(mine)}", f"Model Garden {told(theirs)}")
        show(
            f"{name}: compiler's cycles against the Model Garden's",
            mine.cycles / theirs.cycles,
            bars[0],
            "; ".join(detail),
        )
        show(
            f"{name}: temporaries against the Model Garden's",
            mine.temporaries / theirs.temporaries,
            bars[1],
            "the same programs",
        )


if __name__ == "__main__":
    script.run(main)
