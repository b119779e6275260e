"""The kernel for TPUs: interleaving and tables, and what the TPU's compiler makes of it; see test_kernels.py for its values."""

import numpy as np
import pytest

from bigbird.layers.attention import tpu_kernel
from bigbird.layers.attention.pattern import block_counts
from bigbird_pipelines.preflight.compiler import ENVIRONMENT
from tests.layers.attention.kernels import BASE, LAYER, SMALL_BLOCKS, TINY, TWO_GROUPS, compare, run_process

pytestmark = pytest.mark.slow  # a fixture that its tests share takes more than 10 s


@pytest.mark.parametrize(("length", "together"), [(160, 3), (272, 2)])
def test_blocks_worked_through_together_give_the_same(length, together, monkeypatch):
    """Eight middle blocks; fifteen, and a second step of the grid that has the last block alone."""
    monkeypatch.setattr(tpu_kernel, "_TOGETHER", together)
    compare(tpu_kernel, TINY, length)


def test_the_chunks_hold_every_block_as_often_as_it_counts():
    for pattern, length in ((BASE, 1024), (SMALL_BLOCKS, 1000 + 24), (TWO_GROUPS, 4096)):
        sizes = tpu_kernel._sizes(pattern, length, 64)
        table = tpu_kernel._chunk_table(pattern, length, LAYER, sizes).reshape(pattern.num_heads, -1, sizes.slots)
        counts = np.zeros((pattern.num_heads, sizes.blocks, sizes.blocks + 1), np.int32)
        for block in range(sizes.blocks):
            first, after = tpu_kernel._chunks(block, sizes)
            for head in range(pattern.num_heads):
                np.add.at(counts, (head, block, table[head, int(first) : int(after)].reshape(-1)), 1)
        np.testing.assert_array_equal(counts[:, :, :-1], block_counts(pattern, length, LAYER))


# ------------------------------------------------------------------------------------------ compiled for a TPU

_COMPILE = """
import json, sys
import jax, numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding
from bigbird.layers.attention.block_sparse import block_sparse_attention
from bigbird.layers.attention.tpu_kernel import block_sparse_attention as kernel
from bigbird.layers.attention.pattern import BlockPattern
from bigbird_pipelines.preflight.estimate import estimate

def step(attend, pattern):
    def both(query, key, value, mask, upstream):
        def flat(query, key, value):
            split = [x.reshape(*x.shape[:2], pattern.num_heads, 64) for x in (query, key, value)]
            return attend(*split, mask, pattern=pattern, layer=0).reshape(query.shape)
        context, gradient = jax.vjp(flat, query, key, value)
        return context, gradient(upstream)
    return both

def compiled(function, batch, length, dtype, heads, sharding):
    array = jax.ShapeDtypeStruct((batch, length, heads * 64), dtype, sharding=sharding)
    mask = jax.ShapeDtypeStruct((batch, length), "int32", sharding=sharding)
    program = jax.jit(function).lower(array, array, array, mask, array).compile()
    text, memory = program.as_text(), program.memory_analysis()
    return {"kernels": text.count('custom_call_target="tpu_custom_call"'), "collectives": text.count("all-"),
            "cycles": estimate(text).cycles, "temporaries": memory.temp_size_in_bytes}

found = {}
for topology in ("v5e:2x2", "v6e:2x2"):
    devices = topologies.get_topology_desc(platform="tpu", topology_name=topology).devices
    one = SingleDeviceSharding(devices[0])
    for length, dtype in ((4096, "bfloat16"), (16384, "bfloat16"), (16384, "float32"))[: 3 if topology[1] == "5" else 2]:
        pattern = BlockPattern(num_heads=12, build_length=length)
        name = f"{topology} {length} {dtype}"
        found[name] = compiled(step(kernel, pattern), 2, length, dtype, 12, one)
    if topology[1] == "5":
        mesh = Mesh(np.array(devices), ("data",))
        rows = PartitionSpec("data")
        spread = jax.shard_map(step(kernel, pattern), mesh=mesh, in_specs=(rows,) * 5, out_specs=rows, check_vma=False)
        found["spread"] = compiled(spread, 8, 4096, "bfloat16", 12, NamedSharding(mesh, rows))
one = SingleDeviceSharding(topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x2").devices[0])
found["xla"] = compiled(step(block_sparse_attention, BlockPattern(num_heads=12)), 2, 4096, "bfloat16", 12, one)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def compiled():
    """Both passes of base size, batch 2, by chip, length and type; one process for all: a compiler takes seconds to load."""
    return run_process(_COMPILE, ENVIRONMENT)


@pytest.mark.parametrize("chip", ["v5e:2x2", "v6e:2x2"])
def test_the_tpus_compiler_takes_both_passes(compiled, chip):
    array = 2 * 12 * 64  # numbers of an example's token in q, k or v
    for name in [name for name in compiled if name.startswith(chip)]:
        found = compiled[name]
        _, length, dtype = name.split()
        length, size = int(length), {"bfloat16": 2, "float32": 4}[dtype]
        assert found["kernels"] == 2  # forward, backward
        assert found["temporaries"] < 2.5 * array * length * size  # the context and little else


def test_over_four_chips_each_has_the_kernels_for_its_rows_and_nothing_is_exchanged(compiled):
    alone = compiled["v5e:2x2 4096 bfloat16"]
    assert compiled["spread"]["kernels"] == 2 and compiled["spread"]["collectives"] == 0
    assert compiled["spread"]["cycles"] < 1.5 * alone["cycles"]  # of two rows each, as before


def test_beside_the_kernels_little_is_left_of_the_xla_versions_cycles(compiled):
    assert compiled["xla"]["kernels"] == 0
    assert compiled["v5e:2x2 4096 bfloat16"]["cycles"] < 0.1 * compiled["xla"]["cycles"]


def test_sizes_that_do_not_suit_the_kernel_are_told():
    assert tpu_kernel.unsuitable(12, 64, 64, 16384, itemsize=4) == ""
    assert tpu_kernel.unsuitable(16, 64, 64, 32768, itemsize=2) == ""
    assert tpu_kernel.unsuitable(2, 16, 16, 512, itemsize=4) == ""
    assert "9 heads of 64 do not fill" in tpu_kernel.unsuitable(9, 64, 64, 4096, itemsize=2)
    assert "12 heads of 80 do not fill" in tpu_kernel.unsuitable(12, 80, 64, 4096, itemsize=2)
    assert "blocks are of 84 tokens" in tpu_kernel.unsuitable(12, 64, 84, 4096, itemsize=2)
    assert "at 32,768 tokens it needs 169 MiB" in tpu_kernel.unsuitable(12, 64, 64, 32768, itemsize=4)
