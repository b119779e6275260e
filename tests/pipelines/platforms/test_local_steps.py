"""The local target on pipelines of tiny steps, each a real process."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from kfp import dsl

from bigbird.support.log import configure_logging
from bigbird_pipelines.platforms import local_steps
from bigbird_pipelines.platforms.local.processes import Processes

ROOT = Path(__file__).parents[3]


@dsl.component(base_image="python", install_kfp_package=False)
def write(text: str, note: dsl.Output[dsl.Artifact]) -> bool:
    import sys
    from pathlib import Path

    print("on stdout")
    print(f"saw {text}", file=sys.stderr)
    Path(note.path).write_text(text)
    return len(text) > 3


@dsl.component(base_image="python", install_kfp_package=False)
def shout(note: dsl.Input[dsl.Artifact], loud: dsl.Output[dsl.Artifact]) -> None:
    from pathlib import Path

    Path(loud.path).write_text(Path(note.path).read_text().upper())


@dsl.component(base_image="python", install_kfp_package=False)
def stay_silent() -> None:
    pass


@dsl.component(base_image="python", install_kfp_package=False)
def refuse(kind: str) -> None:
    from bigbird.support.errors import InputError, TrainingDiverged
    from bigbird_components.stage import run_stage

    def stage() -> None:
        if kind == "kill":
            import os
            import signal

            os.kill(os.getpid(), signal.SIGKILL)
        raise {"input": InputError, "diverged": TrainingDiverged, "bug": KeyError}[kind](f"this is the {kind} case")

    run_stage(stage)


@dsl.component(base_image="python", install_kfp_package=False)
def forget(note: dsl.Output[dsl.Artifact], metrics: dsl.Output[dsl.Metrics]) -> None:
    metrics.log_metric("loss", 0.5)


@dsl.pipeline(name="forgetting")
def forgetting() -> None:
    forget()


@dsl.pipeline(name="notes")
def notes(text: str) -> None:
    written = write(text=text)
    with dsl.If(written.outputs["Output"] == True):  # noqa: E712
        shout(note=written.outputs["note"])
    with dsl.Else():
        stay_silent()


@dsl.pipeline(name="refusing")
def refusing(kind: str) -> None:
    write(text="fine").after()
    refuse(kind=kind)


@pytest.fixture(autouse=True)
def importable_in_steps(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'model'}{os.pathsep}{ROOT}")


@pytest.fixture
def quiet(monkeypatch):
    with monkeypatch.context() as patched:
        patched.setenv("BIGBIRD_LOG_LEVEL", "warning")
        configure_logging()
        yield
    configure_logging()


def test_outputs_land_in_the_runs_folder_by_step_and_name(tmp_path):
    finished = local_steps.run(notes, {"text": "hello"}, tmp_path / "run", Processes())
    assert (tmp_path / "run/write/note").read_text() == "hello"
    assert (tmp_path / "run/shout/loud").read_text() == "HELLO"
    assert list(finished.seconds) == ["write", "shout"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_only_the_branch_whose_condition_holds_runs(tmp_path):
    assert list(local_steps.run(notes, {"text": "ho"}, tmp_path / "run", Processes()).seconds) == [
        "write",
        "stay-silent",
    ]


def test_a_steps_stderr_is_the_terminals_and_its_stdout_a_log(tmp_path, capfd):
    local_steps.run(notes, {"text": "hello"}, tmp_path / "run", Processes())
    shown = capfd.readouterr()
    assert shown.out == ""
    assert re.match(r"-- write\nsaw hello\n   write finished in \d+s\n-- shout\n", shown.err)
    assert "on stdout\n" in (tmp_path / "run/logs/write.log").read_text()
    assert "finished with status" in (tmp_path / "run/logs/kfp.log").read_text()


def test_quiet_says_nothing_of_the_steps_but_what_they_say(tmp_path, capfd, quiet):
    local_steps.run(notes, {"text": "hello"}, tmp_path / "run", Processes())
    assert capfd.readouterr().err == "saw hello\n"


def test_a_folder_named_after_the_interpreter_reaches_the_steps_unchanged(tmp_path):
    local_steps.run(notes, {"text": "python3 -m"}, tmp_path / "python3" / "run", Processes())
    assert (tmp_path / "python3/run/write/note").read_text() == "python3 -m"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "code", "message"),
    [
        ("input", 2, "step 'refuse' failed: this is the input case"),
        ("diverged", 3, "step 'refuse' failed: this is the diverged case"),
        ("bug", 1, "step 'refuse' failed: KeyError: 'this is the bug case'"),
        ("kill", 137, "step 'refuse' failed: .*, which is what happens when the machine runs out of memory"),
    ],
)
def test_a_failed_step_is_named_with_its_message_and_exit_code(tmp_path, kind, code, message):
    with pytest.raises(local_steps.StepFailed, match=message) as failed:
        local_steps.run(refusing, {"kind": kind}, tmp_path / "run", Processes())
    assert failed.value.exit_code == code


def test_a_step_that_ends_well_without_its_output_has_failed(tmp_path):
    """Metrics have no file: only the note is missing."""
    message = (
        r"step 'forget' failed: it ended without an error but did not write its output 'note'; .*/logs/forget\.log"
    )
    with pytest.raises(local_steps.StepFailed, match=message) as failed:
        local_steps.run(forgetting, {}, tmp_path / "run", Processes())
    assert failed.value.exit_code == 1


def test_folders_without_their_manifest_are_removed_and_whole_ones_kept(tmp_path):
    whole, half = tmp_path / local_steps.OUTPUTS["dataset"], tmp_path / local_steps.OUTPUTS["model"]
    for folder in (whole, half):
        folder.mkdir(parents=True)
        (folder / "part").write_text("x")
    (whole / "dataset.json").write_text("{}")
    left = half.with_name(".model.0123abcd.tmp")
    left.mkdir()
    local_steps.remove_unfinished(tmp_path)
    assert (whole.exists(), half.exists(), left.exists()) == (True, False, False)


WAITING = """
import sys
from pathlib import Path
from kfp import dsl
from bigbird.support.log import configure_logging
from bigbird_pipelines.platforms import local_steps
from bigbird_pipelines.platforms.local.processes import Processes

