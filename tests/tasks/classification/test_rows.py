import csv
import gzip
import io
import json
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigbird.support.errors import InputError
from bigbird.tasks.classification.data_section import TableData
from bigbird.tasks.classification.rows import read_rows
from bigbird.tasks.records import BadRecords, has_text
from bigbird.tasks.tables.files import Table
from bigbird.tasks.tables.text_formats import LONGEST


def short(rows):
    return [(row.line, row.text_a, row.label) for row in rows]


def refused(rows, *paths, **options):
    with pytest.raises(InputError) as told:
        rows(*paths, **options)
    assert len(str(told.value)) < 1000
    return str(told.value)


# ---------------------------------------------------------------------------------------------- CSV and TSV


def test_quoted_values_and_the_line_that_a_record_begins_on(write, rows):
    text = 'text,label\n"one\ntwo, ""three""",a\n\nfour,b\r\n"five\r\nsix\n\nseven",007\n"x, y",c'
    found, bad = rows(write("a.csv", text))
    assert short(found) == [
        (2, 'one\ntwo, "three"', "a"),
        (5, "four", "b"),
        (6, "five\r\nsix\n\nseven", "007"),
        (10, "x, y", "c"),
    ]
    assert bad == []


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_line_ends(write, rows, ending):
    found, _ = rows(write("a.csv", ending.join(["text,label", "one,a", "two,b", ""])))
    assert short(found) == [(2, "one", "a"), (3, "two", "b")]


