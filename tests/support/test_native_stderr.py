"""Native libraries' chatter is hidden, and shown where a block fails."""

import subprocess
import sys
from pathlib import Path

import pytest

from bigbird.support.native_stderr import hidden_native_stderr

MODEL = str(Path(__file__).parents[2] / "model")


_CHATTER = """
import os, sys
from bigbird.support.native_stderr import hidden_native_stderr
try:
    with hidden_native_stderr():
        os.write(2, b"native chatter\\n")
        print("ours", file=sys.stderr)
        if len(sys.argv) > 1:
            raise ValueError("broken")
except ValueError:
    pass
os.write(2, b"native after\\n")
print("ours after", file=sys.stderr)
"""


@pytest.mark.parametrize(("arguments", "chatter"), [([], []), (["fail"], ["native chatter"])])
def test_native_chatter_is_hidden_unless_the_block_fails(arguments, chatter):
    result = subprocess.run(
        [sys.executable, "-c", _CHATTER, *arguments],
        env={"PYTHONPATH": MODEL},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stderr.splitlines() == ["ours", *chatter, "native after", "ours after"]


_OVERLAPPING = """
import os, sys
from bigbird.support.native_stderr import hidden_native_stderr
first, second = hidden_native_stderr(), hidden_native_stderr()
first.__enter__()
second.__enter__()
first.__exit__(None, None, None)
os.write(2, b"native chatter\\n")
print("ours", file=sys.stderr)
error = ValueError("broken") if len(sys.argv) > 1 else None
try:
    second.__exit__(type(error) if error else None, error, None)
except ValueError:
    pass
os.write(2, b"native after\\n")
print("ours after", file=sys.stderr)
"""


@pytest.mark.parametrize(("arguments", "chatter"), [([], []), (["fail"], ["native chatter"])])
def test_blocks_that_overlap_as_those_of_threads_do_hide_until_the_last_ends(arguments, chatter):
    result = subprocess.run(
        [sys.executable, "-c", _OVERLAPPING, *arguments],
        env={"PYTHONPATH": MODEL},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stderr.splitlines() == ["ours", *chatter, "native after", "ours after"]


def test_hiding_works_where_python_has_no_stderr(monkeypatch):
    monkeypatch.setattr(sys, "__stderr__", None)
    with hidden_native_stderr():
        pass
