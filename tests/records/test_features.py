import numpy as np
import pytest

from bigbird.records import features
from bigbird.support.errors import InputError
from bigbird.tasks.registry import families

RECORD = {
    "input_ids": [2, 300, 7, 3],
    "offset_starts": np.array([-1, 0, 4, -1]),
    "label_ids": [2.5],
    "example_id": "frage-ß".encode(),
    "empty": [],
}


def test_decode_gives_back_what_was_encoded():
    decoded = features.decode(features.encode(RECORD))
    np.testing.assert_array_equal(decoded["input_ids"], [2, 300, 7, 3])
    np.testing.assert_array_equal(decoded["offset_starts"], [-1, 0, 4, -1])
    assert decoded["label_ids"].dtype == np.float32
    assert decoded["label_ids"].tolist() == [2.5]
    assert decoded["example_id"] == "frage-ß".encode()
    assert len(decoded["empty"]) == 0


@pytest.mark.parametrize("seed", range(8))
def test_several_records_at_once_have_the_bytes_of_each(seed):
    rng, count = np.random.default_rng(seed), 50
    columns, records = {}, [{} for _ in range(count)]
    for name, most, values in (
        ("input_ids", 300, lambda size: rng.integers(0, 60_000, size)),
        ("record_id", 2, lambda size: rng.integers(0, 2**63 - 1, size)),
        ("below_zero", 4, lambda size: rng.integers(-(2**63), 300, size)),
        ("around", 9, lambda size: 2 ** rng.integers(0, 62, size) - rng.integers(0, 2, size)),
        ("floats", 3, lambda size: rng.normal(size=size).astype(np.float32)),
        ("nothing", 1, lambda size: rng.integers(0, 2, size)),
    ):
        sizes = rng.integers(0, most, count)
        columns[name] = features.Column(values(sizes.sum()), sizes)
        for record, part in zip(records, np.split(columns[name].values, np.cumsum(sizes)[:-1]), strict=True):
            record[name] = part
    assert list(features.encode_all(columns)) == [features.encode(record) for record in records]


def test_the_order_of_features_does_not_change_the_bytes():
    assert features.encode(RECORD) == features.encode(dict(reversed(RECORD.items())))


def test_tensorflow_reads_the_records(tmp_path):
    import tensorflow as tf

    file = tmp_path / "a.tfrecord"
    file.write_bytes(features.frame(features.encode(RECORD)) * 2)
    raw = list(tf.data.TFRecordDataset(str(file)).as_numpy_iterator())
    assert len(raw) == 2
    example = tf.train.Example.FromString(raw[1])
    assert list(example.features.feature["input_ids"].int64_list.value) == [2, 300, 7, 3]
    assert list(example.features.feature["offset_starts"].int64_list.value) == [-1, 0, 4, -1]
    assert list(example.features.feature["label_ids"].float_list.value) == [2.5]


def test_records_written_by_tensorflow_are_read(tmp_path):
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecord")) as writer:
        writer.write(b"one")
        writer.write(b"")
    assert list(features.read_records(tmp_path / "a.tfrecord")) == [b"one", b""]


@pytest.mark.parametrize("size", [1, 11, 13, 21, 27])
def test_a_file_cut_short_is_refused_with_the_record_and_byte(tmp_path, size):
    file = tmp_path / "a.tfrecord"
    file.write_bytes(features.frame(b"twelve bytes") + features.frame(b"more of them")[:size])
    with pytest.raises(InputError, match=r"a\.tfrecord: record 1 at byte 28 is damaged or cut short"):
        list(features.read_records(file))


def test_a_damaged_record_is_refused(tmp_path):
    data = bytearray(features.frame(b"twelve bytes"))
    data[14] ^= 1
    (tmp_path / "a.tfrecord").write_bytes(data)
    with pytest.raises(InputError, match="record 0 at byte 0"):
        list(features.read_records(tmp_path / "a.tfrecord"))


@pytest.mark.parametrize("family", families(), ids=lambda family: family.name)
def test_feature_names_of_a_table_differ(family):
    table = family.record_features(family.config())
    assert len({feature.name for feature in table}) == len(table)