@pytest.mark.parametrize("character", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_other_characters_end_no_line(write, rows, character):
    found, _ = rows(write("a.csv", f"text,label\none{character}two,a\nthree,b\n"))
    assert short(found) == [(2, f"one{character}two", "a"), (3, "three", "b")]


@pytest.mark.parametrize(
    ("written", "given"),
    [
        ("utf-8", "utf-8"), ("utf-8-sig", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("utf-16", "utf-16"), ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"), ("utf-32", "utf-32"), ("latin-1", "latin-1"), ("cp1252", "cp1252"), ("shift-jis", "shift-jis"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("packed", [False, True])
def test_encodings(write, rows, written, given, packed):
    word = "日本" if written == "shift-jis" else "café"
    data = f'text,label\r\n"{word}\nline",a\r\n{word},é\r\n'.replace(
        "é", "ア" if written == "shift-jis" else "é"
    ).encode(written)
    found, _ = rows(
        write("a.csv.gz" if packed else "a.csv", gzip.compress(data, mtime=0) if packed else data), encoding=given
    )
    word, label = (word, "ア") if written == "shift-jis" else (word, "é")
    assert short(found) == [(2, f"{word}\nline", "a"), (4, word, label)]


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_a_byte_order_mark_before_an_encoding_that_names_its_order(write, rows, codec):
    found, _ = rows(write("a.csv", "\ufefftext,label\none,a\n".encode(codec)), encoding=codec)
    assert short(found) == [(2, "one", "a")]


def test_gzip_is_known_by_its_bytes(write, rows):
    found, _ = rows(write("a.csv", gzip.compress(b"text,label\none,a\n", mtime=0)))
    assert short(found) == [(2, "one", "a")]


def test_tab_separated_values_with_and_without_quotation_marks(write, rows):
    quoted = write("a.tsv", 'text\tlabel\n"one\ttwo"\ta\n')
    plain = write("b.tsv", 'text\tlabel\n"one" two\ta\nthree "four\tb\n')
    assert short(rows(quoted)[0]) == [(2, "one\ttwo", "a")]
    assert short(rows(plain, quoted=False)[0]) == [(2, '"one" two', "a"), (3, 'three "four', "b")]
    assert "set quoted to false (--no-quoted)" in refused(rows, plain)


@pytest.mark.parametrize("delimiter", [";", "|", "\t", "^"])
def test_delimiters(write, rows, delimiter):
    path = write("a.csv", f"text{delimiter}label\none, two{delimiter}a\n")
    assert short(rows(path, delimiter=delimiter)[0]) == [(2, "one, two", "a")]


def test_columns_texts_names_and_groups(write, rows):
    path = write("a.csv", "g,title,body,b,label,n\n1,T,Body,Second,x,7\n2,,Only,Other,y,08\n")
    found, _ = rows(path, text=["title", "body"], text_b="b", id="n", group="g")
    assert [tuple(row)[2:] for row in found] == [
        ("7", "T\n\nBody", "Second", "x", "1"),
        ("08", "Only", "Other", "y", "2"),
    ]


def test_a_column_may_be_text_and_group_or_id(write, rows):
    found, _ = rows(write("a.csv", "text,label\none,a\n"), id="text", group="label")
    assert [tuple(row)[2:] for row in found] == [("one", "one", None, "a", "a")]


def test_files_may_have_their_columns_in_another_order(write, rows):
    found, _ = rows(write("a.csv", "text,label\none,a\n"), write("b.csv", "n,label,text\n1,b,two\n"))
    assert short(found) == [(2, "one", "a"), (2, "two", "b")]
    assert [Path(row.table.path).name for row in found] == ["a.csv", "b.csv"]


CELLS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=40).filter(
    has_text
)
QUIRKS = st.lists(
    st.sampled_from(['"', '""', ",", "\n", "\r\n", "\r", "\t", ";", "é", "日", "🙂", "\u2028", " ", "'", "x"])
).map("".join)


@settings(max_examples=150, deadline=None)
@given(
    table=st.lists(st.tuples(CELLS | QUIRKS.map(lambda text: f"x{text}"), QUIRKS), min_size=1, max_size=8),
    dialect=st.sampled_from([(",", "\r\n"), (";", "\n"), ("\t", "\n")]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_what_a_csv_writer_writes_is_read(tmp_path_factory, table, dialect, encoding):
    delimiter, ending = dialect
    out = io.StringIO(newline="")
    # Where lines end with \n alone, this writer leaves a \r unquoted, which ends a line for every reader.
    quoting = csv.QUOTE_MINIMAL if ending == "\r\n" else csv.QUOTE_ALL
    writer = csv.writer(out, delimiter=delimiter, lineterminator=ending, quoting=quoting)
    lines = []
    for row in [("text", "label"), *table]:
        before = out.getvalue()
        lines.append(1 + before.count("\n") + before.replace("\r\n", "\n").count("\r"))
        writer.writerow(row)
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(out.getvalue().encode(encoding))
    section = TableData(files=str(path), delimiter=delimiter, encoding=encoding)
    bad = BadRecords(limit=len(table))
    found = list(read_rows([Table(str(path), "csv")], section, bad))
    assert bad.rejected == []
    assert short(found) == [(line, *row) for line, row in zip(lines[1:], table, strict=True)]


# ---------------------------------------------------------------------------------------------- JSON Lines


def test_json_lines(write, rows):
    lines = [
        '{"text": "one\\ntwo", "label": "a", "more": {"x": [1]}}',
        "",
        '{"label": 3, "text": 12.5}',
        '{"text": true, "label": ["x", 1]}',
    ]
    found, _ = rows(write("a.jsonl", "\r\n".join(lines)))
    assert short(found) == [(1, "one\ntwo", "a"), (3, "12.5", 3), (4, "true", ["x", 1])]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_json_lines_in_encodings_packed(write, rows, encoding):
    data = '{"text": "é\u2028🙂", "label": "a"}\n{"text": "\\ud83d\\ude42", "label": "b"}'.encode(encoding)
    found, _ = rows(write("a.jsonl.gz", gzip.compress(data, mtime=0)), encoding=encoding)
    assert short(found) == [(1, "é\u2028🙂", "a"), (2, "🙂", "b")]


def test_a_column_that_first_comes_later(write, rows):
    lines = [{"text": "one"}, {"text": "two", "label": "a"}]
    found, _ = rows(write("a.jsonl", "\n".join(map(json.dumps, lines))))
    assert short(found) == [(1, "one", None), (2, "two", "a")]


def test_many_json_lines(write, rows):
    path = write("a.jsonl", "".join(f'{{"text": "t{i}", "label": {i % 3}}}\n' for i in range(1000)))
    assert short(rows(path)[0]) == [(i + 1, f"t{i}", i % 3) for i in range(1000)]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"text": "x", "label": "a"', "is not valid JSON (Expecting ',' delimiter"),
        ("[1, 2]", "is a list; expected an object with columns"),
        ('"text"', "is a text; expected an object"),
        ("null", "is null; expected an object"),
        ('{"text": {"a": 1}, "label": "a"}', "has an object in column 'text', {'a': 1}; expected text"),
        ('{"text": ["a"], "label": "a"}', "has a list in column 'text', ['a']; expected text"),
        ('{"text": "  ", "label": "a"}', "has an empty text in column 'text'; expected text"),
        ('{"text": null, "label": "a"}', "has an empty text in column 'text'"),
        ('{"label": "a"}', "has an empty text in column 'text'"),
        ('{"text": "a\\u0000b", "label": "a"}', "has a NUL character in column 'text'"),
        ('{"text": "\\ud83d", "label": "a"}', "has half a character (\\ud83d)"),
        ('{"text": "x", "text": "y", "label": "a"}', "has the key 'text' more than once; expected it once"),
        ('{"text": "x", "label": ' + "9" * 5000 + "}", "is not valid JSON (Exceeds the limit"),
        ("[" * 100_000, "is not valid JSON"),
    ],
)
def test_a_bad_json_line_is_refused_or_skipped(write, rows, line, problem):
    path = write("a.jsonl", f'{{"text": "one", "label": "a"}}\n{line}\n{{"text": "two", "label": "b"}}\n')
    message = refused(rows, path)
    assert message.startswith(f"{path}:2: {problem}")
    assert "--max-bad-records 1" in message
    found, bad = rows(path, limit=1)
    assert short(found) == [(1, "one", "a"), (3, "two", "b")]
    assert [(record["where"], record["problem"][: len(problem)]) for record in bad] == [("2", problem)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"text": "a"}, {"text": "b"}]', "a.jsonl:1: is one JSON list, "),
        ('{\n  "text": "a"\n}', "a.jsonl:1: begins JSON of several lines; expected JSON Lines"),
        ('[\n{"text": "a"}]', "a.jsonl:1: begins JSON of several lines"),
        (
            '{"txet": "a", "label": 1}',
            "a.jsonl:1: has no column 'text'; its columns are 'txet', 'label'. Did you mean 'txet'?",
        ),
        ('{"text": "a"}\n{"text": "b"}', "a.jsonl:1 to 2: has no column 'label'; its columns are 'text'."),
    ],
)
def test_files_that_are_not_these_json_lines(write, rows, content, message):
    assert message in refused(rows, write("a.jsonl", content))


