"""BigBird's sparse attention as a Pallas kernel for TPUs, on Keras' JAX backend; imports JAX.

The keys and values of one group of heads lie in the chip's vector memory while all its query blocks pass, so a block is
gathered by slicing and device memory is read and written once: q, k, v and the output, and in the backward pass their
gradients (benchmarks/attention_bytes.py counts them). The softmax runs over chunks of key blocks in float32; the backward pass (FlashAttention-2,
Dao 2023, algorithm 2) recomputes the probabilities from the log-sum-exp and adds the gradients of keys and values up where
they lie, which needs no list of who attends to a block: a core's steps follow each other.

A vector has 128 lanes and a head 64 numbers, so heads are worked through in groups that fill the lanes, in the layout that
the projections give, (B, L, N D). A query block of a group is spread out to one row per (head, token), zero outside its
head's lanes: one matrix product then gives every head's scores, and its cost is that of the padding to 128 lanes anyway.

JAX's own kernel for sparse masks, splash attention, is no substitute: its tiles are 128 or more tokens wide, of which blocks of
64 fill less than half, and it cannot count a block twice, as the published plan does at 1,024 tokens.

Shapes: B batch, L tokens, N heads, D head size, nb blocks of w tokens, G heads of a group, S slots of a chunk,
lanes = G D, rows = G w.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from bigbird.layers.attention.dense import MASKED
from bigbird.layers.attention.pattern import BlockPattern, key_blocks
from bigbird.layers.types import Tensor

LANES = 128
# Added to the score of a slot that must not count at all; exp() of it is exactly 0 in float32.
_NEVER = -1e9
# Slots of a chunk that name the same block for every head: first, window, last.
_SHARED = 5
# Query blocks of a step of the grid: a step costs about 0.35 us beside its work, a block about as much.
_STEP_BLOCKS = 16
# Query blocks whose work is interleaved: each alone waits for the matrix unit again and again.
_TOGETHER = 2
# Vector memory, in bytes: what a v5e's and a v6e's core has, and what a kernel needs beside whole arrays.
_CORE_MEMORY = 128 * 2**20
_WORKING_MEMORY = 8 * 2**20


@dataclass(frozen=True)
class _Sizes:
    """What a kernel is made for."""

    blocks: int
    width: int
    heads: int
    size: int
    slots: int

    @property
    def group(self) -> int:
        """Heads that are worked through together."""
        return heads_together(self.heads, self.size)

    @property
    def groups(self) -> int:
        return self.heads // self.group

    @property
    def lanes(self) -> int:
        return self.group * self.size

    @property
    def rows(self) -> int:
        return self.group * self.width

    @property
    def length(self) -> int:
        return self.blocks * self.width

    @property
    def end_chunks(self) -> int:
        """Chunks of the first and last query block, which attend to every block."""
        return -(-self.blocks // self.slots)

    @property
    def tile(self) -> int:
        """Slots whose biases lie side by side in a vector."""
        return max(1, LANES // self.width)

    def memory(self, itemsize: int, *, arrays: int, sums: int) -> int:
        """Bytes of vector memory of a kernel that holds whole arrays, each twice while the next is fetched, and float32 sums."""
        token = max(self.lanes, LANES) * (2 * arrays * itemsize + sums * 4)
        return self.length * token + 2 * (self.blocks + 1) * 4 * LANES + _WORKING_MEMORY


def heads_together(heads: int, size: int) -> int:
    """Heads that fill the lanes of a vector, or all of them where they do not."""
    return min(heads, max(1, LANES // size))


def unsuitable(heads: int, size: int, block_size: int, length: int, itemsize: int) -> str:
    """Why the kernel cannot be compiled for a TPU, "" where it can.

    Args:
        heads, size: of a layer; numbers of a head.
        block_size: tokens.
        length: tokens of the longest input.
        itemsize: bytes of a number in query, key and value.
    """
    group = heads_together(heads, size)
    if ((group * size) % LANES and group < heads) or heads % group:
        return f"its {heads} heads of {size} do not fill vectors of {LANES}"
    if block_size not in (16, 32, 64, 128):
        return f"its blocks are of {block_size} tokens, not of 16, 32, 64 or 128"
    available = pltpu.get_tpu_info().vmem_capacity_bytes if jax.default_backend() == "tpu" else _CORE_MEMORY
    sizes = _Sizes(-(-length // block_size), block_size, heads, size, slots=1)
    needed = sizes.memory(itemsize, arrays=4, sums=2)
    if needed > available:
        return (
            f"at {length:,} tokens it needs {needed / 2**20:.0f} MiB of a core's vector memory, which has "
            f"{available / 2**20:.0f} MiB"
        )
    return ""


def block_sparse_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor,
    *,
    pattern: BlockPattern,
    layer: int,
    training: bool = False,  # noqa: ARG001 - of the contract
) -> Tensor:
    """Attention over the published block pattern; compiled for a TPU, interpreted (slowly) for anything else.

    Arguments (float[B, L, N, D] three times, mask [B, L]) and result are those of `block_sparse.block_sparse_attention`.
    """
    batch, length, heads, size = query.shape
    width = pattern.block_size
    padding = -length % width
    tokens = jnp.asarray(mask).astype(jnp.float32)
    flat = [jnp.reshape(x, (batch, length, heads * size)) for x in (query, key, value)]
    if padding:
        flat = [jnp.pad(x, ((0, 0), (0, padding), (0, 0))) for x in flat]
    sizes = _sizes(pattern, length + padding, size)
    table = _chunk_table(pattern, length + padding, layer, sizes)
    bias = _bias_rows(jnp.pad(tokens, ((0, 0), (0, padding))), sizes)
    context = _attend(sizes, *flat, bias, jnp.asarray(table))[:, :length]
    context = jnp.reshape(context, query.shape)
    return context * tokens.astype(context.dtype)[:, :, None, None]


def _sizes(pattern: BlockPattern, length: int, size: int) -> _Sizes:
    width = pattern.block_size
    tile = max(1, LANES // width)
    slots = -(-(_SHARED + pattern.num_rand_blocks) // tile) * tile
    return _Sizes(length // width, width, pattern.num_heads, size, slots)


@functools.lru_cache(maxsize=64)
def _chunk_table(pattern: BlockPattern, length: int, layer: int, sizes: _Sizes) -> np.ndarray:
    """Key blocks, a chunk of `slots` after the other: those of the first and last query block, then one for each between.

    Returns:
        int32[N / G, G, (end_chunks + nb - 2) * slots]; nb stands for a slot that must not count.
    """
    blocks, valid = key_blocks(pattern, length, layer)
    blocks = np.where(valid, blocks, sizes.blocks)
    order = [0, 1, 2, 3, blocks.shape[-1] - 1, *range(4, blocks.shape[-1] - 1)]  # those shared by all heads first
    middle = np.full((*blocks.shape[:2], sizes.slots), sizes.blocks, np.int32)
    middle[..., : len(order)] = blocks[..., order]
    ends = np.minimum(np.arange(sizes.end_chunks * sizes.slots, dtype=np.int32), sizes.blocks)
    ends = np.broadcast_to(ends, (sizes.heads, len(ends)))
    table = np.concatenate([ends, middle.reshape(sizes.heads, -1)], axis=1)
    return table.reshape(sizes.groups, sizes.group, -1)


def _bias_rows(tokens: Any, sizes: _Sizes) -> Any:
    """float32[B, L] -> float32[B, nb + 1, tile w]: what is added to a block's scores, repeated; the last row is `_NEVER`."""
    bias = jnp.reshape((1.0 - tokens) * MASKED, (-1, sizes.blocks, sizes.width))
    bias = jnp.pad(bias, ((0, 0), (0, 1), (0, 0)), constant_values=_NEVER)
    return jnp.tile(bias, (1, 1, sizes.tile))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _attend(sizes: _Sizes, query: Any, key: Any, value: Any, bias: Any, table: Any) -> Any:
    """float[B, L, N D] three times, bias rows, chunk table -> float[B, L, N D]."""
    return _forward(sizes, query, key, value, bias, table)[0]


