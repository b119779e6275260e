"""What is read is what was written: every changed bit and every cut shows."""

import json
import random

import pytest

from bigbird.support import integrity
from bigbird.support.artifacts import check_files, read_json, read_manifest, write_json, write_manifest
from bigbird.support.errors import DamagedError, InputError
from bigbird.support.safe_paths import inside

VALUES = {
    "task": "sst2",
    "labels": ["0", "naïve"],
    "splits": {"train": {"records": 12, "lengths": [[16, 3], [24, 9]]}},
    "loss": 0.1,
    "best": None,
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "records").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "assets" / "vocab.model").write_bytes(b"pieces")
    write_manifest(tmp_path, "dataset", VALUES)
    return tmp_path


def test_a_manifest_knows_every_file_of_its_folder_and_gives_back_its_values(folder):
    manifest = read_manifest(folder, "dataset")
    assert integrity.content(manifest) == VALUES
    assert set(manifest["checksums"]) == {"records", "assets/vocab.model"}
    assert manifest["checksums"]["assets/vocab.model"] == integrity.facts_of_bytes(b"pieces")
    check_files(folder, "dataset", manifest)


@pytest.mark.parametrize("seed", range(40))
def test_any_flipped_bit_of_a_file_or_of_the_manifest_shows(folder, seed):
    rng = random.Random(seed)
    file = rng.choice(["records", "assets/vocab.model", "dataset.json"])
    content = bytearray((folder / file).read_bytes())
    place = rng.randrange(len(content))
    content[place] ^= 1 << rng.randrange(8)
    before = read_json(folder / "dataset.json", "manifest")
    (folder / file).write_bytes(content)
    try:
        same = file == "dataset.json" and json.loads(content) == before
    except ValueError:
        same = False
    if same:  # a blank between two values is no value
        return
    with pytest.raises(InputError, match=file.rpartition("/")[2]):
        check_files(folder, "dataset", read_manifest(folder, "dataset"))


@pytest.mark.parametrize("left", [0, 1, 5000, 10239])
def test_a_cut_file_is_named_with_both_sizes(folder, left):
    file = folder / "records"
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(DamagedError, match=rf"records: has {left:,} bytes; its manifest says 10,240"):
        check_files(folder, "dataset", read_manifest(folder, "dataset"))


def test_a_file_that_is_gone_or_that_the_manifest_does_not_know_is_named(folder):
    manifest = read_manifest(folder, "dataset")
    (folder / "records").unlink()
    with pytest.raises(DamagedError, match=r"records: cannot be read \(No such file"):
        check_files(folder, "dataset", manifest)
    (folder / "other").write_bytes(b"")
    with pytest.raises(DamagedError, match="other: is not among the files"):
        check_files(folder, "dataset", manifest, ["other"])


def test_a_file_is_read_once_and_again_when_it_changes(folder, monkeypatch):
    manifest, read = read_manifest(folder, "dataset"), []
    really = integrity.facts_of_file
    monkeypatch.setattr(integrity, "facts_of_file", lambda path: read.append(path.name) or really(path))
    for _ in range(3):
        check_files(folder, "dataset", manifest)
    assert read == []  # they were hashed when the manifest was written
    (folder / "records").write_bytes(bytes(range(256)) * 40)
    check_files(folder, "dataset", manifest)
    check_files(folder, "dataset", manifest)
    assert read == ["records"]


@pytest.mark.parametrize(
    "change",
    [
        {"task": "cola"}, {"format": 1}, {"format": 3}, {"format": None}, {"checksums": {}}, {"checksums": []},
        {"manifest_sha256": "0"}, {"more": 1},
    ],
    ids=str,
)  # fmt: skip
def test_an_edited_manifest_is_refused(folder, change):
    manifest = read_json(folder / "dataset.json", "manifest")
    write_json(folder / "dataset.json", {**manifest, **change})
    with pytest.raises(DamagedError, match=r"dataset\.json: (is damaged or was edited|its format is)"):
        read_manifest(folder, "dataset")


@pytest.mark.parametrize("missing", ["format", "checksums", "manifest_sha256", "task"])
def test_a_manifest_without_one_of_its_keys_is_refused(folder, missing):
    manifest = read_json(folder / "dataset.json", "manifest")
    del manifest[missing]
    write_json(folder / "dataset.json", manifest)
    with pytest.raises(DamagedError, match=r"dataset\.json"):
        read_manifest(folder, "dataset")


def test_a_manifest_of_an_earlier_version_is_read_as_it_is(tmp_path):
    write_json(tmp_path / "dataset.json", {"format": 1, **VALUES})
    manifest = read_manifest(tmp_path, "dataset")
    assert manifest == {"format": 1, **VALUES}
    check_files(tmp_path, "dataset", manifest, ["absent"])


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/passwd", "", ".", "a\0b", None, 7, ["best"]])
def test_a_path_that_leads_out_of_its_folder_is_refused(tmp_path, name):
    with pytest.raises(InputError, match=r"^model\.json: best: "):
        inside(tmp_path, name, "model.json: best")


def test_a_link_that_leads_out_of_its_folder_is_refused_one_inside_it_is_not(tmp_path):
    (tmp_path / "root" / "real").mkdir(parents=True)
    (tmp_path / "root" / "link").symlink_to("real")
    (tmp_path / "root" / "out").symlink_to(tmp_path)
    assert inside(tmp_path / "root", "link/file", "x") == tmp_path / "root" / "link" / "file"
    with pytest.raises(InputError, match="leads out of"):
        inside(tmp_path / "root", "out/file", "x")
