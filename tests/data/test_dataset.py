"""Batches: their order, their buckets, and what happens to records that cannot be used."""

from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from bigbird.config import load_experiment, replace
from bigbird.data.dataset import Rows, count_batches, evaluation_dataset, explain_bad_records, training_dataset
from bigbird.records import features
from bigbird.support.errors import InputError
from tests.data.small_records import LENGTHS, small_record, write_records

BATCH = 4


def _task(kind="bigbird/glue", buckets=(8, 16, 32), **train):
    data = {"seq_length": 32, "global_batch_size": BATCH, "shuffle_buffer_size": 6, **train}
    encoder = {"hidden_size": 8, "num_attention_heads": 2, "vocab_size": 100, "max_position_embeddings": 32}
    model = {"encoder": {"bigbird": encoder}} | ({"num_classes": 2} if kind == "bigbird/glue" else {})
    task = {"model": model, "train_data": data, "validation_data": data, "bucket_lengths": list(buckets)}
    return load_experiment(kind, overrides=[{"task": task}]).task


def _flat(batches):
    return list(chain.from_iterable(batches))


def _ids(dataset, batches):
    return [batch["record_id"].numpy().tolist() for batch in dataset.take(batches)]


def test_every_training_batch_is_full_and_padded_to_the_smallest_bucket_that_holds_its_records(files):
    seen = set()
    for batch in training_dataset(files, _task(), seed=1).take(20):
        length = batch["input_word_ids"].shape[1]
        assert batch["input_word_ids"].shape == (BATCH, length)
        expected = [8 if LENGTHS[i] <= 8 else 16 if LENGTHS[i] <= 16 else 32 for i in batch["record_id"].numpy()]
        assert expected == [length] * BATCH
        seen.add(length)
    assert seen == {8, 16, 32}


def test_a_batch_holds_the_records_padded_with_zeros(files):
    batch = next(iter(evaluation_dataset(files, _task(buckets=(32,)))))
    assert {name: (value.dtype.name, value.shape) for name, value in batch.items()} == {
        "input_word_ids": ("int32", (4, 32)),
        "input_type_ids": ("int32", (4, 32)),
        "input_mask": ("int32", (4, 32)),
        "label_ids": ("int32", (4,)),
        "record_id": ("int64", (4,)),
        "weight": ("float32", (4,)),
    }
    assert batch["input_word_ids"][0].numpy().tolist() == [1, 2, 3] + [0] * 29
    assert batch["input_type_ids"][0].numpy().tolist() == [0, 1, 0] + [0] * 29
    assert batch["input_mask"].numpy().sum(axis=1).tolist() == LENGTHS[:4]
    assert batch["label_ids"].numpy().tolist() == [0, 1, 0, 1]


def test_every_epoch_holds_every_record_once_in_another_order(files):
    per_epoch = len(LENGTHS) // BATCH
    batches = _ids(training_dataset(files, _task(buckets=(32,)), seed=1), 3 * per_epoch)
    epochs = [_flat(batches[i * per_epoch : (i + 1) * per_epoch]) for i in range(3)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(20))] * 3
    assert epochs[0] != epochs[1] != epochs[2]


def test_left_over_records_of_a_bucket_are_used_in_the_next_epoch(files):
    batches = 3 * len(LENGTHS)  # twelve epochs' worth
    counts = np.bincount(_flat(_ids(training_dataset(files, _task(), seed=1), batches)), minlength=20)
    assert counts.sum() == batches * BATCH
    assert counts.min() >= 11 and counts.max() <= 13


def test_the_stream_depends_on_its_seed_and_not_on_tensorflows(files):
    tf.random.set_seed(1)
    first = _ids(training_dataset(files, _task(), seed=7), 12)
    tf.random.set_seed(2)
    assert _ids(training_dataset(files, _task(), seed=7), 12) == first
    assert _ids(training_dataset(files, _task(), seed=8), 12) != first


def test_without_a_shuffle_buffer_the_files_order_is_kept(files):
    stream = training_dataset(files[:1], _task(buckets=(32,), shuffle_buffer_size=0), seed=1)
    assert _flat(_ids(stream, 3)) == list(range(12))


