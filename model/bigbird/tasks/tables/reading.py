"""Reads a table's records one after another, and its columns' names, whatever its format."""

from __future__ import annotations

from bigbird.tasks.records import BadRecords
from bigbird.tasks.tables.columns import Columns, Records
from bigbird.tasks.tables.files import LOCAL, Table, TableStorage
from bigbird.tasks.tables.parquet import parquet_names, plain_parquet_names, read_parquet
from bigbird.tasks.tables.section import TableFormat
from bigbird.tasks.tables.text_formats import (
    delimited_names,
    json_names,
    plain_delimited_names,
    plain_json_names,
    read_delimited,
    read_json_lines,
)

_READERS = {
    "csv": read_delimited,
    "tsv": read_delimited,
    "jsonl": read_json_lines,
    "parquet": read_parquet,
}
_NAMES = {"csv": delimited_names, "tsv": delimited_names, "jsonl": json_names, "parquet": parquet_names}
_PLAIN_NAMES = {
    "csv": plain_delimited_names,
    "tsv": plain_delimited_names,
    "jsonl": plain_json_names,
    "parquet": plain_parquet_names,
}


def column_names(table: Table, section: TableFormat, storage: TableStorage = LOCAL) -> list[str]:
    """The names of a file's columns, in order; of JSON Lines all keys, for which the whole file is read.

    Raises:
        InputError: the file cannot be read.
    """
    return _NAMES[table.format](table, section, storage)


def plain_column_names(table: Table, section: TableFormat, storage: TableStorage = LOCAL) -> list[str]:
    """The columns that a file has once and that hold texts, numbers or truth values, in their order.

    Of JSON Lines those of the first records.

    Raises:
        InputError: the file cannot be read.
    """
    return _PLAIN_NAMES[table.format](table, section, storage)


def read_records(
    table: Table, section: TableFormat, columns: Columns, bad: BadRecords, storage: TableStorage = LOCAL
) -> Records:
    """Reads a file as a stream.

    Args:
        table: the file.
        section: how it is written.
        columns: to read.
        bad: takes the records that have too few or too many values, or are no JSON.
        storage: where the file is.

    Yields:
        (line or row, a value for each column in the order of `columns.keys`). Of CSV and TSV values are texts; of the others of
        any type that the format has.

    Raises:
        InputError: the file cannot be read, a column is missing or twice there, or there are more bad records than allowed.
    """
    return _READERS[table.format](table, section, columns, bad, storage)
