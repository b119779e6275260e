"""Puts the shards' answers together: as JSON Lines, CSV or Parquet, a part in memory at a time."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

from bigbird import storage
from bigbird.support.integrity import Facts, HashingFile
from bigbird_components.predict.flattening import flattened
from bigbird_components.predict.whole_files import copy, new_file

_WHOLE = -(1 << 63), (1 << 63) - 1  # numbers that a Parquet column of whole numbers takes


def write_table(parts: Sequence[str], form: str, path: str) -> Facts:
    """Writes the file of all answers.

    Args:
        parts: files of JSON lines, in order.
        form: a key of `FORMATS`.
        path: the file to write.

    Returns:
        Its size and SHA-256.

    Raises:
        InputError: the answers cannot be columns.
    """
    with new_file(path) as file:
        FORMATS[form](parts, file)
    return file.facts()


def _records(part: str) -> Iterator[dict[str, Any]]:
    """The records of a part, flat."""
    with storage.open_file(part) as file:
        for line in file:
            yield flattened(json.loads(line))


def _write_json_lines(parts: Sequence[str], file: HashingFile) -> None:
    for part in parts:
        copy(part, file)


def _write_csv(parts: Sequence[str], file: HashingFile) -> None:
    """A line for each row; a list is JSON in its cell, and what is not there is an empty cell."""
    columns = list(_kinds(parts))
    text = _Lines(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    for part in parts:
        writer.writerows([_cell(record.get(name)) for name in columns] for record in _records(part))
        file.write(text.getvalue().encode())
        text.seek(0)
        text.truncate()


class _Lines(io.StringIO):
    r"""Lines that end with \n alone, of a writer whose lines end with \r\n: it then quotes values with either character.

    Told to end lines with \n, Python's before 3.11.9 leaves a bare \r unquoted, at which readers begin a new row.
    """

    def write(self, line: str) -> int:
        return super().write(line.removesuffix("\r\n") + "\n")


def _cell(value: Any) -> Any:
    if isinstance(value, list | bool):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None else value


def _write_parquet(parts: Sequence[str], file: HashingFile) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = _kinds(parts)
    schema = pa.schema([(name, _arrow_type(kind)) for name, kind in kinds.items()])
    with pq.ParquetWriter(pa.PythonFile(_Written(file), mode="w"), schema) as writer:
        for part in parts:
            records = list(_records(part))
            columns = [[_converted(record.get(name), kind) for record in records] for name, kind in kinds.items()]
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


class _Written:
    """What pyarrow wants of a file, besides writing."""

    closed = False

    def __init__(self, file: HashingFile):
        self.write = file.write

    def flush(self) -> None:
        """Everything is written at once."""

    def close(self) -> None:
        """The file is closed by who opened it."""


FORMATS = {"jsonl": _write_json_lines, "csv": _write_csv, "parquet": _write_parquet}
"""Name of a format, and ending of its files -> how it is written."""


# --------------------------------------------------------------------------------------------------- column types


def _kinds(parts: Sequence[str]) -> dict[str, str]:
    """Column -> what all its values are: null, bool, int, float, str, or a list of one of these, as `[str]`; in order.

    Raises:
        InputError: there are more columns than a table can have.
    """
    found: dict[str, str] = {}
    for part in parts:
        for record in _records(part):
            for name, value in record.items():
                found[name] = _common(found.get(name, "null"), _kind(value))
    return found


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, list):
        inner = "null"
        for item in value:
            inner = _common(inner, _kind(item))
        return "str" if inner.startswith("[") else f"[{inner}]"
    if isinstance(value, int) and not isinstance(value, bool) and not _WHOLE[0] <= value <= _WHOLE[1]:
        return "str"
    return type(value).__name__ if isinstance(value, bool | int | float | str) else "str"


def _common(a: str, b: str) -> str:
    """What values of two kinds are together: numbers are numbers, all else that differs is text."""
    if a == b or b == "null":
        return a
    if a == "null":
        return b
    if {a, b} == {"int", "float"}:
        return "float"
    if a.startswith("[") and b.startswith("["):
        return f"[{_common(a[1:-1], b[1:-1])}]"
    return "str"


def _arrow_type(kind: str) -> Any:
    import pyarrow as pa

    if kind.startswith("["):
        return pa.list_(_arrow_type(kind[1:-1]))
    return {"null": pa.string(), "bool": pa.bool_(), "int": pa.int64(), "float": pa.float64(), "str": pa.string()}[kind]


def _converted(value: Any, kind: str) -> Any:
    """A value as its column has it."""
    if value is None:
        return None
    if kind.startswith("["):
        return [_converted(item, kind[1:-1]) for item in value]
    if kind == "float":
        return float(value)
    if kind in ("str", "null"):
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return value
