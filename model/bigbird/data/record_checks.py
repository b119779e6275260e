"""What is wrong with a record that cannot be read.

`dataset` checks records in TensorFlow's graph, which cannot say which file one came from; when it finds a bad one, this
module reads them again, one by one, and says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bigbird.config import DataConfig, Task
from bigbird.records import features
from bigbird.records.features import Feature
from bigbird.support.errors import InputError
from bigbird.tasks.registry import family_of


def check_records(files: Sequence[str], task: Task, data: DataConfig, *, labels: bool) -> None:
    """Reads every record one by one.

    Raises:
        InputError: the first file or record that cannot be used: file, number, id, what was found, what was expected.
    """
    for file in files:
        for number, record in enumerate(features.read_records(file)):
            check_record(f"{file}: record {number}", features.decode(record), task, data, labels=labels)


def check_record(where: str, record: dict[str, Any], task: Task, data: DataConfig, *, labels: bool) -> None:
    """Raises `InputError`, beginning with `where`, unless the record can be trained on or evaluated."""
    identity = family_of(task).identity
    if len(record.get(identity, ())) != 1:
        raise InputError(f"{where}: has no {identity}; expected one integer. Records of another task?")
    where = f"{where} (id {record[identity][0]})"
    _check_sequences(where, record, task, data)
    for target in family_of(task).target_features(task) if labels else ():
        _check_target(where, record, target, getattr(task.model, "num_classes", 0))  # type: ignore[attr-defined]


def _check_sequences(where: str, record: dict[str, Any], task: Task, data: DataConfig) -> None:
    names = [f.name for f in family_of(task).record_features(task) if f.sequence and f.when == "always"]
    sizes = {name: len(record.get(name, ())) for name in names}
    tokens = int(record["input_mask"].sum()) if "input_mask" in record else sizes["input_ids"]
    if tokens < 1 or len(set(sizes.values())) > 1:
        raise InputError(
            f"{where}: found {sizes} values and {tokens} tokens; expected equally many of each, at least one"
        )
    longest = min(data.seq_length, task.buckets[-1])
    if tokens > longest:
        raise InputError(
            f"{where}: has {tokens} tokens; expected at most seq_length {longest}. "
            "Raise seq_length or preprocess with a smaller --max-length"
        )
    largest = record["input_ids"].max()
    if largest >= task.encoder.vocab_size:
        raise InputError(
            f"{where}: has token id {largest}; expected ids below vocab_size {task.encoder.vocab_size}. "
            "Were the records made with another vocabulary?"
        )


def _check_target(where: str, record: dict[str, Any], target: Feature, num_classes: int) -> None:
    values = record.get(target.name, ())
    if target.sequence:
        if len(values) != len(record["input_ids"]):
            raise InputError(
                f"{where}: found {len(values)} values for {target.name}; expected one for each of {len(record['input_ids'])} tokens"
            )
        return
    if target.classes:
        if any(not 0 <= value < target.classes for value in values) or len(set(values)) != len(values):
            raise InputError(
                f"{where}: found {list(values)[:8]} for {target.name}; expected different classes from 0 to {target.classes - 1}"
            )
        return
    if target.many:
        tokens = len(record["input_ids"])
        if len(values) != len(record.get("answer_starts", ())) or any(not 0 <= value < tokens for value in values):
            raise InputError(
                f"{where}: found {list(values)[:8]} for {target.name}; expected as many as answer_starts, each from 0 "
                f"to {tokens - 1}"
            )
        return
    if len(values) != 1 or values.dtype != target.dtype:
        found = f"{len(values)} of type {values.dtype}" if len(values) else "none"
        raise InputError(f"{where}: found {found} for {target.name}; expected one {target.dtype}. See label_type")
    if target.name == "label_ids" and target.dtype == "int64" and num_classes and not 0 <= values[0] < num_classes:
        raise InputError(f"{where}: has label {values[0]}; expected 0 to {num_classes - 1} (num_classes {num_classes})")
