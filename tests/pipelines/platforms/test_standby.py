"""Processes that load a step's libraries before the step is to run; all real."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kfp import dsl

from bigbird_pipelines.platforms import local_steps
from bigbird_pipelines.platforms.local import standby
from bigbird_pipelines.platforms.local.processes import Processes
from bigbird_pipelines.platforms.local.standby import Standby

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {"PYTHONUNBUFFERED": "1", "TMPDIR": "/tmp"}


@dsl.component(base_image="python", install_kfp_package=False)
def preprocess(code: int, loaded: dsl.Output[dsl.Artifact]) -> None:
    import os
    import sys
    from pathlib import Path

    Path(loaded.path).write_text(str("apache_beam" in sys.modules))
    print("on stdout")
    if code > 0:
        sys.exit(code)
    if code < 0:
        os.kill(os.getpid(), -code)


@dsl.component(base_image="python", install_kfp_package=False)
def train(before: dsl.Input[dsl.Artifact], loaded: dsl.Output[dsl.Artifact]) -> None:
    import sys
    from pathlib import Path

    Path(loaded.path).write_text(Path(before.path).read_text() + str("tensorflow" in sys.modules))


@dsl.pipeline(name="both")
def both(code: int) -> None:
    train(before=preprocess(code=code).outputs["loaded"])


@pytest.fixture(autouse=True)
def importable_in_steps(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'model'}{os.pathsep}{ROOT}")


@pytest.fixture
def waiting():
    """Function (step) -> processes that wait, the one for that step, its entry."""
    made = []

    def begin(step="preprocess", backend="tensorflow"):
        processes = Standby(backend, {})
        made.append(processes)
        processes.begin(step)
        return processes, processes._waiting[step][0]

    yield begin
    for processes in made:
        processes.close()


def _command(tmp_path, code=0):
    """KFP's own for the step."""
    container = preprocess.component_spec.implementation.container
    given = {
        "inputs": {"parameterValues": {"code": code}},
        "outputs": {
            "artifacts": {"loaded": {"artifacts": [{"name": "loaded", "type": {"schemaTitle": "system.Artifact"}, "uri": str(tmp_path / "loaded"), "metadata": {}}]}},
            "outputFile": str(tmp_path / "record.json"),
        },
    }  # fmt: skip
    return [*container.command, "--executor_input", json.dumps(given), "--function_to_execute", "preprocess"]


def test_steps_find_their_libraries_loaded(tmp_path):
    place = Processes()
    place.begin()
    local_steps.run(both, {"code": 0}, tmp_path / "run", place)
    assert (tmp_path / "run/train/loaded").read_text() == "TrueTrue"
    assert "on stdout" in (tmp_path / "run/logs/preprocess.log").read_text()
    place = Processes()  # nothing has begun before the first step: it starts as KFP starts it
    local_steps.run(both, {"code": 0}, tmp_path / "other", place)
    assert (tmp_path / "other/train/loaded").read_text() == "FalseFalse"


def test_a_step_that_fails_has_its_exit_code_and_what_waits_for_the_next_one_ends(tmp_path):
    place = Processes()
    place.begin()
    process = place._standby._waiting["train"][0]
    with pytest.raises(local_steps.StepFailed) as failed:
        local_steps.run(both, {"code": 5}, tmp_path / "run", place)
    assert failed.value.exit_code == 5
    assert process.poll() is not None


@pytest.mark.parametrize("code", [0, 3])
def test_the_process_becomes_the_steps(waiting, tmp_path, code):
    processes, process = waiting()
    with (tmp_path / "log").open("wb") as log:
        assert processes.take("train", _command(tmp_path, code), ENVIRONMENT, log) is None
        assert processes.take("preprocess", _command(tmp_path, code), ENVIRONMENT, log) is process
        assert process.wait(60) == code
    assert (tmp_path / "loaded").read_text() == "True"
    assert "on stdout" in (tmp_path / "log").read_text()
    assert processes.take("preprocess", [], {}, log) is None  # it is no step's twice


def _installs(command):
    return [*command[:2], f"pip install something\n{command[2]}", *command[3:]]


