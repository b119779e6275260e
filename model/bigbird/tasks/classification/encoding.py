"""From checked documents to records: what of a long document is read, and how it is laid out.

    head, head_tail   one record:      [CLS] text [SEP]  or  [CLS] text [SEP] text_b [SEP]
    windows           several records: [CLS] part [SEP], a part every `window_stride` tokens until the end is read

`bigbird.tasks.classification.serving` does the same in TensorFlow's graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bigbird.manifests import DatasetManifest
from bigbird.records import features
from bigbird.support.errors import InputError
from bigbird.tasks.classification.config import LongDocuments
from bigbird.tasks.shortening import parts, truncated_lengths, with_parts
from bigbird.tasks.statistics import Statistics

if TYPE_CHECKING:
    from bigbird.text.vocabulary import Vocabulary

MOST_WINDOWS = 1 << 16
"""Of one document; a record's id is the document's number times this, plus the window's."""


@dataclass(frozen=True)
class Layout:
    """How documents become records.

    Attributes:
        max_length: most tokens of a record, [CLS] and [SEP] included.
        long_documents: what is read of documents above it.
        window_stride: tokens from one window to the next.
    """

    max_length: int
    long_documents: LongDocuments
    window_stride: int

    @classmethod
    def of(cls, settings: Mapping[str, Any] | DatasetManifest) -> Layout:
        """Of preprocessing's settings, or of a dataset's manifest."""
        stride = settings["window_stride"] or default_stride(settings["max_length"])
        return cls(settings["max_length"], settings["long_documents"], stride)


