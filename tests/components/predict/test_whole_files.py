"""Files that appear whole: on the disk before they have their name, and nothing under it when the block fails."""

import os
import re
from pathlib import Path

import pytest

from bigbird_components.predict.whole_files import is_half_written, new_file


@pytest.fixture
def calls(monkeypatch):
    """The system's calls that order what a power cut leaves: ("fsync" or "replace", name of the file or folder)."""
    found = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor):
        found.append(("fsync", Path(f"/proc/self/fd/{descriptor}").readlink().name))
        fsync(descriptor)

    def noted_replace(source, target):
        found.append(("replace", Path(target).name))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    return found


def test_content_is_on_the_disk_before_the_name_and_the_name_before_the_block_ends(tmp_path, calls):
    with new_file(str(tmp_path / "part.jsonl")) as file:
        file.write(b"answers")
    (first, temporary), *rest = calls
    assert first == "fsync" and temporary.startswith(".part.jsonl.")
    assert rest == [("replace", "part.jsonl"), ("fsync", tmp_path.name)]
    assert (tmp_path / "part.jsonl").read_bytes() == b"answers"


def test_a_block_that_fails_leaves_the_older_file(tmp_path):
    (tmp_path / "a").write_text("old")

    def fail():
        with new_file(str(tmp_path / "a")) as file:
            file.write(b"new")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "old")]


def test_what_a_kill_leaves_is_told_from_other_files(tmp_path):
    ours = re.compile(r"part-\d+\.jsonl")
    with new_file(str(tmp_path / "part-1.jsonl")):
        (name,) = (path.name for path in tmp_path.iterdir())
    assert is_half_written(name, ours)
    for other in ("part-1.jsonl", ".part-1.jsonl.tmp", ".notes.0123abcd.tmp", ".part-1.jsonl.0123abcd.old"):
        assert not is_half_written(other, ours)
