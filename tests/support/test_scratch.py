"""Temporary files go with their command, also when it is killed."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bigbird.support.scratch import scratch_folder

ROOT = Path(__file__).parents[2]
DIE = """
import os, signal, tempfile
from bigbird.support.scratch import scratch_folder
with scratch_folder():
    open(tempfile.mkstemp()[1], "w").write("left")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_temporary_files_of_a_command_and_its_children_go_with_it(place):
    with scratch_folder() as folder:
        assert Path(tempfile.mkdtemp()).parent == folder
        shown = subprocess.run(
            [sys.executable, "-c", "import tempfile; print(tempfile.mkdtemp())"], capture_output=True, check=True
        )
        assert Path(shown.stdout.decode().strip()).parent == folder
        with scratch_folder() as inner:
            assert inner.parent == folder
        assert not inner.exists()
    assert list(place.iterdir()) == []
    assert (tempfile.tempdir, os.environ["TMPDIR"]) == (str(place), str(place))


def test_what_a_killed_command_left_goes_when_the_next_begins_and_what_is_in_use_stays(place):
    with scratch_folder() as used:
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "model"), "TMPDIR": str(place)}
        assert subprocess.run([sys.executable, "-c", DIE], env=environment, check=False).returncode == -9
        assert len(list(place.iterdir())) == 2
        before = os.environ["TMPDIR"]
        tempfile.tempdir = os.environ["TMPDIR"] = str(place)
        with scratch_folder():
            assert used.exists()
            assert len(list(place.iterdir())) == 2
        tempfile.tempdir = os.environ["TMPDIR"] = before
        assert list(place.iterdir()) == [used]