def _attend_forward(sizes: _Sizes, *args: Any) -> tuple[Any, Any]:
    context, log_sum = _forward(sizes, *args)
    return context, (*args, context, log_sum)


def _attend_backward(sizes: _Sizes, kept: Any, upstream: Any) -> tuple[Any, ...]:
    query, key, value, bias, table, context, log_sum = kept
    gradients = _backward(sizes, table, bias, query, key, value, context, upstream, log_sum)
    return *gradients, jnp.zeros_like(bias), None


_attend.defvjp(_attend_forward, _attend_backward)


# -------------------------------------------------------------------------------------------------- the two calls


def _forward(sizes: _Sizes, query: Any, key: Any, value: Any, bias: Any, table: Any) -> Any:
    """Context, float[B, L, N D], and the scores' log-sum-exp, float32[B, N / G, nb, rows]."""
    table_spec, bias_spec, block_spec, whole_spec, row_spec = _specs(sizes)
    row_shape = (query.shape[0], sizes.groups, sizes.blocks, sizes.rows)
    return _call(
        functools.partial(_forward_kernel, sizes),
        sizes,
        in_specs=[table_spec, bias_spec, block_spec, whole_spec, whole_spec],
        out_specs=[block_spec, row_spec],
        out_shape=[_like(query), jax.ShapeDtypeStruct(row_shape, jnp.float32)],
        scratch_shapes=[],
        memory=sizes.memory(query.dtype.itemsize, arrays=2, sums=0),
        name="bigbird_attention_forward",
    )(table, bias, query, key, value)


