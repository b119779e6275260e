"""A table's rows on their way to the model: columns, checks, shards, what is rejected. Nothing here loads a model."""

import gzip
import json

import pytest

from bigbird.support.errors import InputError
from bigbird.tasks.tables.files import LOCAL, find_tables
from bigbird.tasks.tables.reading import column_names
from bigbird.tasks.tables.section import TableFormat
from bigbird_components.predict import rows as rows_module
from bigbird_components.predict.columns import ColumnOptions, choose_columns
from bigbird_components.predict.rows import RowRange, TableInput, read_rows
from tests import manifests

CSV = 'id,review,shop\na1,good film,one\na2,"dull, long",\n'


@pytest.fixture
def choose(tmp_path):
    """Function (content, name, fields, options) -> the table and the columns that are read of it."""

    def choose(content, name="t.csv", fields=("text_a",), given=None, dataset=None, more_names=(), **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        table = TableInput(find_tables([str(path)], TableFormat()).tables, TableFormat(), LOCAL)
        (file,) = table.tables
        names = column_names(file, TableFormat())
        return table, choose_columns(fields, ColumnOptions(given or {}, **options), file, names, more_names, dataset)

    return choose


@pytest.fixture
def read(choose, tmp_path):
    """Function (as `choose`) -> shards, rows, rejected rows."""

    def read(content, *args, max_bad_records=0, **options):
        table, columns = choose(content, *args, **options)
        files = tmp_path / "rows.jsonl", tmp_path / "rejected.jsonl"
        written = {"rows_file": str(files[0]), "rejected_file": str(files[1])}
        shards, rejected = read_rows(table, columns, max_bad_records=max_bad_records, **written)
        good, bad = ([json.loads(line) for line in file.read_text().splitlines()] for file in files)
        assert len(bad) == rejected
        return shards, good, bad

    return read


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", CSV),
        ("t.tsv", "id\treview\tshop\na1\tgood film\tone\na2\tdull, long\t\n"),
        pytest.param("t.csv.gz", gzip.compress(CSV.encode()), id="packed"),
        (
            "t.jsonl",
            '{"id": "a1", "review": "good film", "shop": "one"}\n{"id": "a2", "review": "dull, long", "shop": ""}\n',
        ),
    ],
)
def test_rows_have_texts_names_kept_columns_and_places(read, tmp_path, name, content):
    shards, good, bad = read(content, name, given={"text": ["review"]}, id="id", keep=["shop", "id"])
    assert bad == []
    path = tmp_path / name
    lines = (1, 2) if name.endswith("jsonl") else (2, 3)
    assert good == [
        {
            "fields": {"text_a": "good film"},
            "id": "a1",
            "kept": {"shop": "one", "id": "a1"},
            "place": f"{path}:{lines[0]}",
        },
        {
            "fields": {"text_a": "dull, long"},
            "id": "a2",
            "kept": {"shop": "", "id": "a2"},
            "place": f"{path}:{lines[1]}",
        },
    ]
    assert shards == [RowRange(0, 0, (tmp_path / "rows.jsonl").stat().st_size, 2)]


def test_without_an_id_rows_are_named_by_file_and_line(read, tmp_path):
    _, good, _ = read("text_a\none\n\ntwo\n")
    assert [row["id"] for row in good] == [f"{tmp_path}/t.csv:2", f"{tmp_path}/t.csv:4"]


def test_shards_are_runs_of_so_many_rows_or_bytes(read, monkeypatch, tmp_path):
    monkeypatch.setattr(rows_module, "ROWS", 3)
    content = "text_a\n" + "".join(f"text {i}\n" for i in range(7))
    shards, good, _ = read(content)
    assert [shard.rows for shard in shards] == [3, 3, 1]
    lines = (tmp_path / "rows.jsonl").read_bytes()
    for shard in shards:
        held = lines[shard.start : shard.start + shard.size].splitlines()
        assert [json.loads(line) for line in held] == good[shard.number * 3 :][: shard.rows]
    monkeypatch.setattr(rows_module, "BYTES", 10)
    assert [shard.rows for shard in read(content)[0]] == [1] * 7


def test_several_columns_become_one_text(read):
    _, good, _ = read("title,body\nA,B\n,C\n", given={"text": ["title", "body"]})
    assert [row["fields"]["text_a"] for row in good] == ["A\n\nB", "C"]


def test_a_pair_and_a_question_are_read_from_their_own_columns(read):
    _, good, _ = read("a,b\nx,y\n", "t.csv", ("text_a", "text_b"), {"text": ["a"], "text_b": ["b"]})
    assert good[0]["fields"] == {"text_a": "x", "text_b": "y"}
    _, good, _ = read('{"question": "q", "context": "c"}\n', "t.jsonl", ("context", "question"))
    assert good[0]["fields"] == {"context": "c", "question": "q"}


def dataset(columns):
    return manifests.dataset(task="x", splits={}, columns=columns)