@dsl.component(base_image="python", install_kfp_package=False)
def wait(model: dsl.Output[dsl.Model]) -> None:
    import os, time
    from pathlib import Path
    Path(model.path).mkdir()
    Path(model.path, "half").write_text(str(os.getpid()))
    try:
        time.sleep(60)
    finally:
        Path(model.path).parent.joinpath("tidied").touch()

@dsl.pipeline(name="waiting")
def waiting() -> None:
    wait().set_display_name("train")

local_steps.OUTPUTS["model"] = Path("wait/model")
try:
    local_steps.run(waiting, {}, Path(sys.argv[1]), Processes())
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "background", "code"),
    [
        (signal.SIGINT, False, 130),
        (signal.SIGTERM, False, 143),
        (signal.SIGTERM, True, 143),
        (signal.SIGHUP, False, 130),
    ],
)
def test_an_interruption_stops_the_step_and_leaves_nothing_half_written(tmp_path, number, background, code):
    """Shells start background jobs with Ctrl-C ignored; SIGTERM must stop those in good order too."""
    script, folder = tmp_path / "script.py", tmp_path / "run"
    script.write_text(WAITING)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN if background else signal.default_int_handler)
    try:
        process = subprocess.Popen([sys.executable, str(script), str(folder)], stderr=subprocess.DEVNULL)
    finally:
        signal.signal(signal.SIGINT, before)
    started = folder / "wait/model/half"
    until = time.monotonic() + 60
    while not (started.exists() and started.read_text()) and time.monotonic() < until:
        time.sleep(0.05)
    step = int(started.read_text())
    process.send_signal(number)
    assert process.wait(timeout=60) == code
    with pytest.raises(ProcessLookupError):
        os.kill(step, 0)
    assert (folder / "wait/tidied").exists()
    assert not (folder / "wait/model").exists()


STOPPING = """
import signal, sys, time
from pathlib import Path
signal.signal(signal.SIGINT, lambda *_: time.sleep(float(sys.argv[1])) or Path(sys.argv[2]).touch() or sys.exit(130))
print("ready", flush=True)
time.sleep(60)
"""


def _interrupted_step(tmp_path, takes, signals):
    """Sends this process signals while a step runs that takes so many seconds to stop.

    Gives whether the step had its time, what ended the wait for it, and the seconds from the first signal on.
    """
    log, tidied, since = tmp_path / "log", tmp_path / "tidied", []

    def send():
        until = time.monotonic() + 60
        while not (log.exists() and log.read_text()) and time.monotonic() < until:
            time.sleep(0.01)
        since.append(time.monotonic())
        for pause, number in signals:
            time.sleep(pause)
            os.kill(os.getpid(), number)

    sending = threading.Thread(target=send)
    sending.start()
    with log.open("wb") as file, local_steps._stopped_in_good_order():
        command = [sys.executable, "-c", STOPPING, str(takes), str(tidied), "--function_to_execute", "stop"]
        with pytest.raises((KeyboardInterrupt, SystemExit)) as ended:
            Processes().execute(command, {}, file)
        seconds = time.monotonic() - since[0]
    sending.join()
    return tidied.exists(), ended.type, seconds


def test_after_ctrl_c_a_step_has_as_long_as_it_takes_to_stop(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(local_steps, "INTERRUPT_PATIENCE_S", 0.2)
    monkeypatch.setattr(local_steps, "TELL_AFTER_S", 0.1)
    assert _interrupted_step(tmp_path, 2, [(0, signal.SIGINT)])[:2] == (True, KeyboardInterrupt)
    assert "press Ctrl-C again to end it at once" in capsys.readouterr().err


def test_a_second_ctrl_c_ends_a_step_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(local_steps, "TELL_AFTER_S", 0.1)
    tidied, ended, seconds = _interrupted_step(tmp_path, 30, [(0, signal.SIGINT), (1, signal.SIGINT)])
    assert (tidied, ended) == (False, KeyboardInterrupt) and seconds < 15


def test_after_sigterm_a_step_has_a_limited_time_to_stop(tmp_path, monkeypatch):
    monkeypatch.setattr(local_steps, "INTERRUPT_PATIENCE_S", 0.5)
    tidied, ended, seconds = _interrupted_step(tmp_path, 30, [(0, signal.SIGTERM)])
    assert (tidied, ended) == (False, SystemExit) and seconds < 15
