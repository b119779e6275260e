"""TFRecords to batches of static shape, each padded to the smallest bucket length that holds its examples.

Shapes: B global batch, b rows of one replica, L a bucket's length in tokens, P replicas.

    files ─ records ─ shuffled ─ grouped by bucket ─ skipped to where training stood ─ one replica's rows ─ parsed

Records stay serialised until their batch is known, so skipping costs little and parsing is done a batch at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from bigbird.config import DataConfig, Task, replace
from bigbird.data.record_checks import check_records
from bigbird.manifests import DatasetManifest
from bigbird.support.artifacts import MANIFESTS
from bigbird.support.errors import DamagedError, InputError
from bigbird.support.paths import plain_path
from bigbird.support.safe_paths import inside
from bigbird.tasks.registry import family_of

AUTOTUNE = tf.data.AUTOTUNE
CHUNK = 256  # records whose lengths are found together: twenty times as fast as one by one
# Model inputs whose feature has another name in the records.
INPUT_NAMES = {"input_ids": "input_word_ids", "segment_ids": "input_type_ids"}

# No function here branches on a tensor, and to look for that takes TensorFlow a second at the start of every training.
_as_written = tf.autograph.experimental.do_not_convert


@dataclass(frozen=True)
class Rows:
    """Which rows of every global batch a worker reads: those of replicas `first` to `last - 1` out of `replicas`."""

    first: int = 0
    last: int = 1
    replicas: int = 1


# ---------------------------------------------------------------------------------------------------- files


def find_files(input_path: str | Sequence[str]) -> list[str]:
    """TFRecord files of one or more paths or patterns (comma-separated, or a list), sorted within each.

    A path that is there is taken as it is, also where it holds characters of a pattern or a comma.

    Raises:
        InputError: a path matches no file.
    """
    if isinstance(input_path, str):
        paths = [input_path] if _is_file(input_path) else input_path.split(",")
    else:
        paths = list(input_path)
    files: list[str] = []
    for path in (path if _is_file(path) else path.strip() for path in paths):
        found = [path] if _is_file(path) else _matches(path)
        if not found:
            raise InputError(
                f"input_path {path!r}: matches no file; expected TFRecord files, patterns or a dataset folder"
            )
        files += found
    return files


def _is_file(path: str) -> bool:
    return bool(path) and tf.io.gfile.exists(path) and not tf.io.gfile.isdir(path)


def _matches(pattern: str) -> list[str]:
    """The files of a pattern; folders in it that are there are taken as they are."""
    if not pattern:
        return []
    folder = "" if "://" in pattern else pattern.rpartition("/")[0]
    while folder and not Path(folder).is_dir():
        folder = folder.rpartition("/")[0]
    with plain_path(folder) as plain:
        found = [folder + file.removeprefix(plain) for file in tf.io.gfile.glob(plain + pattern.removeprefix(folder))]
    return sorted(file for file in found if not tf.io.gfile.isdir(file))


def split_files(folder: str | Path, manifest: DatasetManifest, split: str) -> list[str]:
    """The files of a split of a dataset/ folder.

    Raises:
        InputError: the dataset has no such split, or a file of it is gone, damaged or was changed.
    """
    splits = manifest.splits
    if split not in splits:
        raise InputError(f"{folder}: has no split {split!r}; it has {', '.join(splits)}")
    names = splits[split].files
    where = f"{Path(folder) / MANIFESTS['dataset']}: split {split!r}"
    files = [str(inside(folder, name, where)) for name in names]
    for file in files:
        if not Path(file).exists():
            raise InputError(f"{file}: no such file, though the dataset's manifest names it for split {split!r}")
    manifest.check_files(folder, names)
    if manifest.checksums is None:  # of an earlier version: a file cut between two records shows by their number
        found = sum(count_frames(file) for file in files)
        if found != splits[split].records:
            raise DamagedError(
                f"{folder}: split {split!r} has {found:,} records; its manifest says {splits[split].records:,}. A file is cut "
                "short or was replaced; write the dataset again"
            )
    return files


def count_frames(file: str | Path) -> int:
    """Records of a TFRecord file by the lengths that stand in it; what they hold is not read.

    Raises:
        DamagedError: the file ends inside a record.
    """
    size, at, count = Path(file).stat().st_size, 0, 0
    with Path(file).open("rb") as stream:
        while at < size:
            stream.seek(at)
            header = stream.read(8)
            at += int.from_bytes(header, "little") + 16
            count += 1
            if len(header) < 8 or at > size:
                raise DamagedError(f"{file}: ends inside record {count - 1}; expected a whole TFRecord file")
    return count


def checksum(files: Sequence[str]) -> str:
    """SHA-256 over names and contents, in order."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{Path(file).name}\0{tf.io.gfile.stat(file).length}\0".encode())
        with tf.io.gfile.GFile(file, "rb") as stream:
            while chunk := stream.read(1 << 22):
                digest.update(chunk)
    return digest.hexdigest()


def check_not_empty(files: Sequence[str]) -> None:
    """Refuses files without any record: nothing is learnt from them, and an endless stream looks for one for ever.

    Raises:
        InputError: each of them is empty.
    """
    if all(_is_file(file) and not tf.io.gfile.stat(file).length for file in files):
        shown = ", ".join(files[:3]) + (f" and {len(files) - 3} more files" if len(files) > 3 else "")
        raise InputError(f"{shown or 'no file'}: no record; expected one at least. Preprocess input that has examples")


def count_records(files: Sequence[str]) -> int:
    """Records in TFRecord files; reads them all."""
    return int(tf.data.TFRecordDataset(list(files)).reduce(np.int64(0), lambda count, _: count + 1))


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


# --------------------------------------------------------------------------------------- grouping and parsing


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
    parsed = tf.io.parse_example(records, {name: _ints() for name in ("input_ids", "input_mask")})
    return _token_counts(parsed)


def _token_counts(parsed: dict[str, tf.RaggedTensor]) -> tf.Tensor:
    ids, mask = parsed["input_ids"], parsed["input_mask"]
    return tf.where(mask.row_lengths() > 0, tf.reduce_sum(mask, axis=1), ids.row_lengths())


def _ints() -> tf.io.RaggedFeature:
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
    spec: dict[str, Any] = {name: _ints() for name in (*sequences, "input_mask")}
    spec[identity] = tf.io.FixedLenFeature([], tf.int64)
    spec.update(
        {
            feature.name: _ints() if feature.many or feature.sequence else tf.io.FixedLenFeature([], feature.dtype)
            for feature in targets
        }
    )
    of_tokens = [*sequences, *(feature.name for feature in targets if feature.sequence)]
    classes = getattr(task.model, "num_classes", 0)  # type: ignore[attr-defined]
    mask = family.masker(data)

    def parse(records: tf.Tensor, length: tf.Tensor, seeds: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        parsed = tf.io.parse_example(records, spec)
        ids, tokens = parsed["input_ids"], _token_counts(parsed)
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
