"""TFRecords to batches of static shape, each padded to the smallest bucket length that holds its examples.

Shapes: B global batch, b rows of one replica, L a bucket's length in tokens, P replicas.

    files ─ records ─ shuffled ─ grouped by bucket ─ skipped to where training stood ─ one replica's rows ─ parsed

Records stay serialised until their batch is known, so skipping costs little and parsing is done a batch at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from bigbird.config import DataConfig, Task, replace
from bigbird.data.parsing import batch_parser, ragged_ints, token_counts
from bigbird.data.record_checks import check_records
from bigbird.data.record_files import check_not_empty
from bigbird.support.errors import InputError

AUTOTUNE = tf.data.AUTOTUNE
CHUNK = 256  # records whose lengths are found together: twenty times as fast as one by one

# No function here branches on a tensor, and to look for that takes TensorFlow a second at the start of every training.
_as_written = tf.autograph.experimental.do_not_convert


@dataclass(frozen=True)
class Rows:
    """Which rows of every global batch a worker reads: those of replicas `first` to `last - 1` out of `replicas`."""

    first: int = 0
    last: int = 1
    replicas: int = 1


@_as_written
def count_batches(files: Sequence[str], task: Task) -> float:
    """Training batches that one pass over the records fills, buckets of its `train_data` that end half full included."""
    data, buckets = task.train_data, len(task.buckets)
    records = tf.data.TFRecordDataset(list(files)).take(data.max_records or -1).batch(CHUNK)
    places = records.map(lambda chunk: tf.math.bincount(tf.cast(_places(chunk, task), tf.int32), minlength=buckets))
    counts = places.reduce(np.zeros(buckets, np.int32), lambda total, found: total + found).numpy()
    return float(sum(n / data.batch_size_at(length) for n, length in zip(counts, task.buckets, strict=True)))


# -------------------------------------------------------------------------------------------------- training


@_as_written
def training_dataset(
    files: Sequence[str],
    task: Task,
    *,
    seed: int,
    skip: int = 0,
    without: Sequence[int] = (),
    rows: Rows = Rows(),
) -> tf.data.Dataset:
    """The endless stream of training batches.

    Epochs follow each other without a seam: the order of files and records is a function of (seed, epoch) alone, and
    a bucket's left-over records start its next batch, so nothing is dropped and every batch is full. The whole
    stream is a function of (files, configuration, seed).

    Args:
        files: TFRecord files.
        task: its `train_data` and buckets.
        seed: of the order.
        skip: batches already consumed.
        without: indices of batches, counted from the very first, that are left out.
        rows: one replica's share after the other; `Rows()` is whole batches.

    Returns:
        Batches as in `batch_parser`, b = B / replicas rows each, B that of their length (`DataConfig.batch_size_at`);
        cardinality infinite.
    """
    data = task.train_data
    sizes = [data.batch_size_at(length) for length in task.buckets]
    if data.global_batch_size % rows.replicas:
        raise InputError(
            f"task.train_data.global_batch_size {data.global_batch_size} is not a multiple of the {rows.replicas} replicas"
        )
    check_not_empty(files)
    epochs = tf.data.Dataset.counter(0, 1).flat_map(lambda epoch: _epoch(files, data, seed, epoch))
    numbered = _group(epochs, task, sizes, drop_remainder=True).skip(skip).enumerate(start=skip)
    if without:
        left_out = tf.constant(list(without), tf.int64)
        numbered = numbered.filter(lambda index, _: tf.reduce_all(index != left_out))
    batches = numbered.map(lambda index, batch: {**batch, "seeds": _seeds(seed, index, batch["records"], max(sizes))})
    if rows != Rows():
        batches = batches.flat_map(lambda batch: _replica_rows(batch, rows))
    parse = batch_parser(task, data, labels=True)
    parsed = batches.map(
        lambda batch: parse(batch["records"], batch["length"], batch["seeds"]), AUTOTUNE, deterministic=True
    )
    if min(sizes) == max(sizes):
        parsed = parsed.map(lambda batch: _fix_rows(batch, sizes[0] // rows.replicas))
    endless = parsed.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
    return endless.with_options(_options()).prefetch(AUTOTUNE)


def _epoch(files: Sequence[str], data: DataConfig, seed: int, epoch: tf.Tensor) -> tf.data.Dataset:
    """One pass over the records, in this epoch's order."""
    names = tf.constant(list(files))
    key = tf.stack([tf.constant(seed, tf.int64), epoch])
    shuffled = data.shuffle_buffer_size > 0
    if shuffled and not data.max_records:  # the first max_records are the same in every epoch
        names = tf.gather(names, tf.random.experimental.stateless_shuffle(tf.range(len(files)), key))
    records = tf.data.Dataset.from_tensor_slices(names).interleave(
        tf.data.TFRecordDataset,
        cycle_length=data.cycle_length or min(len(files), 16),
        num_parallel_calls=AUTOTUNE,
        deterministic=True,
    )
    if data.max_records:
        records = records.take(data.max_records)
    return _shuffle(records, data.shuffle_buffer_size, key) if shuffled else records


