"""Text files: what ends a line, what a byte order mark is, and how much of a value a message shows."""

import json
import re
import sys

import pytest

from bigbird.support.errors import InputError
from bigbird.support.text_files import (
    cut,
    decode,
    parse_json,
    problem_list,
    read_json_lines,
    read_lines,
    read_text,
    shown,
    split_lines,
)

MARK = b"\xef\xbb\xbf"
NO_ENDINGS = "\v\f\x1c\x1d\x1e\x85\u2028\u2029"  # what Python's splitlines splits at besides


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"one\ntwo\n", ["one", "two"]),
        (b"one\r\ntwo\r\n", ["one", "two"]),
        (b"one\n\ntwo", ["one", "", "two"]),
        (b"one\rstill one\n", ["one\rstill one"]),
        (b"", []),
        (b"\n", [""]),
        (MARK + b"one\ntwo", ["one", "two"]),
        (MARK, [""]),
        (b"one\n" + MARK + b"two", ["one", "\ufefftwo"]),
        *((f"a{character}b\nc".encode(), [f"a{character}b", "c"]) for character in NO_ENDINGS),
    ],
)
def test_a_line_ends_at_a_line_feed_alone(tmp_path, data, lines):
    file = tmp_path / "a.txt"
    file.write_bytes(data)
    assert list(read_lines(file, "text")) == list(enumerate(lines, 1))
    assert split_lines(decode(data, "a.txt", "text")) == [line for line in lines if data != MARK]


def test_a_byte_order_mark_is_no_part_of_a_text(tmp_path):
    file = tmp_path / "a.json"
    file.write_bytes(MARK + b'{"a": 1}')
    assert read_text(file, "text") == '{"a": 1}'
    assert list(read_json_lines(file, "JSON")) == [(1, {"a": 1})]


def test_json_lines_hold_what_json_may_hold(tmp_path):
    file = tmp_path / "a.jsonl"
    texts = [f"one{character}two" for character in "\u2028\u2029\x85\x7f"] + ["\U0001f600"]
    lines = [json.dumps(text, ensure_ascii=ascii_only) for ascii_only in (False, True) for text in texts]
    file.write_bytes("\r\n\n".join(lines).encode())
    assert [value for _, value in read_json_lines(file, "JSON")] == texts * 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"a": 1}\n{"b": ', r"a\.jsonl:2: not valid JSON \(Expecting value at line 1, column 7\); expected JSON"),
        (b"[" * 100_000, r"a\.jsonl:1: not valid JSON \(maximum recursion depth exceeded"),
        (b"1" * 6000, r"a\.jsonl:1: not valid JSON \(Exceeds the limit"),
        (b'\n"\\ud800"', r"a\.jsonl:2: holds half of a surrogate pair"),
        (b'"fine"\n"\xff"', r"a\.jsonl:2: not UTF-8 at byte 1; expected JSON"),
        (b'"a\0"', r"a\.jsonl:1: not valid JSON \(Invalid control character"),
        ("{}".encode("utf-16"), r"a\.jsonl:1: not UTF-8 at byte 0"),
    ],
)
def test_a_line_that_is_no_json_is_refused_with_its_number(tmp_path, data, message):
    file = tmp_path / "a.jsonl"
    file.write_bytes(data)
    with pytest.raises(InputError, match=message):
        list(read_json_lines(file, "JSON"))


def test_what_is_no_file_is_refused(tmp_path):
    for path, message in (
        (tmp_path, "is a folder; expected text"),
        (tmp_path / "absent", "absent: no such file; expected text"),
        (tmp_path / ("x" * 300), "cannot be read (File name too long); expected text"),
        (f"{tmp_path}/a\0b", "cannot be read (embedded null byte); expected text"),
    ):
        for read in (read_text, lambda *given: list(read_lines(*given))):
            with pytest.raises(InputError, match=re.escape(message)):
                read(path, "text")


def test_a_message_shows_little_of_a_long_value():
    assert shown("short") == "'short'"
    assert shown("x" * 100_000) == "'" + "x" * 99 + "… (100,002 characters)"
    assert shown(16**5000) == "a value too long to show (int)"
    assert cut("x" * 1001) == "x" * 999 + "…"
    assert cut("a\ud800") == "a\\ud800"
    deep: list = []
    for _ in range(sys.getrecursionlimit() * 2):
        deep = [deep]
    assert shown(deep) == "a value too long to show (list)"


@pytest.mark.parametrize(("size", "count"), [(10, 500), (400, 500), (5000, 1), (5000, 2), (5000, 3), (100, 3)])
def test_many_problems_are_one_message_of_bounded_length(size, count):
    message = problem_list(["x" * size] * count)
    lines = message.split("\n")
    assert len(message) <= 1000
    if size * count < 900:
        assert lines == ["x" * size] * count
    elif count > 1:
        left_out = count - (len(lines) - 1)
        assert lines[-1] == f"and {left_out:,} more problem{'' if left_out == 1 else 's'}"


def test_a_mistake_in_json_is_named_where_the_caller_wants_it():
    with pytest.raises(InputError, match=r"^f:2:3: not valid JSON \(Expecting value\); expected a list; look there$"):
        parse_json("[1,\n  x]", "f", "a list", hint="; look there")
    with pytest.raises(
        InputError, match=r"^f: not valid JSON \(Expecting value at line 2, column 3\); expected a list$"
    ):
        parse_json("[1,\n  x]", "f", "a list", place="{source}")
