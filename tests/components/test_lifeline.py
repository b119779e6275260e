"""Processes end with the one that started them, also when that one is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT / 'model'}{os.pathsep}{ROOT}"}

# A starter as `bigbird run` is: a step in a session of its own behind a shell, with a worker, its input held open.
STARTER = """
import os, subprocess, sys
step = '''
import subprocess, sys, time
from bigbird_components.lifeline import end_with_starter
end_with_starter()
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(worker.pid, flush=True)
time.sleep(600)
'''
environment = {**os.environ, "BIGBIRD_LIFELINE": "stdin"}
command = ["sh", "-ec", sys.executable + ' -c "$0"; echo', step]
process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, start_new_session=True)
print(process.pid, flush=True)
process.wait()
"""
PARENT = """
import os, subprocess, sys
child = "import os, time; from bigbird_components.lifeline import end_with_parent; end_with_parent(int(os.environ['PARENT'])); print(1, flush=True); time.sleep(600)"
process = subprocess.Popen([sys.executable, "-c", child], env={**os.environ, "PARENT": str(os.getpid())})
print(process.pid, flush=True)
process.wait()
"""


def _is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _assert_ends(pids):
    end = time.monotonic() + 30
    while any(map(_is_running, pids)):
        assert time.monotonic() < end, f"still running: {[pid for pid in pids if _is_running(pid)]}"
        time.sleep(0.02)


def _start(program):
    return subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    )


def test_a_step_and_its_workers_end_when_their_starter_is_killed():
    starter = _start(STARTER)
    pids = [int(starter.stdout.readline()) for _ in range(2)]
    assert all(map(_is_running, pids))
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    _assert_ends(pids)


def test_a_worker_ends_when_its_parent_is_killed():
    parent = _start(PARENT)
    pid = int(parent.stdout.readline())
    parent.stdout.readline()
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    _assert_ends([pid])


def test_without_a_runner_a_step_does_not_look_at_its_input():
    program = "from bigbird_components.lifeline import end_with_starter; end_with_starter(); import time; time.sleep(0.5); print('on')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "on\n")
