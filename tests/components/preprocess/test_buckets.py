"""From a bucket into a bucket, on servers that others wrote: the bytes are those of folders here."""

import gzip
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bigbird import storage
from bigbird.support import locks
from bigbird.support.errors import InputError
from bigbird.tasks.tables.files import find_tables, table_storage
from bigbird.tasks.tables.section import TableFormat
from bigbird.tasks.triviaqa.family import _evidence_folder
from bigbird_components.preprocess import encoder
from bigbird_components.preprocess import storage as stage_storage
from bigbird_components.preprocess.preprocess import preprocess
from bigbird_components.preprocess.reading import find_sources
from bigbird_components.preprocess.storage import output_folder, read_bytes
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


@pytest.mark.parametrize(
    "kept", ["photos/1.jpg", "work/plan.txt", "work/done/plan.txt", "work/in/train.examples.jsonl"]
)
def test_an_output_that_holds_only_folders_of_others_is_left_alone(bucket, kept):
    table, mine = f"{bucket}/tables/rows.csv", f"{bucket}/project/{kept}"
    storage.write_bytes(table, b'text,label\n"open,good\n')
    storage.write_bytes(mine, b"mine")
    for overwrite, message in ((False, "already holds files"), (True, "no stage wrote it")):
        with pytest.raises(InputError, match=f"{bucket}/project: .*{message}"):
            make(table, f"{bucket}/project", overwrite=overwrite)
        assert storage.read_bytes(mine) == b"mine"


def test_what_an_interrupted_run_left_in_its_folder_of_work_is_replaced(bucket):
    left = [f"{bucket}/new/work/{name}" for name in ("", "train.examples.jsonl", "done/train-00000-of-00001.json")]
    for path in left:
        storage.write_bytes(path, b"")
    with output_folder(f"{bucket}/new", overwrite=False):
        assert [entry.path for entry in storage.list_files(f"{bucket}/new", marks=True)] == [
            f"{bucket}/new/work/unfinished.txt"
        ]
    assert storage.list_files(f"{bucket}/new", marks=True) == []


KILLED = """
import os, signal, sys
from bigbird_components.preprocess import storage
with storage.output_folder(sys.argv[1], overwrite=False) as (folder, _):
    for name in ("vocab.model", "train-00000-of-00002.tfrecord", "validation.examples.jsonl", "work/done/train-00000-of-00002.tfrecord.json"):
        storage.write_bytes(storage.join(folder, name), b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_a_killed_run_left_is_replaced_and_files_of_others_beside_it_never(bucket, monkeypatch, overwrite):
    monkeypatch.setattr(locks, "WATCH_S", 0.5)
    table, output = f"{bucket}/tables/rows.csv", f"{bucket}/killed-{overwrite}/dataset"
    storage.write_bytes(table, TABLE.encode())
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", KILLED, output], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    left = storage.list_files(output)
    assert len(left) == 5
    storage.write_bytes(f"{output}/notes.txt", b"mine")
    with pytest.raises(InputError, match=r"dataset: is what .* killed left, and holds notes\.txt besides"):
        make(table, output, overwrite=overwrite)
    assert [entry.path for entry in storage.list_files(output)] == sorted(
        [f"{output}/notes.txt", *(entry.path for entry in left)]
    )
    storage.delete([f"{output}/notes.txt"])
    make(table, output, overwrite=overwrite)
    names = storage.list_names(output, folders=True)
    assert "dataset.json" in names and "work" not in names and "train-00000-of-00002.tfrecord" not in names


def test_what_another_process_has_taken_over_is_neither_made_whole_nor_deleted(bucket, monkeypatch):
    """As after a machine was suspended. The emulator of Cloud Storage takes no conditions, so that its locks are never lost."""
    if bucket.startswith("gs://"):
        pytest.skip("the emulator takes no conditions")
    table, output, theirs = f"{bucket}/tables/rows.csv", f"{bucket}/taken/dataset", b'{"what": "preprocessing"}'
    storage.write_bytes(table, TABLE.encode())
    really = encoder.run_shards

    def taken_over(*arguments):
        really(*arguments)
        storage.write_bytes(f"{bucket}/taken/.dataset.lock", theirs)

    monkeypatch.setattr(encoder, "run_shards", taken_over)
    with pytest.raises(locks.LockLost, match="dataset: was taken over by preprocessing"):
        make(table, output)
    assert storage.read_bytes(f"{bucket}/taken/.dataset.lock") == theirs
    names = storage.list_names(output, folders=True)
    assert "dataset.json" not in names and "work" in names and "vocab.model" in names


def test_files_without_the_mark_are_not_taken_for_an_interrupted_runs(bucket):
    for name in ("work/train.examples.jsonl", "train-00000-of-00001.tfrecord"):
        storage.write_bytes(f"{bucket}/other/{name}", b"mine")
    storage.write_bytes(f"{bucket}/file/work", b"mine")
    for folder in ("other", "file"):
        with pytest.raises(InputError, match="no stage wrote it"):
            output_folder(f"{bucket}/{folder}", overwrite=True).__enter__()
    assert len(storage.list_files(f"{bucket}/other")) == 2 and storage.read_bytes(f"{bucket}/file/work") == b"mine"


def test_the_official_files_of_a_task_are_found_below_the_folder_that_is_given(bucket):
    for name in ("train.tsv", "dev.tsv"):
        storage.write_bytes(f"{bucket}/glue/SST-2/{name}", b"sentence\tlabel\n")
    found = find_sources("sst2", f"{bucket}/glue", {})
    assert [source.path for source in found] == [f"{bucket}/glue/SST-2/{name}" for name in ("train.tsv", "dev.tsv")]


def test_the_documents_of_triviaqa_are_found_where_they_lie_in_folders(bucket):
    storage.write_bytes(f"{bucket}/triviaqa/evidence/web/1.txt", b"a text")
    questions = f"{bucket}/triviaqa/web-train.json"
    assert _evidence_folder(questions, stage_storage) == f"{bucket}/triviaqa/evidence"


def test_files_whose_names_look_like_patterns_are_among_those_of_a_pattern(bucket):
    for name in ("part [2].csv", "part 1.csv", "part 3.csv/a.csv"):
        storage.write_bytes(f"{bucket}/patterns/{name}", TABLE.encode())
    found = find_tables([f"{bucket}/patterns/*.csv"], TableFormat(), table_storage(stage_storage))
    assert [table.path for table in found.tables] == [
        f"{bucket}/patterns/{name}" for name in ("part 1.csv", "part [2].csv")
    ]


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
