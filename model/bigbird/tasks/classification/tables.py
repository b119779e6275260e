"""Reads a table's records one after another: texts, label as the file has it, names; what cannot be used is told."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from bigbird.support.errors import InputError
from bigbird.support.text_files import shown
from bigbird.tasks.classification.data_section import TableData
from bigbird.tasks.classification.problems import no_such_column, quoted_name
from bigbird.tasks.classification.table_files import LOCAL, Table, TableStorage
from bigbird.tasks.classification.text_tables import Records, read_delimited, read_json_lines
from bigbird.tasks.records import BadRecords, has_text

_BATCH = 256  # rows of Parquet that are in memory at once; documents may be long


class Row(NamedTuple):
    """A record.

    Attributes:
        table: its file.
        line: the line that it begins on, from 1; of Parquet the number of the row, from 1.
        id: its name in the id column; None without one.
        text_a: the text; several columns are joined by a blank line.
        text_b: the second text; None without one.
        label: as the file has it: a text from CSV and TSV; from the others a text, a number, a truth value or a list of
            them; None where there is none.
        group: the value of the group column; None without one.
    """

    table: Table
    line: int
    id: str | None
    text_a: str
    text_b: str | None
    label: Any
    group: str | None


def read_rows(
    tables: Sequence[Table],
    section: TableData,
    bad: BadRecords,
    storage: TableStorage = LOCAL,
    *,
    label_may_lack: bool = False,
) -> Iterator[Row]:
    """Reads tables in the order given, a few records in memory at a time.

    Args:
        tables: from `find_tables`.
        section: columns and how the files are written.
        bad: takes the records that cannot be used: no text, too few values, no JSON.
        storage: where the files are.
        label_may_lack: whether a file may be without the label's column, as test files are.

    Raises:
        InputError: a file cannot be read, a column is missing, or there are more bad records than allowed; names the file and,
            where there is one, the line.
    """
    keys = [(name, "text") for name in section.text]
    keys += [(section.text_b, "text_b")] if section.text_b else []
    keys += [(section.label, "label")]
    keys += [(name, key) for name, key in ((section.id, "id"), (section.group, "group")) if name]
    columns: dict[str, str] = {}
    for name, key in keys:
        columns.setdefault(name, key)  # id and group may name a column that has another use
    optional = section.label if label_may_lack else None
    for table in tables:
        records = _READERS[table.format](table, section, columns, optional, bad, storage)
        yield from _rows(table, section, columns, records, bad)


class _BadValueError(Exception):
    pass


def _rows(
    table: Table, section: TableData, columns: dict[str, str], records: Records, bad: BadRecords
) -> Iterator[Row]:
    """Records' values as rows."""
    place = {name: number for number, name in enumerate(columns)}
    first, label_at = place[section.text[0]], place[section.label]
    usual = len(section.text) == 1 and not (section.text_b or section.id or section.group)
    for line, values in records:
        text = values[first]
        if usual and text.__class__ is str and "\0" not in text and has_text(text):
            yield Row(table, line, None, text, None, values[label_at], None)
            continue
        try:
            yield _row(table, line, values, place, section)
        except _BadValueError as problem:
            record = json.dumps(dict(zip(columns, values, strict=True)), default=str)
            bad.add(quoted_name(table.path), table.where(line), str(problem), record)


def _row(table: Table, line: int, values: tuple[Any, ...], place: dict[str, int], section: TableData) -> Row:
    """One record's values as a row; each column's value is at its place."""
    if len(section.text) > 1:
        text = _joined(section.text, [values[place[name]] for name in section.text])
    else:
        text = _checked(values[place[section.text[0]]], section.text[0])
    return Row(
        table,
        line,
        _name(values[place[section.id]], section.id, "id") if section.id else None,
        text,
        _checked(values[place[section.text_b]], section.text_b) if section.text_b else None,
        values[place[section.label]],
        _name(values[place[section.group]], section.group, "group") if section.group else None,
    )


def _joined(columns: list[str], values: list[Any]) -> str:
    """The texts of several columns, those that are not empty, a blank line between two."""
    found = [_as_text(value, name) for value, name in zip(values, columns, strict=True)]
    text = "\n\n".join(filter(has_text, found))
    if not text:
        names = ", ".join(shown(name, 60) for name in columns[:5])
        raise _BadValueError(f"has an empty text in each of the columns {names}; expected text in one or more")
    return _checked(text, columns[0])