@pytest.mark.slow
@pytest.mark.parametrize("buckets", [(32,), (8, 16, 32)])
@pytest.mark.parametrize("skip", [0, 3, 17])
def test_skipping_batches_gives_the_rest_of_the_same_stream(files, buckets, skip):
    task = _task(buckets=buckets)
    whole = _ids(training_dataset(files, task, seed=3), 25)
    assert _ids(training_dataset(files, task, seed=3, skip=skip), 25 - skip) == whole[skip:]


def test_batches_can_be_left_out_by_number(files):
    whole = _ids(training_dataset(files, _task(), seed=3), 10)
    assert _ids(training_dataset(files, _task(), seed=3, without=[4, 6]), 8) == whole[:4] + whole[5:6] + whole[7:]
    assert _ids(training_dataset(files, _task(), seed=3, skip=5, without=[4, 6]), 4) == whole[5:6] + whole[7:]


def test_the_rows_of_all_replicas_make_up_the_global_batch(files):
    task = _task()
    whole = _ids(training_dataset(files, task, seed=3), 6)
    workers = [_ids(training_dataset(files, task, seed=3, rows=Rows(first, first + 2, 4)), 12) for first in (0, 2)]
    together = [workers[0][2 * i] + workers[0][2 * i + 1] + workers[1][2 * i] + workers[1][2 * i + 1] for i in range(6)]
    assert together == whole


def test_a_batch_that_replicas_cannot_share_evenly_is_refused(files):
    with pytest.raises(InputError, match="global_batch_size 4 is not a multiple of the 3 replicas"):
        training_dataset(files, _task(), seed=3, rows=Rows(0, 1, 3))


def test_files_without_a_record_are_refused_where_a_stream_would_look_for_one_for_ever(files, tmp_path):
    empty = [write_records(tmp_path / name, []) for name in ("a.tfrecord", "b.tfrecord")]
    with pytest.raises(InputError, match=r"a\.tfrecord, .*b\.tfrecord: no record; expected one at least"):
        training_dataset(empty, _task(), seed=1)
    assert _ids(training_dataset([empty[0], files[0]], _task(buckets=(32,)), seed=1), 1)


def test_max_records_are_the_files_first_in_every_epoch(files):
    stream = training_dataset(files[:1], _task(buckets=(32,), max_records=8), seed=1)
    assert [sorted(_flat(_ids(stream.skip(2 * epoch), 2))) for epoch in range(3)] == [list(range(8))] * 3


BUDGET = {"global_batch_size": 2, "tokens_per_batch": 67}  # 8 examples of 8 tokens, 4 of 16, 2 of 32


def test_with_a_token_budget_shorter_buckets_take_more_examples(files):
    whole = list(training_dataset(files, _task(**BUDGET), seed=1).take(40))
    assert {batch["input_word_ids"].shape for batch in whole} == {(8, 8), (4, 16), (2, 32)}
    assert all(LENGTHS[i] <= batch["input_word_ids"].shape[1] for batch in whole for i in batch["record_id"].numpy())
    counts = np.bincount(_flat(batch["record_id"].numpy().tolist() for batch in whole), minlength=20)
    assert counts.max() - counts.min() <= 2
    rest = _ids(training_dataset(files, _task(**BUDGET), seed=1, skip=15), 25)
    assert rest == [batch["record_id"].numpy().tolist() for batch in whole[15:]]
    halves = [_ids(training_dataset(files, _task(**BUDGET), seed=1, rows=Rows(i, i + 1, 2)), 40) for i in (0, 1)]
    assert [a + b for a, b in zip(*halves, strict=True)] == [batch["record_id"].numpy().tolist() for batch in whole]


def test_batches_of_an_epoch_are_counted_bucket_by_bucket(files):
    short, middle, long = 8, 6, 6  # of LENGTHS
    assert count_batches(files, _task(**BUDGET)) == pytest.approx(short / 8 + middle / 4 + long / 2)
    assert count_batches(files, _task()) == pytest.approx(len(LENGTHS) / BATCH)
    assert count_batches(files[:1], _task(**BUDGET, max_records=4)) == pytest.approx(2 / 8 + 2 / 4)
    assert count_batches(files, _task(buckets=(32,), **BUDGET)) == 10


def test_a_token_budget_that_cannot_hold_the_least_batch_is_refused():
    with pytest.raises(InputError, match=r"tokens_per_batch 63 is below 64 = global_batch_size 2 \* seq_length 32"):
        _task(global_batch_size=2, tokens_per_batch=63)


