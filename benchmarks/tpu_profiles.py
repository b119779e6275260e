"""BigBird base at 4,096 tokens on JAX, compiled for every TPU profile, with no TPU: the largest batch of a chip, and its memory.

    python benchmarks/tpu_profiles.py

Span head, AdamW, bfloat16; the step is sharded over the profile's chips, its sums over them included. Each is compiled with the
Pallas kernel and with XLA's attention, with and without gradient checkpointing: about fifty programs of a minute or more.
Figures are the compiler's own, not measurements; cycles leave out what carries no estimate, as the kernel does.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence

import click
import script

from bigbird.config import Experiment, load_experiment
from bigbird_pipelines.machines import GIB, MACHINES, Machine
from bigbird_pipelines.preflight.programs import Compiler, Program
from bigbird_pipelines.preflight.search import largest_batch
from bigbird_pipelines.recipes import recipe_file

LENGTH = 4096
GENERATIONS = ("v5e", "v6e")
# Examples of a chip to begin the search with, by generation, attention and gradient checkpointing: what was largest last time.
FIRST = {
    ("v5e", "pallas", False): 30,
    ("v5e", "pallas", True): 96,
    ("v5e", "xla", False): 21,
    ("v5e", "xla", True): 31,
    ("v6e", "pallas", False): 63,
    ("v6e", "pallas", True): 180,
    ("v6e", "xla", False): 44,
    ("v6e", "xla", True): 70,
}
MOST_PROGRAMS = 8  # of a search


def step(attention: str, checkpointing: bool) -> Experiment:
    """The recipe's experiment with one of the attentions."""
    encoder = {"use_gradient_checkpointing": checkpointing, "attention": {"implementation": attention}}
    data = {"seq_length": LENGTH}
    changes = {
        "task": {"model": {"encoder": {"bigbird": encoder}}, "train_data": data, "validation_data": data},
        "runtime": {"mixed_precision_dtype": "bfloat16", "backend": "jax"},
    }
    return load_experiment("bigbird/squad", config_files=[recipe_file("squad_v1")], overrides=[changes])


def largest(profiles: Sequence[Machine], experiment: Experiment, first: int) -> list[tuple[Program, int | None]]:
    """The program of the largest batch of each profile, and the smallest batch that does not fit, where one was compiled.

    Of the first profile it is searched for. Those with more chips run the same program and the sums over the chips, so no
    larger batch fits them: theirs is compiled, and smaller ones if that is too large.
    """
    found: list[tuple[Program, int | None]] = []
    for profile in profiles:
        limit = round((profile.chip_memory_gib - profile.reserved_gib) * GIB)
        with Compiler(experiment, profile, LENGTH, limit) as compiler:
            if not found:
                outcome = largest_batch(compiler, first, limit, MOST_PROGRAMS)
                rows, failing = outcome.rows, outcome.failing
            else:
                rows, failing = found[0][0].rows, found[0][1]
                while not compiler(rows).fits:
                    failing, rows = rows, rows - max(1, rows // 32)
            found.append((compiler(rows), failing))
    return found


def show(name: str, profile: Machine, how: str, program: Program, failing: int | None) -> None:
    """One row of results, on stdout."""
    seconds = program.cycles / profile.clock_hz
    kernels = (program.without_estimate or {}).get("custom-call", 0)
    detail = (
        f"{(program.memory or 0) / GIB:.2f} of {profile.chip_memory_gib - profile.reserved_gib:g} GiB a chip "
        f"(temporaries {program.temporaries / GIB:.2f}); {f'{failing} do not fit' if failing else 'no larger one was tried'}; "
        f"{program.cycles / 1e6:.1f} Mcycles, {seconds * 1e3:.0f} ms{f' without {kernels} kernel calls' if kernels else ''}; "
        f"{program.collective_bytes / 2**20:.0f} MiB summed over {profile.chips} chips"
    )
    what = f"{name}, base, {LENGTH:,} tokens, bfloat16, {how}: largest batch of a chip"
    print(
        json.dumps({"what": what, "value": program.rows, "unit": "examples", "bar": None, "detail": detail}), flush=True
    )


@click.command(epilog="Example: python benchmarks/tpu_profiles.py --generation v6e")
@click.option(
    "--generation", multiple=True, type=click.Choice(GENERATIONS), help="Of the TPU; repeatable.  [default: all]"
)
def main(generation: tuple[str, ...]) -> None:
    """Compile the base model's step on JAX for every TPU profile; takes an hour or more."""
    for chosen in generation or GENERATIONS:
        profiles = {name: machine for name, machine in MACHINES.items() if machine.generation == chosen}
        for attention, checkpointing in itertools.product(("pallas", "xla"), (False, True)):
            how = f"{'kernel' if attention == 'pallas' else 'XLA'}{', gradient checkpointing' if checkpointing else ''}"
            first = FIRST[chosen, attention, checkpointing]
            found = largest(list(profiles.values()), step(attention, checkpointing), first)
            for (name, profile), (program, failing) in zip(profiles.items(), found, strict=True):
                show(name, profile, how, program, failing)


if __name__ == "__main__":
    script.run(main)
