"""What a layer's sparse attention moves and computes, forward and backward, counted by hand: the Pallas kernel and XLA's operations.

    python benchmarks/attention_bytes.py

Counted are the arrays that lie between two operations, at the size of their numbers, without a TPU's padding: written once
by the operation that makes them, read once by every one that takes them. Elementwise work costs nothing: it is fused with
what stands before or after it. The kernel is one operation a pass. Of the XLA version (bigbird/layers/attention/block_sparse.py)
gathers, matrix products, softmax and the sums over gathered blocks are operations; where a chip's vector memory has room
for one (example, head) pair, a compiler may keep that pair's arrays there (a v5e's does at 4,096 tokens), so of the XLA
version this counts memory traffic and not device memory alone. Nothing here is measured.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

FLOAT32 = INDEX = 4  # bytes
LANES = 128


@dataclass(frozen=True)
class Case:
    """A layer's attention: B batch, L tokens, N heads of D numbers, of `itemsize` bytes each."""

    batch: int
    length: int
    heads: int = 12
    size: int = 64
    itemsize: int = 2
    width: int = 64
    random: int = 3

    @property
    def blocks(self) -> int:
        return self.length // self.width

    @property
    def slots(self) -> int:
        return 5 + self.random

    @property
    def array(self) -> int:
        """Bytes of q, k, v, the context or a gradient of one."""
        return self.batch * self.length * self.heads * self.size * self.itemsize


def kernel_bytes(case: Case) -> int:
    """Forward: q, k, v in, context out. Backward: those four and the upstream gradient in, three gradients out."""
    rows = case.batch * case.heads * case.length * FLOAT32  # the log-sum-exp of each row, out and in
    biases = case.batch * (case.blocks + 1) * LANES * FLOAT32  # of every key, in a row of lanes for each block
    chunks = case.blocks - 2 + -(-case.blocks // case.slots)
    table = case.batch * case.heads * chunks * case.slots * INDEX
    return 12 * case.array + 2 * (rows + biases + table)


def xla_bytes(case: Case) -> int:
    """The same arrays in and out, and what lies between the operations."""
    pairs, middle = case.batch * case.heads, case.blocks - 2
    gathered = pairs * middle * case.slots * case.width * case.size * case.itemsize
    middle_scores = pairs * middle * case.width * case.slots * case.width
    end_scores = pairs * 2 * case.width * case.length
    scores = middle_scores + end_scores
    forward = {
        "gathered keys and values": 2 * 2 * gathered,
        "scores, read for the row's largest and sum and for the probabilities": 3 * scores * FLOAT32,
        "probabilities": 2 * scores * case.itemsize,
    }
    backward = {
        "gathered keys, for scores and the query's gradient, and values": (3 + 2) * gathered,
        "scores, as before": 3 * scores * FLOAT32,
        "probabilities, for the values' and the scores' gradient": 3 * scores * case.itemsize,
        "the probabilities' gradient": 2 * scores * FLOAT32,
        "the scores' gradient, for query and key": 3 * scores * case.itemsize,
        "gathered gradients of keys and values, added up": 2 * 2 * gathered,
    }
    return 12 * case.array + sum(forward.values()) + sum(backward.values())


def xla_products(case: Case) -> int:
    """Multiply-adds of the seven matrix products, two forward and five backward."""
    scores = (case.blocks - 2) * case.width * case.slots * case.width + 2 * case.width * case.length
    return 7 * case.batch * case.heads * scores * case.size


def kernel_products(case: Case) -> int:
    """The same of the kernel, which in bfloat16 makes two of each product of probabilities or of their scores' gradient.

    The kernel's chunks of the first and last block are whole, so it computes a little more where their number is no
    divisor of the blocks; on a matrix unit 128 deep both cost twice as much for heads of 64.
    """
    twice = 4 if case.itemsize < FLOAT32 else 0  # one forward, three backward
    return xla_products(case) * (7 + twice) // 7


def main() -> None:
    for length, itemsize in ((4096, 2), (4096, 4), (16384, 2), (16384, 4)):
        case = Case(batch=2, length=length, itemsize=itemsize)
        kernel, xla = kernel_bytes(case), xla_bytes(case)
        name = f"sparse attention, base size, batch 2, {length:,} tokens, {8 * itemsize} bits: bytes against XLA's operations"
        detail = (
            f"kernel {kernel / 1e6:,.0f} MB, {kernel_products(case) / 1e9:.1f} G multiply-adds; "
            f"XLA {xla / 1e6:,.0f} MB, {xla_products(case) / 1e9:.1f} G"
        )
        print(
            json.dumps({"what": name, "value": round(kernel / xla, 3), "unit": "x", "bar": "<= 0.25", "detail": detail})
        )


if __name__ == "__main__":
    main()
