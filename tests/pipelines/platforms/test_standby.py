"""Processes that load a step's libraries before the step is to run; all real."""

import json
import os
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
    import sys
    from pathlib import Path

    Path(loaded.path).write_text(str("apache_beam" in sys.modules))
    print("on stdout")
    if code:
        sys.exit(code)


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


@pytest.mark.parametrize("when", ["while it loads", "once it waits"])
def test_a_process_that_ended_leaves_the_step_to_start_as_usual(waiting, tmp_path, when):
    processes, process = waiting("preprocess" if when == "once it waits" else "no such step")
    if when == "once it waits":
        process.stdout.peek()
        process.kill()
        process.wait()
    step = next(iter(processes._waiting))
    with (tmp_path / "log").open("wb") as log:
        assert processes.take(step, _command(tmp_path), ENVIRONMENT, log) is None


def test_it_does_not_wait_for_ever(waiting, monkeypatch, tmp_path):
    monkeypatch.setattr(standby, "LONGEST_S", 0.05)
    processes, process = waiting()
    assert process.wait(30) == -9
    with (tmp_path / "log").open("wb") as log:
        assert processes.take("preprocess", _command(tmp_path), ENVIRONMENT, log) is None


def test_it_ends_with_whoever_started_it():
    program = (
        "import os; from bigbird_pipelines.platforms.local.standby import Standby\n"
        "waiting = Standby('tensorflow', {}); waiting.begin('preprocess')\n"
        "print(waiting._waiting['preprocess'][0].pid, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    pid, until = int(done.stdout), time.monotonic() + 60
    while Path(f"/proc/{pid}/stat").exists() and time.monotonic() < until:
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            break
        time.sleep(0.1)
    assert time.monotonic() < until
