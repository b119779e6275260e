"""BigBird's sparse attention as Pallas kernels for NVIDIA's GPUs, on Keras' JAX backend; imports JAX.

A program has a query block and works through the key blocks that it attends to, softmax running in float32; only the output
and the scores' log-sum-exp are kept. The backward pass (FlashAttention-2, Dao 2023, algorithm 2) recomputes the probabilities
twice: once by query blocks for the queries' gradient, once by key blocks, over the query blocks that attend to each, for that
of keys and values. So every sum has one program, in one order, and gradients are the same bits every time.

The first and last query block attend to every block and every block attends to them, and the published plans' random
blocks lie among the first few. Such long lists are cut: programs of their own make the sums of the pieces before, and the
block's program adds them to its own.

Products take the inputs' dtype and are summed up in float32; exponentials are powers of 2, which is what a GPU has.

The kernels are lowered with Triton, which takes every GPU since Ampere. JAX 0.11 still does so but says that it will end; its
other way, Mosaic, begins with Hopper.

Shapes: B batch, L tokens, N heads, D head size, nb blocks of w tokens, E pairs of a query block and a key block that it
attends to, of one head, P pieces.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton as plgpu

from bigbird.layers.attention.dense import MASKED
from bigbird.layers.attention.pattern import BlockPattern, key_blocks
from bigbird.layers.types import Tensor

_LOG2E = math.log2(math.e)
# Blocks of a program's list; the rest of a longer one is done by programs of its own.
_LONGEST = 16
# Steps of a program's loop whose loads are under way at once.
_STAGES = 2
# Bytes of a block of one head: with twice as many, programs need more than the 99 KiB of shared memory that the smaller GPUs
# since Ampere have for one, as their compiler says.
_BLOCK_MEMORY = 16 * 2**10
# Products of float32 numbers: each is split into three of bfloat16, 24 bits in all as it has, and the six products of them
# that count are summed up. On an H100 that took a seventh of the time of multiplying outside the matrix units.
_FLOAT32 = lax.DotAlgorithmPreset.BF16_BF16_F32_X6
_CAPABILITY = 8.0  # Ampere's, the first with bfloat16


@dataclass(frozen=True)
class _Sizes:
    """What a kernel is made for."""

    blocks: int
    width: int
    heads: int
    size: int


class _Lists(NamedTuple):
    """For every head and block the blocks on the other side: the keys that a query attends to, or the queries that do.

    Attributes:
        others: int32[N, E], list after list; a block that counts twice is there twice.
        spans: int32[N, nb, 4]; where the part of the list that the block's program does begins and ends, and its pieces.
        pieces: int32[N, P, 3]; a piece's block, and where it begins and ends. Heads with fewer have empty ones at the end.
    """

    others: np.ndarray
    spans: np.ndarray
    pieces: np.ndarray


def unsuitable(
    heads: int,  # noqa: ARG001 - of the contract, as the length is
    size: int,
    block_size: int,
    length: int,  # noqa: ARG001
    itemsize: int,
) -> str:
    """Why the kernels cannot be compiled for this machine's GPU, "" where they can.

    Args:
        heads, size: of a layer, which may be any; numbers of a head.
        block_size: tokens.
        length: tokens of the longest input, which may be any.
        itemsize: bytes of a number in query, key and value.
    """
    if size not in (16, 32, 64, 128):
        return f"its heads are of {size} numbers, not of 16, 32, 64 or 128"
    if block_size not in (16, 32, 64, 128):
        return f"its blocks are of {block_size} tokens, not of 16, 32, 64 or 128"
    if size * block_size * itemsize > _BLOCK_MEMORY:
        return (
            f"a block of {block_size} tokens and {size} numbers of {itemsize} bytes has more than "
            f"{_BLOCK_MEMORY // 2**10} KiB"
        )
    if jax.default_backend() == "gpu":
        capability = str(jax.devices()[0].compute_capability)
        if not capability[0].isdigit() or float(capability) < _CAPABILITY:
            return f"the GPU's compute capability is {capability}; expected an NVIDIA one of {_CAPABILITY} or above"
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
    """Attention over the published block pattern; compiled for an NVIDIA GPU, interpreted (slowly) for anything else.

    Arguments (float[B, L, N, D] three times, mask [B, L]) and result are those of `block_sparse.block_sparse_attention`.
    """
    length, width = query.shape[1], pattern.block_size
    padding = -length % width
    tokens = jnp.asarray(mask).astype(jnp.float32)
    if padding:
        query, key, value = (jnp.pad(x, ((0, 0), (0, padding), (0, 0), (0, 0))) for x in (query, key, value))
        tokens = jnp.pad(tokens, ((0, 0), (0, padding)))
    sizes = _Sizes((length + padding) // width, width, pattern.num_heads, query.shape[3])
    lists = _lists(pattern, length + padding, layer, _LONGEST)
    context = _attend(sizes, query, key, value, tokens, *jax.tree.map(jnp.asarray, lists))
    return context[:, :length] if padding else context


# ------------------------------------------------------------------------------------------------------- the lists


@functools.lru_cache(maxsize=64)
def _lists(pattern: BlockPattern, length: int, layer: int, longest: int) -> tuple[_Lists, _Lists]:
    """The keys of every query block, and the queries of every key block; no part of a list is longer than `longest`."""
    blocks, valid = key_blocks(pattern, length, layer)
    nb = length // pattern.block_size
    every, ends = np.arange(nb, dtype=np.int32), np.array([0, nb - 1], np.int32)
    rows = np.broadcast_to(every[1:-1, None], valid.shape)[valid]
    queries = np.concatenate([np.repeat(ends, nb), rows])
    keys = [np.concatenate([every, every, of_head[valid]]) for of_head in blocks]
    return (
        _together([_cut(queries, each, nb, longest) for each in keys]),
        _together([_cut(each, queries, nb, longest) for each in keys]),
    )


def _cut(own: np.ndarray, other: np.ndarray, blocks: int, longest: int) -> _Lists:
    """One head's lists, from the blocks of its pairs, int32[E] on either side; without the axis N."""
    counts = np.bincount(own, minlength=blocks)
    starts = np.cumsum(counts) - counts
    parts = -(-counts // longest)
    more = parts - 1
    first = np.cumsum(more) - more
    block = np.repeat(np.arange(blocks), more)
    part = np.arange(len(block)) - first[block] + 1
    bounds = [starts[block] + counts[block] * number // parts[block] for number in (part, part + 1)]
    spans = np.stack([starts, starts + counts // parts, first, first + more], axis=1)
    return _Lists(other[np.argsort(own, kind="stable")], spans, np.stack([block, *bounds], axis=1))


def _together(heads: list[_Lists]) -> _Lists:
    """The lists of all heads."""
    most = max(len(head.pieces) for head in heads)
    filled = [head._replace(pieces=np.pad(head.pieces, ((0, most - len(head.pieces)), (0, 0)))) for head in heads]
    return _Lists(*(np.stack(each).astype(np.int32) for each in zip(*filled, strict=True)))


# ------------------------------------------------------------------------------------------------------- the calls


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _attend(sizes: _Sizes, query: Any, key: Any, value: Any, tokens: Any, keys: _Lists, queries: _Lists) -> Any:
    """float[B, L, N, D] three times, float32[B, L], the lists -> float[B, L, N, D]."""
    return _attend_forward(sizes, query, key, value, tokens, keys, queries)[0]


def _attend_forward(
    sizes: _Sizes, query: Any, key: Any, value: Any, tokens: Any, keys: _Lists, queries: _Lists
) -> tuple[Any, Any]:
    sums = [(sizes.width,), (sizes.width,), (sizes.width, sizes.size)]
    context, log_sum = _run(_forward, sizes, keys, tokens, [query, key, value], [], outputs=(1, 1), sums=sums)
    return context, (query, key, value, tokens, keys, queries, context, log_sum)


def _attend_backward(sizes: _Sizes, kept: Any, upstream: Any) -> tuple[Any, ...]:
    query, key, value, tokens, keys, queries, context, log_sum = kept
    arrays, block = [query, key, value, upstream], (sizes.width, sizes.size)
    d_query, delta = _run(
        _backward_of_query, sizes, keys, tokens, [*arrays, context], [log_sum], outputs=(1, 1), sums=[block]
    )
    d_key, d_value = _run(
        _backward_of_key, sizes, queries, tokens, arrays, [log_sum, delta], outputs=(2, 0), sums=[block, block]
    )
    return d_query, d_key, d_value, jnp.zeros_like(tokens), None, None


_attend.defvjp(_attend_forward, _attend_backward)


def _run(
    work: Any,
    sizes: _Sizes,
    lists: _Lists,
    tokens: Any,
    arrays: list[Any],
    rows: list[Any],
    *,
    outputs: tuple[int, int],
    sums: list[tuple[int, ...]],
) -> Any:
    """What `work` makes of every block and the others in its list.

    Args:
        work: a function of (sizes, block, tokens, *arrays, *rows) that gives a block's empty sums; how another block is added
            to them, a function of (block, sums); how two parts' sums become one, a function of (sums, sums); and how the
            result is written, a function of (sums, *outputs).
        lists: the others.
        tokens: float32[B, L].
        arrays: float[B, L, N, D] each.
        rows: float32[B, N, L] each.
        outputs: how many arrays and how many rows come out.
        sums: shapes of a block's sums, float32.
    """
    batch, heads, width = tokens.shape[0], sizes.heads, sizes.width
    others, spans, cuts = (_view(x, "n") for x in lists)
    given = [_view(tokens, "b"), *(_view(x, "b.n") for x in arrays), *(_view(x, "bn") for x in rows)]
    count, pieces = lists.pieces.shape[1], []
    if count:
        shapes = [jax.ShapeDtypeStruct((batch, heads, count, *shape), jnp.float32) for shape in sums]
        kernel = functools.partial(_piece_kernel, work, sizes, len(given))
        made = _call(kernel, sizes, (count, heads, batch), [others, cuts, *given], [_view(x, "bni") for x in shapes])
        pieces = [_view(x, "bn") for x in made]
    array = jax.ShapeDtypeStruct(arrays[0].shape, arrays[0].dtype)
    row = jax.ShapeDtypeStruct((batch, heads, tokens.shape[1]), jnp.float32)
    results = [_view(array, "bin", width)] * outputs[0] + [_view(row, "bni", width)] * outputs[1]
    kernel = functools.partial(_block_kernel, work, sizes, len(given), len(pieces))
    return _call(kernel, sizes, (sizes.blocks, heads, batch), [others, spans, *given, *pieces], results)


def _view(x: Any, axes: str, width: int | None = None) -> tuple[Any, Any]:
    """An array and what a program sees of it.

    Args:
        axes: a letter for each axis, those left out are whole: b and n for the program's example and head, i for its block or
            piece, a dot for the whole axis.
        width: numbers of a block on axis i; None for one, without the axis.
    """
    axes = axes.ljust(x.ndim, ".")
    shape = [{"b": None, "n": None, "i": width}.get(axis, size) for axis, size in zip(axes, x.shape, strict=True)]

    def place(block: Any, head: Any, example: Any) -> tuple[Any, ...]:
        return tuple({"b": example, "n": head, "i": block}.get(axis, 0) for axis in axes)

    return x, pl.BlockSpec(tuple(shape), place)


def _call(kernel: Any, sizes: _Sizes, grid: tuple[int, ...], inputs: Any, outputs: Any) -> Any:
    """The kernel over (block or piece, head, example), compiled for a GPU and interpreted elsewhere."""
    arrays, in_specs = zip(*inputs, strict=True)
    shapes, out_specs = zip(*outputs, strict=True)

    def call(*args: Any, interpret: bool) -> Any:
        return pl.pallas_call(
            kernel,
            grid=grid,
            in_specs=in_specs,
            out_specs=out_specs,
            out_shape=shapes,
            compiler_params=plgpu.CompilerParams(num_warps=sizes.width // 16, num_stages=_STAGES),
            interpret=interpret,
        )(*args)

    return lax.platform_dependent(
        *arrays, cuda=functools.partial(call, interpret=False), default=functools.partial(call, interpret=True)
    )


# ----------------------------------------------------------------------------------------------------- the kernels


def _piece_kernel(work: Any, sizes: _Sizes, given: int, others: Any, cuts: Any, *refs: Any) -> None:
    """Writes the sums of a piece."""
    block, start, stop = (cuts[pl.program_id(0), column] for column in range(3))
    nothing, add, *_ = work(sizes, block, *refs[:given])
    sums = lax.fori_loop(start, stop, lambda place, sums: add(others[place], sums), nothing)
    for ref, value in zip(refs[given:], sums, strict=True):
        ref[...] = value


def _block_kernel(work: Any, sizes: _Sizes, given: int, pieces: int, others: Any, spans: Any, *refs: Any) -> None:
    """Writes the result of a block."""
    block = pl.program_id(0)
    start, stop, first, last = (spans[block, column] for column in range(4))
    nothing, add, join, finish = work(sizes, block, *refs[:given])
    sums = lax.fori_loop(start, stop, lambda place, sums: add(others[place], sums), nothing)
    made, outputs = refs[given : given + pieces], refs[given + pieces :]
    if pieces:
        sums = lax.fori_loop(first, last, lambda piece, sums: join(sums, tuple(ref[piece] for ref in made)), sums)
    finish(sums, *outputs)


def _forward(sizes: _Sizes, block: Any, tokens: Any, query: Any, key: Any, value: Any) -> tuple[Any, ...]:
    own = _rows(block, sizes)
    rows = query[own, :]

    def add(other: Any, sums: Any) -> Any:
        most, total, summed = sums
        others = _rows(other, sizes)
        scores = _scores(rows, key[others, :], sizes) + _bias(tokens[others])[None, :]
        higher = jnp.maximum(most, jnp.max(scores, axis=1))
        weights, shrink = jnp.exp2(scores - higher[:, None]), jnp.exp2(most - higher)
        total = total * shrink + jnp.sum(weights, axis=1)
        values = value[others, :]
        return higher, total, summed * shrink[:, None] + _dot(weights.astype(values.dtype), values, 1, 0)

    def join(one: Any, other: Any) -> Any:
        most = jnp.maximum(one[0], other[0])
        shrinks = [jnp.exp2(each[0] - most) for each in (one, other)]
        total, summed = (
            sum(x * shrink.reshape(-1, *[1] * (x.ndim - 1)) for x, shrink in zip(both, shrinks, strict=True))
            for both in zip(one[1:], other[1:], strict=True)
        )
        return most, total, summed

    def finish(sums: Any, context: Any, log_sum: Any) -> None:
        most, total, summed = sums
        is_token = tokens[own]
        context[...] = (summed * (is_token / total)[:, None]).astype(context.dtype)
        # Of a masked query every weight is 0 in the backward pass, and with it every gradient.
        log_sum[...] = jnp.where(is_token > 0, most + jnp.log(total) * _LOG2E, jnp.inf)

    row = jnp.zeros((sizes.width,), jnp.float32)
    return (row - jnp.inf, row, _zeros(sizes)), add, join, finish


def _backward_of_query(
    sizes: _Sizes, block: Any, tokens: Any, query: Any, key: Any, value: Any, upstream: Any, context: Any, log_sum: Any
) -> tuple[Any, ...]:
    own = _rows(block, sizes)
    rows, arriving, log_sums = query[own, :], upstream[own, :], log_sum[own]
    # Row sums of dP * P, from the output alone: sum_d dO_d O_d.
    delta = jnp.sum(arriving.astype(jnp.float32) * context[own, :].astype(jnp.float32), axis=1)

    def add(other: Any, sums: Any) -> Any:
        others = _rows(other, sizes)
        keys = key[others, :]
        scores = _scores(rows, keys, sizes) + _bias(tokens[others])[None, :]
        weights = jnp.exp2(scores - log_sums[:, None])
        d_scores = weights * (_dot(arriving, value[others, :], 1, 1) - delta[:, None])
        return (sums[0] + _dot(d_scores.astype(keys.dtype), keys, 1, 0),)

    def finish(sums: Any, d_query: Any, deltas: Any) -> None:
        d_query[...] = (sums[0] / math.sqrt(sizes.size)).astype(d_query.dtype)
        deltas[...] = delta

    return (_zeros(sizes),), add, _added, finish


def _backward_of_key(
    sizes: _Sizes, block: Any, tokens: Any, query: Any, key: Any, value: Any, upstream: Any, log_sum: Any, delta: Any
) -> tuple[Any, ...]:
    """Scores have a row for each key here."""
    own = _rows(block, sizes)
    keys, values, bias = key[own, :], value[own, :], _bias(tokens[own])

    def add(other: Any, sums: Any) -> Any:
        d_keys, d_values = sums
        others = _rows(other, sizes)
        queries, arriving = query[others, :], upstream[others, :]
        scores = _scores(keys, queries, sizes) + bias[:, None]
        weights = jnp.exp2(scores - log_sum[others][None, :])
        d_values += _dot(weights.astype(arriving.dtype), arriving, 1, 0)
        d_scores = weights * (_dot(values, arriving, 1, 1) - delta[others][None, :])
        return d_keys + _dot(d_scores.astype(queries.dtype), queries, 1, 0), d_values

    def finish(sums: Any, d_key: Any, d_value: Any) -> None:
        d_key[...] = (sums[0] / math.sqrt(sizes.size)).astype(d_key.dtype)
        d_value[...] = sums[1].astype(d_value.dtype)

    return (_zeros(sizes), _zeros(sizes)), add, _added, finish


def _added(one: Any, other: Any) -> Any:
    return tuple(map(jnp.add, one, other))


def _rows(block: Any, sizes: _Sizes) -> Any:
    """Where a block's tokens are."""
    return pl.ds(block * sizes.width, sizes.width)


def _zeros(sizes: _Sizes) -> Any:
    return jnp.zeros((sizes.width, sizes.size), jnp.float32)


def _scores(rows: Any, others: Any, sizes: _Sizes) -> Any:
    """Logarithms to base 2 of the weights, but for the mask and a row's sum."""
    return _dot(rows, others, 1, 1) * (_LOG2E / math.sqrt(sizes.size))


def _bias(tokens: Any) -> Any:
    """What is added to the scores of keys."""
    return (1.0 - tokens) * (MASKED * _LOG2E)


def _dot(a: Any, b: Any, a_axis: int, b_axis: int) -> Any:
    """Matrix product over an axis of each, summed up in float32; see `_FLOAT32` for factors of float32."""
    precision = _FLOAT32 if a.dtype == jnp.float32 else None
    return lax.dot_general(
        a, b, (((a_axis,), (b_axis,)), ((), ())), precision=precision, preferred_element_type=jnp.float32
    )
