"""Progress on a terminal: what is on the screen at every moment, and what is left on it."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

MODEL = str(Path(__file__).parents[2] / "model")
PROGRAM = """
import logging, os, signal, sys, time
from bigbird.support.commands import run_command
from bigbird.support.native_stderr import hidden_native_stderr
from bigbird.support.progress import Progress

clock = iter(range(0, 10**6, 60))
time.monotonic = lambda: next(clock)  # a minute passes between two looks at it

def train(ended_by=None):
    progress = Progress("train", 700)
    progress.prepare(0, "compiling the step")
    for step in (100, 200, 300):
        progress.update(step, "loss 0.4310  lr 8.1e-04  41.2k tokens/s")
    logging.getLogger("bigbird.x").warning("careful")
    progress.update(400, "loss 0.4200  lr 8.0e-04  41.2k tokens/s")
    if ended_by:
        os.kill(os.getpid(), ended_by)
        time.sleep(60)
    progress.finish("done")

"""


def on_a_terminal(body, width=100, **variables):
    """Runs the program's body; its exit code and what it sent to a terminal as wide as that."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    environment = {"PYTHONPATH": MODEL, "PATH": os.environ["PATH"], "TERM": "xterm-256color", **variables}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM + body],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=its,
        env=environment,
    )
    os.close(its)
    sent = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # how Linux says that nobody holds the other end any more
            break
        if not part:
            break
        sent += part
    os.close(ours)
    return process.wait(), sent.decode()


def screens(sent):
    """The cursor's line after each piece of text, and the lines at the end; knows what controls are used and no others."""
    lines, row, column, found = [""], 0, 0, []
    for control, text in re.findall(r"(\x1b\[[0-9;]*[A-Za-z]|[\r\n])|([^\x1b\r\n]+)", sent):
        if text:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + text + line[column + len(text) :]
            column += len(text)
            found.append(lines[row].rstrip())
        elif control == "\r":
            column = 0
        elif control == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif control == "\x1b[2K":
            lines[row] = ""
        elif control == "\x1b[1A":
            row -= 1
        else:
            assert control.endswith("m"), repr(control)
    assert column == 0
    return found, [line.rstrip() for line in lines if line]


def whole(sent):
    """The whole lines of progress that were shown, without their bars."""
    found, _ = screens(re.sub(r"\x1b\[[0-9;]*m", "", sent))
    return [re.sub("[━╸╺ ]+ ", " ", line, count=1) for line in found if line.startswith("train")]


def test_the_line_has_bar_count_share_time_left_rate_and_the_losses():
    code, sent = on_a_terminal("run_command(train)")
    assert code == 0
    assert whole(sent)[:4] == [
        "train 0/700  0%  compiling the step",
        "train 100/700  14%  loss 0.4310  lr 8.1e-04  41.2k tokens/s",
        "train 200/700  28%  5m 00s left  1.7/s  loss 0.4310  lr 8.1e-04  41.2k tokens/s",
        "train 300/700  42%  4m 00s left  1.7/s  loss 0.4310  lr 8.1e-04  41.2k tokens/s",
    ]
    assert len(re.search("[━╸╺]+", re.sub(r"\x1b\[[0-9;]*m", "", sent)).group()) == 20
    assert screens(sent)[1] == ["warning: careful", "done"]


@pytest.mark.parametrize("width", [1, 7, 12, 40, 59, 60, 80, 100, 200])
def test_the_line_is_never_wider_than_the_terminal(width):
    code, sent = on_a_terminal("run_command(train)", width)
    shown, left = screens(re.sub(r"\x1b\[[0-9;]*m", "", sent))
    assert code == 0
    assert max(len(line) for line in shown if line not in left) <= width
    assert left == ["warning: careful", "done"]


def test_a_terminal_is_as_wide_as_itself_while_native_chatter_is_hidden():
    body = "with hidden_native_stderr():\n    run_command(train)\n"
    for width, variables in ((30, {}), (50, {"COLUMNS": "200"})):
        shown, _ = screens(on_a_terminal(body, width, NO_COLOR="1", **variables)[1])
        assert max(map(len, shown)) == width


def test_no_color_has_no_colour():
    plain = on_a_terminal("run_command(train)", NO_COLOR="1")[1]
    coloured = on_a_terminal("run_command(train)")[1]
    assert not re.search(r"\x1b\[[0-9;]*m", plain)
    assert whole(plain) == whole(coloured)


@pytest.mark.parametrize(
    ("signal", "code", "left"),
    [("SIGINT", 130, ["warning: careful", "interrupted; nothing half-written was left behind"]), ("SIGTERM", 143, ["warning: careful"])],
)  # fmt: skip
def test_a_stopped_process_leaves_a_clean_terminal(signal, code, left):
    ended, sent = on_a_terminal(f"run_command(lambda: train(signal.{signal}))")
    assert (ended, screens(sent)[1]) == (code, left)


def test_a_killed_process_leaves_the_cursor():
    code, sent = on_a_terminal("run_command(lambda: train(signal.SIGKILL))")
    assert code == -9
    assert "\x1b[?" not in sent  # neither cursor nor screen were switched to anything


def test_quiet_says_warnings_alone():
    assert on_a_terminal("run_command(train)", BIGBIRD_LOG_LEVEL="warning") == (0, "\r\x1b[2Kwarning: careful\r\n")


def test_a_terminal_whose_cursor_cannot_move_has_lines():
    assert on_a_terminal("run_command(train)", TERM="dumb")[1].splitlines() == [
        "train 0/700  compiling the step",
        "train 100/700  loss 0.4310  lr 8.1e-04  41.2k tokens/s",
        "train 200/700  loss 0.4310  lr 8.1e-04  41.2k tokens/s  5m 00s left",
        "train 300/700  loss 0.4310  lr 8.1e-04  41.2k tokens/s  4m 00s left",
        "warning: careful",
        "train 400/700  loss 0.4200  lr 8.0e-04  41.2k tokens/s  3m 00s left",
        "done",
    ]


def test_one_progress_inside_another_takes_its_place():
    body = """
def nested():
    outer, inner = Progress("train", 10), Progress("validate")
    outer.update(1)
    inner.update(1_000)
    inner.update(2_000, "more")
    inner.finish()
    outer.update(2, force=True)
    outer.finish("validation at step 2")
    outer.update(3)
    outer.finish()
run_command(nested)
"""
    code, sent = on_a_terminal(body, NO_COLOR="1")
    found, left = screens(sent)
    assert (code, left) == (0, ["validation at step 2"])
    words = [line.split(maxsplit=1)[0] for line in found]  # what is cleared is drawn once more before
    assert words == ["train", *["validate"] * 3, "train", "train", "validation", "train", "train"]
