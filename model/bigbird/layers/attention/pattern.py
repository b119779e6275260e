"""Which key block each query block attends to: the published random plans, in NumPy.

Facts are those of google-research/bigbird and the TensorFlow Model Garden; the plan a released checkpoint was
trained with is part of the model. A plan is drawn once per layer from a legacy generator seeded with the layer's
index, heads in order, so the same layer always attends to the same blocks: in training, evaluation and export.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Literal

import numpy as np

from bigbird.config import full_attention_blocks

# google-research applies its old plan at these lengths only; the Model Garden at every length it can serve.
OLD_PLAN_LENGTHS_GOOGLE_RESEARCH = (1024, 2048, 3072, 4096)


@dataclasses.dataclass(frozen=True)
class BlockPattern:
    """Sizes and rules that decide the pattern; hashable, so plans are cached.

    Attributes:
        num_heads: heads of a layer; each has a plan of its own.
        block_size: tokens per block.
        num_rand_blocks: random key blocks per query block.
        build_length: tokens the old plan is drawn for (the model's longest input); shorter inputs use its first rows.
        random_range: tokens within which the old plan's random blocks lie.
        rule: lengths at which the old plan applies, see `OLD_PLAN_LENGTHS_GOOGLE_RESEARCH`.
    """

    num_heads: int
    block_size: int = 64
    num_rand_blocks: int = 3
    build_length: int = 4096
    random_range: int = 1024
    rule: Literal["model_garden", "google_research"] = "model_garden"

    def uses_old_plan(self, length: int) -> bool:
        """Whether an input padded to `length` tokens takes the old plan (else the new one)."""
        if length > self.build_length:
            return False
        if self.rule == "google_research":
            return length in OLD_PLAN_LENGTHS_GOOGLE_RESEARCH
        return length >= min(self.random_range, self.build_length)


@functools.lru_cache(maxsize=256)
def random_blocks(pattern: BlockPattern, length: int, layer: int) -> np.ndarray:
    """The random key blocks of every head and middle query block.

    Args:
        pattern: sizes and rules.
        length: tokens, a multiple of the block size, more than `5 + 2 * num_rand_blocks` blocks.
        layer: index of the encoder layer, the generator's seed.

    Returns:
        int32[num_heads, length // block_size - 2, num_rand_blocks]; row i - 1 belongs to query block i. Read-only.

    Raises:
        ValueError: the length is no multiple of the block size or too short to hold every random block.
    """
    blocks, rest = divmod(length, pattern.block_size)
    full = full_attention_blocks(pattern.num_rand_blocks)
    if rest or blocks <= full:
        raise ValueError(
            f"length {length} must be a multiple of the block size {pattern.block_size} "
            f"and more than {full} blocks; shorter inputs attend fully"
        )
    random = np.random.RandomState(layer)
    if pattern.uses_old_plan(length):
        heads = [_old_plan(random, pattern)[: blocks - 2] for _ in range(pattern.num_heads)]
        plan = np.stack(heads)
    else:
        plan = _new_plan(random, pattern, blocks)
    plan.setflags(write=False)
    return plan


def _old_plan(random: np.random.RandomState, pattern: BlockPattern) -> np.ndarray:
    """One head of the old plan, int32[build blocks - 2, r]: candidates are blocks 1..last outside the window."""
    blocks, r = pattern.build_length // pattern.block_size, pattern.num_rand_blocks
    middle = np.arange(1, blocks - 1, dtype=np.int32)
    last = blocks - 1
    if 2 * pattern.block_size < pattern.random_range < pattern.build_length:
        last = pattern.random_range // pattern.block_size - 1
    plan = np.zeros((blocks - 2, r), np.int32)
    for row in range(1, blocks - 1):
        if row == 1:
            candidates = middle[2:last]
        elif row == 2:
            candidates = middle[3:last]
        elif row >= blocks - 3:
            candidates = middle[:last]
        elif row - 2 > last or row + 1 == last:
            candidates = middle[: min(row - 2, last)]
        else:
            candidates = np.concatenate([middle[: row - 2], middle[row + 1 : last]])
        plan[row - 1] = random.permutation(candidates)[:r]
    return plan


def _new_plan(random: np.random.RandomState, pattern: BlockPattern, blocks: int) -> np.ndarray:
    """All heads of the new plan, int32[N, blocks - 2, r]: every block picks from the first `5 + 2r` blocks.

    Never the globals of that stretch, the row's window, or the pair of the stretch's second and second-last block.
    (The published code has two more cases for inputs too short to reach here: those attend fully.)
    """
    r, end = pattern.num_rand_blocks, full_attention_blocks(pattern.num_rand_blocks)
    plan = np.zeros((pattern.num_heads, blocks, r), np.int32)
    for row in range(1, blocks):
        forbidden = {0, end - 1, row - 1, row, row + 1}
        if row == 1:
            forbidden.add(end - 2)
        elif row == end - 2:
            forbidden.add(1)
        for head in range(pattern.num_heads):
            order = random.permutation(np.arange(end, dtype=np.int32))
            plan[head, row] = [block for block in order if block not in forbidden][:r]
    return plan[:, 1:-1]


def key_blocks(pattern: BlockPattern, length: int, layer: int) -> tuple[np.ndarray, np.ndarray]:
    """Every key block of every middle query block: first global, window of three, random, last global.

    Blocks 1 and nb - 2 have a global block in their window already; the slot that would repeat it is not valid.
    A random block may repeat a global one (the old plan at 1024 does): it then counts twice, as published.

    Returns:
        blocks: int32[num_heads, nb - 2, 5 + r].
        valid: bool[nb - 2, 5 + r], the same for every head.
    """
    plan = random_blocks(pattern, length, layer)
    rows = np.arange(1, length // pattern.block_size - 1, dtype=np.int32)
    last = np.int32(length // pattern.block_size - 1)
    fixed = np.stack([0 * rows, rows - 1, rows, rows + 1], axis=1)
    fixed = np.broadcast_to(fixed, (pattern.num_heads, *fixed.shape))
    blocks = np.concatenate([fixed, plan, np.full((*plan.shape[:2], 1), last)], axis=-1)
    valid = np.ones(blocks.shape[1:], bool)
    valid[0, 0] = valid[-1, -1] = False
    return blocks, valid


def block_counts(pattern: BlockPattern, length: int, layer: int) -> np.ndarray:
    """How many times each query block counts each key block, int32[num_heads, nb, nb]: the reference for tests."""
    blocks, valid = key_blocks(pattern, length, layer)
    nb = length // pattern.block_size
    counts = np.zeros((pattern.num_heads, nb, nb), np.int32)
    counts[:, [0, nb - 1]] = 1
    heads, rows, slots = np.nonzero(np.broadcast_to(valid, blocks.shape))
    np.add.at(counts, (heads, rows + 1, blocks[heads, rows, slots]), 1)
    return counts
