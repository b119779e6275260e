"""The records that stages hand to each other: their features by name, and tf.Example messages in TFRecord files.

Names are the Model Garden's. Sequences are stored unpadded. The tf.Example message is built from a descriptor made
here, so that preprocessing needs the protobuf library and not TensorFlow.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import repeat
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from bigbird.support.errors import InputError

Value = bytes | np.ndarray | Sequence[int] | Sequence[float]


@dataclass(frozen=True)
class Feature:
    """One feature of a record.

    Attributes:
        name: its key in the tf.Example.
        dtype: what it holds.
        sequence: a value per token of the record, int64[L]; of a batch int32[b, L], padding is 0.
        many: any number of values, none too. Neither of these two: one value.
        classes: of `many`, where the values are classes: how many there are; a batch holds 1 at each, float32[b, classes].
        when: in every record, in those of labelled splits, in those of evaluation splits (not training), or only in
            records written elsewhere.
    """

    name: str
    dtype: Literal["int64", "float32", "bytes"]
    sequence: bool = False
    many: bool = False
    classes: int = 0
    when: Literal["always", "labelled", "evaluation", "foreign"] = "always"


TOKENS = (
    Feature("input_ids", "int64", sequence=True),
    Feature("segment_ids", "int64", sequence=True),
    Feature("input_mask", "int64", sequence=True, when="foreign"),  # of padded records; its sum is their length
)
"""What every task's records hold."""

LABEL_IDS = {
    "int": Feature("label_ids", "int64", when="labelled"),
    "float": Feature("label_ids", "float32", when="labelled"),
}
"""A class, or a number."""


def encode(features: Mapping[str, Value]) -> bytes:
    """A serialised tf.Example; the same features give the same bytes.

    Args:
        features: by name; bytes become a bytes list of one, floats a float list, integers an int64 list.
    """
    example = _example_class()()
    feature = example.features.feature
    for name, value in features.items():
        if isinstance(value, bytes):
            feature[name].bytes_list.value.append(value)
            continue
        values = value.tolist() if isinstance(value, np.ndarray) else value
        if values and isinstance(values[0], float):
            feature[name].float_list.value.extend(values)
        else:
            feature[name].int64_list.value.extend(values)
    return example.SerializeToString(deterministic=True)


class Column(NamedTuple):
    """A feature of several records: `values` int64 or float32 of all of them, `sizes` int64[records] how many each has."""

    values: np.ndarray
    sizes: np.ndarray


def encode_all(columns: Mapping[str, Column]) -> Iterator[bytes]:
    """Serialised tf.Examples of several records, in the bytes that `encode` gives for each, in less than half of its time.

    Messages are written as https://protobuf.dev/programming-guides/encoding/ says: numbers of all records are packed at once,
    and what stands before them depends on their number of bytes alone.

    Args:
        columns: by name, of the same records.
    """
    parts = []
    for name in sorted(columns):
        packed, ends = _packed(columns[name])
        parts.append(zip(repeat(_Beginning(name, columns[name].values.dtype)), repeat(packed), ends, ends[1:]))
    for record in zip(*parts, strict=True):
        body = b"".join([beginning[end - start] + packed[start:end] for beginning, packed, start, end in record])
        yield b"".join((_LENGTH_DELIMITED[1], _varint(len(body)), body))


_LENGTH_DELIMITED = {
    field: bytes([field << 3 | 2]) for field in (1, 2, 3)
}  # a field's number, and that its length follows


@lru_cache(1 << 16)
def _varint(value: int) -> bytes:
    """A number as protobuf writes it: 7 bits in a byte, the lowest first, the top bit set in all but the last."""
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


class _Beginning(dict[int, bytes]):
    """Bytes of a feature's packed values -> what stands before them, from the entry of the record's map on."""

    def __init__(self, name: str, dtype: np.dtype[Any]):
        super().__init__()
        key = name.encode()
        self._key = b"".join((_LENGTH_DELIMITED[1], _varint(len(key)), key))
        self._list = _LENGTH_DELIMITED[2 if dtype == np.float32 else 3]

    def __missing__(self, size: int) -> bytes:
        values = b"".join((_LENGTH_DELIMITED[1], _varint(size))) if size else b""
        kind = self._list if size else _LENGTH_DELIMITED[3]  # of nothing `encode` does not know what it would be
        many = b"".join((kind, _varint(len(values) + size), values))
        feature = b"".join((self._key, _LENGTH_DELIMITED[2], _varint(len(many) + size), many))
        self[size] = b"".join((_LENGTH_DELIMITED[1], _varint(len(feature) + size), feature))
        return self[size]


