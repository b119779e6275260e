"""BigBird's sparse attention: global, window and random blocks, linear in the input's length.

One (example, head) pair is worked through at a time: what a pair needs stays in the processor's cache, and a layer
keeps only q, k, v and the output for the backward pass, which recomputes the probabilities.
The gradient is derived by hand (as in FlashAttention, Dao et al. 2022, appendix B) and tested against automatic
differentiation of the dense reference.

Shapes: B batch, N heads, L tokens, D head size, nb blocks of w tokens, M = nb - 2 middle query blocks,
S = 5 + r key blocks of each. Within a pair the leading axes are gone: q is (nb, w, D).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import ops

from bigbird.attention.dense import MASKED
from bigbird.attention.pattern import BlockPattern, key_blocks
from bigbird.recompute import after

# Added to the score of a slot that must not count at all; exp() of it is exactly 0 in float32.
_NEVER = -1e9


def block_sparse_attention(query: Any, key: Any, value: Any, mask: Any, *, pattern: BlockPattern, layer: int) -> Any:
    """Attention over the published block pattern.

    Args:
        query, key, value: float[B, L, N, D]; L static, any length above the pattern's shortest
            (`(5 + 2 r) * w` tokens); padded to whole blocks inside.
        mask: bool or number[B, L], 1 for tokens; masked keys are ignored and masked queries give zeros.
        pattern: sizes and the rule of the random plan.
        layer: index of the encoder layer, which seeds its plan.

    Returns:
        float[B, L, N, D] of `query`'s dtype.
    """
    length, width = query.shape[1], pattern.block_size
    padding = -length % width
    if padding:
        wide = [(0, 0), (0, padding), (0, 0), (0, 0)]
        query, key, value = (ops.pad(x, wide) for x in (query, key, value))
        mask = ops.pad(ops.cast(mask, "int32"), wide[:2])
    blocks, valid = key_blocks(pattern, length + padding, layer)
    slot_bias = np.repeat(np.where(valid, 0.0, _NEVER), width, axis=1).astype("float32")  # (M, S w)
    attend = _pairwise_attention(blocks, slot_bias[:, None, :], pattern.num_heads)

    query = query * (1.0 / math.sqrt(query.shape[-1]))
    tokens = ops.cast(mask, "float32")
    key_bias = (1.0 - tokens) * MASKED  # (B, L)
    key_bias = ops.reshape(key_bias, (-1, key_bias.shape[1] // width, width))  # (B, nb, w)
    context = attend(*(_split_pairs(x, width) for x in (query, key, value)), key_bias)
    context = _join_pairs(context, pattern.num_heads)  # (B, L, N, D)
    context = context * ops.cast(tokens, context.dtype)[:, :, None, None]
    return context[:, :length] if padding else context


def _split_pairs(x: Any, width: int) -> Any:
    """(B, L, N, D) -> (B N, nb, w, D)."""
    _, length, _, size = x.shape
    x = ops.transpose(x, (0, 2, 1, 3))
    return ops.reshape(x, (-1, length // width, width, size))


def _join_pairs(x: Any, heads: int) -> Any:
    """(B N, nb, w, D) -> (B, L, N, D)."""
    _, blocks, width, size = x.shape
    x = ops.reshape(x, (-1, heads, blocks * width, size))
    return ops.transpose(x, (0, 2, 1, 3))


def _pairwise_attention(blocks: np.ndarray, slot_bias: np.ndarray, heads: int) -> Any:
    """The differentiable function (q, k, v, key_bias (B, nb, w)) -> context over all pairs, with its own gradient."""

    def plan(pair: Any, key_bias: Any) -> tuple[Any, Any, Any]:
        table = ops.take(ops.convert_to_tensor(blocks), pair % heads, axis=0)  # (M, S)
        return key_bias[pair // heads], table, slot_bias

    @ops.custom_gradient
    def attend(query: Any, key: Any, value: Any, key_bias: Any) -> Any:
        pairs = ops.arange(ops.shape(query)[0], dtype="int32")

        def forward_pair(pair: Any) -> Any:
            return _forward(query[pair], key[pair], value[pair], *plan(pair, key_bias))

        context = ops.map(forward_pair, pairs)

        def gradient(*args: Any, upstream: Any = None) -> Any:
            upstream = args[0] if upstream is None else upstream

            late_query, late_key, late_value = (after(x, upstream) for x in (query, key, value))

            def backward_pair(pair: Any) -> Any:
                rows = plan(pair, key_bias)
                return _backward(
                    late_query[pair], late_key[pair], late_value[pair], context[pair], upstream[pair], *rows
                )

            d_query, d_key, d_value = ops.map(backward_pair, pairs)
            return d_query, d_key, d_value, ops.zeros_like(key_bias)

        return context, gradient

    return attend


def _gather(x: Any, table: Any) -> Any:
    """Blocks of `x` (nb, w, ...) that `table` (M, S) names, side by side: (M, S w, ...)."""
    middle, slots = table.shape
    return ops.reshape(ops.take(x, table, axis=0), (middle, slots * x.shape[1], *x.shape[2:]))


def _global_rows(x: Any) -> Any:
    """First and last block of (nb, w, ...), as (2 w, ...)."""
    return ops.concatenate([x[0], x[-1]], axis=0)


def _probabilities(query: Any, keys: Any, bias: Any) -> Any:
    """softmax(q kᵀ + bias) in float32; batched over any leading axes."""
    scores = ops.cast(ops.matmul(query, ops.swapaxes(keys, -1, -2)), "float32")
    return ops.softmax(scores + bias, axis=-1)


def _forward(query: Any, key: Any, value: Any, bias: Any, table: Any, slot_bias: Any) -> Any:
    """One pair: context (nb, w, D)."""
    nb, width, size = query.shape
    flat_key, flat_value = ops.reshape(key, (nb * width, size)), ops.reshape(value, (nb * width, size))

    ends = _probabilities(_global_rows(query), flat_key, ops.reshape(bias, (1, nb * width)))
    ends_context = ops.matmul(ops.cast(ends, value.dtype), flat_value)  # (2 w, D)

    middle_bias = _gather(bias, table)[:, None, :] + slot_bias  # (M, 1, S w)
    middle = _probabilities(query[1:-1], _gather(key, table), middle_bias)  # (M, w, S w)
    middle_context = ops.matmul(ops.cast(middle, value.dtype), _gather(value, table))  # (M, w, D)
    return _surround(middle_context, ends_context)


def _surround(middle: Any, ends: Any) -> Any:
    """Puts the first and last block (2 w, ...) around the middle ones (M, w, ...): (nb, w, ...)."""
    width = middle.shape[1]
    return ops.concatenate([ends[None, :width], middle, ends[None, width:]], axis=0)


def _backward(
    query: Any, key: Any, value: Any, context: Any, upstream: Any, bias: Any, table: Any, slot_bias: Any
) -> tuple[Any, Any, Any]:
    """One pair: gradients of query, key and value, (nb, w, D) each."""
    nb, width, size = query.shape
    dtype = query.dtype
    # Row sums of dP * P, from the output alone: sum_d dO_d O_d.
    delta = ops.sum(ops.cast(upstream, "float32") * ops.cast(context, "float32"), axis=-1, keepdims=True)  # (nb, w, 1)

    def through_softmax(rows: Any, keys: Any, values: Any, bias: Any, delta: Any, upstream: Any) -> Any:
        probabilities = _probabilities(rows, keys, bias)
        d_probabilities = ops.cast(ops.matmul(upstream, ops.swapaxes(values, -1, -2)), "float32")
        d_scores = ops.cast(probabilities * (d_probabilities - delta), dtype)
        d_rows = ops.matmul(d_scores, keys)
        d_keys = ops.matmul(ops.swapaxes(d_scores, -1, -2), rows)
        d_values = ops.matmul(ops.swapaxes(ops.cast(probabilities, dtype), -1, -2), upstream)
        return d_rows, d_keys, d_values

    flat_key, flat_value = ops.reshape(key, (nb * width, size)), ops.reshape(value, (nb * width, size))
    d_ends, d_key, d_value = through_softmax(
        _global_rows(query), flat_key, flat_value, ops.reshape(bias, (1, nb * width)),
        _global_rows(delta), _global_rows(upstream),
    )  # fmt: skip
    middle_bias = _gather(bias, table)[:, None, :] + slot_bias
    d_middle, d_keys, d_values = through_softmax(
        query[1:-1], _gather(key, table), _gather(value, table), middle_bias,
        delta[1:-1], upstream[1:-1],
    )  # fmt: skip

    def scatter(d_gathered: Any) -> Any:
        """(M, S w, D) added up into the blocks it came from, (nb, w, D).

        Slots are cut out of the long axis as it is: split in two, a TPU's compiler would bring the array into another layout.
        """

        def slots(first: int, last: int) -> Any:
            return d_gathered[:, first * width : last * width]

        parts = table.shape[1]
        first, last = (ops.sum(slots(slot, slot + 1), axis=0, keepdims=True) for slot in (0, parts - 1))
        window = sum(ops.pad(slots(1 + shift, 2 + shift), ((shift, 2 - shift), (0, 0), (0, 0))) for shift in range(3))
        random = ops.segment_sum(
            ops.reshape(slots(4, parts - 1), (-1, width, size)), ops.reshape(table[:, 4:-1], (-1,)), num_segments=nb
        )
        total = window + random
        return ops.concatenate([total[:1] + first, total[1:-1], total[-1:] + last], axis=0)

    d_key = ops.reshape(d_key, (nb, width, size)) + scatter(d_keys)
    d_value = ops.reshape(d_value, (nb, width, size)) + scatter(d_values)
    return _surround(d_middle, d_ends), d_key, d_value
