"""How examples become records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bigbird.tasks.raw_input import Line


class LineRange(NamedTuple):
    """Consecutive lines of a split, which become one TFRecord file.

    Attributes:
        split: their split.
        first_example: number of the first example in the split.
        first_byte: where they begin in the split's file of lines.
        labelled: whether the split has labels.
        evaluation: whether the split is not trained on.
    """

    split: str
    first_example: int
    first_byte: int
    labelled: bool
    evaluation: bool


@dataclass(frozen=True)
class Preprocessing:
    """How examples become records.

    Attributes:
        task: its name.
        max_length: most tokens of a record.
        settings: the family's own, by name (as `doc_stride`).
        labels: of a user's own input, in the order of their ids.
    """

    task: str
    max_length: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    labels: Sequence[str] | None = None


def batches(lines: Iterable[Line], size: int) -> Iterator[list[Line]]:
    """Lines, `size` at a time."""
    batch = []
    for line in lines:
        batch.append(line)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
