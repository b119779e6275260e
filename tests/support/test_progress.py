"""Progress lines and durations."""

import re
from pathlib import Path

import pytest

from bigbird.support.progress import Progress, format_duration

MODEL = str(Path(__file__).parents[2] / "model")


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
