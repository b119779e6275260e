"""A training step on the CPU: this project's encoder, what it is made of at least, the Model Garden's and Hugging Face's.

    benchmarks/peers.sh
    python benchmarks/training_step.py [--rounds 5]

Each runs in a process and environment of its own, forward and backward with dropout, layers of base size, in float32 and of one input
where nothing else is named, and takes its step when it is its turn: what disturbs the machine disturbs all of them. Optimizers are left out, as they are
of the same cost. Memory is the highest the process had, less what it had before it built its model; code that compilers make
counts too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click
import script
from turns import Implementation, Worker, in_turns, show, started

IMPLEMENTATIONS = {
    "ours": Implementation("ours", None, "graph"),
    "ours, XLA": Implementation("ours", None, "xla"),
    "ours, bfloat16": Implementation("ours", None, "bfloat16"),
    "dense layers": Implementation("ours", None, "dense"),
    "dense layers, XLA": Implementation("ours", None, "dense_xla"),
    "attention's products": Implementation("ours", None, "products"),
    "the same with keys gathered": Implementation("ours", None, "products_gathered"),
    "ours, checkpointing": Implementation("ours", None, "checkpointing"),
    "Model Garden": Implementation("model_garden", "model_garden", "graph"),
    "Model Garden, XLA": Implementation("model_garden", "model_garden", "xla"),
    "Hugging Face": Implementation("hugging_face", "hugging_face", "eager"),
}
FULL_ATTENTION = Implementation("torch_bert", "hugging_face", "training")
OURS, DENSE, GARDEN = (
    tuple(name for name in IMPLEMENTATIONS if name in (kind, f"{kind}, XLA"))
    for kind in ("ours", "dense layers", "Model Garden")
)


def of(*names: str) -> dict[str, Implementation]:
    """Some of them."""
    return {name: IMPLEMENTATIONS[name] for name in names}


def faster(workers: Mapping[tuple[str, int], Worker], names: Sequence[str], length: int) -> tuple[str, Worker]:
    """The faster one of an implementation's modes."""
    name = min(names, key=lambda name: workers[name, length].seconds)
    return name, workers[name, length]


def speed(rounds: int, length: int) -> tuple[str, str]:
    """Two layers against everyone else's; names of our and the Model Garden's faster mode."""
    everyone = in_turns(of(*(name for name in IMPLEMENTATIONS if name != "ours, checkpointing")), rounds, 2, length)
    name, ours = faster(everyone, OURS, length)
    modes = "; ".join(f"{other} {everyone[other, length]}" for other in (*OURS, *DENSE, *GARDEN, "Hugging Face"))
    for who, names, bar in (
        ("the Model Garden's faster mode", GARDEN, ">= 1.6"),
        ("Hugging Face", ("Hugging Face",), ">= 2.7"),
    ):
        peer, worker = faster(everyone, names, length)
        detail = f"{name} {ours.seconds:.2f} s, {peer} {worker.seconds:.2f} s, medians of {rounds} in turns"
        show(
            f"training step, 2 base layers, {length:,} tokens: speed against {who}",
            worker.seconds / ours.seconds,
            "x",
            bar,
            f"{detail} ({modes})" if names is GARDEN else detail,
        )
    (kind, dense), products = faster(everyone, DENSE, length), everyone["attention's products", length]
    floor = dense.seconds + products.seconds
    show(
        f"training step, 2 base layers, {length:,} tokens: speed against its floor, dense layers and attention's products",
        floor / ours.seconds,
        "x",
        ">= 0.9",
        f"{name} {ours}, {kind} {dense}, attention's products {products}, the same with keys and values gathered "
        f"{everyone['the same with keys gathered', length]}; the rest is softmax, adding up gradients and bringing heads beside each other",
    )
    half = everyone["ours, bfloat16", length]
    show(
        f"training step, 2 base layers, {length:,} tokens: bfloat16 against float32",
        ours.seconds / half.seconds,
        "x",
        ">= 1.5",
        f"{name} {ours}, bfloat16 {half}; a processor without instructions for bfloat16 is slower in it",
    )
    return name, faster(everyone, GARDEN, length)[0]


def memory(length: int, ours: str, garden: str) -> None:
    """Four layers against the Model Garden's, each in the mode that was faster with two."""
    peaks = {name: in_turns(of(name), 1, 4, length)[name, length].peak for name in (*OURS, *GARDEN)}
    each = ", ".join(f"{name} {peak / 1e9:.2f} GB" for name, peak in peaks.items())
    show(
        f"training step, 4 base layers, {length:,} tokens: peak memory against the Model Garden's",
        peaks[ours] / peaks[garden],
        "x",
        "<= 0.6",
        f"{ours} against {garden}, each one's faster mode; {each}",
    )


def memory_of_batches(length: int, batch: int) -> None:
    """All twelve layers against transformers' BERT with PyTorch's scaled dot-product attention."""
    peaks, library = {}, ""
    for name, implementation in (("ours", IMPLEMENTATIONS["ours"]), ("full attention", FULL_ATTENTION)):
        with started(name, implementation, 12, length, batch) as worker:
            worker.step()
            peaks[name], library = worker.peak, worker.library
    show(
        f"training step, 12 base layers, batch {batch}, {length:,} tokens: peak memory against PyTorch's full attention",
        peaks["ours"] / peaks["full attention"],
        "x",
        "<= 0.7",
        f"{peaks['ours'] / 1e9:.2f} GB against {peaks['full attention'] / 1e9:.2f} GB, {library}, without dropout in attention",
    )


def growth(rounds: int, length: int) -> None:
    """Four times the length."""
    workers = in_turns(of("ours"), rounds, 2, length, 4 * length)
    short, long = workers["ours", length], workers["ours", 4 * length]
    show(
        f"training step, 2 base layers: time at {4 * length:,} tokens over {length:,}",
        long.seconds / short.seconds,
        "x",
        "<= 4.3",
        f"{long} against {short}",
    )


def whole_model(length: int) -> None:
    """All twelve layers of the base model at a long input, checkpointed."""
    worker = in_turns(of("ours, checkpointing"), 1, 12, length)["ours, checkpointing", length]
    answer = worker.answers[-1]
    show(
        f"training step, 12 base layers, {length:,} tokens, gradient checkpointing: whole process",
        answer["peak"] / 1e9,
        "GB",
        "<= 12",
        f"at its peak, {worker.before / 1e9:.2f} GB of it before the model; "
        f"{answer['seconds']:.1f} s; a word table of 512 rows",
    )


@click.command(epilog="Example: python benchmarks/training_step.py --rounds 3")
@click.option("--rounds", default=5, show_default=True, help="Steps of each.")
@click.option("--length", default=4096, show_default=True, help="Tokens.")
def main(rounds: int, length: int) -> None:
    """Measure the training step on the CPU, beside the published implementations; benchmarks/peers.sh first."""
    memory(length, *speed(rounds, length))
    memory_of_batches(length, 2)
    growth(rounds, length)
    whole_model(4 * length)


if __name__ == "__main__":
    script.run(main)