def test_evaluation_takes_a_token_budget_too(files):
    batches = list(evaluation_dataset(files, _task(**BUDGET)))
    assert {batch["input_word_ids"].shape for batch in batches} == {(8, 8), (4, 16), (2, 32)}
    ids = np.concatenate([batch["record_id"].numpy()[batch["weight"].numpy() == 1] for batch in batches])
    assert sorted(ids.tolist()) == list(range(20))
    rounded = evaluation_dataset(files, _task(**BUDGET), batch_size=3)  # for three replicas
    assert {batch["input_word_ids"].shape for batch in rounded} == {(6, 8), (3, 16), (3, 32)}


def test_evaluation_passes_over_every_record_once_and_fills_up_with_weight_zero(files):
    batches = list(evaluation_dataset(files, _task()))
    assert all(batch["record_id"].shape == (BATCH,) for batch in batches)
    ids = np.concatenate([batch["record_id"].numpy()[batch["weight"].numpy() == 1] for batch in batches])
    assert sorted(ids.tolist()) == list(range(20))
    assert sum(batch["weight"].numpy().sum() for batch in batches) == 20
    short = [number for number in ids.tolist() if LENGTHS[number] <= 8]
    assert short == sorted(short)  # the files' order within a bucket


def test_evaluation_can_stop_after_some_records(files):
    batches = list(evaluation_dataset(files, _task(), max_records=6))
    ids = np.concatenate([batch["record_id"].numpy()[batch["weight"].numpy() == 1] for batch in batches])
    assert sorted(ids.tolist()) == list(range(6))


def test_a_test_split_needs_no_labels(tmp_path):
    file = tmp_path / "test.tfrecord"
    record = {"input_ids": [1, 2], "segment_ids": [0, 0], "example_id": [5]}
    write_records(file, [features.encode(record)])
    batch = next(iter(evaluation_dataset([str(file)], _task(), labels=False)))
    assert "label_ids" not in batch
    assert batch["record_id"].numpy().tolist() == [5] * 4


def test_padded_records_read_as_unpadded_ones(tmp_path):
    padded = {
        "input_ids": [4, 5, 6] + [0] * 29,
        "input_mask": [1] * 3 + [0] * 29,
        "segment_ids": [0, 1, 1] + [0] * 29,
        "label_ids": [1],
        "example_id": [0],
    }
    unpadded = {"input_ids": [4, 5, 6], "segment_ids": [0, 1, 1], "label_ids": [1], "example_id": [0]}
    batches = [
        next(iter(evaluation_dataset([write_records(tmp_path / f"{i}.tfrecord", [features.encode(record)])], _task())))
        for i, record in enumerate((padded, unpadded))
    ]
    assert batches[0]["input_word_ids"].shape == (4, 8)
    for name, value in batches[1].items():
        assert np.array_equal(batches[0][name], value), name


def test_regression_labels_are_real_numbers(tmp_path):
    file = write_records(tmp_path / "a.tfrecord", [small_record(0, 3, label_ids=[2.5])])
    task = _task()
    task = replace(task, train_data={"label_type": "float"})
    assert next(iter(evaluation_dataset([file], task)))["label_ids"].numpy().tolist() == [2.5] * 4