def _backward(sizes: _Sizes, table: Any, bias: Any, query: Any, *rest: Any) -> Any:
    """Gradients of query, key and value, float[B, L, N D] each."""
    table_spec, bias_spec, block_spec, whole_spec, row_spec = _specs(sizes)
    sums = pltpu.VMEM((sizes.length, sizes.lanes), jnp.float32)
    return _call(
        functools.partial(_backward_kernel, sizes),
        sizes,
        in_specs=[table_spec, bias_spec, block_spec, whole_spec, whole_spec, block_spec, block_spec, row_spec],
        out_specs=[block_spec, whole_spec, whole_spec],
        out_shape=[_like(query)] * 3,
        scratch_shapes=[sums, sums],
        memory=sizes.memory(query.dtype.itemsize, arrays=4, sums=2),
        name="bigbird_attention_backward",
    )(table, bias, query, *rest)


def _call(kernel: Any, sizes: _Sizes, memory: int, **how: Any) -> Any:
    """The kernel over (example, group of heads, step of query blocks), compiled for a TPU and interpreted elsewhere."""

    def call(*args: Any, interpret: bool) -> Any:
        return pl.pallas_call(
            kernel,
            grid=(args[1].shape[0], sizes.groups, -(-sizes.blocks // _STEP_BLOCKS)),
            compiler_params=pltpu.CompilerParams(
                dimension_semantics=("parallel", "parallel", "arbitrary"), vmem_limit_bytes=memory
            ),
            interpret=interpret,
            **how,
        )(*args)

    return lambda *args: lax.platform_dependent(
        *args, tpu=functools.partial(call, interpret=False), default=functools.partial(call, interpret=True)
    )


def _like(x: Any) -> Any:
    return jax.ShapeDtypeStruct(x.shape, x.dtype)


def _specs(sizes: _Sizes) -> tuple[Any, ...]:
    """What a step sees of the table, the biases, an array by query blocks, a whole array, and numbers of rows."""
    steps = min(_STEP_BLOCKS, sizes.blocks)
    chunks = (sizes.end_chunks + sizes.blocks - 2) * sizes.slots
    return (
        pl.BlockSpec((None, sizes.group, chunks), lambda _, group, __: (group, 0, 0), memory_space=pltpu.SMEM),
        pl.BlockSpec((None, sizes.blocks + 1, sizes.tile * sizes.width), lambda example, _, __: (example, 0, 0)),
        pl.BlockSpec((None, steps * sizes.width, sizes.lanes), lambda example, group, step: (example, step, group)),
        pl.BlockSpec((None, sizes.length, sizes.lanes), lambda example, group, _: (example, 0, group)),
        pl.BlockSpec((None, None, steps, sizes.rows), lambda example, group, step: (example, group, step, 0)),
    )


# ----------------------------------------------------------------------------------------------------- the kernels


def _forward_kernel(
    sizes: _Sizes, table: Any, bias: Any, query: Any, key: Any, value: Any, context: Any, log_sum: Any
) -> None:
    def attend(place: Any, run: Any) -> None:
        tokens = pl.ds(place * sizes.width, sizes.width)
        rows = _by_head(_scaled(query[tokens, :], sizes), sizes)

        def chunk(number: Any, before: Any) -> Any:
            scores = _dot(rows, _gather(key, table, number, sizes), 1, 1) + _biases(bias, table, number, sizes)
            most = jnp.max(scores, axis=1, keepdims=True)
            if before is not None:
                most = jnp.maximum(most, before[0])
            weights = jnp.exp(scores - most)
            total = jnp.sum(weights, axis=1, keepdims=True)
            summed = _exact_dot(weights, _gather(value, table, number, sizes), 1, 0)
            if before is not None:
                shrink = jnp.exp(before[0] - most)
                total, summed = total + before[1] * shrink, summed + before[2] * shrink
            return most, total, summed

        column = (sizes.rows, 1)
        nothing = jnp.full(column, -jnp.inf), jnp.zeros(column), jnp.zeros((sizes.rows, sizes.lanes))
        most, total, summed = run(chunk, nothing)
        context[tokens, :] = _joined(summed / total, sizes).astype(context.dtype)
        log_sum[pl.ds(place, 1), :] = jnp.transpose(most + jnp.log(total))

    _for_each_block(attend, sizes)


def _backward_kernel(
    sizes: _Sizes,
    table: Any,
    bias: Any,
    query: Any,
    key: Any,
    value: Any,
    context: Any,
    upstream: Any,
    log_sum: Any,
    d_query: Any,
    d_key: Any,
    d_value: Any,
    key_sum: Any,
    value_sum: Any,
) -> None:
    @pl.when(pl.program_id(2) == 0)
    def _() -> None:
        key_sum[...] = jnp.zeros_like(key_sum)
        value_sum[...] = jnp.zeros_like(value_sum)

    def attend(place: Any, run: Any) -> None:
        tokens = pl.ds(place * sizes.width, sizes.width)
        rows = _by_head(_scaled(query[tokens, :], sizes), sizes)
        arriving = upstream[tokens, :]
        d_rows = _by_head(arriving, sizes)
        # Row sums of dP * P, from the output alone: sum_d dO_d O_d.
        products = arriving.astype(jnp.float32) * context[tokens, :].astype(jnp.float32)
        delta = jnp.sum(_by_head(products, sizes), axis=1, keepdims=True)
        log_sums = jnp.transpose(log_sum[pl.ds(place, 1), :])

        def chunk(number: Any, before: Any) -> Any:
            keys = _gather(key, table, number, sizes)
            scores = _dot(rows, keys, 1, 1) + _biases(bias, table, number, sizes)
            weights = jnp.exp(scores - log_sums)
            d_weights = _dot(d_rows, _gather(value, table, number, sizes), 1, 1)
            d_scores = weights * (d_weights - delta)
            _scatter(value_sum, _exact_dot(weights, d_rows, 0, 0), table, number, sizes)
            _scatter(key_sum, _exact_dot(d_scores, rows, 0, 0), table, number, sizes)
            summed = _exact_dot(d_scores, keys, 1, 0)
            return summed if before is None else summed + before

        summed = _joined(run(chunk, jnp.zeros((sizes.rows, sizes.lanes))), sizes)
        d_query[tokens, :] = (summed / math.sqrt(sizes.size)).astype(d_query.dtype)

    _for_each_block(attend, sizes)

    @pl.when(pl.program_id(2) == pl.num_programs(2) - 1)
    def _() -> None:
        d_key[...] = key_sum[...].astype(d_key.dtype)
        d_value[...] = value_sum[...].astype(d_value.dtype)


def _for_each_block(attend: Any, sizes: _Sizes) -> None:
    """Calls `attend(place in the step, run)` for every query block of this step.

    `run` takes a function of (number of a chunk, what the chunk before gave) and what stands before the first chunk, calls
    it for the chunks of the block and gives what the last one gave. Middle blocks, of one chunk, have None before it.
    """
    first = pl.program_id(2) * _STEP_BLOCKS
    count = jnp.minimum(_STEP_BLOCKS, sizes.blocks - first)
    start = jnp.where(first == 0, 1, 0)
    stop = jnp.where(first + count == sizes.blocks, count - 1, count)
    rounds = lax.div(stop - start, _TOGETHER) if _TOGETHER > 1 else 0

    def together(number: Any, _: Any) -> None:
        for shift in range(_TOGETHER):
            place = start + number * _TOGETHER + shift
            attend(place, functools.partial(_run_chunk, _chunks(first + place, sizes)[0]))

    def alone(number: Any, _: Any) -> None:
        place = jnp.where(number < start, number, number + rounds * _TOGETHER)
        attend(place, functools.partial(lax.fori_loop, *_chunks(first + place, sizes)))

    lax.fori_loop(0, rounds, together, None)
    lax.fori_loop(0, count - rounds * _TOGETHER, alone, None)


def _run_chunk(number: Any, chunk: Any, _: Any) -> Any:
    return chunk(number, None)


def _chunks(block: Any, sizes: _Sizes) -> tuple[Any, Any]:
    """First chunk of a query block, and the one after its last."""
    middle = (block > 0) & (block < sizes.blocks - 1)
    first = jnp.where(middle, sizes.end_chunks + block - 1, 0)
    return first, jnp.where(middle, first + 1, sizes.end_chunks)


def _lane(shape: tuple[int, ...]) -> Any:
    return lax.broadcasted_iota(jnp.int32, shape, 1)


def _scaled(x: Any, sizes: _Sizes) -> Any:
    return (x.astype(jnp.float32) / math.sqrt(sizes.size)).astype(x.dtype)


def _by_head(x: Any, sizes: _Sizes) -> Any:
    """(w, lanes) -> (rows, lanes): a head's rows hold zeros outside its lanes."""
    return jnp.concatenate([_only(x, head, sizes) for head in range(sizes.group)], axis=0)


def _only(x: Any, head: int, sizes: _Sizes) -> Any:
    """`x` in a head's lanes, zero in the others."""
    lane = _lane(x.shape)
    return jnp.where((lane >= head * sizes.size) & (lane < (head + 1) * sizes.size), x, jnp.zeros_like(x))


def _joined(x: Any, sizes: _Sizes) -> Any:
    """(rows, lanes) -> (w, lanes): of each head's rows its lanes."""
    parts = [x[head * sizes.width : (head + 1) * sizes.width] for head in range(sizes.group)]
    return _of_heads(parts, sizes)


def _of_heads(parts: list[Any], sizes: _Sizes) -> Any:
    """Of the array of each head its lanes."""
    joined = parts[0]
    for head, part in enumerate(parts[1:], 1):
        joined = jnp.where(_lane(part.shape) >= head * sizes.size, part, joined)
    return joined


def _dot(a: Any, b: Any, a_axis: int, b_axis: int) -> Any:
    """Matrix product over an axis of each, summed up in float32."""
    return lax.dot_general(a, b, (((a_axis,), (b_axis,)), ((), ())), preferred_element_type=jnp.float32)


def _exact_dot(a: Any, b: Any, a_axis: int, b_axis: int) -> Any:
    """The same of a float32 `a`, which is not rounded to the type of `b` but taken as a sum of two numbers of it.

    Rounded to bfloat16 once, probabilities cost values and gradients as much exactness as the result's own rounding does (1.7e-3,
    in all 2.4e-3). The matrix unit takes nothing but bfloat16, so this is a second product: in the compiler's programs a third more
    instructions for a query block, which is about a twentieth of a training step.
    """
    if b.dtype == a.dtype:
        return _dot(a, b, a_axis, b_axis)
    # By bits, as a compiler may take a number that is rounded and widened again for the number itself.
    bits = lax.bitcast_convert_type(a, jnp.uint32) & jnp.uint32(0xFFFF0000)
    high = lax.bitcast_convert_type(bits, jnp.float32)
    low = a - high
    return _dot(high.astype(b.dtype), b, a_axis, b_axis) + _dot(low.astype(b.dtype), b, a_axis, b_axis)


def _place(table: Any, head: int, number: Any, slot: int, sizes: _Sizes) -> Any:
    """Where the tokens lie that a slot of a chunk names."""
    block = jnp.minimum(table[head, number * sizes.slots + slot], sizes.blocks - 1)
    return pl.ds(pl.multiple_of(block * sizes.width, sizes.width), sizes.width)


def _gather(x: Any, table: Any, number: Any, sizes: _Sizes) -> Any:
    """The keys or values of a chunk, (S w, lanes), each head's lanes from its own blocks."""
    parts = []
    for slot in range(sizes.slots):
        heads = range(1 if slot < _SHARED else sizes.group)
        parts.append(_of_heads([x[_place(table, head, number, slot, sizes), :] for head in heads], sizes))
    return jnp.concatenate(parts, axis=0)


def _scatter(sums: Any, x: Any, table: Any, number: Any, sizes: _Sizes) -> None:
    """Adds (S w, lanes) up into the places that `_gather` took it from."""
    for slot in range(sizes.slots):
        part = x[slot * sizes.width : (slot + 1) * sizes.width]
        if slot < _SHARED:
            sums[_place(table, 0, number, slot, sizes), :] += part
            continue
        for head in range(sizes.group):
            sums[_place(table, head, number, slot, sizes), :] += _only(part, head, sizes)


def _biases(bias: Any, table: Any, number: Any, sizes: _Sizes) -> Any:
    """What is added to a chunk's scores, (rows, S w)."""
    lane = _lane((1, sizes.tile * sizes.width))
    rows = []
    for head in range(sizes.group):
        parts = []
        for first in range(0, sizes.slots, sizes.tile):
            names = [table[head, number * sizes.slots + first + shift] for shift in range(sizes.tile)]
            part = bias[pl.ds(names[0], 1), :]
            for shift, name in enumerate(names[1:], 1):
                part = jnp.where(lane >= shift * sizes.width, bias[pl.ds(name, 1), :], part)
            parts.append(part)
        row = jnp.concatenate(parts, axis=1)
        rows.append(jnp.broadcast_to(row, (sizes.width, row.shape[1])))
    return jnp.concatenate(rows, axis=0)
