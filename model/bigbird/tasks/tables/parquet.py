"""Reads Parquet as a stream, a few rows in memory at a time."""

from __future__ import annotations

from typing import Any

from bigbird.support.errors import InputError
from bigbird.support.text_files import shown
from bigbird.tasks.records import BadRecords
from bigbird.tasks.tables.columns import Columns, Records
from bigbird.tasks.tables.files import Table, TableStorage
from bigbird.tasks.tables.problems import no_such_column, quoted_name
from bigbird.tasks.tables.section import TableFormat

_BATCH = 256  # rows that are in memory at once; documents may be long


def read_parquet(
    table: Table, section: TableFormat, columns: Columns, bad: BadRecords, storage: TableStorage
) -> Records:
    """Reads Parquet; arguments and results as `read_delimited`, the row's number in place of the line."""
    del section, bad  # it says itself how it is written; a damaged file has no single bad record
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
            wanted = _parquet_columns(table, file.schema_arrow, columns)
            for batch in file.iter_batches(_BATCH, columns=wanted, use_threads=False):
                by_name = {column: batch.column(column).to_pylist() for column in wanted}
                nothing = [None] * batch.num_rows
                for values in zip(*(by_name.get(column, nothing) for column in columns.keys), strict=True):
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


def parquet_names(table: Table, section: TableFormat, storage: TableStorage) -> list[str]:
    """The columns of a Parquet file; errors as `read_parquet`."""
    del section
    return list(_schema(table, storage).names)


def plain_parquet_names(table: Table, section: TableFormat, storage: TableStorage) -> list[str]:
    """As `bigbird.tasks.tables.reading.plain_column_names`."""
    del section
    try:
        schema = _schema(table, storage)
    except InputError:
        return []  # what is wrong is told by whoever reads it
    return [field.name for field in schema if schema.names.count(field.name) == 1 and _is_plain(field.type)]


def _schema(table: Table, storage: TableStorage) -> Any:
    """The pyarrow.Schema of a file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    name = quoted_name(table.path)
    try:
        with storage.open(table.path) as stream:
            return pq.ParquetFile(stream, pre_buffer=False, buffer_size=1 << 20).schema_arrow
    except (pa.ArrowException, OSError, EOFError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{name}: cannot be read as Parquet ({reason}); expected a whole Parquet file") from None


def _is_plain(kind: Any) -> bool:
    """Whether a column's values are texts, numbers or truth values."""
    from pyarrow import types

    kind = kind.value_type if types.is_dictionary(kind) else kind
    return not (types.is_nested(kind) or types.is_binary(kind) or types.is_large_binary(kind))


def _parquet_columns(table: Table, schema: Any, columns: Columns) -> list[str]:
    """The columns to read.

    Raises:
        InputError: one is missing, twice there, or of a type that it cannot have.
    """
    from pyarrow import types

    name, found = quoted_name(table.path), []
    for column, key in columns.keys.items():
        count = schema.names.count(column)
        if count == 0 and column in columns.optional:
            continue
        if count == 0:
            raise no_such_column(name, column, schema.names, key)
        if count > 1:
            raise InputError(
                f"{name}: has the column {shown(column)} {count} times, which {key} names; expected it once. Rename or remove the others"
            )
        kind = schema.field(column).type
        may_be_list = column in columns.lists
        inner = kind.value_type if may_be_list and (types.is_list(kind) or types.is_large_list(kind)) else kind
        if column not in columns.objects and not _is_plain(inner):
            raise InputError(
                f"{name}: has values of type {str(kind)[:100]} in column {shown(column, 60)}; expected "
                f"{'texts, numbers, truth values or lists of them' if may_be_list else 'text'}, as {key} names it"
            )
        found.append(column)
    return found