@pytest.mark.parametrize(
    ("change", "environment"),
    [(_installs, ENVIRONMENT), (lambda command: command[3:], ENVIRONMENT), (list, ENVIRONMENT | {"TF_NUM_INTEROP_THREADS": "1"})],
    ids=["a longer shell line", "no shell line", "an environment that libraries look at"],
)  # fmt: skip
def test_what_it_cannot_become_starts_as_usual(waiting, tmp_path, change, environment):
    processes, process = waiting()
    with (tmp_path / "log").open("wb") as log:
        assert processes.take("preprocess", change(_command(tmp_path)), environment, log) is None
    assert process.poll() is not None


@pytest.mark.parametrize("when", ["while it loads", "once it waits", "as it cannot load"])
def test_a_process_that_ended_leaves_the_step_to_start_as_usual(waiting, tmp_path, when):
    processes, process = waiting("no such step" if when == "as it cannot load" else "preprocess")
    if when == "once it waits":
        process.stdout.peek()
    if when != "as it cannot load":
        process.kill()
        process.wait()
    step = next(iter(processes._waiting))
    with (tmp_path / "log").open("wb") as log:
        assert processes.take(step, _command(tmp_path), ENVIRONMENT, log) is None


def test_what_is_printed_while_libraries_are_loaded_is_no_answer(waiting, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text("print('hello')")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ['PYTHONPATH']}")
    processes, _ = waiting("no such step")
    with (tmp_path / "log").open("wb") as log:
        assert processes.take("no such step", _command(tmp_path), ENVIRONMENT, log) is None


def test_where_no_process_can_be_started_the_step_starts_as_usual(monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(standby.subprocess, "Popen", refuse)
    processes = Standby("tensorflow", {})
    processes.begin("preprocess")
    with (tmp_path / "log").open("wb") as log:
        assert processes.take("preprocess", _command(tmp_path), ENVIRONMENT, log) is None


def test_it_does_not_wait_for_ever(monkeypatch, tmp_path):
    monkeypatch.setattr(standby, "LONGEST_S", 0.5)
    started, popen = [], subprocess.Popen
    monkeypatch.setattr(
        standby.subprocess, "Popen", lambda *given, **named: started.append(popen(*given, **named)) or started[-1]
    )
    processes = Standby("tensorflow", {})
    processes.begin("preprocess")
    assert started[0].wait(30) == -9
    with (tmp_path / "log").open("wb") as log:
        assert processes.take("preprocess", _command(tmp_path), ENVIRONMENT, log) is None


@pytest.mark.parametrize("loaded", [False, True], ids=["while it loads", "once it waits"])
def test_it_ends_quietly_with_whoever_started_it(loaded, tmp_path):
    program = (
        "import os; from bigbird_pipelines.platforms.local.standby import Standby\n"
        "waiting = Standby('tensorflow', {}); waiting.begin('preprocess'); process = waiting._waiting['preprocess'][0]\n"
        f"if {loaded}: process.stdout.peek()\n"
        "print(process.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    with (tmp_path / "told").open("wb") as told:
        done = subprocess.run(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=told, check=False, cwd=ROOT, timeout=60
        )
    assert _ended(int(done.stdout), 30)
    assert (tmp_path / "told").read_text() == ""


def _ended(pid, seconds):
    """Whether a process ends in so many seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":  # nobody waits for it
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
@pytest.mark.parametrize("ahead", [False, True], ids=["as usual", "ahead"])
def test_a_step_that_a_signal_ends_has_the_same_exit_code_however_it_started(ahead, number, tmp_path):
    place = Processes()
    if ahead:
        place.begin()
    with pytest.raises(local_steps.StepFailed) as failed:
        local_steps.run(both, {"code": -int(number)}, tmp_path / "run", place)
    assert failed.value.exit_code == 128 + number


def test_a_step_of_a_run_in_the_background_hears_ctrl_c(waiting):
    """Shells let background jobs ignore it, and children inherit that."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _, process = waiting()
    finally:
        signal.signal(signal.SIGINT, before)
    process.stdout.peek()
    ignored = re.search(r"SigIgn:\s*(\w+)", Path(f"/proc/{process.pid}/status").read_text())[1]
    assert not int(ignored, 16) & (1 << (signal.SIGINT - 1) | 1 << (signal.SIGHUP - 1))
