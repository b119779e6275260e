"""From checked documents to records: [CLS] part [SEP], a part every `window_stride` tokens until the end is read.

`bigbird.tasks.token_labels.serving` does the same in TensorFlow's graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bigbird.manifests import DatasetManifest
from bigbird.records import features
from bigbird.support.errors import InputError
from bigbird.tasks.squad.examples import max_context, window_spans
from bigbird.tasks.statistics import Statistics
from bigbird.tasks.token_labels.decoding import Transitions
from bigbird.tasks.token_labels.spans import Span, fit, tags_of
from bigbird.tasks.token_labels.words import Unit, find_units

if TYPE_CHECKING:
    from bigbird.text.vocabulary import Vocabulary

MOST_WINDOWS = 1 << 16
"""Of one document; a record's id is the document's number times this, plus the window's."""


# What is counted of spans and units, in words; {} is what the units are.
WIDENED, LOST = "spans widened to whole {} (task.units)", "spans lost, whose {} another one has"
INSIDE, NEIGHBOURS = "{} in spans", "spans directly behind another"


@dataclass(frozen=True)
class Layout:
    """How documents become records.

    Attributes:
        max_length: most tokens of a record, [CLS] and [SEP] included.
        window_stride: tokens from one window to the next.
        units: what is labelled.
    """

    max_length: int
    window_stride: int
    units: Unit

    @classmethod
    def of(cls, settings: Mapping[str, Any] | DatasetManifest) -> Layout:
        """Of preprocessing's settings, or of a dataset's manifest."""
        stride = settings["window_stride"] or max(1, settings["max_length"] * 3 // 4)
        return cls(settings["max_length"], stride, settings["units"])

    @property
    def room(self) -> int:
        """Most pieces of a window."""
        return self.max_length - 2


def encode_documents(
    lines: Sequence[Mapping[str, Any]],
    layout: Layout,
    label_ids: Mapping[str, int],
    vocabulary: Vocabulary,
    statistics: Statistics,
    *,
    evaluation: bool,
) -> Iterator[bytes]:
    """Encodes documents and counts what became of them.

    A record's `tag_ids` are 1 + the tag at each unit's first piece, and 0 at all other pieces, which no loss counts. Records of evaluation
    have `unit_starts` and `unit_ends`, characters of the text, at the first piece of each unit whose window with most context this is,
    and -1 elsewhere.

    Args:
        lines: a batch, as `dataset.SpanDataset.lines` gives them.
        layout: how they are read.
        label_ids: label -> its number.
        vocabulary: cuts texts into pieces.
        statistics: counts records, lengths, and spans by label.
        evaluation: whether decoding needs the units' places.

    Yields:
        Serialised tf.Examples, those of one document together.

    Raises:
        InputError: a document has too many windows.
    """
    found = vocabulary.encode_with_offsets([line["text_a"] for line in lines])
    for line, pieces in zip(lines, found, strict=True):
        units = find_units(line["text_a"], pieces, layout.units)
        total = len(pieces.ids)
        starts, ends = np.full(total, -1), np.full(total, -1)
        starts[units.pieces], ends[units.pieces] = units.starts, units.ends
        tags = None
        if line["spans"] is not None:
            tags = np.zeros(total, np.int64)
            tags[units.pieces] = 1 + _tags(line["spans"], units.starts, units.ends, label_ids, statistics, layout.units)
        windows = window_spans(total, layout.room, layout.window_stride)
        if len(windows) > MOST_WINDOWS:
            raise InputError(
                f"{line['name']}: has {len(windows):,} windows; expected at most {MOST_WINDOWS:,}. Set a larger max_length or window_stride"
            )
        statistics.examples += 1
        statistics.add_document(total + 2, unread=0)
        best = max_context(windows, total) if evaluation else []
        for number, (first, end) in enumerate(windows):
            size = end - first
            statistics.add_record(size + 2)
            record: dict[str, features.Value] = {
                "record_id": [line["id"] * MOST_WINDOWS + number],
                "input_ids": [vocabulary.cls_id, *pieces.ids[first:end].tolist(), vocabulary.sep_id],
                "segment_ids": [0] * (size + 2),
            }
            if tags is not None:
                record["tag_ids"] = [0, *tags[first:end].tolist(), 0]
            if evaluation:
                chosen = best[number] > 0
                record["unit_starts"] = [-1, *np.where(chosen, starts[first:end], -1).tolist(), -1]
                record["unit_ends"] = [-1, *np.where(chosen, ends[first:end], -1).tolist(), -1]
            yield features.encode(record)


def _tags(
    spans: Sequence[Sequence[Any]],
    starts: np.ndarray,
    ends: np.ndarray,
    label_ids: Mapping[str, int],
    statistics: Statistics,
    unit: Unit,
) -> np.ndarray:
    """The tag of each unit, int64[U]; counts the spans."""
    fitted = fit([Span(*span) for span in spans], starts, ends)
    statistics.labels.update(label for _, _, label in spans)
    tags = tags_of(fitted.spans, len(starts), label_ids)
    begins = tags % 2 == 1
    named = {
        "spans": len(spans),
        WIDENED.format(unit): fitted.widened,
        LOST.format(unit): fitted.lost,
        unit: len(tags),
        INSIDE.format(unit): int(np.count_nonzero(tags)),
        NEIGHBOURS: int(np.count_nonzero(begins[1:] & (tags[:-1] > 0))),
    }
    statistics.counts.update({name: count for name, count in named.items() if count})
    return tags


def counted_transitions(counts: Mapping[str, int], unit: Unit) -> Transitions:
    """How tags follow each other, by what `encode_documents` counted."""
    spans = counts.get("spans", 0) - counts.get(LOST.format(unit), 0)
    return Transitions.counted(
        counts.get(unit, 0), counts.get(INSIDE.format(unit), 0), spans, counts.get(NEIGHBOURS, 0)
    )
