"""What folders hold, and what tells them from their earlier selves."""

from pathlib import Path

import pytest

from bigbird import storage
from bigbird.support.errors import InputError

NAMES = ("folder/a.txt", "folder/in/b", "folder/.c", "folder.d/e", "checkpoint.index", "checkpoint.data-0", "check")


@pytest.fixture
def filled(place):
    """A folder with files, each holding its name."""
    for name in NAMES:
        path = storage.join(place, name)
        if not storage.is_remote(path):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        storage.write_bytes(path, name.encode())
    return place


def test_names_are_those_directly_in_a_folder(filled):
    folders = [] if storage.is_remote(filled) else ["in"]
    assert storage.list_names(storage.join(filled, "folder")) == sorted([".c", "a.txt", *folders])
    assert storage.list_names(f"{filled}/folder/") == storage.list_names(f"{filled}/folder")
    assert storage.list_names(storage.join(filled, "none")) == []
    if folders == []:
        assert storage.list_names(storage.join(filled, "folder/a.txt")) == []
    assert storage.list_names(storage.join(filled, "folder"), folders=True) == [".c", "a.txt", "in"]


def test_entries_say_size_time_and_version(bucket):
    path = storage.join(bucket, "a")
    storage.write_bytes(path, b"12345")
    first = storage.entry_of(path)
    storage.write_bytes(path, b"54321")
    second = storage.entry_of(path)
    assert storage.list_files(bucket) == [second]
    assert (first.path, first.size) == (path, 5)
    assert first.version and first.version != second.version
    assert 0 <= second.modified - first.modified < 60


def test_marks_of_folders_are_no_files(bucket):
    storage.write_bytes(f"{bucket}/x/a", b"1")
    storage.write_bytes(f"{bucket}/x/", b"")
    assert [entry.path for entry in storage.list_files(f"{bucket}/x")] == [f"{bucket}/x/a"]
    assert storage.list_names(f"{bucket}/x") == ["a"]
    storage.delete([f"{bucket}/x"])
    assert storage.list_files(bucket, marks=True) == []


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("folder", {"folder/a.txt", "folder/in/b", "folder/.c"}),
        ("folder/", {"folder/a.txt", "folder/in/b", "folder/.c"}),
        ("checkpoint", {"checkpoint.index", "checkpoint.data-0"}),
        ("folder/a.txt", {"folder/a.txt"}),
        ("check*", {"checkpoint.index", "checkpoint.data-0", "check"}),
        ("checkpoint.?????", {"checkpoint.index"}),
        ("folder/[ax].txt", {"folder/a.txt"}),
    ],
)
def test_a_fingerprint_is_of_what_a_path_names(filled, path, changes):
    before = storage.fingerprint([storage.join(filled, path)])
    assert storage.fingerprint([storage.join(filled, path)]) == before
    for name in ("folder/a.txt", "folder.d/e", "checkpoint.index"):
        storage.write_bytes(storage.join(filled, name), name.encode() + b" changed")
        after = storage.fingerprint([storage.join(filled, path)])
        assert (after != before) == (name in changes), name
        before = after


def test_a_fingerprint_of_nothing_is_refused(filled):
    for path in ("none", "folder/none*"):
        with pytest.raises(InputError, match="no such file or folder, and as a pattern it matches nothing"):
            storage.fingerprint([storage.join(filled, path)])


def test_a_fingerprint_of_a_bucket_is_of_all_in_it(bucket):
    whole = "/".join(bucket.split("/")[:3])
    storage.write_bytes(f"{bucket}/a", b"1")
    before = storage.fingerprint([whole])
    storage.write_bytes(f"{bucket}/b", b"1")
    assert storage.fingerprint([whole]) != before
    with pytest.raises(InputError, match="cannot be reached from here"):
        storage.fingerprint([f"{bucket.split('://')[0]}://buck*/a"])
