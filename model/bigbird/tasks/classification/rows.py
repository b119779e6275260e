"""Reads a table's records one after another: texts, label as the file has it, names; what cannot be used is told."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from bigbird.tasks.classification.data_section import TableData
from bigbird.tasks.records import BadRecords, has_text
from bigbird.tasks.tables.columns import Columns, Records
from bigbird.tasks.tables.files import LOCAL, Table, TableStorage
from bigbird.tasks.tables.problems import quoted_name
from bigbird.tasks.tables.reading import read_records
from bigbird.tasks.tables.values import BadValueError, checked_text, joined_text, name_value


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
    named: dict[str, str] = {}
    for name, key in keys:
        named.setdefault(name, key)  # id and group may name a column that has another use
    label = frozenset({section.label})
    columns = Columns(named, optional=label if label_may_lack else frozenset(), lists=label)
    for table in tables:
        yield from _rows(table, section, named, read_records(table, section, columns, bad, storage), bad)


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
        except BadValueError as problem:
            record = json.dumps(dict(zip(columns, values, strict=True)), default=str)
            bad.add(quoted_name(table.path), table.where(line), str(problem), record)


def _row(table: Table, line: int, values: tuple[Any, ...], place: dict[str, int], section: TableData) -> Row:
    """One record's values as a row; each column's value is at its place."""
    return Row(
        table,
        line,
        name_value(values[place[section.id]], section.id, "id") if section.id else None,
        joined_text([values[place[name]] for name in section.text], section.text),
        checked_text(values[place[section.text_b]], section.text_b) if section.text_b else None,
        values[place[section.label]],
        name_value(values[place[section.group]], section.group, "group") if section.group else None,
    )
