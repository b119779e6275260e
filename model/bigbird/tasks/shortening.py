"""A record cut to fewer tokens, as preprocessing with a smaller `max_length` would have made it.

For records of one or two texts: [CLS] text [SEP], or [CLS] text [SEP] text_b [SEP].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

Record = dict[str, Any]  # a record's features, as `features.decode` gives them


def truncated_lengths(a: int, b: int, room: int) -> tuple[int, int]:
    """Lengths of two texts cut to `room` pieces in all, always from the longer one, from the second when equal."""
    if a + b <= room:
        return a, b
    keep_a = min(a, max((room + 1) // 2, room - b))
    return keep_a, min(b, room - keep_a)


def parts(record: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray | None]:
    """The pieces of a record's texts, int64[A] and int64[B]; None where there is one text."""
    ids = record["input_ids"]
    first = len(ids) - int(np.count_nonzero(record["segment_ids"]))
    return (ids[1:-1], None) if first == len(ids) else (ids[1 : first - 1], ids[first:-1])


def with_parts(record: Mapping[str, Any], a: np.ndarray, b: np.ndarray | None) -> Record:
    """The record with other pieces of its texts, int64[A] and int64[B]; its other features stay."""
    cls, sep = record["input_ids"][:1], record["input_ids"][-1:]
    first = np.concatenate([cls, a, sep])
    second = np.concatenate([b, sep]) if b is not None else first[:0]
    types = np.repeat(np.array([0, 1]), [len(first), len(second)])
    return {**record, "input_ids": np.concatenate([first, second]), "segment_ids": types}


def cut_record(record: Mapping[str, Any], length: int) -> Record:
    """The record of at most `length` tokens: each text's beginning, two texts cut as `truncated_lengths` does.

    Args:
        record: int64[L] input_ids and segment_ids, unpadded, and others that are kept.
        length: tokens, special pieces included.
    """
    if len(record["input_ids"]) <= length:
        return dict(record)
    a, b = parts(record)
    if b is None:
        return with_parts(record, a[: length - 2], None)
    keep_a, keep_b = truncated_lengths(len(a), len(b), length - 3)
    return with_parts(record, a[:keep_a], b[:keep_b])
