"""Reads a table's rows once, checked: good ones become lines of a file, cut into shards; bad ones go to another file."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

from bigbird.support.errors import InputError
from bigbird.support.integrity import HashingFile
from bigbird.support.progress import Progress
from bigbird.tasks.records import BadRecords, name_of
from bigbird.tasks.tables.files import Table, TableStorage
from bigbird.tasks.tables.problems import Mistakes, quoted_name
from bigbird.tasks.tables.reading import read_records
from bigbird.tasks.tables.section import TableFormat
from bigbird.tasks.tables.values import BadValueError, joined_text, name_value
from bigbird_components.predict.columns import RowColumns
from bigbird_components.predict.whole_files import new_file

ROWS = 2048
"""Of a shard, at most."""
BYTES = 1 << 26
"""Of a shard's lines, from which on it gets no further row: documents may be long, and a shard is in memory at once."""

_encode = json.JSONEncoder(ensure_ascii=False).encode  # made once: `dumps` makes one for each value
_DESCRIBED = 3  # bad rows that are kept in memory, for the message


class RowRange(NamedTuple):
    """A shard: rows that are answered one after the other and written as one part.

    Attributes:
        number: from 0, in the order of the rows.
        start: its first byte in the file of rows.
        size: bytes.
        rows: how many.
    """

    number: int
    start: int
    size: int
    rows: int


class TableInput(NamedTuple):
    """The files of a table.

    Attributes:
        tables: in order.
        section: how they are written.
        storage: where they are.
    """

    tables: Sequence[Table]
    section: TableFormat
    storage: TableStorage


class RejectedRows(Mistakes):
    """Bad rows: the first are kept for the message, all that are allowed are written to a file."""

    def __init__(self, limit: int, file: HashingFile):
        super().__init__(limit)
        self._file = file

    def add(self, file: str, where: str, problem: str, record: str, *, known: bool = False) -> None:
        """Notes one bad row; arguments and errors as for `Mistakes`."""
        super().add(file, where, problem, record, known=known)
        if self.counted <= self.limit:
            self._file.write(_line(self.rejected[-1]))
        del self.rejected[_DESCRIBED:]


def read_rows(
    table: TableInput,
    columns: RowColumns,
    *,
    max_bad_records: int,
    rows_file: str,
    rejected_file: str,
) -> tuple[list[RowRange], int]:
    """Reads and checks all rows before the first one is answered.

    Args:
        table: its files.
        columns: what is read of them.
        max_bad_records: rows that may be rejected.
        rows_file: gets a line for each good row: `fields` (input -> text), `id`, `kept` (column -> value) and `place`.
        rejected_file: gets a line for each bad one: `file`, `where`, `problem` and `record`.

    Returns:
        The shards, and how many rows were rejected.

    Raises:
        InputError: a file cannot be read, a column is missing, there are more bad rows than allowed, or no good one.
    """
    progress = Progress("check rows")
    shards: list[RowRange] = []
    start = size = rows = done = 0
    with ExitStack() as stack:
        target = stack.enter_context(new_file(rows_file))
        bad = RejectedRows(max_bad_records, stack.enter_context(new_file(rejected_file)))
        for row in _rows(table, columns, bad):
            line = _line(row)
            target.write(line)
            size, rows, done = size + len(line), rows + 1, done + 1
            if rows == ROWS or size >= BYTES:
                shards.append(RowRange(len(shards), start, size, rows))
                start, size, rows = start + size, 0, 0
            if done % 512 == 0:
                progress.update(done)
        if rows:
            shards.append(RowRange(len(shards), start, size, rows))
        progress.finish()
        bad.check(done)
        if not done:
            more = len(table.tables) - 1
            where = quoted_name(table.tables[0].path) + (f" and {more:,} more" if more else "")
            found = "none of its rows can be used" if bad.counted else "has no row below its columns' names"
            raise InputError(f"{where}: {found}; expected at least one row to answer")
    return shards, bad.counted


def _rows(table: TableInput, columns: RowColumns, bad: BadRecords) -> Iterator[dict[str, Any]]:
    """The good rows."""
    wanted = columns.of_table()
    names = list(wanted.keys)
    place = {name: number for number, name in enumerate(names)}
    texts = [(field, list(used), [place[name] for name in used]) for field, used in columns.fields.items()]
    kept = [(name, place[name]) for name in columns.keep]
    for file in table.tables:
        whole = name_of(file.path, 10 * len(file.path))  # messages cut long names; ids must differ
        for line, values in read_records(file, table.section, wanted, bad, table.storage):
            try:
                fields = {field: joined_text([values[i] for i in at], used) for field, used, at in texts}
                where = file.place(line)
                name = (
                    f"{whole}:{file.where(line)}"
                    if columns.id is None
                    else name_value(values[place[columns.id]], columns.id, "id")
                )
            except BadValueError as problem:
                record = json.dumps(dict(zip(names, values, strict=True)), default=str)
                bad.add(quoted_name(file.path), file.where(line), str(problem), record)
                continue
            yield {
                "fields": fields,
                "id": name,
                "kept": {name: _plain(values[at]) for name, at in kept},
                "place": where,
            }


def _plain(value: Any) -> Any:
    """A kept value as JSON has it: dates and such as text; numbers that JSON has no word for as null."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    return str(value)


def _line(value: dict[str, Any]) -> bytes:
    return f"{_encode(value)}\n".encode("utf-8", "backslashreplace")
