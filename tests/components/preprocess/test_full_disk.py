"""A disk that fills while Beam's workers write: one message, and no process that waits for ever."""

import os
import subprocess
import sys

import pytest

from tests.durability.trials import can_mount, small_disk
from tests.durability.workplace import ROOT, _sentences


@pytest.mark.slow
@pytest.mark.parametrize("size", [65_536, 90_112])
def test_workers_that_find_no_space_end_the_stage_with_a_message(tmp_path, size):
    if not can_mount(tmp_path / "try"):
        pytest.skip("NOT RUN: this user may not mount a small file system")
    (tmp_path / "data").mkdir()
    for split, rows in (("train", 200), ("dev", 48)):
        (tmp_path / "data" / f"{split}.tsv").write_text(_sentences(rows, seed=rows), encoding="utf-8")
    command = [
        sys.executable, "-m", "bigbird_components.preprocess", "--task=sst2", f"--input={tmp_path / 'data'}", "--vocabulary_size=80",
        f"--output={tmp_path / 'disk' / 'dataset'}", "--max_length=64", "--direct_running_mode=multi_processing",
        "--direct_num_workers=2",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'model'}{os.pathsep}{ROOT}"}
    with small_disk(tmp_path / "disk", size):
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 2, done.stderr[-2000:]
        assert "no space left on the device" in done.stderr and "Traceback" not in done.stderr
        assert list((tmp_path / "disk").iterdir()) == []