# ---------------------------------------------------------------------------------------------- Parquet


def parquet(tmp_path, columns, name="a.parquet", **options):
    pq.write_table(pa.table(columns), tmp_path / name, **options)
    return str(tmp_path / name)


def test_parquet_of_many_types(tmp_path, rows):
    path = parquet(
        tmp_path,
        {
            "a.text": pa.array(["one", "two"], pa.large_string()),
            "label": pa.array(["x", "y"]).dictionary_encode(),
            "id": pa.array([7, 8]),
            "day": pa.array([0, 1], pa.date32()),
        },
    )
    found, _ = rows(path, text=["a.text", "day"], id="id")
    assert [tuple(row)[1:] for row in found] == [
        (1, "7", "one\n\n1970-01-01", None, "x", None),
        (2, "8", "two\n\n1970-01-02", None, "y", None),
    ]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (pa.array([["a", "b"], []]), [["a", "b"], []]),
        (pa.array([[1], [2, 3]]), [[1], [2, 3]]),
        (pa.array([1, 2], pa.int8()), [1, 2]),
        (pa.array([0.5, None]), [0.5, None]),
        (pa.array([True, False]), [True, False]),
    ],
)
def test_parquet_labels(tmp_path, rows, labels, expected):
    found, _ = rows(parquet(tmp_path, {"text": ["t", "u"], "label": labels}))
    assert [row.label for row in found] == expected


def test_parquet_of_many_row_groups(tmp_path, rows):
    path = parquet(tmp_path, {"text": [f"t{i}" for i in range(1000)], "label": list(range(1000))}, row_group_size=300)
    assert short(rows(path)[0]) == [(i + 1, f"t{i}", i) for i in range(1000)]