def _shuffle(records: tf.data.Dataset, buffer_size: int, key: tf.Tensor) -> tf.data.Dataset:
    """Shuffles by `key` alone; `Dataset.shuffle` would mix in TensorFlow's global seed."""
    variant = tf.raw_ops.ShuffleDataset(
        input_dataset=tf.data.experimental.to_variant(records),
        buffer_size=tf.constant(buffer_size, tf.int64),
        seed=key[0] + 1,  # a pair of zeros would mean a random seed
        seed2=key[1] + 1,
        output_types=[tf.string],
        output_shapes=[[]],
        reshuffle_each_iteration=False,
    )
    return tf.data.experimental.from_variant(variant, records.element_spec)


def _seeds(seed: int, number: tf.Tensor, records: tf.Tensor, most: int) -> tf.Tensor:
    """A pair of seeds for each row of a numbered batch, int64[B, 2]: the same however rows are spread over replicas.

    `most` is the largest B of the stream.
    """
    places = number * most + tf.range(tf.size(records, tf.int64))
    return tf.stack([tf.fill(tf.shape(records), tf.constant(seed, tf.int64)), places], axis=1)


def _replica_rows(batch: dict[str, tf.Tensor], rows: Rows) -> tf.data.Dataset:
    """The shares of this worker's replicas, one after the other."""
    shares = tf.reshape(batch["records"], (rows.replicas, -1))[rows.first : rows.last]  # (P, b)
    seeds = tf.reshape(batch["seeds"], (rows.replicas, -1, 2))[rows.first : rows.last]  # (P, b, 2)
    lengths = tf.fill((rows.last - rows.first,), batch["length"])
    return tf.data.Dataset.from_tensor_slices({"records": shares, "seeds": seeds, "length": lengths})


def _fix_rows(batch: dict[str, tf.Tensor], rows: int) -> dict[str, tf.Tensor]:
    for value in batch.values():
        value.set_shape([rows, *value.shape[1:]])
    return batch


# ------------------------------------------------------------------------------------------------ evaluation


