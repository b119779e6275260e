"""The kernels for GPUs: their lists, and that they can be lowered for one; see test_kernels.py for their values."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from bigbird.layers.attention import gpu_kernel
from bigbird.layers.attention.pattern import BlockPattern, block_counts
from tests.layers.attention.kernels import BASE, LAYER, ONE_HEAD, SMALL_BLOCKS, TINY, TWO_GROUPS, compare


def test_lists_that_need_no_cut_give_the_same(monkeypatch):
    monkeypatch.setattr(gpu_kernel, "_LONGEST", 64)
    assert all(each.pieces.shape[1] == 0 for each in gpu_kernel._lists(TINY, 256, LAYER, 64))
    compare(gpu_kernel, TINY, 250)


@pytest.mark.parametrize(
    ("pattern", "length", "longest"),
    [(BASE, 1024, 6), (SMALL_BLOCKS, 1024, 16), (TWO_GROUPS, 4096, 16), (TWO_GROUPS, 4096, 500)],
)
def test_the_lists_hold_every_block_as_often_as_it_counts(pattern, length, longest):
    by_query = block_counts(pattern, length, LAYER)
    keys, queries = gpu_kernel._lists(pattern, length, LAYER, longest)
    for lists, expected in ((keys, by_query), (queries, by_query.swapaxes(1, 2))):
        counts = np.zeros_like(expected)
        for head, of_head in enumerate(zip(*lists, strict=True)):
            for block, part in _parts(*of_head):
                assert len(part) <= longest
                np.add.at(counts, (head, block, part), 1)
        np.testing.assert_array_equal(counts, expected)


def _parts(others, spans, pieces):
    """Of each block's list what its program does, and what its pieces do."""
    for block, (start, stop, first, last) in enumerate(spans):
        yield block, others[start:stop]
        for owner, start, stop in pieces[first:last]:
            assert owner == block
            yield block, others[start:stop]


@pytest.mark.parametrize(
    ("pattern", "length", "size", "dtype"),
    [
        (BlockPattern(num_heads=12), 4096, 64, "bfloat16"),
        (BlockPattern(num_heads=12, build_length=65536), 65536, 64, "bfloat16"),
        (ONE_HEAD, 2000, 64, "float32"),
        (SMALL_BLOCKS, 4100, 128, "bfloat16"),
        (TINY, 500, 16, "float32"),
    ],
)
def test_both_passes_are_lowered_for_a_gpu(pattern, length, size, dtype):
    """Each of three kernels with one for its pieces; nothing is left to be interpreted."""

    def step(query, key, value, mask, upstream):
        context, gradient = jax.vjp(
            lambda *x: gpu_kernel.block_sparse_attention(*x, mask, pattern=pattern, layer=0), query, key, value
        )
        return context, gradient(upstream)

    array = jax.ShapeDtypeStruct((2, length, pattern.num_heads, size), dtype)
    mask = jax.ShapeDtypeStruct((2, length), "int32")
    text = jax.jit(step).trace(array, array, array, mask, array).lower(lowering_platforms=("cuda",)).as_text()
    assert text.count("@__gpu$xla.gpu.triton") == 6
    assert text.count(f"num_warps = {pattern.block_size // 16} : i32") == 6
    assert "stablehlo.while" not in text and "stablehlo.dot" not in text


def test_sizes_and_gpus_that_do_not_suit_the_kernels_are_told(monkeypatch):
    assert gpu_kernel.unsuitable(9, 64, 64, 65536, itemsize=4) == ""
    assert gpu_kernel.unsuitable(2, 128, 64, 4096, itemsize=2) == ""
    assert "heads are of 80 numbers" in gpu_kernel.unsuitable(12, 80, 64, 4096, itemsize=2)
    assert "blocks are of 84 tokens" in gpu_kernel.unsuitable(12, 64, 84, 4096, itemsize=2)
    assert "block of 64 tokens and 128 numbers of 4 bytes has" in gpu_kernel.unsuitable(12, 128, 64, 4096, itemsize=4)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    for capability, suits in (("7.5", False), ("8.0", True), ("10.0", True), ("gfx90a", False)):
        monkeypatch.setattr(jax, "devices", lambda found=capability: [SimpleNamespace(compute_capability=found)])
        problem = gpu_kernel.unsuitable(12, 64, 64, 4096, itemsize=2)
        assert problem == "" if suits else f"compute capability is {capability}" in problem