def default_stride(max_length: int) -> int:
    """Three quarters of the tokens, so that what stands at the end of a window is also read with what follows."""
    return max(1, max_length * 3 // 4)


def head_length(room: int) -> int:
    """How many of `room` pieces are a document's beginning, where its end is read too: a quarter.

    The best of what Sun et al., "How to Fine-Tune BERT for Text Classification?" (2019), tried: 128 of 510.
    """
    return room // 4


class Record(NamedTuple):
    """One record: its ids, and how many of them (from the start) have type 0."""

    ids: list[int]
    first: int


def windows_of(pieces: int, layout: Layout) -> list[tuple[int, int]]:
    """(start, end) of each window over a text of `pieces` pieces."""
    room = layout.max_length - 2
    stride = min(layout.window_stride, room)
    count = 1 + -(-max(pieces - room, 0) // stride)
    return [(at * stride, min(at * stride + room, pieces)) for at in range(count)]


def _cut(pieces: list[int], room: int, layout: Layout) -> list[int]:
    """The pieces of a text that are read where `room` of them fit."""
    if len(pieces) <= room:
        return pieces
    if layout.long_documents == "head_tail":
        head = head_length(room)
        return pieces[:head] + pieces[len(pieces) - (room - head) :]
    return pieces[:room]


def lay_out(a: list[int], b: list[int] | None, layout: Layout, cls: int, sep: int) -> list[Record]:
    """The records of one document, of its texts' pieces."""
    if b is not None:
        keep_a, keep_b = truncated_lengths(len(a), len(b), layout.max_length - 3)
        first = [cls, *_cut(a, keep_a, layout), sep]
        return [Record([*first, *_cut(b, keep_b, layout), sep], len(first))]
    if layout.long_documents == "windows":
        read = [a[start:end] for start, end in windows_of(len(a), layout)]
    else:
        read = [_cut(a, layout.max_length - 2, layout)]
    return [Record([cls, *part, sep], len(part) + 2) for part in read]


def shortened(record: Mapping[str, Any], length: int, layout: Layout) -> dict[str, Any] | None:
    """A record as it would be if at most `length` tokens of its document were read.

    Of a document that is cut the record is what preprocessing with this `max_length` gives. A document in windows keeps
    its windows up to that token, as many and as long as a document of that many tokens has.

    Args:
        record: as `features.decode` gives it.
        length: tokens, special pieces included.
        layout: how the record was made.

    Returns:
        The record; None where its window begins after that token.
    """
    a, b = parts(record)
    if b is None and layout.long_documents == "windows":
        windows = windows_of(length - 2, layout)
        number = int(record["record_id"][0]) % MOST_WINDOWS
        if number >= len(windows):
            return None
        start, end = windows[number]
        count = np.minimum(record["windows"], len(windows))
        return {**with_parts(record, a[: end - start], None), "windows": count}
    if len(record["input_ids"]) <= length:
        return dict(record)
    cls, sep = int(record["input_ids"][0]), int(record["input_ids"][-1])
    made = lay_out(a.tolist(), None if b is None else b.tolist(), replace(layout, max_length=length), cls, sep)[0]
    types = np.repeat(np.array([0, 1]), [made.first, len(made.ids) - made.first])
    return {**record, "input_ids": np.array(made.ids), "segment_ids": types}


def encode_documents(
    lines: Sequence[Mapping[str, Any]],
    layout: Layout,
    label_ids: Mapping[str, int],
    vocabulary: Vocabulary,
    statistics: Statistics,
) -> Iterator[bytes]:
    """Encodes documents and counts what was read of them.

    Args:
        lines: a batch, as `family.ClassificationFamily.read_table` gives them; some thousand at once is fast.
        layout: how long ones are read.
        label_ids: label -> its number; empty where labels are numbers.
        vocabulary: cuts texts into pieces.
        statistics: counts records, lengths, labels, and tokens that no record holds.

    Yields:
        Serialised tf.Examples, those of one document together.

    Raises:
        InputError: a document has too many windows.
    """
    pairs = bool(lines) and lines[0]["text_b"] is not None
    first = vocabulary.encode([line["text_a"] for line in lines])
    second = vocabulary.encode([line["text_b"] for line in lines]) if pairs else [None] * len(lines)
    record_ids, windows, made, targets = [], [], [], []
    for line, a_pieces, b_pieces in zip(lines, first, second, strict=True):
        a, b = a_pieces.tolist(), None if b_pieces is None else b_pieces.tolist()
        records = lay_out(a, b, layout, vocabulary.cls_id, vocabulary.sep_id)
        if len(records) > MOST_WINDOWS:
            raise InputError(
                f"{line['name']}: has {len(records):,} windows; expected at most {MOST_WINDOWS:,}. Set a larger max_length or "
                "window_stride"
            )
        length = len(a) + (2 if b is None else len(b) + 3)
        statistics.examples += 1
        statistics.add_document(length, unread=0 if len(records) > 1 else length - len(records[0].ids))
        target = _target(line["label"], label_ids, statistics)
        for number, record in enumerate(records):
            statistics.add_record(len(record.ids))
            record_ids.append(line["id"] * MOST_WINDOWS + number)
            windows.append(len(records))
            made.append(record)
            targets.append(target)
    columns = {
        "record_id": _column([[value] for value in record_ids]),
        "windows": _column([[value] for value in windows]),
        "input_ids": _column([record.ids for record in made]),
        "segment_ids": _types(made),
    }
    if lines and lines[0]["label"] is not None:  # all documents of a split are labelled, or none is
        columns["label_ids"] = _column(targets, np.int64 if label_ids else np.float32)
    yield from features.encode_all(columns)


def _column(values: Sequence[Sequence[float]], dtype: type = np.int64) -> features.Column:
    sizes = np.fromiter(map(len, values), np.int64, len(values))
    return features.Column(np.fromiter(chain.from_iterable(values), dtype, sizes.sum()), sizes)


def _types(records: Sequence[Record]) -> features.Column:
    """0 for the first text, 1 for the second."""
    sizes = np.fromiter((len(record.ids) for record in records), np.int64, len(records))
    first = np.fromiter((record.first for record in records), np.int64, len(records))
    types = np.tile(np.array([0, 1]), len(records)).repeat(np.stack([first, sizes - first], axis=1).ravel())
    return features.Column(types, sizes)


def _target(label: Any, label_ids: Mapping[str, int], statistics: Statistics) -> list[Any]:
    """The record's `label_ids`, none where the document has no label."""
    if label is None:
        return []
    if isinstance(label, float):
        return [label]
    names = [label] if isinstance(label, str) else label
    for name in names:
        statistics.labels[name] += 1
    return [label_ids[name] for name in names]
