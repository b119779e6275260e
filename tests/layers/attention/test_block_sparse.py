"""Sparse attention against the dense reference with the same pattern: values, gradients, masks, precisions."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from bigbird.layers import one_dnn
from bigbird.layers.attention.block_sparse import block_sparse_attention
from bigbird.layers.attention.dense import dense_attention
from bigbird.layers.attention.pattern import BlockPattern, block_counts
from bigbird.layers.own_gradient import without_gradients
from bigbird.support.processors import one_dnn_is_used

BASE = BlockPattern(num_heads=2)
ONE_HEAD = BlockPattern(num_heads=1)
SMALL_BLOCKS = BlockPattern(num_heads=3, block_size=32, num_rand_blocks=2, build_length=2048)
LONG_SMALL_BLOCKS = BlockPattern(num_heads=1, block_size=32)
TINY = BlockPattern(num_heads=2, block_size=16, num_rand_blocks=1, build_length=512)
LAYER = 3


def _inputs(length, heads, size=16, batch=2, seed=0, scale=1.0):
    """Query, key, value, upstream gradient; a full row and rows padded ever earlier."""
    rng = np.random.default_rng(seed)
    arrays = [tf.constant(rng.normal(size=(batch, length, heads, size)) * scale, tf.float32) for _ in range(4)]
    mask = np.ones((batch, length), np.int32)
    for row in range(1, batch):
        mask[row, int(length * (0.9 - 0.35 * (row - 1))) + 3 :] = 0
    return *arrays, tf.constant(mask)


def _dense(query, key, value, mask, pattern, layer):
    """Whole score matrix; a key counted twice has its weight doubled, one never counted none."""
    length, width = query.shape[1], pattern.block_size
    padded = length + -length % width
    # Padding up to whole blocks moves the last global block: the pattern is that of the padded length.
    counts = np.repeat(np.repeat(block_counts(pattern, padded, layer), width, axis=1), width, axis=2)
    with np.errstate(divide="ignore"):
        log_counts = np.log(counts[:, :length, :length].astype(np.float32))
    return dense_attention(query, key, value, mask, log_counts=log_counts)


def _value_and_gradients(attention, query, key, value, mask, upstream):
    with tf.GradientTape() as tape:
        tape.watch([query, key, value])
        context = attention(query, key, value, mask)
        loss = tf.reduce_sum(tf.cast(context, tf.float32) * upstream)
    return [context.numpy(), *(gradient.numpy() for gradient in tape.gradient(loss, [query, key, value]))]


def _compare(pattern, length, batch=2, scale=1.0):
    """At most 1e-5 apart, relative to the largest entry where `scale` makes that more than a few."""
    query, key, value, upstream, mask = _inputs(length, pattern.num_heads, batch=batch, scale=scale)
    sparse = _value_and_gradients(
        lambda q, k, v, m: block_sparse_attention(q, k, v, m, pattern=pattern, layer=LAYER),
        query,
        key,
        value,
        mask,
        upstream,
    )
    dense = _value_and_gradients(
        lambda q, k, v, m: _dense(q, k, v, m, pattern, LAYER), query, key, value, mask, upstream
    )
    for name, found, expected in zip(("context", "query", "key", "value"), sparse, dense, strict=True):
        assert np.abs(expected).max() > 0.05
        bound = 1e-5 * (np.abs(expected).max() if scale > 1 else 1)
        np.testing.assert_allclose(found, expected, rtol=0, atol=bound, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pattern", "length"),
    [
        (BASE, 768),
        (BASE, 1000),
        (BASE, 1024),
        (ONE_HEAD, 1000),
        (ONE_HEAD, 1024),
        (SMALL_BLOCKS, 768),
        (SMALL_BLOCKS, 1000),
        (SMALL_BLOCKS, 1024),
        (TINY, 250),
    ],
    ids=lambda value: (
        str(value) if isinstance(value, int) else f"w{value.block_size}r{value.num_rand_blocks}n{value.num_heads}"
    ),
)
def test_values_and_gradients_are_the_dense_references(pattern, length):
    _compare(pattern, length)


@pytest.mark.slow
@pytest.mark.parametrize(("pattern", "length"), [(BASE, 3072), (BASE, 4096), (LONG_SMALL_BLOCKS, 3072)])
def test_values_and_gradients_are_the_dense_references_at_full_length(pattern, length):
    _compare(pattern, length)


def test_the_comparison_at_1024_holds_keys_that_count_twice():
    """Which a 0/1 mask would get wrong; the old plan repeats the last global block there."""
    counts = block_counts(BASE, 1024, LAYER)
    assert counts.max() == 2
    query, key, value, _, mask = _inputs(1024, 2)
    mask = tf.ones_like(mask)  # the doubled block is the last one
    sparse = block_sparse_attention(query, key, value, mask, pattern=BASE, layer=LAYER)
    wide = np.repeat(np.repeat(counts, 64, axis=1), 64, axis=2).astype(np.float32)
    with np.errstate(divide="ignore"):
        counted, once = (
            dense_attention(query, key, value, mask, log_counts=np.log(log)) for log in (wide, np.minimum(wide, 1))
        )
    assert np.abs(sparse - counted).max() < 1e-5
    doubled = (wide == 2).any(axis=-1).transpose(1, 0)  # (L, N)
    apart = np.abs(sparse - once).max(axis=(0, -1))
    assert apart[doubled].min() > 1e-3 and apart[~doubled].max() < 1e-5


def test_a_mask_with_holes_given_as_truth_values():
    query, key, value, upstream, _ = _inputs(250, 2)
    mask = tf.constant(np.random.default_rng(4).random((2, 250)) < 0.6)
    sparse = _value_and_gradients(
        lambda q, k, v, m: block_sparse_attention(q, k, v, m, pattern=TINY, layer=LAYER),
        query,
        key,
        value,
        mask,
        upstream,
    )
    dense = _value_and_gradients(lambda q, k, v, m: _dense(q, k, v, m, TINY, LAYER), query, key, value, mask, upstream)
    for found, expected in zip(sparse, dense, strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
        assert (found[~mask.numpy()] == 0).all()


def test_large_scores_neither_overflow_nor_lose_the_reference():
    _compare(TINY, 256, scale=3.0)


def test_rows_padded_far_and_a_batch_of_three():
    _compare(TINY, 256, batch=3)


def test_the_pattern_matters():
    """Or the comparison above would prove nothing."""
    query, key, value, _, mask = _inputs(256, 2)
    sparse = block_sparse_attention(query, key, value, mask, pattern=TINY, layer=LAYER)
    for other in (dense_attention(query, key, value, mask), _dense(query, key, value, mask, TINY, LAYER + 1)):
        assert np.abs(sparse - other).max() > 0.01


def test_padding_has_no_influence_and_gets_no_gradient():
    query, key, value, upstream, mask = _inputs(256, 2)
    tokens = tf.cast(mask, tf.float32)[:, :, None, None]

    def attend(q, k, v, m):
        return block_sparse_attention(q, k, v, m, pattern=TINY, layer=LAYER)

    found = _value_and_gradients(attend, query, key, value, mask, upstream)
    for array in found:
        assert np.abs(array[np.asarray(mask) == 0]).max() == 0
    noise = [x + 5.0 * (1 - tokens) * tf.reverse(x, [1]) for x in (query, key, value)]
    for first, second in zip(found, _value_and_gradients(attend, *noise, mask, upstream), strict=True):
        np.testing.assert_allclose(second, first, rtol=0, atol=1e-6)


def test_a_row_without_tokens_gives_zeros_and_finite_gradients():
    query, key, value, upstream, mask = _inputs(256, 2)
    mask = tf.concat([mask[:1], tf.zeros_like(mask[1:])], axis=0)
    arrays = _value_and_gradients(
        lambda q, k, v, m: block_sparse_attention(q, k, v, m, pattern=TINY, layer=LAYER),
        query,
        key,
        value,
        mask,
        upstream,
    )
    for array in arrays:
        assert np.isfinite(array).all()
        assert np.abs(array[1]).max() == 0
        assert np.abs(array[0]).max() > 0.05
    full = dense_attention(query, key, value, mask).numpy()
    assert np.abs(full[1]).max() == 0 and np.isfinite(full).all()


def test_bfloat16_keeps_its_softmax_in_float32():
    """Within bfloat16's own rounding (8 bits) of the float32 result, at scores where a bfloat16 softmax is not."""
    query, key, value, upstream, mask = _inputs(1024, 2, scale=1.5)
    pattern = dataclasses.replace(BASE, build_length=1024)

    def attend(q, k, v, m):
        return block_sparse_attention(q, k, v, m, pattern=pattern, layer=LAYER)

    exact = _value_and_gradients(attend, query, key, value, mask, upstream)
    rounded = _value_and_gradients(attend, *(tf.cast(x, tf.bfloat16) for x in (query, key, value)), mask, upstream)
    for found, expected in zip(rounded, exact, strict=True):
        assert found.dtype == tf.bfloat16.as_numpy_dtype
        error = np.linalg.norm(found.astype(np.float32) - expected) / np.linalg.norm(expected)
        assert 1e-4 < error < 0.02


