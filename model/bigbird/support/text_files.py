r"""Reads the text files that people and stages hand over: UTF-8 with or without a byte order mark, lines, JSON.

A line ends at \n, and a \r before that belongs to the ending. No other character ends one: texts hold form feeds and
U+2028, which Python's `splitlines` would split at.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bigbird.support.errors import InputError

MOST_SHOWN = 1000  # characters of a message
MOST_PROBLEMS = 30  # that are put into words; a message holds fewer
_MARK = "\ufeff"  # the byte order mark that some editors put before UTF-8
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


def shown(value: object, most: int = 100) -> str:
    """A value as messages quote it, cut where it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, lists inside lists without end
        return f"a value too long to show ({type(value).__name__})"
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"


def amount(count: int, noun: str) -> str:
    """`1 span`, `1,234 spans`; of nouns whose plural has an s behind it."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def escaped(text: str) -> str:
    """A text that UTF-8 can hold: what it has no bytes for, as bytes of a file's name that are no UTF-8, is escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def cut(text: object, most: int = MOST_SHOWN) -> str:
    """A text as messages hold it without quotes, cut where it is long; what no encoding has a byte for is escaped."""
    text = escaped(str(text))
    return text if len(text) <= most else f"{text[: most - 1]}…"


def problem_list(problems: Iterable[str], separator: str = "\n", more: int = 0) -> str:
    """Problems as one message: as many as `MOST_SHOWN` characters hold, then how many more there are.

    Args:
        problems: a line about each.
        separator: between two of them.
        more: how many others there are.
    """
    problems = list(problems)
    room = MOST_SHOWN - 30  # for the last words
    kept: list[str] = []
    length = 0
    for problem in (cut(problem, room) for problem in problems):
        length += len(problem) + len(separator)
        if kept and length > room:
            break
        kept.append(problem)
    more += len(problems) - len(kept)
    return separator.join([*kept, f"and {amount(more, 'more problem')}"] if more else kept)


def read_bytes(path: str | os.PathLike[str], expected: str) -> bytes:
    """A file's content.

    Args:
        path: the file.
        expected: what it should be, for messages: "the dataset manifest, a JSON file in UTF-8".

    Raises:
        InputError: there is no such file, it is a folder, or it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the name
        raise _unreadable(path, expected, error) from None


def _unreadable(path: str | os.PathLike[str], expected: str, error: Exception) -> InputError:
    name = cut(path, 500)
    if isinstance(error, FileNotFoundError):
        return InputError(f"{name}: no such file; expected {expected}")
    if isinstance(error, IsADirectoryError):
        return InputError(f"{name}: is a folder; expected {expected}")
    return InputError(f"{name}: cannot be read ({getattr(error, 'strerror', None) or error}); expected {expected}")


def decode(data: bytes, source: str, expected: str) -> str:
    """Text in UTF-8, without the byte order mark it may begin with.

    Args:
        data: the bytes.
        source: where they come from, for messages.
        expected: what they should be, for messages.

    Raises:
        InputError: they are not UTF-8; names the first byte that is not.
    """
    return _decode(data, source, expected).removeprefix(_MARK)


def _decode(data: bytes, source: str, expected: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{cut(source, 500)}: not UTF-8 at byte {error.start}; expected {expected}") from None


def read_text(path: str | os.PathLike[str], expected: str) -> str:
    """A whole text file, without a byte order mark; arguments and exceptions as `read_bytes` and `decode`."""
    return decode(read_bytes(path, expected), str(path), expected)


def split_lines(text: str) -> list[str]:
    """The lines of a text without their endings; an empty text has none."""
    lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
    return lines if text else []


def read_lines(path: str | os.PathLike[str], expected: str) -> Iterator[tuple[int, str]]:
    """Yields (number from 1, line without its ending) of a text file, one line in memory at a time.

    Raises:
        InputError: the file cannot be read, or a line is not UTF-8; names the line.
    """
    try:
        stream = Path(path).open("rb")  # noqa: SIM115 - closed below
    except (OSError, ValueError) as error:
        raise _unreadable(path, expected, error) from None
    with stream:
        for number, data in enumerate(stream, 1):
            line = data.removesuffix(b"\n").removesuffix(b"\r")
            text = _decode(line, f"{path}:{number}", expected)
            yield number, text.removeprefix(_MARK) if number == 1 else text


def parse_json(
    text: str, source: str, expected: str, *, place: str = "{source}:{line}:{column}", hint: str = ""
) -> Any:
    """The value of a JSON text.

    Args:
        text: the text.
        source: where it comes from, for messages.
        expected: what it should be, for messages.
        place: how a message names a mistake's place; of `source`, `line` and `column`.
        hint: what to say besides about a text that is no JSON.

    Raises:
        InputError: it is no JSON, or goes deeper or has longer numbers than Python reads.
    """
    source = cut(source, 500)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        where = place.format(source=source, line=error.lineno, column=error.colno)
        at = "" if where != source else f" at line {error.lineno}, column {error.colno}"
        raise InputError(f"{where}: not valid JSON ({error.msg}{at}); expected {expected}{hint}") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, lists inside lists without end
        raise InputError(f"{source}: not valid JSON ({error}); expected {expected}") from None


def parse_json_object(
    text: str, source: str, expected: str, *, place: str = "{source}:{line}:{column}"
) -> dict[str, Any]:
    """The object of a JSON text. Arguments and exceptions as `parse_json`.

    Raises:
        InputError: also where the value is no object.
    """
    value = parse_json(text, source, expected, place=place)
    if not isinstance(value, dict):
        raise InputError(f"{cut(source, 500)}: holds {type(value).__name__}; expected {expected}, a JSON object")
    return value


def read_json_lines(path: str | os.PathLike[str], expected: str) -> Iterator[tuple[int, Any]]:
    """Yields (number from 1, value) for every line of a file of JSON lines that is not blank.

    Raises:
        InputError: the file cannot be read, or a line is no JSON, or has half of a surrogate pair as an escape; names
            the line.
    """
    for number, line in read_lines(path, expected):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        value = parse_json(line, place, expected, place="{source}")
        if _SURROGATE_ESCAPE.search(line) and not _is_encodable(value):
            raise InputError(
                f"{cut(place, 500)}: holds half of a surrogate pair, which is no character; expected {expected}"
            )
        yield number, value


def _is_encodable(value: Any) -> bool:
    """Whether all of a JSON value's texts can be written in UTF-8."""
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (UnicodeEncodeError, RecursionError):
        return False
    return True