def test_an_empty_text_in_parquet_names_the_row(tmp_path, rows):
    path = parquet(tmp_path, {"text": ["one", None, "three"], "label": ["a", "b", "c"]})
    assert refused(rows, path).startswith(f"{path}:row 2: has an empty text in column 'text'")
    assert short(rows(path, limit=1)[0]) == [(1, "one", "a"), (3, "three", "c")]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": [["a"]], "label": ["x"]}, "has values of type list<"),
        ({"text": [{"a": 1}], "label": ["x"]}, "in column 'text'; expected text, as text names it"),
        (
            {"text": ["a"], "label": [{"a": 1}]},
            "in column 'label'; expected texts, numbers, truth values or lists of them",
        ),
        ({"text": ["a"], "label": [[["a"]]]}, "in column 'label'; expected texts"),
        ({"text": [b"a"], "label": ["x"]}, "has values of type binary in column 'text'"),
        (
            {"Text": ["a"], "label": ["x"]},
            "has no column 'text'; its columns are 'Text', 'label'. Did you mean 'Text'?",
        ),
    ],
)
def test_parquet_columns_that_cannot_be_used(tmp_path, rows, columns, message):
    assert message in refused(rows, parquet(tmp_path, columns))


def test_parquet_with_a_column_twice(tmp_path, rows):
    table = pa.Table.from_arrays([pa.array(["a"])] * 3, names=["text", "label", "text"])
    pq.write_table(table, tmp_path / "a.parquet")
    assert "has the column 'text' 2 times, which text names; expected it once" in refused(
        rows, str(tmp_path / "a.parquet")
    )


@pytest.mark.parametrize("keep", [0, 3, 40, 0.5, 0.99])
def test_parquet_that_is_cut_short(tmp_path, rows, keep):
    path = Path(parquet(tmp_path, {"text": ["t"] * 1000, "label": list(range(1000))}))
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    message = refused(rows, str(path))
    assert message.startswith(f"{path}: {'cannot be read as Parquet' if keep else 'is empty; expected Parquet'}")


