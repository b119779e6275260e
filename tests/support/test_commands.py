"""Errors in one message, and exit codes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bigbird.support.commands import run_command
from bigbird.support.errors import InputError, TrainingDiverged

MODEL = str(Path(__file__).parents[2] / "model")


@pytest.mark.parametrize(
    ("error", "code", "shown"),
    [
        (InputError("train.tsv:3: two columns"), 2, "error: train.tsv:3: two columns\n"),
        (TrainingDiverged("the loss is nan"), 3, "error: the loss is nan\n"),
        (KeyboardInterrupt(), 130, "interrupted; nothing half-written was left behind\n"),
    ],
)
def test_errors_that_are_not_ours_are_one_message_and_a_code(capsys, error, code, shown):
    def command():
        raise error

    with pytest.raises(SystemExit) as caught:
        run_command(command)
    assert caught.value.code == code
    assert capsys.readouterr().err == shown


def test_the_process_ends_without_a_last_garbage_collection():
    code = "import atexit, gc; from bigbird.support.commands import run_command; "
    code += "atexit.register(lambda: print(gc.get_freeze_count() > 1000)); run_command(lambda: None)"
    environment = {**os.environ, "PYTHONPATH": MODEL}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout == "True\n"


def test_success_returns_and_our_own_errors_keep_their_traceback():
    run_command(lambda: None)
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: 1 / 0)


_COMMAND = """
import os, signal, sys
from bigbird.support.commands import run_command
from bigbird.support.errors import InputError, TrainingDiverged

def command():
    if sys.argv[1] == "interrupt":
        os.kill(os.getpid(), signal.SIGINT)
    error = {"input": InputError("a.tsv:3: bad"), "diverge": TrainingDiverged("loss nan"), "bug": KeyError("bug")}
    if sys.argv[1] in error:
        raise error[sys.argv[1]]
    print("done")

run_command(command)
"""


@pytest.mark.parametrize(
    ("how", "code", "out", "last_line"),
    [
        ("succeed", 0, "done\n", None),
        ("bug", 1, "", "KeyError: 'bug'"),
        ("input", 2, "", "error: a.tsv:3: bad"),
        ("diverge", 3, "", "error: loss nan"),
        ("interrupt", 130, "", "interrupted; nothing half-written was left behind"),
    ],
)
def test_the_process_exits_with_the_code_of_what_happened(how, code, out, last_line):
    result = subprocess.run(
        [sys.executable, "-c", _COMMAND, how], env={"PYTHONPATH": MODEL}, capture_output=True, text=True, check=False
    )
    lines = result.stderr.splitlines()
    assert (result.returncode, result.stdout) == (code, out)
    assert (lines[-1] if lines else None) == last_line
    assert ("Traceback" in result.stderr) == (how == "bug")
    assert how == "bug" or len(lines) <= 1


_WRITING = """
import sys, time
from bigbird.support.new_folders import new_folder
from bigbird.support.commands import run_command

def write():
    with new_folder(sys.argv[1]) as folder:
        (folder / "half").touch()
        print("writing", flush=True)
        time.sleep(60)

run_command(write)
"""


def test_sigterm_ends_a_command_with_143_and_leaves_nothing_half_written(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", _WRITING, str(tmp_path / "out")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": MODEL},
    )
    assert process.stdout.readline() == "writing\n"
    process.terminate()
    assert process.wait(timeout=30) == 143
    assert list(tmp_path.iterdir()) == []
