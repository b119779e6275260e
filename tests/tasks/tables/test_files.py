import io
from pathlib import Path

import pytest

from bigbird.support.errors import InputError
from bigbird.tasks.classification.data_section import TableData
from bigbird.tasks.classification.rows import read_rows
from bigbird.tasks.records import BadRecords
from bigbird.tasks.tables.files import TableStorage, described, find_splits, find_tables


def found(*paths, **settings):
    """Names and formats of the tables that paths name."""
    tables = find_tables(list(paths), TableData(files=list(paths), **settings)).tables
    return [(Path(table.path).name, table.format) for table in tables]


def refused(*paths, **settings):
    with pytest.raises(InputError) as told:
        find_tables(list(paths), TableData(files=list(paths), **settings))
    assert len(str(told.value)) < 1000
    return str(told.value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.csv", "csv"), ("a.CSV", "csv"), ("a.csv.gz", "csv"), ("a.tsv", "tsv"), ("a.tab", "tsv"), ("a.tsv.gz", "tsv"),
        ("a.jsonl", "jsonl"), ("a.ndjson.gz", "jsonl"), ("a.json", "jsonl"), ("a.parquet", "parquet"), ("a.pq", "parquet"),
    ],
)  # fmt: skip
def test_a_files_name_tells_its_format(write, name, expected):
    assert found(write(name, "x")) == [(name, expected)]


@pytest.mark.parametrize("name", ["a.txt", "a", "a.parquet.gz"])
def test_a_name_that_tells_no_format_is_refused_and_may_be_given(write, name):
    path = write(name, "x")
    assert "does not tell its format; expected .csv, .tsv, .jsonl" in refused(path)
    assert "Set format (--format) to one of csv, tsv, jsonl, parquet" in refused(path)
    assert found(path, format="csv") == [(name, "csv")]


@pytest.mark.parametrize("name", ["a.xlsx", "B.XLS", "c.ods"])
def test_a_spreadsheet_is_told_what_to_do(write, name):
    path = write(name, "x")
    assert refused(path) == (
        f"{path}: is a spreadsheet; expected .csv, .tsv, .jsonl (each may be compressed: .gz) or .parquet. Save it as CSV in UTF-8"
    )


def test_a_folders_tables_are_read_in_the_order_of_their_names(write, tmp_path):
    for name in ("b.csv", "a.csv.gz", "c.csv", "README.md", ".hidden.csv", "_SUCCESS", "inner/d.csv"):
        write(f"data/{name}", "x")
    section = TableData(files=str(tmp_path / "data"))
    splits = find_splits(section)
    assert [Path(table.path).name for table in splits["train"].tables] == ["a.csv.gz", "b.csv", "c.csv"]
    assert list(described(splits, section)) == [
        f"reading {tmp_path}/data/a.csv.gz",
        f"reading {tmp_path}/data/b.csv",
        f"reading {tmp_path}/data/c.csv; validation (10 %) is cut from these 3 files",
        "not read: '.hidden.csv', 'README.md', '_SUCCESS'",
    ]


def test_what_is_read_and_cut_is_said(write, tmp_path):
    x, y = write("x.csv", "x"), write("y.csv", "x")
    for section, lines in (
        ({"files": x, "test_fraction": 0.125}, [f"reading {x}; validation (10 %) and test (12.5 %) are cut from it"]),
        ({"train": x, "validation": y}, [f"reading train from {x}", f"reading validation from {y}"]),
        ({"files": x, "validation_fraction": 0}, [f"reading train from {x}"]),
    ):
        table = TableData(**section)
        assert list(described(find_splits(table), table)) == lines


def test_patterns_and_several_paths_name_each_file_once(write, tmp_path):
    for name in ("a/1.csv", "a/2.csv", "b/3.csv", "b/4.jsonl"):
        write(name, "x")
    assert found(f"{tmp_path}/*/*.csv") == [("1.csv", "csv"), ("2.csv", "csv"), ("3.csv", "csv")]
    assert found(f"{tmp_path}/**/*.csv", f"{tmp_path}/b/3.csv") == [
        ("1.csv", "csv"),
        ("2.csv", "csv"),
        ("3.csv", "csv"),
    ]
    assert found(f"{tmp_path}/a/[2-9].csv") == [("2.csv", "csv")]


@pytest.mark.parametrize("name", ["data [1].csv", "really?.csv", "a*b.csv", "[ab].csv"])
def test_a_file_whose_name_looks_like_a_pattern_is_that_file(write, name):
    write("a.csv", "x")
    write("a-b.csv", "x")
    assert found(write(name, "x")) == [(name, "csv")]


