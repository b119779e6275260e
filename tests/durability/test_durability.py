"""The whole of `python -m tests.durability` as a test; long."""

import subprocess
import sys

import pytest

from tests.durability.workplace import ROOT


@pytest.mark.long
def test_nothing_damaged_is_used_nothing_is_lost_and_nothing_is_left_over():
    done = subprocess.run(
        [sys.executable, "-m", "tests.durability"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout
