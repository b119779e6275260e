"""Reads CSV, TSV and JSON Lines as a stream: any encoding, packed by gzip or not, whatever the length of the file.

CSV is read by Python's `csv` in its strict mode, not by pyarrow: pyarrow takes `"a"b` for `ab`, does not tell a record's
line, and cuts no better than Python where values hold line ends.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from itertools import islice
from operator import itemgetter
from typing import Any, NoReturn, cast

from bigbird.support.errors import InputError
from bigbird.support.text_files import shown
from bigbird.tasks.records import BadRecords, foreign_format
from bigbird.tasks.tables.columns import Columns, Records
from bigbird.tasks.tables.files import Table, TableStorage
from bigbird.tasks.tables.problems import listed, no_such_column, quoted_name
from bigbird.tasks.tables.section import TableFormat

LONGEST = 1 << 24
"""Characters of a line or value; more is a mistake, such as a quotation mark that is never closed."""

_BLOCK = 1 << 18  # bytes read at once
_FIRST_RECORDS = 100  # of JSON Lines: a column that none of these has is missing

# How files begin that have a format of their own.
_OTHER_FORMATS = (
    (b"PAR1", "is Parquet; expected {expected}. Set format to parquet (--format parquet), or let its name end in .parquet"),
    (b"PK\x03\x04", "is a ZIP archive or a spreadsheet; expected {expected}. Unpack it, or save the spreadsheet as CSV in UTF-8"),
    (b"\xd0\xcf\x11\xe0", "is an old spreadsheet; expected {expected}. Save it as CSV in UTF-8"),
    (b"BZh", "is compressed by bzip2; expected {expected}. Unpack it, or compress it by gzip"),
    (b"\xfd7zXZ\x00", "is compressed by xz; expected {expected}. Unpack it, or compress it by gzip"),
    (b"\x28\xb5\x2f\xfd", "is compressed by Zstandard; expected {expected}. Unpack it, or compress it by gzip"),
    (b"%PDF-", "is a PDF document; expected {expected}"),
)  # fmt: skip
_DELIMITER_NAMES = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
_FORMAT_NAMES = {"csv": "CSV", "tsv": "tab-separated values", "jsonl": "JSON Lines"}


def _name(table: Table) -> str:
    return _FORMAT_NAMES.get(table.format, f"text in {table.format} format")


class _RawStream(io.RawIOBase):
    """Any object with `read` as a raw stream, so that all kinds of files can be buffered and peeked into alike."""

    def __init__(self, stream: Any):
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        data = self._stream.read(len(target))
        target[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


@contextmanager
def _unpacked(table: Table, storage: TableStorage) -> Iterator[io.BufferedReader[Any]]:
    """Yields a file's bytes, unpacked where it is compressed by gzip, whatever its name says."""
    with io.BufferedReader(_RawStream(storage.open(table.path)), _BLOCK) as packed:
        if packed.peek(2)[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=packed) as file, io.BufferedReader(_RawStream(file), _BLOCK) as unpacked:
                yield unpacked
        else:
            yield packed


def read_lines(table: Table, section: TableFormat, storage: TableStorage) -> Generator[str]:
    r"""Yields a file's lines with their endings, which are \n, \r\n or \r, without a byte order mark.

    Raises:
        InputError: it cannot be read or unpacked, is no text, not of the encoding (names the byte), or a line is too long.
    """
    name = quoted_name(table.path)
    what = f"{_name(table)} in {section.encoding}"
    number = 0
    try:
        with _unpacked(table, storage) as file:
            _check_beginning(file.peek(64)[:64], name, what, section)
            with io.TextIOWrapper(file, section.encoding, newline="") as stream:
                read, halves = stream.readline, _has_half_characters(section.encoding)
                line = read(LONGEST).removeprefix("\ufeff")
                while line:
                    number += 1
                    if len(line) >= LONGEST:
                        if number == 1 and table.format == "jsonl":
                            _refuse_other_json(line, table)
                        raise InputError(
                            f"{name}:{number}: has more than {LONGEST:,} characters; expected {what}, a record on a line or some"
                        )
                    if halves and (problem := _half_character(line)):
                        raise InputError(f"{name}:{number}: {problem}")
                    yield line
                    line = read(LONGEST)
    except (zlib.error, EOFError, gzip.BadGzipFile) as error:
        raise InputError(
            f"{name}: is compressed by gzip and cannot be unpacked ({error}); expected {what}. It is damaged or cut short"
        ) from None
    except UnicodeError as error:
        _refuse_encoding(table, section, storage, error)
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror or error}); expected {what}") from None


def _has_half_characters(encoding: str) -> bool:
    """Whether text of an encoding can hold half a character, which UTF-8 cannot: that of utf-7 or unicode_escape can."""
    try:
        "\ud800".encode(encoding)
    except UnicodeError:
        return False
    return True


def _check_beginning(data: bytes, name: str, what: str, section: TableFormat) -> None:
    """Refuses a file that begins as no text of the encoding does."""
    if not data:
        raise InputError(f"{name}: is empty; expected {what}")
    wide = "a".encode(section.encoding)[-2:] != b"a" and len("a".encode(section.encoding)) > 1
    for start, problem in _OTHER_FORMATS:
        if data.startswith(start):
            raise InputError(f"{name}: {problem.format(expected=what)}")
    if wide:
        return
    for start, found in (
        (codecs.BOM_UTF32_LE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if data.startswith(start):
            raise InputError(f"{name}: is in {found}; expected {what}. Set encoding to {found} (--encoding {found})")
    foreign = foreign_format(data)
    if foreign:
        raise InputError(f"{name}:1: {foreign}")


def _refuse_encoding(table: Table, section: TableFormat, storage: TableStorage, error: UnicodeError) -> NoReturn:
    """Raises `InputError` for the first byte of a file that is not of its encoding."""
    name = quoted_name(table.path)
    decoder = codecs.getincrementaldecoder(section.encoding)()
    before = line = 0
    with _unpacked(table, storage) as file:
        while True:
            data = file.read(_BLOCK)
            kept = decoder.getstate()[0]  # bytes of a character that the last block began
            try:
                line += decoder.decode(data, final=not data).count("\n")
            except UnicodeDecodeError as found:
                at = before - len(kept) + found.start
                bad = found.object[found.start]
                line += found.object[: found.start].decode(section.encoding, "ignore").count("\n")
                guess = " Files of spreadsheet programs are often in cp1252: try --encoding cp1252"
                raise InputError(
                    f"{name}:{line + 1}: is not {section.encoding} at byte {at:,} of the file (0x{bad:02x}: {found.reason}); "
                    f"expected {_name(table)} in {section.encoding}. Set encoding (--encoding) to the file's."
                    f"{guess if codecs.lookup(section.encoding).name == 'utf-8' else ''}"
                ) from None
            except UnicodeError as found:
                raise InputError(
                    f"{name}: is not {section.encoding} ({found}); set encoding (--encoding) to the file's"
                ) from None
            if not data:
                break
            before += len(data)
    raise InputError(f"{name}: is not {section.encoding} ({error}); set encoding (--encoding) to the file's")


def read_delimited(
    table: Table,
    section: TableFormat,
    columns: Columns,
    bad: BadRecords,
    storage: TableStorage,
) -> Records:
    """Reads CSV and TSV.

    Args:
        table: the file.
        section: encoding, delimiter, whether values may be quoted.
        columns: to read.
        bad: takes the rows with too few or too many values.
        storage: where the file is.

    Yields:
        (line that the record begins on, a text for each column in the order of `columns.keys`; None where one that may be missing is).

    Raises:
        InputError: the file cannot be read, a column is missing or twice there, or the quotation marks are out of order.
    """
    delimiter = section.delimiter or ("\t" if table.format == "tsv" else ",")
    csv.field_size_limit(max(LONGEST, csv.field_size_limit()))  # the process's; its default refuses long documents
    lines = read_lines(table, section, storage)
    reader = csv.reader(
        lines, delimiter=delimiter, strict=True, quoting=csv.QUOTE_MINIMAL if section.quoted else csv.QUOTE_NONE
    )
    line = 1
    try:
        header = next((record for record in reader if record), [])
        line = reader.line_num + 1
        pick = _picked(table, header, delimiter, columns)
        width = len(header)
        for record in reader:
            if len(record) == width:
                yield line, pick(record)
            elif record:  # a blank line is none
                bad.add(quoted_name(table.path), str(line), _ragged(record, header, delimiter), delimiter.join(record))
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(
            f"{table.place(line)}: the record that begins here {_quoting_problem(str(error))}. Inside a quoted value a quotation "
            'mark is written twice (""). If quotation marks are plain text in this file, set quoted to false (--no-quoted)'
        ) from None


def plain_delimited_names(table: Table, section: TableFormat, storage: TableStorage) -> list[str]:
    """As `bigbird.tasks.tables.reading.plain_column_names`."""
    delimiter = section.delimiter or ("\t" if table.format == "tsv" else ",")
    lines = read_lines(table, section, storage)
    reader = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if section.quoted else csv.QUOTE_NONE)
    try:
        header = next((record for record in reader if record), [])
    except csv.Error:  # what is wrong is told by whoever reads it
        return []
    return [name for name in header if name and header.count(name) == 1]


def plain_json_names(table: Table, section: TableFormat, storage: TableStorage) -> list[str]:
    """As `bigbird.tasks.tables.reading.plain_column_names`."""
    found: dict[str, bool] = {}
    for line in islice(read_lines(table, section, storage), _FIRST_RECORDS):
        record, _ = _parsed(line, json.loads)
        for name, value in (record or {}).items():
            found[name] = found.get(name, True) and not isinstance(value, list | dict)
    return [name for name, plain in found.items() if plain]


def _quoting_problem(message: str) -> str:
    if "end of data" in message:
        return "has a quotation mark that is never closed; expected its end before the file's"
    if "field limit" in message:
        return f"has a value of more than {LONGEST:,} characters; expected the end of its quotation before"
    if "expected after" in message:
        return "has text after a closing quotation mark; expected the delimiter or the line's end there"
    return f"cannot be read ({message}); expected delimited values"


def _ragged(record: list[str], header: list[str], delimiter: str) -> str:
    mark = _DELIMITER_NAMES.get(delimiter, repr(delimiter))
    hint = f"; {mark} inside a text must stand in quotation marks" if len(record) > len(header) else ""
    return f"has {len(record)} value{'s'[: len(record) != 1]}; expected {len(header)}, separated by {mark}: {listed(header)}{hint}"


def _picked(table: Table, header: list[str], delimiter: str, columns: Columns) -> Any:
    """A function from a record to the values of the columns.

    Raises:
        InputError: one is missing, or twice there.
    """
    place = table.place(1)
    if not any(header):
        raise InputError(f"{place}: has no header; expected the columns' names in the first line")
    for name, key in columns.keys.items():
        if name in header or name in columns.optional:
            continue
        other = next((mark for mark in _DELIMITER_NAMES if mark != delimiter and mark in header[0]), None)
        if len(header) == 1 and other:
            raise InputError(
                f"{place}: has one column, {shown(header[0])}, and {_DELIMITER_NAMES[other]} in its name; expected the columns' "
                f"names with {_DELIMITER_NAMES.get(delimiter, repr(delimiter))} between them. Set delimiter to {other!r} (--delimiter)"
            )
        raise no_such_column(place, name, header, key)
    for name, key in columns.keys.items():
        at = [number for number, other in enumerate(header, 1) if other == name]
        if len(at) > 1:
            raise InputError(
                f"{place}: has the column {shown(name)} more than once (columns {', '.join(map(str, at[:10]))}), which {key} names; "
                "expected it once. Rename or remove the others"
            )
    places = [header.index(name) for name in columns.keys if name in header]
    get = itemgetter(*places)
    if len(places) == len(columns.keys) and len(places) > 1:
        return get
    missing = [at for at, name in enumerate(columns.keys) if name not in header]

    def pick(record: list[str]) -> tuple[Any, ...]:
        found = [record[place] for place in places]
        for at in missing:
            found.insert(at, cast(str, None))
        return tuple(found)

    return pick


def delimited_names(table: Table, section: TableFormat, storage: TableStorage) -> list[str]:
    """The columns that CSV's or TSV's first line names; errors as `read_delimited`."""
    delimiter = section.delimiter or ("\t" if table.format == "tsv" else ",")
    csv.field_size_limit(max(LONGEST, csv.field_size_limit()))
    lines = read_lines(table, section, storage)
    reader = csv.reader(
        lines, delimiter=delimiter, strict=True, quoting=csv.QUOTE_MINIMAL if section.quoted else csv.QUOTE_NONE
    )
    try:
        found = next((record for record in reader if record), [])
    except csv.Error as error:
        raise InputError(f"{table.place(1)}: the record that begins here {_quoting_problem(str(error))}") from None
    finally:
        lines.close()
    if not any(found):
        raise InputError(f"{table.place(1)}: has no header; expected the columns' names in the first line")
    return found


def json_names(table: Table, section: TableFormat, storage: TableStorage) -> list[str]:
    """The keys that JSON Lines have anywhere in the file, in the order in which they come; errors as `read_json_lines`."""
    decode = json.JSONDecoder(object_pairs_hook=_as_object).decode
    found: dict[str, None] = {}
    for number, line in enumerate(read_lines(table, section, storage), 1):
        record, _ = (None, "") if line.isspace() else _parsed(line, decode)
        if record is not None:
            found.update(dict.fromkeys(record))
        elif number == 1:
            _refuse_other_json(line, table)
    return list(found)


class _RepeatedKeyError(ValueError):
    pass


def _as_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object's pairs as a dictionary."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise _RepeatedKeyError(f"has the key {shown(repeated)} more than once; expected it once")
    return found


def read_json_lines(
    table: Table,
    section: TableFormat,
    columns: Columns,
    bad: BadRecords,
    storage: TableStorage,
) -> Records:
    """Reads JSON Lines; arguments, results and errors as `read_delimited`, but values may be of any JSON type."""
    name = quoted_name(table.path)
    decode = json.JSONDecoder(object_pairs_hook=_as_object).decode
    waiting: list[tuple[int, dict[str, Any]]] | None = []
    names = tuple(columns.keys)
    for number, line in enumerate(read_lines(table, section, storage), 1):
        if line.isspace():
            continue
        record, problem = _parsed(line, decode)
        if record is None:
            if number == 1:
                _refuse_other_json(line, table)
            bad.add(name, str(number), problem, line)
            continue
        if waiting is None:
            yield number, tuple(map(record.get, names))
            continue
        waiting.append((number, record))
        if len(waiting) >= _FIRST_RECORDS:
            _check_keys(table, waiting, columns)
            yield from ((at, tuple(map(held.get, names))) for at, held in waiting)
            waiting = None
    if waiting:
        _check_keys(table, waiting, columns)
        yield from ((at, tuple(map(held.get, names))) for at, held in waiting)


_JSON_NAMES = {
    list: "a list",
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "a truth value",
    type(None): "null",
}


def _parsed(line: str, decode: Callable[[str], Any]) -> tuple[dict[str, Any] | None, str]:
    """A line's object, or None and why it has none."""
    try:
        record = decode(line)
    except _RepeatedKeyError as error:
        return None, str(error)
    except (ValueError, RecursionError) as error:
        return None, f"is not valid JSON ({error}); expected one object on each line"
    if not isinstance(record, dict):
        return None, f"is {_JSON_NAMES[type(record)]}; expected an object with columns"
    problem = _half_character(record) if "\\u" in line else ""
    return (None, problem) if problem else (record, "")


def _refuse_other_json(line: str, table: Table) -> None:
    """Refuses a file whose first line begins one list, or one object of several lines."""
    start = "".join(line[:100].split())
    if start.startswith("[{"):
        raise InputError(
            f"{table.place(1)}: is one JSON list, {shown(line.strip(), 60)}; expected JSON Lines, one object on each line "
            "(`jq -c '.[]'` writes that)"
        )
    if start in ("{", "["):
        raise InputError(
            f"{table.place(1)}: begins JSON of several lines; expected JSON Lines, one object on each line (`jq -c .` writes that "
            "of objects, `jq -c '.[]'` of a list)"
        )


def _half_character(record: dict[str, Any] | str) -> str:
    """Why a record's or line's text cannot be written in UTF-8; nothing where it can."""
    try:
        json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        return f"has half a character (\\u{ord(error.object[error.start]):04x}); expected whole ones"
    except RecursionError:
        return "is nested too deeply; expected columns"
    return ""


def _check_keys(table: Table, records: list[tuple[int, dict[str, Any]]], columns: Columns) -> None:
    """Refuses a file whose first records lack a column altogether."""
    keys = list(dict.fromkeys(key for _, record in records for key in record))
    for name, key in columns.keys.items():
        if name not in keys and name not in columns.optional:
            first, last = records[0][0], records[-1][0]
            place = f"{quoted_name(table.path)}:{first}" + (f" to {last}" if last != first else "")
            raise no_such_column(place, name, keys, key)
