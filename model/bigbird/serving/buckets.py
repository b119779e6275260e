"""Each example padded to its own bucket inside the graph.

A sequence's result depends on its padded length (BigBird's last block is global), so rows of a batch are grouped by
the smallest bucket that holds them, run group by group and put back in order: a result never depends on its companions.

Shapes: N rows of the request, R rows of one step, L a bucket's length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

# Most tokens that one call of the model takes; more rows wait for the next call, so memory stays bounded.
TOKENS_PER_STEP = 16_384

Tensors = dict[str, tf.Tensor]


def check_fits(length: int, buckets: Sequence[int]) -> None:
    """Refuses rows for which there is no bucket: `run_by_bucket` would leave them without an answer, unsaid.

    Raises:
        ValueError: texts are cut to more tokens than the longest bucket has.
    """
    if length > buckets[-1]:
        raise ValueError(f"texts are cut to {length} tokens; expected at most {buckets[-1]}, the longest bucket")


def traced_once(step: Callable[[Tensors], Tensors]) -> Callable[[Tensors], Tensors]:
    """A function that is in the graph once for each length, however many signatures call it.

    Args:
        step: dense features [R, L], L static -> outputs, a row each.

    Returns:
        The same as a plain function: TensorFlow would also save a `tf.function` that a module holds, beside the signatures.
    """
    traced = tf.function(step, autograph=False)

    def run(features: Tensors) -> Tensors:
        return dict(traced(dict(sorted(features.items()))))

    return run


def run_by_bucket(
    rows: dict[str, tf.RaggedTensor],
    buckets: Sequence[int],
    step: Callable[[Tensors], Tensors],
    empty: Tensors,
    tokens_per_step: int = TOKENS_PER_STEP,
) -> Tensors:
    """Runs `step` on every row, padded with zeros to the smallest bucket that holds it.

    Args:
        rows: features int32[N, (tokens)], all of the same row lengths, none above the longest bucket.
        buckets: padded lengths in tokens, ascending.
        step: dense features [R, L], L static -> outputs, a row each.
        empty: the outputs' names, dtypes and shapes [N, ...] and their values before any step.
        tokens_per_step: most tokens, padding included, that `step` gets at once (one row at least).

    Returns:
        `empty` with every row replaced by `step`'s.
    """
    lengths = next(iter(rows.values())).row_lengths()  # int64[N]
    results = empty
    for shorter, length in zip([-1, *buckets], buckets, strict=False):
        members = tf.where((lengths > shorter) & (lengths <= length))[:, 0]  # int64[members]
        results = _run_bucket(rows, members, length, step, results, max(1, tokens_per_step // length))
    return results


def _run_bucket(
    rows: dict[str, tf.RaggedTensor],
    members: tf.Tensor,
    length: int,
    step: Callable[[Tensors], Tensors],
    results: Tensors,
    rows_per_step: int,
) -> Tensors:
    """One bucket's rows, `rows_per_step` at a time; a bucket without rows runs nothing."""

    def body(done: tf.Tensor, results: Tensors) -> tuple[tf.Tensor, Tensors]:
        chosen = members[done : done + rows_per_step]  # (R,)
        batch = {name: tf.gather(row, chosen).to_tensor(shape=[None, length]) for name, row in rows.items()}
        outputs = step(batch)
        updated = {
            name: tf.tensor_scatter_nd_update(results[name], chosen[:, tf.newaxis], outputs[name]) for name in results
        }
        return done + rows_per_step, updated

    _, results = tf.while_loop(
        lambda done, _: done < tf.size(members), body, (tf.constant(0), results), parallel_iterations=1
    )
    return results


def ragged_rows(features: Tensors, longest: int) -> dict[str, tf.RaggedTensor]:
    """Padded features to rows without their padding.

    Args:
        features: int32[N, L] each, input_mask among them: ones, then zeros.
        longest: the longest bucket, tokens.

    Returns:
        ragged int32[N, (tokens)] each.

    Raises:
        tf.errors.InvalidArgumentError: when run, on a mask with gaps, features of different shapes or a row above `longest`.
    """
    mask = features["input_mask"]
    lengths = tf.reduce_sum(mask, axis=1)  # (N,)
    checks = [
        tf.debugging.assert_equal(mask, tf.sequence_mask(lengths, tf.shape(mask)[1], tf.int32), "input_mask has gaps"),
        tf.debugging.assert_less_equal(lengths, longest, f"a row has more than {longest} tokens"),
    ]
    checks += [
        tf.debugging.assert_equal(tf.shape(value), tf.shape(mask), f"{name} and input_mask differ in shape")
        for name, value in features.items()
    ]
    with tf.control_dependencies(checks):
        return {name: tf.RaggedTensor.from_tensor(value, tf.identity(lengths)) for name, value in features.items()}
