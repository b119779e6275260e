"""What native code gets in place of a path that it would take for a pattern."""

from pathlib import Path

import pytest

from bigbird.support.paths import plain_path


@pytest.mark.parametrize("path", ["runs/é 'x' #%41", "", "gs://bucket/run[1]/*"])
def test_a_path_without_a_pattern_and_one_in_a_bucket_stay(path):
    with plain_path(path) as plain:
        assert plain == path


@pytest.mark.parametrize("name", ["run [1]", "a*", "b?", "c\\d", "[", "]"])
def test_a_folder_is_linked_while_the_block_lasts(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    with plain_path(Path(name)) as plain:
        assert not set(plain) & set("*?[]\\")
        (Path(plain) / "written").write_text("x")
    assert (tmp_path / name / "written").read_text() == "x"
    assert not Path(plain).exists()


def test_files_whose_names_begin_so_are_linked_and_no_others(tmp_path):
    for name in ("ck[1].index", "ck[1].data-0", "ck1.index", "ck[1]x"):
        (tmp_path / name).write_text(name)
    with plain_path(tmp_path / "ck[1]") as plain:
        linked = {path.name.removeprefix(Path(plain).name): path.read_text() for path in Path(plain).parent.iterdir()}
    assert linked == {".index": "ck[1].index", ".data-0": "ck[1].data-0"}


def test_where_nothing_is_nothing_is_linked(tmp_path):
    with plain_path(tmp_path / "none [1]" / "ck") as plain:
        assert list(Path(plain).parent.iterdir()) == []
