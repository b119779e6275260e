"""BigBird's sparse attention: global, window and random blocks, linear in the input's length.

One (example, head) pair is worked through at a time, and of it a group of query blocks: what they need stays in the
processor's cache. A layer keeps only q, k, v and the output for the backward pass, which recomputes the probabilities.
The gradient is derived by hand (as in FlashAttention, Dao et al. 2022, appendix B) and tested against automatic
differentiation of the dense reference.

Shapes: B batch, N heads, L tokens, D head size, nb blocks of w tokens, M = nb - 2 middle query blocks, m of them in a
group, S = 5 + r key blocks of each. Within a pair the leading axes are gone: q is (nb, w, D).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from bigbird.layers.attention.dense import MASKED, score_dtype
from bigbird.layers.attention.pattern import BlockPattern, key_blocks
from bigbird.layers.fusion import fused
from bigbird.layers.one_dnn import answers_by_one_dnn
from bigbird.layers.own_gradient import own_gradient
from bigbird.layers.recompute import after
from bigbird.layers.types import Tensor

# Added to the score of a slot that must not count at all; exp() of it is exactly 0 in float32.
_NEVER = -1e9

# Bytes of a group's scores. A handful of such arrays is in use at once: two cores with 32 MB of cache needed 12 % less time
# for 4,096 tokens than with 8 MB of scores at once. Groups are unrolled, so their number is bounded.
_GROUP_BYTES, _MOST_GROUPS = 2**22, 8
_GPU_BYTES = 2**28  # of the scores of all pairs that a GPU takes at a time; some ten such arrays are in use at once


def block_sparse_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor,
    *,
    pattern: BlockPattern,
    layer: int,
    training: bool = False,
    blocks: Tensor | None = None,
) -> Tensor:
    """Attention over the published block pattern.

    Args:
        query, key, value: float[B, L, N, D]; L static, any length above the pattern's shortest
            (`(5 + 2 r) * w` tokens); padded to whole blocks inside.
        mask: bool or number[B, L], 1 for tokens; masked keys are ignored and masked queries give zeros.
        pattern: sizes and the rule of the random plan.
        layer: index of the encoder layer, which seeds its plan.
        training: whether the forward pass may be compiled (see `fused`), as the gradient always is.
        blocks: what `blocks_of_layer` gives, as a tensor of a graph that layers share; else it is that of `layer`.

    Returns:
        float[B, L, N, D] of `query`'s dtype.
    """
    length, width = query.shape[1], pattern.block_size
    padding = -length % width
    if padding:
        wide = [(0, 0), (0, padding), (0, 0), (0, 0)]
        query, key, value = (ops.pad(x, wide) for x in (query, key, value))
        mask = ops.pad(ops.cast(mask, "int32"), wide[:2])
    of_layer, valid = key_blocks(pattern, length + padding, layer)
    slot_bias = np.repeat(np.where(valid, 0.0, _NEVER), width, axis=1).astype("float32")  # (M, S w)
    attend = _pairwise_attention(
        of_layer if blocks is None else blocks, slot_bias[:, None, :], pattern.num_heads, training
    )

    tokens = ops.cast(ops.reshape(mask, (-1, mask.shape[1] // width, width)), "float32")  # (B, nb, w)
    context = attend(*(_split_pairs(x, width) for x in (query, key, value)), tokens)
    context = _join_pairs(context, pattern.num_heads)  # (B, L, N, D)
    return context[:, :length] if padding else context


def blocks_of_layer(pattern: BlockPattern, length: int, layer: int) -> np.ndarray:
    """The key blocks of every head and middle query block of a layer: all that its attention has of its own.

    Args:
        pattern: sizes and the rule of the random plan.
        length: L, tokens; above the pattern's shortest.
        layer: index of the encoder layer.

    Returns:
        int32[N, M, S].
    """
    return key_blocks(pattern, length + -length % pattern.block_size, layer)[0]


def _split_pairs(x: Tensor, width: int) -> Tensor:
    """(B, L, N, D) -> (B N, nb, w, D)."""
    _, length, _, size = x.shape
    x = ops.transpose(x, (0, 2, 1, 3))
    return ops.reshape(x, (-1, length // width, width, size))


def _join_pairs(x: Tensor, heads: int) -> Tensor:
    """(B N, nb, w, D) -> (B, L, N, D)."""
    _, blocks, width, size = x.shape
    x = ops.reshape(x, (-1, heads, blocks * width, size))
    return ops.transpose(x, (0, 2, 1, 3))


def _pairwise_attention(
    blocks: np.ndarray | Tensor, slot_bias: np.ndarray, heads: int, training: bool
) -> Callable[..., Tensor]:
    """The differentiable function (q, k, v, tokens (B, nb, w)) -> context over all pairs, with its own gradient."""

    def plan(pair: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        table = ops.take(ops.convert_to_tensor(blocks), pair % heads, axis=0)  # (M, S)
        return tokens[pair // heads], table, slot_bias

    @own_gradient
    def attend(query: Tensor, key: Tensor, value: Tensor, tokens: Tensor) -> Tensor:
        pairs = ops.arange(ops.shape(query)[0], dtype="int32")
        scores = _bytes_of_scores(blocks.shape[1:], query)

        def forward_pair(pair: Tensor) -> Tensor:
            return _forward(query[pair], key[pair], value[pair], *plan(pair, tokens), training)

        context = _over_pairs(forward_pair, pairs, scores)

        def gradient(*args: Any, upstream: Tensor | None = None) -> Tensor:
            upstream = args[0] if upstream is None else upstream

            late_query, late_key, late_value = (after(x, upstream) for x in (query, key, value))

            def backward_pair(pair: Tensor) -> Tensor:
                inputs = late_query[pair], late_key[pair], late_value[pair]
                return _backward(*inputs, context[pair], upstream[pair], *plan(pair, tokens))

            d_query, d_key, d_value = _over_pairs(backward_pair, pairs, scores)
            return d_query, d_key, d_value, ops.zeros_like(tokens)

        return context, gradient

    return attend


def _over_pairs(function: Callable[[Tensor], Tensor], pairs: Tensor, scores: int) -> Tensor:
    """`function` of each pair, stacked: one after another, or on a GPU many at a time, as one alone leaves it idle.

    Args:
        scores: bytes of a pair's.
    """
    if not _on_gpu():
        return ops.map(function, pairs)
    import jax

    most = max(1, _GPU_BYTES // scores)
    together = next(size for size in range(min(most, pairs.shape[0]), 0, -1) if pairs.shape[0] % size == 0)
    return jax.lax.map(function, pairs, batch_size=together)


def _on_gpu() -> bool:
    """Whether JAX computes on a GPU, for what its kernel does not suit. TensorFlow on one takes pairs one by one, untuned."""
    if keras.backend.backend() != "jax":
        return False
    import jax

    return jax.default_backend() == "gpu"


def _bytes_of_scores(slots: tuple[int, ...], query: Tensor) -> int:
    """Bytes of the scores of a pair's middle blocks; `slots` multiply to their key blocks."""
    item = 4 if keras.backend.standardize_dtype(query.dtype) == "float32" else 2
    return math.prod(slots) * query.shape[-2] ** 2 * item