@_as_written
def evaluation_dataset(
    files: Sequence[str], task: Task, *, labels: bool = True, batch_size: int | None = None, max_records: int = 0
) -> tf.data.Dataset:
    """One pass over a split; every batch is full, the last of each bucket with rows of weight 0.

    The order is that of the files, record by record within a bucket, so they are read one after the other.

    Args:
        files: TFRecord files, read in order.
        task: its `validation_data` and buckets.
        labels: whether the records have targets (a test split has none).
        batch_size: B, or where `validation_data.tokens_per_batch` is set, what B is a multiple of; default
            `validation_data.global_batch_size`.
        max_records: reads only this many; 0 is all.

    Returns:
        Batches as in `batch_parser` with B rows.
    """
    data = task.validation_data
    if batch_size:
        data = replace(data, global_batch_size=batch_size)
    sizes = [data.batch_size_at(length) for length in task.buckets]
    records = tf.data.TFRecordDataset(list(files))
    if max_records or data.max_records:
        records = records.take(min(filter(None, (max_records, data.max_records))))
    parse = batch_parser(task, data, labels=labels)

    def fill(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        found = tf.size(batch["records"])
        missing = batch["rows"] - found
        full = tf.concat([batch["records"], tf.fill([missing], batch["records"][0])], axis=0)
        weight = tf.concat([tf.ones([found]), tf.zeros([missing])], axis=0)
        filled = {**parse(full, batch["length"]), "weight": weight}
        return _fix_rows(filled, sizes[0]) if min(sizes) == max(sizes) else filled

    batches = _group(records, task, sizes, drop_remainder=False)
    return batches.map(fill, AUTOTUNE, deterministic=True).with_options(_options()).prefetch(AUTOTUNE)


# -------------------------------------------------------------------------------------------------- grouping


def _group(records: tf.data.Dataset, task: Task, sizes: Sequence[int], *, drop_remainder: bool) -> tf.data.Dataset:
    """Serialised records -> batches of one bucket each; `sizes` are the buckets' B.

    Returns:
        {"records": string[B] or, the last of a bucket, fewer; "length": int64[], the bucket's; "rows": int32[], B}.
    """
    lengths, rows = tf.constant(task.buckets, tf.int64), tf.constant(list(sizes))

    def describe(batch: tf.Tensor, bucket: tf.Tensor | int) -> dict[str, tf.Tensor]:
        return {"records": batch, "length": lengths[bucket], "rows": rows[bucket]}

    if len(sizes) == 1:  # no need to look into the records
        return records.batch(sizes[0], drop_remainder=drop_remainder).map(lambda batch: describe(batch, 0))

    def to_batch(bucket: tf.Tensor, window: tf.data.Dataset) -> tf.data.Dataset:
        batches = window.batch(tf.cast(rows[bucket], tf.int64), drop_remainder=drop_remainder)
        return batches.map(lambda batch, _: describe(batch, bucket))

    chunks = records.batch(CHUNK)
    located = chunks.map(lambda chunk: (chunk, _places(chunk, task)), AUTOTUNE, deterministic=True).unbatch()
    return located.group_by_window(
        lambda _, bucket: bucket, to_batch, window_size_func=lambda bucket: tf.cast(rows[bucket], tf.int64)
    )


def _places(records: tf.Tensor, task: Task) -> tf.Tensor:
    """Which of the task's buckets each record goes into, string[n] -> int64[n]."""
    found = tf.searchsorted(tf.constant(task.buckets, tf.int64), _lengths(records), out_type=tf.int64)
    return tf.minimum(found, len(task.buckets) - 1)


def _lengths(records: tf.Tensor) -> tf.Tensor:
    """Tokens of serialised records, string[n] -> int64[n]: the mask's sum where there is one (padded records)."""
    parsed = tf.io.parse_example(records, {name: ragged_ints() for name in ("input_ids", "input_mask")})
    return token_counts(parsed)


def _options() -> tf.data.Options:
    options = tf.data.Options()
    options.deterministic = True
    # AUTOTUNE then is a thread for each core from the start. The thread that tunes gains nothing here, and an iterator that is
    # deleted may fail to wake it (TensorFlow 2.21): training then ended up to a minute late, doing nothing.
    options.autotune.enabled = False
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return options


@contextmanager
def explain_bad_records(files: Sequence[str], task: Task, data: DataConfig, *, labels: bool = True) -> Iterator[None]:
    """Turns TensorFlow's complaint about a record, raised inside the block, into one that names file and record."""
    try:
        yield
    except (tf.errors.InvalidArgumentError, tf.errors.DataLossError, tf.errors.NotFoundError):
        check_records(files, task, data, labels=labels)
        raise
