"""The Pallas kernel: interpreted, against a NumPy reference in float64; compiled, by the TPU's compiler.

Keras runs on TensorFlow in this process; the kernel is JAX's alone. What needs Keras on JAX is a process of its own.
"""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigbird.attention import pallas_kernel
from bigbird.attention.dense import MASKED
from bigbird.attention.implementation import sparse_attention
from bigbird.attention.pattern import BlockPattern, block_counts
from bigbird.config import BigBirdEncoderConfig
from bigbird.errors import InputError
from pipelines.preflight.compiler import ENVIRONMENT

jax.config.update("jax_platforms", "cpu")  # the wheel with the TPU's compiler would look for a TPU

ROOT = Path(__file__).parent.parent.parent
BASE = BlockPattern(num_heads=2)
ONE_HEAD = BlockPattern(num_heads=1)
TWO_GROUPS = BlockPattern(num_heads=4)
SMALL_BLOCKS = BlockPattern(num_heads=3, block_size=32, num_rand_blocks=2, build_length=2048)
TINY = BlockPattern(num_heads=2, block_size=16, num_rand_blocks=1, build_length=512)
LAYER = 3


def _inputs(length, heads, size=16, batch=2, scale=1.0):
    """Query, key, value, upstream gradient; a full row and rows padded ever earlier."""
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(batch, length, heads, size)).astype(np.float32) * np.float32(scale) for _ in range(4)]
    mask = np.ones((batch, length), np.int32)
    for row in range(1, batch):
        mask[row, int(length * (0.9 - 0.35 * (row - 1))) + 3 :] = 0
    return *arrays, mask


def _reference(query, key, value, upstream, mask, pattern, counts=None):
    """Context and gradients from the whole score matrix; a key counted twice has its weight doubled."""
    length, width = query.shape[1], pattern.block_size
    if counts is None:
        counts = block_counts(pattern, length + -length % width, LAYER)
    counts = np.repeat(np.repeat(counts, width, axis=1), width, axis=2)[:, :length, :length]
    q, k, v, d = (np.asarray(x, np.float64).transpose(0, 2, 1, 3) for x in (query, key, value, upstream))
    tokens = np.asarray(mask, np.float64)
    scale = 1 / np.sqrt(q.shape[-1])
    with np.errstate(divide="ignore"):
        scores = scale * q @ k.swapaxes(2, 3) + np.log(counts) + (1 - tokens[:, None, None, :]) * MASKED
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    d = d * tokens[:, None, :, None]
    d_weights = d @ v.swapaxes(2, 3)
    d_scores = weights * (d_weights - (d_weights * weights).sum(axis=-1, keepdims=True))
    found = (
        weights @ v * tokens[:, None, :, None],
        scale * d_scores @ k,
        scale * d_scores.swapaxes(2, 3) @ q,
        weights.swapaxes(2, 3) @ d,
    )
    return [x.transpose(0, 2, 1, 3) for x in found]


@pytest.fixture(autouse=True)
def together(monkeypatch, request):
    """Blocks that are worked through together: an interpreter has nothing to interleave, and each costs it time."""
    monkeypatch.setattr(pallas_kernel, "_TOGETHER", getattr(request, "param", 1))


@functools.cache
def _both_passes(pattern, together):
    def run(query, key, value, upstream, mask):
        context, gradient = jax.vjp(
            lambda *x: pallas_kernel.block_sparse_attention(*x, mask, pattern=pattern, layer=LAYER), query, key, value
        )
        return context, *gradient(upstream)

    return jax.jit(run, compiler_options={"xla_backend_optimization_level": 0})  # compiling takes longer than running


def _kernel(query, key, value, upstream, mask, pattern):
    """Context and gradients, of the inputs' type."""
    return [np.asarray(x) for x in _both_passes(pattern, pallas_kernel._TOGETHER)(query, key, value, upstream, mask)]


def _compare(pattern, length, size=16, **inputs):
    """At most 1e-5 apart, relative to the largest entry where that is more than 1."""
    given = _inputs(length, pattern.num_heads, size, **inputs)
    found, expected = _kernel(*given, pattern), _reference(*given, pattern)
    for name, one, other in zip(("context", "query", "key", "value"), found, expected, strict=True):
        largest = np.abs(other).max()
        assert largest > 0.05
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * max(1, largest), err_msg=name)


@pytest.mark.parametrize(
    ("pattern", "length", "size"),
    [
        (BASE, 768, 16),
        (BASE, 1000, 16),
        (BASE, 1024, 16),
        (ONE_HEAD, 1000, 16),
        (ONE_HEAD, 1024, 64),
        (SMALL_BLOCKS, 768, 16),
        (SMALL_BLOCKS, 1000, 16),
        (SMALL_BLOCKS, 1024, 16),
        (TINY, 250, 16),
        (TWO_GROUPS, 768, 64),
        (TINY, 250, 128),
    ],
    ids=lambda value: (
        str(value) if isinstance(value, int) else f"w{value.block_size}r{value.num_rand_blocks}n{value.num_heads}"
    ),
)
def test_values_and_gradients_are_the_references(pattern, length, size):
    _compare(pattern, length, size)


