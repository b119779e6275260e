"""A forward pass on the CPU, batch 1: this project's encoder beside full attention by PyTorch, and FlexAttention with BigBird's mask.

    benchmarks/peers.sh
    python benchmarks/forward_pass.py [--rounds 5]

Layers of base size, without dropout, in float32 and in bfloat16. PyTorch runs transformers' BERT with its scaled dot-product
attention, compiled; in the same model FlexAttention, compiled, stands in for it, with the blocks of 64 that BigBird attends to:
the first and the last, three of a window and three random ones. FlexAttention has no backward pass on CPUs (PyTorch 2.13 refuses
it), so its training step is not measured. Rows name the version that was measured.
"""

from __future__ import annotations

import click
import script
from turns import Implementation, Worker, in_turns, show

LENGTHS = (512, 2048, 4096, 16384)
SHORT_MODEL_FROM = 16384  # tokens; from there on full attention of a whole model takes minutes
SHORT_MODEL = 2  # layers at most of the model that reads so many
BARS = {"float32": {512: 1.1, 2048: 1.4, 4096: 2.0}, "bfloat16": {512: 1.1, 2048: 1.5, 4096: 2.5}}
FULL_UNTIL = 1024  # tokens that ours attends to fully
PYTORCH = "hugging_face"  # the environment


def implementations(precision: str, length: int) -> dict[str, Implementation]:
    """All that compute in a precision; the last one where ours attends to blocks."""
    found = {
        "ours": Implementation("ours", None, f"forward_{precision}"),
        "full attention": Implementation("torch_bert", PYTORCH, f"full_{precision}"),
        "FlexAttention": Implementation("torch_bert", PYTORCH, f"flex_{precision}"),
    }
    if length <= FULL_UNTIL:
        del found["FlexAttention"]
    return found


def compare(precision: str, rounds: int, layers: int, length: int) -> None:
    """Prints a row for each of those that run beside ours."""
    workers: dict[tuple[str, int], Worker] = in_turns(implementations(precision, length), rounds, layers, length)
    ours = workers["ours", length]
    bars = {"full attention": f">= {BARS[precision].get(length, 1.0)}", "FlexAttention": ">= 1"}
    for (name, _), peer in workers.items():
        if name == "ours":
            continue
        show(
            f"forward pass, {layers} base layers, {length:,} tokens, {precision}: speed against PyTorch's {name}",
            peer.seconds / ours.seconds,
            "x",
            bars[name],
            f"ours {ours}, {peer.library}, compiled {peer}, medians of {rounds} in turns",
        )


@click.command(epilog="Example: python benchmarks/forward_pass.py --rounds 3 --length 4096")
@click.option("--rounds", default=5, show_default=True, help="Passes of each.")
@click.option("--layers", default=12, show_default=True, help="Of base size; at most 2 from 16,384 tokens on.")
@click.option(
    "--length", "lengths", multiple=True, type=int, default=LENGTHS, show_default=True, help="Tokens; repeatable."
)
def main(rounds: int, layers: int, lengths: tuple[int, ...]) -> None:
    """Measure a forward pass on the CPU, beside PyTorch; benchmarks/peers.sh first."""
    for precision in BARS:
        for length in lengths:
            compare(precision, rounds, layers if length < SHORT_MODEL_FROM else min(layers, SHORT_MODEL), length)


if __name__ == "__main__":
    script.run(main)
