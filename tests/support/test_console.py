"""Exit codes, progress lines, durations, and native libraries' chatter."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bigbird.support.console import Progress, format_duration, hidden_native_stderr, load_tensorflow, run_command
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


def test_success_returns_and_our_own_errors_keep_their_traceback():
    run_command(lambda: None)
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: 1 / 0)


_COMMAND = """
import os, signal, sys
from bigbird.support.console import run_command
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


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (-3, "0s"), (59.4, "59s"), (59.6, "1m 00s"), (187, "3m 07s"), (3599.7, "1h 00m"), (8100, "2h 15m")],
)
def test_durations_are_as_people_say_them(seconds, text):
    assert format_duration(seconds) == text


def test_progress_in_a_log_is_a_line_now_and_then_with_the_time_left(capsys):
    progress = Progress("train", 1200, interval_s=0.0)
    progress.update(600, "loss 0.5")
    progress.update(601)
    progress._start -= 60  # as if the last step had taken a minute
    progress.update(700, force=True)
    progress.finish("done")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "train 600/1,200  loss 0.5"
    assert re.fullmatch(r"train 700/1,200  5m 0[0-9]s left", lines[-2])
    assert lines[-1] == "done"


def test_what_comes_before_the_first_unit_is_shown_and_not_counted_as_its_time(capsys):
    progress = Progress("train", 1200, interval_s=0.0)
    progress.prepare(0, "compiling the step")
    progress._start -= 3600
    progress.update(1)
    progress.update(2, force=True)
    assert capsys.readouterr().err.splitlines() == [
        "train 0/1,200  compiling the step",
        "train 1/1,200",
        "train 2/1,200  0s left",
    ]


def test_progress_between_two_lines_says_nothing(capsys):
    progress = Progress("read", interval_s=3600)
    for done in range(1, 50):
        progress.update(done)
    assert capsys.readouterr().err == "read 1\n"


_CHATTER = """
import os, sys
from bigbird.support.console import hidden_native_stderr
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
from bigbird.support.console import hidden_native_stderr
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


_WRITING = """
import sys, time
from bigbird.support.new_folders import new_folder
from bigbird.support.console import run_command

def write():
    with new_folder(sys.argv[1]) as folder:
        (folder / "half").touch()
        print("writing", flush=True)
        time.sleep(60)

run_command(write)
"""


def test_sigterm_ends_a_command_with_143_and_leaves_nothing_half_written(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", _WRITING, str(tmp_path / "out")], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": MODEL},
    )  # fmt: skip
    assert process.stdout.readline() == "writing\n"
    process.terminate()
    assert process.wait(timeout=30) == 143
    assert list(tmp_path.iterdir()) == []


def test_tensorflow_is_loaded_without_what_is_not_used_and_its_errors_are_shown_and_its_warnings_are_not():
    """A warning comes where a step is traced for each of many padded lengths, which is meant."""
    code = (
        "from bigbird.support.console import load_tensorflow\n"
        "load_tensorflow()\n"
        "import tensorflow as tf\n"
        "tf.get_logger().warning('traced again')\n"
        "tf.get_logger().error('broken')\n"
        "import sys\n"
        "print(sorted({'jax', 'keras', 'matplotlib', 'sklearn'} & set(sys.modules)))\n"
        "import matplotlib, sklearn\n"  # found again where they are needed
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": MODEL},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "broken" in done.stderr
    assert "traced again" not in done.stderr and "Logging error" not in done.stderr
    assert done.stdout == "['keras']\n"  # nothing that takes long to import and is not used


def test_a_backend_of_keras_that_is_not_installed_is_named():
    with pytest.raises(InputError, match="Keras is to compute with abacus, which is not installed"):
        load_tensorflow("abacus")