def _packed(column: Column) -> tuple[bytes, list[int]]:
    """A column's values as protobuf packs them, and the byte where each record's begin, and the end."""
    ends = np.concatenate([[0], np.cumsum(column.sizes)])
    if column.values.dtype == np.float32:
        return column.values.astype("<f4").tobytes(), (4 * ends).tolist()
    left = column.values.astype(np.int64).view(np.uint64)
    widths = np.ones(len(left), np.int64)
    for bits in range(7, 64, 7):
        longer = left >> np.uint64(bits) > 0
        if not longer.any():
            break
        widths += longer
    starts = np.concatenate([[0], np.cumsum(widths)])
    packed = np.empty(starts[-1], np.uint8)
    for number in range(int(widths.max(initial=0))):
        has = widths > number
        value = (left[has] >> np.uint64(7 * number)).astype(np.uint8) & 127
        packed[starts[:-1][has] + number] = value | ((widths[has] > number + 1) << 7).astype(np.uint8)
    return packed.tobytes(), starts[ends].tolist()


def decode(record: bytes) -> dict[str, np.ndarray | bytes]:
    """What `encode` was given: int64[values] or float32[values] arrays, and bytes."""
    features: dict[str, np.ndarray | bytes] = {}
    for name, feature in _example_class().FromString(record).features.feature.items():
        kind = feature.WhichOneof("kind")
        if kind == "bytes_list":
            features[name] = feature.bytes_list.value[0]
        else:
            dtype = np.float32 if kind == "float_list" else np.int64
            features[name] = np.array(getattr(feature, kind).value if kind else (), dtype)
    return features


def frame(record: bytes) -> bytes:
    """A record as TFRecord files hold it: length, checksum of the length, data, checksum of the data."""
    return b"".join((_framed_length(len(record)), record, _masked_crc32c(record)))


@lru_cache(1 << 12)
def _framed_length(size: int) -> bytes:
    length = struct.pack("<Q", size)
    return length + _masked_crc32c(length)


def read_records(path: str | Path) -> Iterator[bytes]:
    """The records of one TFRecord file.

    Raises:
        InputError: the file is missing, cut short or damaged; names the record's number and byte.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a TFRecord file") from None
    at, number = 0, 0
    while at < len(data):
        header = data[at : at + 12]
        size = struct.unpack("<Q", header[:8])[0] if len(header) == 12 else 0
        record = data[at + 12 : at + 12 + size]
        checksum = data[at + 12 + size : at + 16 + size]
        if _masked_crc32c(header[:8]) != header[8:] or _masked_crc32c(record) != checksum:
            raise InputError(
                f"{path}: record {number} at byte {at} is damaged or cut short; expected a whole TFRecord file"
            )
        yield record
        at, number = at + 16 + size, number + 1


def _masked_crc32c(data: bytes) -> bytes:
    import google_crc32c

    crc = google_crc32c.value(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


@cache
def _example_class() -> Any:
    """tensorflow.Example, from tensorflow/core/example/{example,feature}.proto, in a pool of its own."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="bigbird/example.proto", package="tensorflow", syntax="proto3")
    for name, kind in (
        ("BytesList", field.TYPE_BYTES),
        ("FloatList", field.TYPE_FLOAT),
        ("Int64List", field.TYPE_INT64),
    ):
        values = file.message_type.add(name=name)
        values.field.add(name="value", number=1, type=kind, label=field.LABEL_REPEATED)
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, (name, kind_name) in enumerate(
        (("bytes_list", "BytesList"), ("float_list", "FloatList"), ("int64_list", "Int64List")), start=1
    ):
        feature.field.add(
            name=name,
            number=number,
            type=field.TYPE_MESSAGE,
            type_name=f".tensorflow.{kind_name}",
            label=field.LABEL_OPTIONAL,
            oneof_index=0,
        )
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    entry.field.add(
        name="value", number=2, type=field.TYPE_MESSAGE, type_name=".tensorflow.Feature", label=field.LABEL_OPTIONAL
    )
    features.field.add(
        name="feature",
        number=1,
        type=field.TYPE_MESSAGE,
        type_name=".tensorflow.Features.FeatureEntry",
        label=field.LABEL_REPEATED,
    )
    example = file.message_type.add(name="Example")
    example.field.add(
        name="features", number=1, type=field.TYPE_MESSAGE, type_name=".tensorflow.Features", label=field.LABEL_OPTIONAL
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.Example"))
