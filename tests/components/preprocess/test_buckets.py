"""From a bucket into a bucket, on servers that others wrote: the bytes are those of folders here."""

import gzip
from pathlib import Path

import pytest

from bigbird import storage
from bigbird.support.errors import InputError
from bigbird_components.preprocess.preprocess import preprocess
from bigbird_components.preprocess.storage import read_bytes
from tests import buckets

SECTION = {"text": "text", "label": "label"}
TABLE = "text,label\n" + "".join(
    f"film {number} was {word} and long,{word}\n" for number in range(30) for word in ("good", "bad")
)


@pytest.fixture(params=["gs", "s3"])
def bucket(request, monkeypatch):
    with buckets.SERVICES[request.param]() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield f"{request.param}://{buckets.BUCKET}"


def make(table, output, **options):
    return preprocess("classification", output, table, vocabulary_size=60, section=SECTION, max_length=64, **options)


def test_a_dataset_in_a_bucket_is_that_of_a_folder(bucket, tmp_path):
    here, there = tmp_path / "rows.csv", f"{bucket}/tables/rows.csv"
    here.write_text(TABLE)
    storage.write_bytes(there, TABLE.encode())
    make(str(here), str(tmp_path / "dataset"))
    make(there, f"{bucket}/runs/dataset")
    names = sorted(path.name for path in (tmp_path / "dataset").iterdir())
    assert storage.list_names(f"{bucket}/runs/dataset") == names
    for name in set(names) - {"dataset.json", "report.html"}:
        expected = Path(tmp_path, "dataset", name).read_bytes()
        if name.endswith(".jsonl"):  # each example says where it is from
            expected = expected.replace(str(here).encode(), there.encode())
        assert storage.read_bytes(f"{bucket}/runs/dataset/{name}") == expected, name
    assert [entry.path for entry in storage.list_files(f"{bucket}/runs")] == [
        f"{bucket}/runs/dataset/{name}" for name in names
    ]
    with pytest.raises(InputError, match=f"{bucket}/runs/dataset: "):
        make(there, f"{bucket}/runs/dataset")
    storage.write_bytes(there, TABLE.replace("film 3 ", '"open ').encode())
    with pytest.raises(InputError, match=f"{bucket}/tables/rows.csv"):
        make(there, f"{bucket}/runs/other")
    assert storage.list_names(f"{bucket}/runs/other") == []
    with pytest.raises(InputError, match=f"{bucket}/tables/none.csv: no such file or folder"):
        make(f"{bucket}/tables/none.csv", f"{bucket}/runs/other")


def test_packed_files_are_unpacked_by_their_names(bucket):
    storage.write_bytes(f"{bucket}/a.json.gz", gzip.compress(b"text"))
    storage.write_bytes(f"{bucket}/b.json.gz", b"text")
    assert read_bytes(f"{bucket}/a.json.gz", "file") == b"text"
    with pytest.raises(
        InputError, match=r"b\.json\.gz: its name says that it is compressed, and it cannot be unpacked"
    ):
        read_bytes(f"{bucket}/b.json.gz", "file")
    with pytest.raises(InputError, match="none: no such file; expected the file"):
        read_bytes(f"{bucket}/none", "file")