@pytest.mark.parametrize(("length", "together"), [(160, 3), (272, 2)], indirect=["together"])
def test_blocks_worked_through_together_give_the_same(length, together):
    """Eight middle blocks; fifteen, and a second step of the grid that has the last block alone."""
    _compare(TINY, length)


def test_the_comparison_at_1024_holds_keys_that_count_twice():
    """Which a 0/1 mask would get wrong; the old plan repeats the last global block there."""
    counts = block_counts(BASE, 1024, LAYER)
    assert counts.max() == 2
    *given, _ = _inputs(1024, 2, batch=1)
    given += [np.ones((1, 1024), np.int32)]  # the doubled block is the last one
    context = _kernel(*given, BASE)[0]
    apart = [np.abs(context - _reference(*given, BASE, times)[0]).max() for times in (counts, np.minimum(counts, 1))]
    assert apart[0] < 1e-5 and apart[1] > 1e-3


def test_a_mask_with_holes_given_as_truth_values():
    *given, _ = _inputs(250, 2)
    mask = np.random.default_rng(4).random((2, 250)) < 0.6
    for found, expected in zip(_kernel(*given, mask, TINY), _reference(*given, mask, TINY), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
        assert (found[~mask] == 0).all()


def test_large_scores_neither_overflow_nor_lose_the_reference():
    _compare(TINY, 256, scale=3.0)


def test_rows_padded_far_and_a_batch_of_three():
    _compare(TINY, 256, batch=3)


def test_padding_has_no_influence_and_gets_no_gradient():
    query, key, value, upstream, mask = _inputs(256, 2)
    found = _kernel(query, key, value, upstream, mask, TINY)
    padding = (1 - mask)[:, :, None, None]
    noise = [(x + 5 * padding * x[:, ::-1]).astype(np.float32) for x in (query, key, value)]
    for first, second in zip(found, _kernel(*noise, upstream, mask, TINY), strict=True):
        assert np.abs(first[mask == 0]).max() == 0
        np.testing.assert_allclose(second, first, rtol=0, atol=1e-6)


def test_a_row_without_tokens_gives_zeros_and_finite_gradients():
    *given, mask = _inputs(256, 2)
    mask[1] = 0
    for array in _kernel(*given, mask, TINY):
        assert np.isfinite(array).all()
        assert np.abs(array[1]).max() == 0
        assert np.abs(array[0]).max() > 0.05


def test_bfloat16_is_as_exact_as_its_rounding_allows():
    """Rounding the exact result alone makes 1.7e-3; the probabilities, rounded once too, as much again: in all 2.4e-3."""
    *given, mask = _inputs(1024, 4, size=64)
    given = [jnp.asarray(x, jnp.bfloat16) for x in given]
    exact = _reference(*given, mask, TWO_GROUPS)
    for found, expected in zip(_kernel(*given, mask, TWO_GROUPS), exact, strict=True):
        assert found.dtype == jnp.bfloat16
        rounded = np.asarray(expected, jnp.bfloat16).astype(np.float64)
        least, error = (
            np.linalg.norm(x.astype(np.float64) - expected) / np.linalg.norm(expected) for x in (rounded, found)
        )
        assert 1e-3 < least < 2e-3 and error < 2.7e-3


def test_the_chunks_hold_every_block_as_often_as_it_counts():
    for pattern, length in ((BASE, 1024), (SMALL_BLOCKS, 1000 + 24), (TWO_GROUPS, 4096)):
        sizes = pallas_kernel._sizes(pattern, length, 64)
        table = pallas_kernel._chunk_table(pattern, length, LAYER, sizes).reshape(pattern.num_heads, -1, sizes.slots)
        counts = np.zeros((pattern.num_heads, sizes.blocks, sizes.blocks + 1), np.int32)
        for block in range(sizes.blocks):
            first, after = pallas_kernel._chunks(block, sizes)
            for head in range(pattern.num_heads):
                np.add.at(counts, (head, block, table[head, int(first) : int(after)].reshape(-1)), 1)
        np.testing.assert_array_equal(counts[:, :, :-1], block_counts(pattern, length, LAYER))


# ------------------------------------------------------------------------------------------ compiled for a TPU

_COMPILE = """
import json, sys
import jax, numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding
from bigbird.attention.block_sparse import block_sparse_attention
from bigbird.attention.pallas_kernel import block_sparse_attention as kernel
from bigbird.attention.pattern import BlockPattern
from pipelines.preflight.estimate import estimate

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


def _process(code, environment, *arguments):
    paths = os.pathsep.join((str(ROOT / "model"), str(ROOT)))
    environment = {**os.environ, **environment, "PYTHONPATH": paths, "KERAS_BACKEND": "jax"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def compiled():
    """Both passes of base size, batch 2, by chip, length and type; one process for all: a compiler takes seconds to load."""
    return _process(_COMPILE, ENVIRONMENT)


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


# ------------------------------------------------------------------------------------ the choice in an encoder


def test_tensorflow_refuses_the_kernel_and_takes_the_others():
    with pytest.raises(
        InputError, match=r"attention.implementation: pallas .*backend is tensorflow; set it to auto or"
    ):
        sparse_attention(BigBirdEncoderConfig(attention={"implementation": "pallas"}), "float32")
    for name in ("auto", "xla", "dense"):
        chosen = sparse_attention(BigBirdEncoderConfig(attention={"implementation": name}), "float32")
        assert chosen.__module__ == "bigbird.attention.block_sparse"


def test_sizes_that_do_not_suit_the_kernel_are_told():
    assert pallas_kernel.unsuitable(12, 64, 64, 16384, itemsize=4) == ""
    assert pallas_kernel.unsuitable(16, 64, 64, 32768, itemsize=2) == ""
    assert pallas_kernel.unsuitable(2, 16, 16, 512, itemsize=4) == ""
    assert "9 heads of 64 do not fill" in pallas_kernel.unsuitable(9, 64, 64, 4096, itemsize=2)
    assert "12 heads of 80 do not fill" in pallas_kernel.unsuitable(12, 80, 64, 4096, itemsize=2)
    assert "blocks are of 84 tokens" in pallas_kernel.unsuitable(12, 64, 84, 4096, itemsize=2)
    assert "at 32,768 tokens it needs 169 MiB" in pallas_kernel.unsuitable(12, 64, 64, 32768, itemsize=4)


def test_dense_attends_fully_at_every_length():
    config = BigBirdEncoderConfig(attention={"implementation": "dense"})
    assert config.full_attention_threshold == 4096
    assert BigBirdEncoderConfig().full_attention_threshold == 704


_ENCODERS = """
import json
import jax, keras, numpy as np
from bigbird.config import BigBirdEncoderConfig
from bigbird.encoder import BigBirdEncoder
from bigbird.errors import InputError
sizes = {"vocab_size": 100, "hidden_size": 64, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 64,
         "max_position_embeddings": 256, "block_size": 16, "num_rand_blocks": 1, "dropout_rate": 0.0,
         "attention_dropout_rate": 0.0}
rng = np.random.default_rng(0)
mask = np.ones((2, 256), "int32")
mask[1, 200:] = 0
inputs = {"input_word_ids": rng.integers(1, 100, (2, 256)), "input_mask": mask, "input_type_ids": 0 * mask}

def run(name, **changes):
    config = BigBirdEncoderConfig(**sizes, attention={"implementation": name}, **changes)
    keras.utils.set_random_seed(0)
    encoder = BigBirdEncoder(config)
    encoder.build()
    generator = np.random.default_rng(1)
    for variable in encoder.variables:
        variable.assign(variable.value + 0.2 * generator.normal(size=variable.shape))
    def loss(weights):
        seed = np.array([1, 2], "int32") if changes else None
        outputs, _ = encoder.stateless_call(weights, [], inputs, seed=seed)
        return jax.numpy.sum(jax.numpy.sin(outputs["sequence_output"]) * mask[:, :, None]), outputs["sequence_output"]
    step = jax.jit(jax.value_and_grad(loss, has_aux=True), compiler_options={"xla_backend_optimization_level": 0})
    (_, output), gradients = step([v.value for v in encoder.trainable_variables])
    return [np.asarray(x) for x in (output, *gradients)], encoder.encoder_layers[0].attention.sparse_attention.__module__

def apart(a, b):
    return float(max(np.abs(x - y).max() / max(1, np.abs(y).max()) for x, y in zip(a, b)))

xla, module = run("auto")
modules, found = {"auto": module}, {}
for name, changes in (("pallas", {"use_gradient_checkpointing": True}), ("dense", {})):
    arrays, modules[name] = run(name, **changes)
    found[name] = apart(arrays, xla)
try:
    BigBirdEncoder(BigBirdEncoderConfig(**{**sizes, "num_attention_heads": 4, "hidden_size": 320}, attention={"implementation": "pallas"}))
except InputError as error:
    refused = str(error)
print(json.dumps({"modules": modules, "apart": found, "refused": refused}))
"""


def test_an_encoder_on_jax_gives_the_same_with_either_and_with_checkpointing():
    found = _process(_ENCODERS, {"JAX_PLATFORMS": "cpu"})
    sparse, kernel = "bigbird.attention.block_sparse", "bigbird.attention.pallas_kernel"
    assert found["modules"] == {"auto": sparse, "pallas": kernel, "dense": sparse}  # no TPU here
    assert 0 < found["apart"]["pallas"] < 1e-4
    assert found["apart"]["dense"] > 0.01
    assert "4 heads of 80 do not fill vectors of 128; set it to auto or xla" in found["refused"]