def test_the_training_tables_columns_are_the_default_where_the_table_has_them(choose):
    trained = dataset({"text": ["review"], "text_b": None, "label": "stars"})
    assert choose("review,text_a,text\nx,y,z\n", dataset=trained)[1].fields == {"text_a": ["review"]}
    assert choose("text_a,text\ny,z\n", dataset=trained)[1].fields == {"text_a": ["text_a"]}
    assert choose("id,text\n1,z\n", dataset=trained)[1].fields == {"text_a": ["text"]}
    assert choose("review,text\nx,z\n", given={"text": ["text"]}, dataset=trained)[1].fields == {"text_a": ["text"]}
    with pytest.raises(InputError, match=r"t\.csv:1: has no column 'review'; its columns are 'id', 'reviews'.*--text"):
        choose("id,reviews\n1,z\n", dataset=trained)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"question": ["q"]}, "--question q: this model has no such text; expected --text, as its inputs are text_a"),
        ({"text": ["id", "id"]}, "the column 'id' is named for two texts, or twice"),
    ],
)
def test_options_that_are_not_the_models_are_refused(choose, given, message):
    with pytest.raises(InputError, match=message):
        choose("id,text\n1,z\n", given=given)


def test_all_columns_are_kept_but_those_that_are_read(choose, read):
    _, columns = choose("id,text,shop,day\n1,z,s,d\n", keep_all=True, id="id", more_names=["day", "hour"])
    assert list(columns.keep) == ["shop", "day", "hour"]
    _, good, _ = read('{"text": "a", "x": 1.5}\n{"text": "b", "y": [1, null, {"z": NaN}]}\n', "t.jsonl", keep_all=True)
    assert [row["kept"] for row in good] == [{"x": 1.5, "y": None}, {"x": None, "y": [1, None, {"z": None}]}]


def test_parquet_keeps_dates_as_text_and_lists(read, tmp_path):
    import datetime

    import pyarrow as pa
    import pyarrow.parquet as pq

    day = datetime.datetime(2026, 1, 31, 4, 5, tzinfo=datetime.UTC)
    table = pa.table(
        {"text": ["a", None, "c"], "day": [day] * 3, "tags": [["x"], [], None], "n": [1.0, 2.0, float("nan")]}
    )
    pq.write_table(table, tmp_path / "made.parquet")
    content = (tmp_path / "made.parquet").read_bytes()
    _, good, bad = read(content, "t.parquet", keep_all=True, max_bad_records=1)
    assert good[0]["kept"] == {"day": "2026-01-31 04:05:00+00:00", "tags": ["x"], "n": 1.0}
    assert good[1]["kept"] == {"day": "2026-01-31 04:05:00+00:00", "tags": None, "n": None}
    assert [(row["where"], row["problem"]) for row in bad] == [
        ("row 2", "has an empty text in column 'text'; expected text")
    ]


BAD = f"text,shop\n{'good ' * 20},a\n ,b\nshort\nfine,c\na\0b,d\n"


def test_bad_rows_are_rejected_with_their_lines(read):
    _, good, bad = read(BAD, max_bad_records=3)
    assert [row["fields"]["text_a"] for row in good] == ["good " * 20, "fine"]
    assert [(row["where"], row["problem"]) for row in bad] == [
        ("3", "has an empty text in column 'text'; expected text"),
        ("4", "has 1 value; expected 2, separated by a comma: 'text', 'shop'"),
        ("6", "has a NUL character in column 'text'; expected text only"),
    ]
    assert all(row["file"].endswith("t.csv") and row["record"] for row in bad)


def test_more_bad_rows_than_allowed_end_the_job_with_the_first_three_and_their_number(read, tmp_path):
    content = "text\n" + "".join(f"{'x' if i % 3 else ' '}\n" for i in range(30))
    with pytest.raises(InputError) as caught:
        read(content, max_bad_records=4)
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[0] for line in lines[:3]] == [f"{tmp_path}/t.csv:{line}" for line in (2, 5, 8)]
    assert (
        lines[3]
        == "and 7 more. 10 bad records, of at most 4. Correct them, or skip such records with --max-bad-records 10"
    )
    assert not (tmp_path / "rows.jsonl").exists() and not (tmp_path / "rejected.jsonl").exists()


@pytest.mark.parametrize(
    ("content", "bad", "message"),
    [
        ("text\n", 0, r"t\.csv: has no row below its columns' names; expected at least one row to answer"),
        ("text\n \n", 1, r"t\.csv: none of its rows can be used; expected at least one row to answer"),
        ("", 0, r"t\.csv: is empty"),
        ("text,text\na,b\n", 0, "has the column 'text' more than once"),
    ],
)
def test_a_table_without_a_row_is_refused(read, content, bad, message):
    with pytest.raises(InputError, match=message):
        read(content, max_bad_records=bad)


def test_a_kept_column_that_is_not_there_is_refused(read):
    with pytest.raises(InputError, match=r"has no column 'day'; its columns are 'text'\. .*\(--keep\)"):
        read("text\na\n", keep=["day"])


@pytest.mark.parametrize(
    ("name", "content", "names"),
    [
        ("t.csv", '\n"a ""x""",b\n1,2\n', ['a "x"', "b"]),
        ("t.tsv", "a\tb\n", ["a", "b"]),
        ("t.jsonl", '{"a": 1}\n[]\n\n{"b": {"c": 1}}\n', ["a", "b"]),
    ],
)
def test_the_columns_of_a_file_are_listed(tmp_path, name, content, names):
    (tmp_path / name).write_text(content)
    (table,) = find_tables([str(tmp_path / name)], TableFormat()).tables
    assert column_names(table, TableFormat()) == names
