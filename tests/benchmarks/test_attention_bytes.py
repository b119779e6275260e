"""The count of what the attention kernel moves, on a case small enough to count again, and against the kernel's own arrays."""

import dataclasses
from pathlib import Path

import pytest

from bigbird.layers.attention import tpu_kernel
from bigbird.layers.attention.pattern import BlockPattern


@pytest.fixture
def count(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import attention_bytes

    return attention_bytes


def test_a_small_case_is_what_it_comes_to_by_hand(count):
    """Eight blocks of 16 tokens, one head of 2 numbers, one random block: 6 slots, 6 middle blocks."""
    case = count.Case(batch=1, length=128, heads=1, size=2, width=16, random=1)
    assert case.array == 512
    # 12 arrays; twice 128 rows, 9 rows of biases, and 6 + 2 chunks of 6.
    assert count.kernel_bytes(case) == 12 * 512 + 2 * (512 + 9 * 512 + 192)
    gathered, scores = 6 * 6 * 16 * 2 * 2, 6 * 16 * 96 + 32 * 128
    forward = 4 * gathered + 3 * 4 * scores + 2 * 2 * scores
    backward = 9 * gathered + 3 * 4 * scores + 3 * 2 * scores + 2 * 4 * scores + 3 * 2 * scores
    assert count.xla_bytes(case) == 12 * 512 + forward + backward
    assert (count.xla_products(case), count.kernel_products(case)) == (7 * scores * 2, 11 * scores * 2)
    assert count.kernel_products(dataclasses.replace(case, itemsize=4)) == 7 * scores * 2


@pytest.mark.parametrize("length", [4096, 16384])
@pytest.mark.parametrize("itemsize", [2, 4])
def test_the_kernel_moves_less_than_a_quarter(count, length, itemsize):
    case = count.Case(batch=2, length=length, itemsize=itemsize)
    assert 4 * count.kernel_bytes(case) < count.xla_bytes(case)
    assert count.kernel_bytes(case) < 1.02 * 12 * case.array  # next to nothing but the arrays themselves


def test_its_table_is_the_kernels(count):
    case = count.Case(batch=2, length=4096)
    pattern = BlockPattern(num_heads=12)
    sizes = tpu_kernel._sizes(pattern, 4096, 64)
    table = tpu_kernel._chunk_table(pattern, 4096, 0, sizes)
    rows, biases = 2 * 12 * 4096 * 4, 2 * 65 * 128 * 4
    assert count.kernel_bytes(case) == 12 * case.array + 2 * (rows + biases + 2 * table.nbytes)