def test_squad_records_give_positions_and_the_paragraphs_mask(tmp_path):
    record = {
        "unique_ids": [700001],
        "input_ids": [1, 2, 3, 4, 5],
        "segment_ids": [0, 0, 1, 1, 1],
        "paragraph_mask": [0, 0, 1, 1, 0],
        "start_positions": [2],
        "end_positions": [3],
        "is_impossible": [0],
        "example_id": b"question",
        "offset_starts": [-1, -1, 0, 4, -1],
    }
    file = write_records(tmp_path / "a.tfrecord", [features.encode(record)])
    batch = next(iter(evaluation_dataset([file], _task("bigbird/squad"))))
    assert sorted(batch) == [
        "end_positions", "input_mask", "input_type_ids", "input_word_ids", "paragraph_mask", "record_id",
        "start_positions", "weight",
    ]  # fmt: skip
    assert batch["paragraph_mask"][0].numpy().tolist() == [0, 0, 1, 1, 0, 0, 0, 0]
    assert (batch["start_positions"][0], batch["end_positions"][0], batch["record_id"][0]) == (2, 3, 700001)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("record", "message"),
    [
        (small_record(41, 33), r"record 1 \(id 41\): has 33 tokens; expected at most seq_length 32"),
        (small_record(41, 3, label_ids=[2]), r"record 1 \(id 41\): has label 2; expected 0 to 1"),
        (small_record(41, 3, label_ids=[-1]), r"record 1 \(id 41\): has label -1; expected 0 to 1"),
        (
            small_record(41, 3, label_ids=[0.5]),
            r"record 1 \(id 41\): found 1 of type float32 for label_ids; expected one int64",
        ),
        (
            small_record(41, 3, input_ids=[1, 100, 2]),
            r"record 1 \(id 41\): has token id 100; expected ids below vocab_size 100",
        ),
        (small_record(41, 3, segment_ids=[0]), r"record 1 \(id 41\): found {'input_ids': 3, 'segment_ids': 1} values"),
        (small_record(41, 3, example_id=[]), r"record 1: has no example_id"),
        (small_record(41, 0), r"record 1 \(id 41\): found .* 0 tokens"),
    ],
    ids=["long", "label", "negative label", "label type", "vocabulary", "lengths", "id", "empty"],
)
@pytest.mark.parametrize("buckets", [(32,), (8, 32)])
def test_a_record_that_cannot_be_used_is_named(tmp_path, buckets, record, message):
    task = _task(buckets=buckets)
    file = write_records(
        tmp_path / "bad.tfrecord", [small_record(0, 3), record, *(small_record(i, 3) for i in range(6))]
    )
    with (
        pytest.raises(InputError, match=r"bad\.tfrecord: " + message),
        explain_bad_records([file], task, task.train_data),
    ):
        list(evaluation_dataset([file], task))


def test_a_file_that_was_cut_short_is_named(tmp_path, files):
    task, file = _task(), tmp_path / "cut.tfrecord"
    file.write_bytes(Path(files[0]).read_bytes()[:-5])
    with (
        pytest.raises(InputError, match=r"cut\.tfrecord: record 11 at byte \d+ is damaged or cut short"),
        explain_bad_records([str(file)], task, task.train_data),
    ):
        list(evaluation_dataset([str(file)], task))


def test_other_errors_pass_through_the_explanation(files):
    task = _task()
    with (
        pytest.raises(tf.errors.InvalidArgumentError, match="of the model"),
        explain_bad_records(files, task, task.train_data),
    ):
        raise tf.errors.InvalidArgumentError(None, None, "of the model")


def test_a_target_of_each_token_is_padded_as_the_inputs_are(tmp_path):
    encoder = {"hidden_size": 8, "num_attention_heads": 2, "vocab_size": 100, "max_position_embeddings": 32}
    data = {"seq_length": 32, "global_batch_size": BATCH}
    tree = {
        "model": {"encoder": {"bigbird": encoder}}, "train_data": data, "validation_data": data, "bucket_lengths": [8, 32], "labels": ["A"],
    }  # fmt: skip
    task = load_experiment("bigbird/token_labels", overrides=[{"task": tree}]).task

    def tagged(number, length, tags):
        values = {"input_ids": [5] * length, "segment_ids": [0] * length, "tag_ids": tags}
        return features.encode(values | {"record_id": [number]})

    records = [tagged(number, length, [number] * length) for number, length in enumerate((3, 8, 20), 1)]
    file = write_records(tmp_path / "train-0.tfrecord", records)
    found = {}
    for batch in evaluation_dataset([file], task):
        assert batch["tag_ids"].dtype == "int32" and batch["tag_ids"].shape == batch["input_word_ids"].shape
        for number, tags, weight in zip(
            *(batch[name].numpy().tolist() for name in ("record_id", "tag_ids", "weight")), strict=True
        ):
            found |= {number: tags} if weight else {}
    assert found == {1: [1] * 3 + [0] * 5, 2: [2] * 8, 3: [3] * 20 + [0] * 12}
    bad = write_records(tmp_path / "train-1.tfrecord", [tagged(7, 4, [1, 2])])
    with (
        pytest.raises(
            InputError, match=r"record 0 \(id 7\): found 2 values for tag_ids; expected one for each of 4 tokens"
        ),
        explain_bad_records([bad], task, task.validation_data),
    ):
        list(evaluation_dataset([bad], task))
