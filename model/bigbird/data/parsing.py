"""Serialised records to a batch of arrays, with what a family's records hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from bigbird.config import DataConfig, Task
from bigbird.tasks.registry import family_of

# Model inputs whose feature has another name in the records.
INPUT_NAMES = {"input_ids": "input_word_ids", "segment_ids": "input_type_ids"}


def token_counts(parsed: dict[str, tf.RaggedTensor]) -> tf.Tensor:
    """Tokens of parsed records, int64[n]: the mask's sum where there is one (padded records)."""
    ids, mask = parsed["input_ids"], parsed["input_mask"]
    return tf.where(mask.row_lengths() > 0, tf.reduce_sum(mask, axis=1), ids.row_lengths())


def ragged_ints() -> tf.io.RaggedFeature:
    """How a feature of any number of integers is parsed."""
    return tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64)


def batch_parser(task: Task, data: DataConfig, *, labels: bool) -> Callable[..., dict[str, tf.Tensor]]:
    """The function from (string[b] serialised records, int64[] padded length L, int64[b, 2] seeds) to a batch.

    Only masking draws by the seeds; without them it draws by the records' ids, the same every time.

    A batch holds input_word_ids, input_mask (1 = token), input_type_ids and what else a family's records hold for each token, int32[b, L];
    the targets label_ids int32[b] or float32[b] or, of several labels, float32[b, classes], or start_positions and end_positions int32[b], or
    answer_starts and answer_ends int32[b, L] with 1 at every answer, or a target of each token int32[b, L], or what `Masker` gives; record_id int64[b]; weight float32[b], 1 each. Padding is 0.
    """
    family = family_of(task)
    table = family.record_features(task)
    sequences = [feature.name for feature in table if feature.sequence and feature.when == "always"]
    targets = family.target_features(task) if labels else ()
    identity = family.identity
    spec: dict[str, Any] = {name: ragged_ints() for name in (*sequences, "input_mask")}
    spec[identity] = tf.io.FixedLenFeature([], tf.int64)
    spec.update(
        {
            feature.name: ragged_ints()
            if feature.many or feature.sequence
            else tf.io.FixedLenFeature([], feature.dtype)
            for feature in targets
        }
    )
    of_tokens = [*sequences, *(feature.name for feature in targets if feature.sequence)]
    classes = getattr(task.model, "num_classes", 0)  # type: ignore[attr-defined]
    mask = family.masker(data)

    def parse(records: tf.Tensor, length: tf.Tensor, seeds: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        parsed = tf.io.parse_example(records, spec)
        ids, tokens = parsed["input_ids"], token_counts(parsed)
        checks = [
            tf.debugging.assert_positive(tokens, "record without tokens"),
            tf.debugging.assert_less_equal(tokens, tf.minimum(length, data.seq_length), "record above seq_length"),
            tf.debugging.assert_less(tf.reduce_max(ids), np.int64(task.encoder.vocab_size), "id above vocab_size"),
        ]
        checks += [
            tf.debugging.assert_equal(
                parsed[name].row_lengths(), ids.row_lengths(), f"{name} is not as long as input_ids"
            )
            for name in of_tokens
        ]
        if classes and any(target.name == "label_ids" and target.dtype == "int64" for target in targets):
            label_ids = parsed["label_ids"]
            found = label_ids.flat_values if isinstance(label_ids, tf.RaggedTensor) else label_ids
            checks.append(tf.debugging.assert_less(found, np.int64(classes), "label above num_classes"))
            checks.append(tf.debugging.assert_non_negative(found, "label below 0"))
        with tf.control_dependencies(checks):
            shape = tf.stack([tf.size(records, tf.int64), length])
            batch = {
                INPUT_NAMES.get(name, name): tf.cast(parsed[name].to_tensor(shape=shape), tf.int32)
                for name in of_tokens
            }
        batch["input_mask"] = tf.sequence_mask(tokens, length, tf.int32)
        for target in targets:
            if target.sequence:
                continue
            if target.classes:
                batch[target.name] = _indicators(parsed[target.name], target.classes)
                continue
            if target.many:  # (the length of the padded records, as their tokens are)
                batch[target.name] = _marks(parsed[target.name], tokens, length)
                continue
            batch[target.name] = tf.cast(parsed[target.name], tf.float32 if target.dtype == "float32" else tf.int32)
        if mask is not None:
            if seeds is None:
                seeds = tf.stack([tf.zeros_like(parsed[identity]), parsed[identity]], axis=1)
            batch |= mask(batch["input_word_ids"], tokens, seeds)
        return {**batch, "record_id": parsed[identity], "weight": tf.ones([tf.size(records)])}

    return parse


def _indicators(values: tf.RaggedTensor, classes: int) -> tf.Tensor:
    """1 at each record's classes; float32[b, classes]."""
    indices = tf.stack([values.value_rowids(), values.flat_values], axis=1)
    ones = tf.ones([tf.shape(indices)[0]])
    shape = tf.stack([values.nrows(), np.int64(classes)])
    return tf.ensure_shape(tf.minimum(tf.scatter_nd(indices, ones, shape), 1.0), [None, classes])


def _marks(places: tf.RaggedTensor, tokens: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """1 at each record's places, or where it has none at its last token; int32[b, L]."""
    rows = places.nrows()
    indices = tf.concat(
        [
            tf.stack([places.value_rowids(), places.flat_values], axis=1),
            tf.boolean_mask(tf.stack([tf.range(rows), tokens - 1], axis=1), places.row_lengths() == 0),
        ],
        axis=0,
    )
    ones = tf.ones([tf.shape(indices)[0]], tf.int32)
    return tf.minimum(tf.scatter_nd(indices, ones, tf.stack([rows, length])), 1)
