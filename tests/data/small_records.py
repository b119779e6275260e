"""Records of a few tokens, and files of them."""

from bigbird.records import features

LENGTHS = [3, 9, 16, 5, 30, 17, 8, 2, 12, 31, 20, 7, 4, 25, 11, 6, 32, 10, 14, 1]  # of the records 0, 1, 2, ...


def small_record(number, length, **changes):
    """A serialised record with a label."""
    values = {
        "input_ids": [1 + (number + i) % 99 for i in range(length)],
        "segment_ids": [i % 2 for i in range(length)],
        "label_ids": [number % 2],
        "example_id": [number],
    }
    return features.encode(values | changes)


def write_records(path, records):
    """Writes a TFRecord file; gives its path."""
    path.write_bytes(b"".join(features.frame(record) for record in records))
    return str(path)