def test_parquet_with_damage_inside(tmp_path, rows):
    path = Path(parquet(tmp_path, {"text": [f"text {i}" for i in range(1000)], "label": list(range(1000))}))
    data = path.read_bytes()
    for start in (10, 200, 1000, len(data) // 2):
        path.write_bytes(data[:start] + b"\xff" * 50 + data[start + 50 :])
        assert str(path) in refused(rows, str(path), limit=1000)


# ---------------------------------------------------------------------------------------------- mistakes in files


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "a.csv: is empty; expected CSV in utf-8"),
        ("a.jsonl", b"", "a.jsonl: is empty; expected JSON Lines in utf-8"),
        ("a.csv", b"\n\n", "a.csv:1: has no header; expected the columns' names"),
        ("a.csv", b"txt,label\na,b\n", "a.csv:1: has no column 'text'; its columns are 'txt', 'label'. Did you mean 'txt'? Name the column to read with text"),
        ("a.csv", b"text,sentiment\na,b\n", "a.csv:1: has no column 'label'; its columns are 'text', 'sentiment'. Name the column to read with label"),
        ("a.csv", b"text,label,text\na,b,c\n", "a.csv:1: has the column 'text' more than once (columns 1, 3), which text names; expected it once"),
        ("a.csv", b"text;label\na;b\n", "a.csv:1: has one column, 'text;label', and a semicolon in its name; expected the columns' names with a comma between them. Set delimiter to ';'"),
        ("a.csv", b"text\tlabel\na\tb\n", "Set delimiter to '\\t'"),
        ("a.tsv", b"text,label\na,b\n", "and a comma in its name; expected the columns' names with a tab between them. Set delimiter to ','"),
        ("a.csv", b"text,label\none,a\ncaf\xe9,b\n", "a.csv:3: is not utf-8 at byte 20 of the file (0xe9: invalid continuation byte); expected CSV in utf-8"),
        ("a.csv", b'text,label\none,a\n"two,b\nthree,c\n', "a.csv:3: the record that begins here has a quotation mark that is never closed"),
        ("a.csv", b'text,label\none,a\n"two" x,b\nthree,c\n', "a.csv:3: the record that begins here has text after a closing quotation mark"),
        ("a.csv", b'text,label\none,a\n"a \\"b\\" c",b\n', "a.csv:3: the record that begins here has text after a closing quotation mark"),
        ("a.csv", "text,label\na,b\n".encode("utf-16"), "a.csv: is in utf-16; expected CSV in utf-8. Set encoding to utf-16"),
        ("a.csv", b"PK\x03\x04rest", "is a ZIP archive or a spreadsheet; expected CSV in utf-8. Unpack it, or save the spreadsheet as CSV"),
        ("a.csv", b"PAR1rest", "is Parquet; expected CSV"),
        ("a.csv", b"BZh9rest", "is compressed by bzip2"),
        ("a.csv", b"<!DOCTYPE html><html>", "is a web page"),
        ("a.csv", b"a\0b", "NUL bytes"),
        ("a.csv.gz", gzip.compress(b"text,label\n" + b"one,a\n" * 1000, mtime=0)[:-20], "is compressed by gzip and cannot be unpacked"),
        ("a.csv", b"\x1f\x8bnonsense", "is compressed by gzip and cannot be unpacked"),
        ("a.parquet", b"text,label\na,b\n", "a.parquet: cannot be read as Parquet after row 0"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_read(write, rows, name, content, message):
    assert message in refused(rows, write(name, content))


@pytest.mark.parametrize(("encoding", "half"), [("utf-7", "+2AA-"), ("unicode_escape", "\\ud800")])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_half_a_character_of_an_encoding_that_can_hold_one_is_refused(write, rows, encoding, half, name):
    lines = ["text,label", "x,a", f"b {half},c"] if name == "a.csv" else ['{"text":"x"}', "", f'{{"text":"b {half}"}}']
    path = write(name, "\n".join(lines).encode("ascii"))
    assert "a.{}:3: has half a character (\\ud800); expected whole ones".format(name.partition(".")[2]) in refused(
        rows, path, encoding=encoding
    )


def test_the_byte_that_is_not_of_the_encoding_is_told_wherever_it_is(write, rows):
    good = ("text,label\n" + "é" * 10 + ",a\n").encode()
    for length in (2**18 - 50, 2**18 - 1, 2**18, 600_001):
        filled = good + b"x" * (length - len(good) - 3) + b",a\n"
        path = write("a.csv", filled + "é".encode()[:1] + b",b\n")
        assert f"a.csv:4: is not utf-8 at byte {len(filled):,} of the file (0xc3" in refused(rows, path)


def test_utf_16_with_a_byte_missing(write, rows):
    path = write("a.csv", "text,label\none,a\n".encode("utf-16")[:-1])
    assert "a.csv:2: is not utf-16 at byte 34 of the file (0x0a: truncated data)" in refused(
        rows, path, encoding="utf-16"
    )


@pytest.mark.parametrize(
    ("line", "found"),
    [("one", "has 1 value; expected 2"), ("one,a,b", "has 3 values; expected 2"), ("one, two,a", "a comma inside a text must stand in quotation marks")],
)  # fmt: skip
def test_ragged_rows(write, rows, line, found):
    path = write("a.csv", f'text,label\n"x\ny",a\n{line}\nlast,b\n')
    message = refused(rows, path)
    assert message.startswith(f"{path}:4: has ")
    assert found in message
    good, bad = rows(path, limit=1)
    assert short(good) == [(2, "x\ny", "a"), (5, "last", "b")]
    assert (bad[0]["where"], bad[0]["record"]) == ("4", line)


def test_texts_of_several_columns_that_are_all_empty(write, rows):
    path = write("a.csv", "title,body,label\n, ,a\n")
    assert "has an empty text in each of the columns 'title', 'body'" in refused(rows, path, text=["title", "body"])


@pytest.mark.parametrize(
    ("key", "message"), [("id", "has no id in column 'n'"), ("group", "has no group in column 'n'")]
)
def test_a_record_without_its_name_or_group(write, rows, key, message):
    path = write("a.csv", "n,text,label\n1,one,a\n,two,b\n")
    assert f"a.csv:3: {message}; expected one in every record" in refused(rows, path, **{key: "n"})


def test_a_line_or_value_that_never_ends(write, rows):
    text = "x" * LONGEST
    assert f"a.csv:2: has more than {LONGEST:,} characters" in refused(rows, write("a.csv", f"text,label\n{text},a\n"))
    many = ("x" * 1000 + "\n") * (LONGEST // 1000)
    message = refused(rows, write("a.csv", f'text,label\none,a\n"{many}",a\n'))
    assert f"a.csv:3: the record that begins here has a value of more than {LONGEST:,} characters" in message


def test_the_longest_documents_are_read(write, rows):
    text = "word " * 200_000
    assert short(rows(write("a.csv", f"text,label\n{text},a\n"))[0]) == [(2, text, "a")]


def test_a_folder_in_place_of_a_file_and_one_that_may_not_be_read(tmp_path):
    section = TableData(files="x")
    with pytest.raises(InputError, match="cannot be read"):
        list(read_rows([Table(str(tmp_path), "csv")], section, BadRecords()))
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        list(read_rows([Table(str(tmp_path / "none"), "parquet")], section, BadRecords()))


def test_a_test_file_may_be_without_labels(write, tmp_path, rows):
    csv_file = write("a.csv", "n,text\n1,one\n")
    assert [tuple(row)[2:] for row in rows(csv_file, label_may_lack=True, id="n")[0]] == [
        ("1", "one", None, None, None)
    ]
    assert short(rows(write("a.jsonl", '{"text": "one"}'), label_may_lack=True)[0]) == [(1, "one", None)]
    assert short(rows(parquet(tmp_path, {"text": ["one"]}), label_may_lack=True)[0]) == [(1, "one", None)]
    assert "has no column 'label'" in refused(rows, csv_file)


@settings(max_examples=200, deadline=None)
@given(
    data=st.binary(max_size=200) | st.text(st.sampled_from('text,label\n"\r;{}[]:1é\0 '), max_size=80).map(str.encode),
    form=st.sampled_from(["csv", "tsv", "jsonl", "parquet"]),
    encoding=st.sampled_from(["utf-8", "utf-16", "latin-1", "utf-7", "unicode_escape"]),
    prefix=st.sampled_from([b"", b"text,label\n", b'{"text": "a", "label": "b"}\n', b"\x1f\x8b", b"PAR1"]),
)
def test_whatever_bytes_a_file_holds_only_our_error_comes(tmp_path_factory, data, form, encoding, prefix):
    path = tmp_path_factory.mktemp("fuzz") / "a"
    path.write_bytes(prefix + data)
    section = TableData(files=str(path), encoding=encoding, format=form)
    message, found = "", []
    try:
        found = list(read_rows([Table(str(path), form)], section, BadRecords(limit=1000)))
    except InputError as error:
        message = str(error)
    assert (str(path) in message) == bool(message)
    assert len(message) < 1000
    assert all(has_text(row.text_a) for row in found)


MEASURE = """
import re, sys, tempfile
from pathlib import Path
from bigbird.tasks.classification.data_section import TableData
from bigbird.tasks.classification.dataset import read_dataset
from bigbird.tasks.tables.files import find_tables
from bigbird.tasks.classification.rows import read_rows
from bigbird.tasks.records import BadRecords

def peak():  # not resource.getrusage, which begins with what the parent had
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text()).group(1))

small, large = sys.argv[1:]
def read(path):
    section = TableData(files=path)
    return sum(1 for _ in read_rows(find_tables([path], section).tables, section, BadRecords()))
read(small)
read_dataset(TableData(files=small), BadRecords(), tempfile.TemporaryFile())
start = peak()
rows = read(large)
reading = peak() - start
dataset = read_dataset(TableData(files=large), BadRecords(), tempfile.TemporaryFile())
examples = sum(1 for _ in dataset.lines())
print(rows, examples, reading, peak() - start)
"""


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path, form):
    random.seed(0)
    words = ["".join(random.choices("abcdefgh", k=6)) for _ in range(1000)]
    pool = [" ".join(random.choices(words, k=40)) for _ in range(5000)]  # beyond what Parquet's compression looks back
    sizes = {"small": 3000, "large": 300_000}
    for name, size in sizes.items():
        texts = random.choices(pool, k=size)
        labels = [f"label {i % 3}" for i in range(size)]
        path = tmp_path / f"{name}.{form}"
        if form == "parquet":
            pq.write_table(
                pa.table({"text": texts, "label": labels}), path, row_group_size=size, use_dictionary=["label"]
            )
        else:
            with path.open("w", newline="", encoding="utf-8") as file:
                if form == "csv":
                    csv.writer(file).writerows([("text", "label"), *zip(texts, labels, strict=True)])
                else:
                    file.writelines(
                        json.dumps({"text": t, "label": x}) + "\n" for t, x in zip(texts, labels, strict=True)
                    )
    assert (tmp_path / f"large.{form}").stat().st_size > 40e6
    paths = [str(tmp_path / f"{name}.{form}") for name in sizes]
    done = subprocess.run([sys.executable, "-c", MEASURE, *paths], capture_output=True, text=True, check=True)
    rows, examples, reading, all_in_all = map(int, done.stdout.split())
    assert (rows, examples) == (300_000, 300_000)
    assert reading < 16e6
    assert all_in_all < 70e6