def test_a_folder_whose_name_looks_like_a_pattern(write, tmp_path):
    write("run [1]/a.csv", "x")
    write("run 1/b.csv", "x")
    assert found(f"{tmp_path}/run [1]") == [("a.csv", "csv")]
    assert found(f"{tmp_path}/run [1]/*.csv") == [("a.csv", "csv")]


def test_several_formats_are_refused_unless_one_is_given(write, tmp_path):
    for name in ("a.csv", "b.jsonl", "part-0"):
        write(f"data/{name}", "x")
    message = refused(f"{tmp_path}/data")
    assert "holds tables of several formats: 'a.csv' (csv), 'b.jsonl' (jsonl); expected one format" in message
    assert "several formats" in refused(f"{tmp_path}/data/*.*")
    assert found(f"{tmp_path}/data", format="jsonl") == [("b.jsonl", "jsonl")]
    assert found(f"{tmp_path}/data", format="tsv") == [("part-0", "tsv")]


def test_what_names_nothing_is_told(write, tmp_path):
    write("data/reviews.csv", "x")
    (tmp_path / "empty").mkdir()
    write("texts/a.txt", "x")
    assert refused(f"{tmp_path}/data/review.csv").endswith(
        "'data/*.csv'. Did you mean 'reviews.csv'? Tables beside it: 'reviews.csv'"
    )
    assert f"{tmp_path}/data/review.csv: no such file or folder; expected" in refused(f"{tmp_path}/data/review.csv")
    assert f"{tmp_path}/data/*.tsv: matches no file; expected" in refused(f"{tmp_path}/data/*.tsv")
    assert f"{tmp_path}/empty: is an empty folder; expected" in refused(f"{tmp_path}/empty")
    assert f"{tmp_path}/texts: is a folder without a table" in refused(f"{tmp_path}/texts")
    assert "It holds 'a.txt'" in refused(f"{tmp_path}/texts")
    assert "expected a file, a folder or a pattern" in refused(" ")
    assert "expected a file, a folder or a pattern" in refused("a\0.csv")


def test_files_that_look_like_splits_are_not_cut(write, tmp_path):
    for name in ("train.csv", "dev.csv", "other.csv"):
        write(f"data/{name}", "x")
    with pytest.raises(
        InputError,
        match=r"holds files that look like splits.*train \(--train-file\) for 'train\.csv', validation \(--validation-file\) for 'dev\.csv'",
    ):
        find_splits(TableData(files=f"{tmp_path}/data"))


def test_a_file_is_of_one_split(write):
    path = write("a.csv", "x")
    with pytest.raises(InputError, match=r"a\.csv: is named for both train and test; .* Name it once"):
        find_splits(TableData(train=path, test=path))


BUCKET = {
    "gs://b/data/one.csv": b"text,label\nfirst,a\n",
    "gs://b/data/two.csv": b"text,label\nsecond,b\n",
    "gs://b/data/notes.md": b"",
}
STORAGE = TableStorage(
    open=lambda path: io.BytesIO(BUCKET[path]),
    list_names=lambda folder: sorted(
        {
            path.removeprefix(f"{folder.rstrip('/')}/").partition("/")[0]
            for path in BUCKET
            if path.startswith(f"{folder.rstrip('/')}/")
        }
    ),
    is_file=lambda path: path in BUCKET,
)


@pytest.mark.parametrize("path", ["gs://b/data", "gs://b/data/", "gs://b/data/*.csv", "gs://b/data/[ot][nw][eo].csv"])
def test_tables_in_a_bucket(path):
    section = TableData(files=path)
    tables = find_tables([path], section, STORAGE)
    texts = [row.text_a for row in read_rows(tables.tables, section, BadRecords(), STORAGE)]
    assert [table.path for table in tables.tables] == ["gs://b/data/one.csv", "gs://b/data/two.csv"]
    assert texts == ["first", "second"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("gs://b/none", "gs://b/none: no such file or folder"),
        ("gs://b/data/three.csv", "Tables beside it: 'one.csv', 'two.csv'"),
        ("gs://b/data/*.tsv", "matches no file"),
        ("gs://b/*/one.csv", "has a pattern before its last part"),
    ],
)
def test_what_a_bucket_lacks(path, message):
    with pytest.raises(InputError) as told:
        find_tables([path], TableData(files=path), STORAGE)
    assert message in str(told.value)
