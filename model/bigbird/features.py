"""The records that stages hand to each other: their features by name, and tf.Example messages in TFRecord files.

Names are the Model Garden's. Sequences are stored unpadded. The tf.Example message is built from a descriptor made
here, so that preprocessing needs the protobuf library and not TensorFlow.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bigbird.errors import InputError

Value = bytes | np.ndarray | Sequence[int] | Sequence[float]


@dataclass(frozen=True)
class Feature:
    """One feature of a record.

    Attributes:
        name: its key in the tf.Example.
        dtype: what it holds.
        sequence: a value per token of the record, int64[L].
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


def decode(record: bytes) -> dict[str, np.ndarray | bytes]:
    """What `encode` was given: int64 or float32 arrays, and bytes."""
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
    length = struct.pack("<Q", len(record))
    return b"".join((length, _masked_crc32c(length), record, _masked_crc32c(record)))


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
            name=name, number=number, type=field.TYPE_MESSAGE, type_name=f".tensorflow.{kind_name}",
            label=field.LABEL_OPTIONAL, oneof_index=0,
        )  # fmt: skip
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    entry.field.add(
        name="value", number=2, type=field.TYPE_MESSAGE, type_name=".tensorflow.Feature", label=field.LABEL_OPTIONAL
    )
    features.field.add(
        name="feature", number=1, type=field.TYPE_MESSAGE, type_name=".tensorflow.Features.FeatureEntry",
        label=field.LABEL_REPEATED,
    )  # fmt: skip
    example = file.message_type.add(name="Example")
    example.field.add(
        name="features", number=1, type=field.TYPE_MESSAGE, type_name=".tensorflow.Features", label=field.LABEL_OPTIONAL
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.Example"))
