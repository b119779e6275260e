"""A user's tables as the preprocessing stage reads them."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from bigbird.tasks.classification.data_section import TableData
from bigbird.tasks.classification.dataset import read_dataset
from bigbird.tasks.classification.notices import no_validation
from bigbird.tasks.classification.scoring import METRICS
from bigbird.tasks.raw_input import Inputs, Reading, Storage
from bigbird.tasks.records import BadRecords
from bigbird.tasks.tables.files import table_storage
from bigbird.tasks.tables.section import section_of


def read_table(
    inputs: Inputs,
    storage: Storage,
    scratch: BinaryIO,
    bad: BadRecords,
    told: Callable[[str], None],
    progress: Callable[[str, int], None],
) -> Reading:
    """As `TaskFamily.read_table`."""
    section = section_of(inputs, TableData)
    table = read_dataset(section, bad, scratch, table_storage(storage), told, progress)
    if table.kind_told:
        told(table.kind_told)
    if not table.sizes.get("validation"):
        table.notices.append(no_validation())
    splits = [split for split in ("train", "validation", "test") if table.sizes.get(split)]
    mean, deviation = table.number_scale() if table.kind == "number" else (0.0, 1.0)
    facts = {
        "kind": table.kind,
        "pairs": section.text_b is not None,
        "numbers": {"mean": mean, "deviation": deviation} if table.kind == "number" else None,
        "columns": {"text": section.text, "text_b": section.text_b, "label": section.label},
        "notices": [notice.message for notice in table.notices],
    }
    return Reading(
        splits=splits,
        labelled=frozenset(table.labelled).intersection(splits),
        labels=table.labels or None,
        metrics=METRICS[table.kind],  # type: ignore[index]  # single, multi or number once it is read
        facts=facts,
        notices=[(notice.message, notice.remedy) for notice in table.notices],
        lines=table.lines,
    )