def _gather(x: Tensor, table: Tensor) -> Tensor:
    """Blocks of `x` (nb, w, ...) that `table` (m, S) names, side by side: (m, S w, ...)."""
    middle, slots = table.shape
    return ops.reshape(ops.take(x, table, axis=0), (middle, slots * x.shape[1], *x.shape[2:]))


def _global_rows(x: Tensor) -> Tensor:
    """First and last block of (nb, w, ...), as (2 w, ...)."""
    return ops.concatenate([x[0], x[-1]], axis=0)


def _groups(table: Tensor, query: Tensor) -> list[slice]:
    """Which of a pair's middle blocks are worked through at a time."""
    rows = table.shape[0]
    groups = 1 if _on_gpu() else -(-_bytes_of_scores(table.shape, query) // _GROUP_BYTES)
    count = max(1, min(groups, _MOST_GROUPS, rows // 4))  # a group's window has two ends of two blocks
    cuts = [rows * index // count for index in range(count + 1)]
    return [slice(first, last) for first, last in itertools.pairwise(cuts)]


def _surround(middle: list[Tensor], ends: Tensor) -> Tensor:
    """Puts the first and last block (2 w, ...) around the groups of middle ones (m, w, ...): (nb, w, ...)."""
    width = ends.shape[0] // 2
    return ops.concatenate([ends[None, :width], *middle, ends[None, width:]], axis=0)


def _products(rows: Tensor, others: Tensor) -> Tensor:
    """Of each row (..., D) with each of the others."""
    return ops.matmul(rows, ops.swapaxes(others, -1, -2))


def _softmax(products: Tensor, bias: Tensor, scale: float) -> Tensor:
    """softmax(products * scale + bias) over the last axis, computed in float32, of the products' dtype."""
    dtype = score_dtype(products, scale)
    scores = ops.cast(products, dtype) * scale + ops.cast(bias, dtype)
    return ops.cast(ops.softmax(scores, axis=-1), products.dtype)


def _forward(
    query: Tensor, key: Tensor, value: Tensor, tokens: Tensor, table: Tensor, slot_bias: Tensor, training: bool
) -> Tensor:
    """One pair: context (nb, w, D)."""
    nb, width, size = query.shape
    bias, scale = (1.0 - tokens) * MASKED, 1.0 / math.sqrt(size)
    softmax = _fused_softmax if training else _softmax

    def attend(query: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
        return ops.matmul(softmax(_products(query, keys), bias, scale), values)

    flat_key, flat_value = (ops.reshape(x, (nb * width, size)) for x in (key, value))
    ends = attend(_global_rows(query), flat_key, flat_value, ops.reshape(bias, (1, nb * width)))
    middle = []
    for group in _groups(table, query):
        blocks, group_bias = table[group], _gather(bias, table[group])[:, None, :] + slot_bias[group]  # (m, 1, S w)
        inputs = query[1:-1][group], _gather(key, blocks), _gather(value, blocks), group_bias
        if answers_by_one_dnn():  # which fuses product, scale and bias of arrays of four axes
            context = ops.squeeze(attend(*(x[:, None] for x in inputs)), 1)
        else:
            context = attend(*inputs)
        middle.append(context)
    return _surround(middle, ends) * ops.cast(tokens, query.dtype)[..., None]


_fused_softmax = fused(_softmax)


def _backward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    context: Tensor,
    upstream: Tensor,
    tokens: Tensor,
    table: Tensor,
    slot_bias: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """One pair: gradients of query, key and value, (nb, w, D) each."""
    nb, width, size = query.shape
    bias, scale = (1.0 - tokens) * MASKED, 1.0 / math.sqrt(size)
    upstream = upstream * ops.cast(tokens, upstream.dtype)[..., None]
    delta = _row_sums(upstream, context)

    def through_softmax(
        rows: tuple[Tensor, ...], keys: Tensor, values: Tensor, bias: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        query, upstream, delta = rows
        products, d_probabilities = _products(query, keys), _products(upstream, values)
        probabilities, d_products = _softmax_gradient(products, d_probabilities, delta, bias, scale)
        d_query = ops.matmul(d_products, keys)
        d_keys = ops.matmul(ops.swapaxes(d_products, -1, -2), query)
        d_values = ops.matmul(ops.swapaxes(probabilities, -1, -2), upstream)
        return d_query, d_keys, d_values

    rows = query, upstream, delta
    flat_key, flat_value = (ops.reshape(x, (nb * width, size)) for x in (key, value))
    d_ends, *d_flat = through_softmax(
        tuple(map(_global_rows, rows)), flat_key, flat_value, ops.reshape(bias, (1, nb * width))
    )
    d_key, d_value = (ops.reshape(x, (nb, width, size)) for x in d_flat)
    d_middle = []
    for group in _groups(table, query):
        blocks, group_bias = table[group], _gather(bias, table[group])[:, None, :] + slot_bias[group]
        d_group, d_keys, d_values = through_softmax(
            tuple(x[1:-1][group] for x in rows), _gather(key, blocks), _gather(value, blocks), group_bias
        )
        d_middle.append(d_group)
        d_key, d_value = (_add(*each, blocks, group.start) for each in ((d_key, d_keys), (d_value, d_values)))
    return _surround(d_middle, d_ends), d_key, d_value


@fused
def _row_sums(upstream: Tensor, context: Tensor) -> Tensor:
    """Row sums of dP * P, from the output alone: sum_d dO_d O_d; float32(nb, w, 1)."""
    return ops.sum(ops.cast(upstream, "float32") * ops.cast(context, "float32"), axis=-1, keepdims=True)


@fused
def _softmax_gradient(
    products: Tensor, d_probabilities: Tensor, delta: Tensor, bias: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    """The probabilities again, and the gradient of the products; of their dtype."""
    probabilities = ops.softmax(ops.cast(products, "float32") * scale + bias, axis=-1)
    d_products = probabilities * (ops.cast(d_probabilities, "float32") - delta) * scale
    return ops.cast(probabilities, products.dtype), ops.cast(d_products, products.dtype)


@fused
def _add(total: Tensor, d_gathered: Tensor, table: Tensor, start: int) -> Tensor:
    """`total` (nb, w, D) and a group's gradients (m, S w, D), added to the blocks that `table` (m, S) took them from.

    Slots are cut out of the long axis as it is: split in two, a TPU's compiler would bring the array into another layout.

    Args:
        start: middle block of the group's first row.
    """
    nb, width, size = total.shape
    rows, slots = table.shape
    first, before, own, behind = (d_gathered[:, slot * width : (slot + 1) * width] for slot in range(4))
    first, last = (ops.sum(slot, axis=0, keepdims=True) for slot in (first, d_gathered[:, -width:]))
    random = ops.reshape(d_gathered[:, 4 * width : (slots - 1) * width], (-1, width, size))
    random = ops.segment_sum(random, ops.reshape(table[:, 4:-1], (-1,)), num_segments=nb)
    window = ops.concatenate(
        [
            before[:1],
            before[1:2] + own[:1],
            before[2:] + own[1:-1] + behind[:-2],
            own[-1:] + behind[-2:-1],
            behind[-1:],
        ],
        axis=0,
    )
    total = total + ops.pad(window, ((start, nb - 2 - rows - start), (0, 0), (0, 0))) + random
    return ops.concatenate([total[:1] + first, total[1:-1], total[-1:] + last], axis=0)