def _checked(value: Any, column: str) -> str:
    """A text that holds something."""
    text = _as_text(value, column)
    if not has_text(text):
        raise _BadValueError(f"has an empty text in column {shown(column, 60)}; expected text")
    if "\0" in text:
        raise _BadValueError(f"has a NUL character in column {shown(column, 60)}; expected text only")
    return text


def _name(value: Any, column: str, what: str) -> str:
    text = _as_text(value, column)
    if not text:
        raise _BadValueError(f"has no {what} in column {shown(column, 60)}; expected one in every record")
    return text


def _as_text(value: Any, column: str) -> str:
    """A value of a text column as text; numbers are written as Python does, truth values as JSON does."""
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):  # how pandas writes a missing text
        return ""
    if isinstance(value, list | dict | tuple | bytes):
        what = {list: "a list", dict: "an object", bytes: "bytes"}.get(type(value), "several values")
        raise _BadValueError(f"has {what} in column {shown(column, 60)}, {shown(value)}; expected text")
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _read_parquet(
    table: Table,
    section: TableData,
    columns: dict[str, str],
    optional: str | None,
    bad: BadRecords,
    storage: TableStorage,
) -> Records:
    """Reads Parquet; arguments and results as `read_delimited`, the row's number in place of the line."""
    del bad  # a damaged file has no single bad record
    import pyarrow as pa
    import pyarrow.parquet as pq

    name = quoted_name(table.path)
    number = 0
    try:
        with storage.open(table.path) as stream:
            if stream.read(1) == b"":
                raise InputError(f"{name}: is empty; expected Parquet")
            stream.seek(0)
            # Without these a whole row group would be in memory, which may be the whole file.
            file = pq.ParquetFile(stream, pre_buffer=False, buffer_size=1 << 20)
            wanted = _parquet_columns(table, file.schema_arrow, columns, optional, section)
            for batch in file.iter_batches(_BATCH, columns=wanted, use_threads=False):
                by_name = {column: batch.column(column).to_pylist() for column in wanted}
                nothing = [None] * batch.num_rows
                for values in zip(*(by_name.get(column, nothing) for column in columns), strict=True):
                    number += 1
                    yield number, values
    except (InputError, UnicodeDecodeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{name}:row {number + 1} or one of the {_BATCH} after it: holds text that is not UTF-8 ({error.reason}); expected UTF-8"
        ) from None
    except (
        pa.ArrowException,
        OSError,
        EOFError,
        ValueError,
        OverflowError,
    ) as error:  # the last two: dates without a year
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{name}: cannot be read as Parquet after row {number:,} ({reason}); expected a whole Parquet file"
        ) from None


def _parquet_columns(
    table: Table, schema: Any, columns: dict[str, str], optional: str | None, section: TableData
) -> list[str]:
    """The columns to read.

    Raises:
        InputError: one is missing, twice there, or of a type that it cannot have.
    """
    from pyarrow import types

    def plain(kind: Any) -> bool:
        kind = kind.value_type if types.is_dictionary(kind) else kind
        return not (types.is_nested(kind) or types.is_binary(kind) or types.is_large_binary(kind))

    name, found = quoted_name(table.path), []
    for column, key in columns.items():
        count = schema.names.count(column)
        if count == 0 and column == optional:
            continue
        if count == 0:
            raise no_such_column(name, column, schema.names, key)
        if count > 1:
            raise InputError(
                f"{name}: has the column {shown(column)} {count} times, which {key} names; expected it once. Rename or remove the others"
            )
        kind = schema.field(column).type
        may_be_list = column == section.label
        inner = kind.value_type if may_be_list and (types.is_list(kind) or types.is_large_list(kind)) else kind
        if not plain(inner):
            raise InputError(
                f"{name}: has values of type {str(kind)[:100]} in column {shown(column, 60)}; expected "
                f"{'texts, numbers, truth values or lists of them' if may_be_list else 'text'}, as {key} names it"
            )
        found.append(column)
    return found


_READERS = {
    "csv": read_delimited,
    "tsv": read_delimited,
    "jsonl": read_json_lines,
    "parquet": _read_parquet,
}
