"""Stages' folders are whole or absent."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from bigbird.support.artifacts import read_json, read_manifest, write_json
from bigbird.support.errors import InputError
from bigbird.support.new_folders import move_folder, new_folder
from bigbird.support.safe_paths import inside, resolved


def test_a_folder_appears_when_the_block_ends_and_not_before(tmp_path):
    target = tmp_path / "deep" / "out"
    with new_folder(target) as folder:
        (folder / "a").write_text("1")
        assert not target.exists()
    assert (target / "a").read_text() == "1"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failed_block_leaves_nothing_and_keeps_what_was_there(tmp_path, error):
    target = tmp_path / "out"
    target.mkdir()
    (target / "model.json").write_text("kept")

    def write_half():
        with new_folder(target, overwrite=True) as folder:
            (folder / "new").write_text("half")
            raise error

    with pytest.raises(error):
        write_half()
    assert [file.name for file in target.iterdir()] == ["model.json"]
    assert list(tmp_path.iterdir()) == [target]


def test_an_empty_folder_is_filled_a_full_one_only_when_told(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    with new_folder(target) as folder:
        (folder / "metrics.json").write_text("1")
    with pytest.raises(InputError, match="already holds files; give an empty or new folder, or pass --overwrite"):
        new_folder(target).__enter__()
    with new_folder(target, overwrite=True) as folder:
        (folder / "second").write_text("2")
    assert [file.name for file in target.iterdir()] == ["second"]
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file; expected a folder"):
        new_folder(tmp_path / "file").__enter__()


def test_an_address_is_no_folder_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        InputError, match="gs://bucket/out: expected a folder of this machine; copy it there afterwards"
    ):
        new_folder("gs://bucket/out").__enter__()
    with pytest.raises(InputError, match="s3://bucket/model: expected a folder of this machine; copy it here first"):
        read_manifest("s3://bucket/model", "model")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_no_stage_wrote_is_never_replaced(tmp_path):
    target = tmp_path / "photos"
    target.mkdir()
    (target / "1.jpg").write_text("kept")
    with pytest.raises(
        InputError, match=r"photos: holds files but none of dataset\.json, model\.json, .* leaves it alone"
    ):
        new_folder(target, overwrite=True).__enter__()
    assert (target / "1.jpg").read_text() == "kept"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "model.json").write_text("kept")
    with pytest.raises(FileNotFoundError):
        with new_folder(target, overwrite=True) as folder:
            folder.rmdir()
    assert (target / "model.json").read_text() == "kept"
    assert list(tmp_path.iterdir()) == [target]


def test_hidden_files_of_the_users_own_beside_the_folder_stay_and_what_a_killed_process_left_goes(tmp_path):
    for name in (".out.tmp", ".out.old", ".out.notes.tmp", ".other.0123abcd.tmp"):
        (tmp_path / name).write_text("mine")
    for name in (".out.0123abcd.tmp", ".out.89abcdef.old"):
        (tmp_path / name).mkdir()
    (tmp_path / ".out.89abcdef.old" / "model.json").write_text("moved aside")
    with pytest.raises(InputError, match="already holds files"):
        new_folder(tmp_path / "out").__enter__()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".other.0123abcd.tmp",
        ".out.notes.tmp",
        ".out.old",
        ".out.tmp",
        "out",
    ]
    assert (tmp_path / "out" / "model.json").read_text() == "moved aside"


@pytest.mark.parametrize("there", [True, False], ids=["to a folder", "to nothing yet"])
def test_a_link_is_followed(tmp_path, there):
    real, link = tmp_path / "real", tmp_path / "link"
    if there:
        real.mkdir()
    link.symlink_to(real)
    with new_folder(link) as folder:
        (folder / "a").write_text("1")
    assert link.is_symlink() and (real / "a").read_text() == "1"
    assert {file.name for file in tmp_path.iterdir()} == {"real", "link"}


@pytest.mark.parametrize("path", ["a", "a/out", "c/../a", "itself"])
def test_links_in_a_circle_are_told(tmp_path, path):
    for name, target in (("a", "b"), ("b", "a"), ("itself", "itself")):
        (tmp_path / name).symlink_to(target)
    for ask in (resolved, lambda place: new_folder(place).__enter__(), lambda place: inside(tmp_path, path, "best")):
        with pytest.raises(InputError, match=r"is a link that leads back to itself|leads out of"):
            ask(tmp_path / path)
    (tmp_path / "dangling").symlink_to("nothing yet")
    assert resolved(tmp_path / "dangling") == tmp_path.resolve() / "nothing yet"


def test_a_circle_is_told_where_python_leaves_it_as_it_is(tmp_path, monkeypatch):
    """As Python 3.13 does."""
    monkeypatch.setattr(Path, "resolve", lambda path, strict=False: path.absolute())
    (tmp_path / "a").symlink_to("a")
    with pytest.raises(InputError, match=r"a/out: is a link that leads back to itself"):
        resolved(tmp_path / "a" / "out")


@pytest.mark.parametrize("target", [".", "..", "inner/.."])
def test_the_current_folder_is_not_replaced(tmp_path, monkeypatch, target):
    here = tmp_path / "here"
    (here / "inner").mkdir(parents=True)
    (here / "model.json").write_text("kept")
    monkeypatch.chdir(here)
    with pytest.raises(InputError, match="is the current folder, or one above it"):
        new_folder(target, overwrite=True).__enter__()
    assert {file.name for file in here.iterdir()} == {"model.json", "inner"}


def test_a_mounted_volume_is_refused_before_any_work(tmp_path, monkeypatch):
    """Only the question whether it is one is answered here: a test may not mount."""
    monkeypatch.setattr("os.path.ismount", lambda path: path == tmp_path.resolve() / "volume")
    (tmp_path / "volume").mkdir()
    with pytest.raises(InputError, match="volume: is a mounted volume, which cannot be replaced; give a folder inside"):
        new_folder(tmp_path / "volume").__enter__()
    with new_folder(tmp_path / "volume" / "out"):
        pass
    assert (tmp_path / "volume" / "out").is_dir()


def test_a_folder_under_a_file_is_the_users_mistake(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"out: cannot be made \(.*\); give another output folder"):
        new_folder(tmp_path / "file" / "out").__enter__()


def test_json_is_replaced_in_one_step_and_read_back(tmp_path):
    file = tmp_path / "value.json"
    write_json(file, {"ü": [1, 2.5, None]})
    write_json(file, {"ü": [3]})
    assert read_json(file, "value") == {"ü": [3]}
    assert "ü" in file.read_text(encoding="utf-8")
    with pytest.raises(TypeError):
        write_json(file, {"set": {1}})
    assert read_json(file, "value") == {"ü": [3]}
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1,\n "b"', r"value.json:2:5: not valid JSON .*; is the value truncated\? The file has 13 characters"),
        (b"\xff{}", "value.json: not UTF-8 at byte 0; expected the value"),
        (None, "value.json: no such file; expected the value"),
    ],
)
def test_json_that_cannot_be_read_is_named_with_its_place(tmp_path, content, message):
    if content is not None:
        (tmp_path / "value.json").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_json(tmp_path / "value.json", "value")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="is a folder; expected the value"):
        read_json(tmp_path / "folder", "value")


def test_a_manifest_makes_a_folder_whole_and_says_its_kind(tmp_path):
    with pytest.raises(InputError, match="nowhere: no such folder; expected the dataset folder"):
        read_manifest(tmp_path / "nowhere", "dataset")
    with pytest.raises(InputError, match=r"has no dataset.json; .* the stage that writes it did not finish"):
        read_manifest(tmp_path, "dataset")
    (tmp_path / "model.json").write_text(json.dumps({"steps": 3}))
    with pytest.raises(InputError, match="expected a dataset folder, but it is a model folder"):
        read_manifest(tmp_path, "dataset")
    assert read_manifest(tmp_path, "model") == {"steps": 3}
    (tmp_path / "model.json").write_text("[3]")
    with pytest.raises(InputError, match=r"model\.json: holds list; expected the model manifest, a JSON object"):
        read_manifest(tmp_path, "model")
    (tmp_path / "model.json").write_text('{"steps": ')
    with pytest.raises(InputError, match=r"model\.json:1:11: not valid JSON .*; is the model manifest truncated"):
        read_manifest(tmp_path, "model")


@pytest.fixture
def no_folder_can_be_renamed(monkeypatch):
    """The file system is as Cloud Storage FUSE, which renames files only; what is copied last is recorded."""
    really, copied = os.replace, []

    def replace(source, target):
        if Path(source).is_dir():
            raise OSError(errno.EMFILE, "Too many open files")
        really(source, target)

    copy = shutil.copyfile
    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(
        shutil, "copyfile", lambda source, target: copied.append(Path(target).name) or copy(source, target)
    )
    return copied


def test_where_folders_cannot_be_renamed_they_are_copied_the_manifest_last(tmp_path, no_folder_can_be_renamed):
    target = tmp_path / "out"
    for content in ("first", "second"):
        with new_folder(target, overwrite=True) as folder:
            (folder / "dataset.json").write_text(content)
            (folder / "zebra.txt").write_text(content)
            (folder / "assets").mkdir()
            (folder / "assets" / "vocab.model").write_text(content)
        assert {
            path.relative_to(target).as_posix(): path.read_text() for path in target.rglob("*") if path.is_file()
        } == {
            "dataset.json": content,
            "zebra.txt": content,
            "assets/vocab.model": content,
        }
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
        assert no_folder_can_be_renamed[-1] == "dataset.json"


def test_a_copy_that_fails_half_way_leaves_the_old_folder(tmp_path, no_folder_can_be_renamed, monkeypatch):
    target = tmp_path / "out"
    with new_folder(target) as folder:
        (folder / "dataset.json").write_text("old")
    copy = shutil.copyfile

    def full(source, target):
        if Path(source).read_text() == "new":
            raise OSError(errno.ENOSPC, "No space left on device")
        return copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space left"), new_folder(target, overwrite=True) as folder:
        (folder / "dataset.json").write_text("new")
    assert (target / "dataset.json").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_another_error_of_renaming_is_not_hidden(tmp_path, monkeypatch):
    def refuse(source, target):
        raise PermissionError(errno.EACCES, "no")

    (tmp_path / "a").mkdir()
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError):
        move_folder(tmp_path / "a", tmp_path / "b")
    assert not (tmp_path / "b").exists()