def test_xla_gives_the_same():
    query, key, value, upstream, mask = _inputs(250, 2)

    def attend(q, k, v, m):
        return block_sparse_attention(q, k, v, m, pattern=TINY, layer=LAYER)

    compiled = tf.function(lambda *x: _gradients(attend, *x), jit_compile=True)
    plain = _value_and_gradients(attend, query, key, value, mask, upstream)
    for found, expected in zip(compiled(query, key, value, mask, upstream), plain, strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def _gradients(attention, query, key, value, mask, upstream):
    with tf.GradientTape() as tape:
        tape.watch([query, key, value])
        context = attention(query, key, value, mask)
    return [context, *tape.gradient(context, [query, key, value], upstream)]


def test_dense_attention_is_what_numpy_makes_of_the_formula():
    query, key, value, _, mask = _inputs(24, 2, size=4)
    q, k, v, tokens = (np.asarray(x, np.float64) for x in (query, key, value, mask))
    for row in range(2):
        live = tokens[row] == 1
        for head in range(2):
            scores = q[row, live, head] @ k[row, live, head].T / 2.0
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            expected = weights / weights.sum(axis=1, keepdims=True) @ v[row, live, head]
            found = dense_attention(query, key, value, mask)[row, :, head].numpy()
            np.testing.assert_allclose(found[live], expected, atol=1e-6)
            assert (found[~live] == 0).all()


def test_the_backward_pass_waits_for_the_gradient():
    """A graph's executor begins what it can: scores made again during the forward pass would stay until the backward one."""
    query, key, value, upstream, mask = _inputs(192, TINY.num_heads)

    @tf.function
    def gradients(query, key, value, upstream):
        with tf.GradientTape() as tape:
            tape.watch([query, key, value])
            context = block_sparse_attention(query, key, value, mask, pattern=TINY, layer=LAYER)
        return tape.gradient(context, [query, key, value], output_gradients=upstream)

    graph = gradients.get_concrete_function(query, key, value, upstream).graph
    arrives = graph.inputs[3].op
    forward, backward = (op for op in graph.get_operations() if op.type in ("While", "StatelessWhile"))
    size = query.shape.num_elements()
    early = [array for array in forward.inputs if array.shape.num_elements() == size and array.dtype == tf.float32]
    late = [array for array in backward.inputs if array.shape.num_elements() == size and array.dtype == tf.float32]
    assert len(early) == 3 and not any(arrives in _ancestors(array.op) for array in early)
    kept = [array for array in late if arrives not in _ancestors(array.op)]
    assert len(late) == 5  # query, key, value, the context and the gradient itself
    assert len(kept) == 1 and forward in _ancestors(kept[0].op)  # the context does not wait


def _ancestors(op):
    found, left = set(), [op]
    while left:
        current = left.pop()
        if current not in found:
            found.add(current)
            left += [*(array.op for array in current.inputs), *current.control_inputs]
    return found


def _answering(query, key, value, mask, full):
    """Attention in a graph that answers, and the types that its scores have."""

    @tf.function(autograph=False)
    def run(query, key, value, mask):
        if full:
            return dense_attention(query, key, value, mask)
        return block_sparse_attention(query, key, value, mask, pattern=TINY, layer=LAYER)

    with without_gradients():
        graph = run.get_concrete_function(query, key, value, mask)
    definition = graph.graph.as_graph_def()
    nodes = [*definition.node, *(node for function in definition.library.function for node in function.node_def)]
    types = {tf.dtypes.as_dtype(node.attr["T"].type).name for node in nodes if node.op == "Softmax"}
    return tf.cast(graph(query, key, value, mask), tf.float32).numpy(), types


@pytest.mark.parametrize("full", [True, False], ids=["full", "sparse"])
@pytest.mark.parametrize("scale", [1.0, 8.0])
def test_in_bfloat16_one_dnn_takes_scores_as_they_are_and_gives_the_same_bits(full, scale, monkeypatch):
    query, key, value, _, mask = _inputs(250, TINY.num_heads, scale=scale)
    half = [tf.cast(x, tf.bfloat16) for x in (query, key, value)]
    is_used = one_dnn_is_used()
    monkeypatch.setattr(one_dnn, "one_dnn_is_used", lambda: True)
    found, types = _answering(*half, mask, full)
    assert types == {"bfloat16"}
    assert _answering(query, key, value, mask, full)[1] == {"float32"}
    others = [x[..., :8] for x in half]  # of size 8, whose root is no power of two: bfloat16 would round the scale
    assert _answering(*others, mask, full)[1] == {"float32"}
    monkeypatch.setattr(one_dnn, "one_dnn_is_used", lambda: False)
    expected, types = _answering(*half, mask, full)
    assert types == {"float32"}
    if is_used:
        np.testing.assert_array_equal(found, expected)
    else:  # softmax of another library, which sums in bfloat16
        np.testing.assert_allclose(found, expected, rtol=0, atol=0.03 * scale)
