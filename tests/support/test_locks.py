"""One writer at a time."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bigbird.support import locks
from bigbird.support.errors import InputError
from bigbird.support.locks import LockLost, locked
from bigbird.support.new_folders import new_folder

ROOT = Path(__file__).parents[2]
HOLD = """
import sys
from bigbird.support.locks import locked
with locked(sys.argv[1], "a test"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock of tmp_path/out."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "model")}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "out")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_process_is_refused_and_told_who_holds_the_folder(tmp_path, holder):
    with pytest.raises(
        InputError, match=rf"out: is being written by a test, process {holder.pid} on .+ since \d{{4}}-"
    ):
        locked(tmp_path / "out", "me").__enter__()
    with pytest.raises(InputError, match=rf"process {holder.pid}"):
        new_folder(tmp_path / "out").__enter__()
    holder.communicate()
    with locked(tmp_path / "out", "me"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_a_killed_process_is_free_at_once(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert [file.name for file in tmp_path.iterdir()] == [".out.lock"]
    with locked(tmp_path / "out", "me"):
        assert json.loads((tmp_path / ".out.lock").read_text())["process"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_who_waits_gets_the_lock_when_it_is_free_and_may_give_up(tmp_path, holder):
    class GivesUp(Exception):
        pass

    def give_up():
        raise GivesUp

    with pytest.raises(GivesUp):
        locked(tmp_path / "out", "me", while_held=give_up).__enter__()
    waits = []

    def wait():
        waits.append(len(waits))
        if len(waits) == 3:
            holder.communicate()

    with locked(tmp_path / "out", "me", while_held=wait):
        assert json.loads((tmp_path / ".out.lock").read_text())["process"] == os.getpid()
    assert waits == [0, 1, 2]
    assert list(tmp_path.iterdir()) == []


def test_of_many_that_start_at_once_one_gets_it(tmp_path):
    barrier, held, refused, release = threading.Barrier(8), [], [], threading.Event()

    def begin(number):
        barrier.wait()
        try:
            with locked(tmp_path / "out", f"thread {number}"):
                held.append(number)
                release.wait(30)
        except InputError:
            refused.append(number)
            if len(refused) == 7:
                release.set()

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(held), len(refused)) == (1, 7)


def _foreign(path, renewals=0):
    path.write_text(json.dumps({
        "what": "training", "process": 1, "host": "elsewhere", "boot": "another", "since": "2026-01-31T04:00:00+00:00",
        "renewals": renewals,
    }))  # fmt: skip


def test_a_lock_of_another_machine_is_respected_while_it_is_renewed(tmp_path, monkeypatch):
    """File systems that several machines share need not share locks."""
    monkeypatch.setattr(locks, "WATCH_S", 20.0)
    _foreign(tmp_path / ".out.lock")
    renewing = threading.Timer(0.3, _foreign, (tmp_path / ".out.lock", 1))
    renewing.start()
    with pytest.raises(
        InputError, match=r"is being written by training, process 1 on elsewhere since 2026-01-31T04:00"
    ):
        locked(tmp_path / "out", "me").__enter__()
    renewing.join()


def test_a_lock_of_another_machine_that_nobody_renews_is_taken_over(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(locks, "WATCH_S", 0.3)
    _foreign(tmp_path / ".out.lock")
    with locked(tmp_path / "out", "me"):
        assert json.loads((tmp_path / ".out.lock").read_text())["host"] != "elsewhere"
    assert "was being written by training on elsewhere; watching" in capfd.readouterr().err


def test_a_holder_renews_its_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "RENEW_S", 0.01)
    with locked(tmp_path / "out", "me"):
        for _ in range(3000):
            if json.loads((tmp_path / ".out.lock").read_bytes() or b"{}").get("renewals", 0) > 1:
                return
            threading.Event().wait(0.01)
    pytest.fail("the lock was not renewed")


def test_a_holder_learns_that_another_machine_has_taken_its_lock(tmp_path):
    file = tmp_path / ".out.lock"
    told = r"out: was taken over by training, process 1 on elsewhere since 2026-01-31T04:00"

    def hold():
        with locked(tmp_path / "out", "me") as held:
            held.check()
            _foreign(file)
            for _ in range(2):
                with pytest.raises(LockLost, match=told):
                    held.check()

    with pytest.raises(LockLost, match=told):
        hold()
    assert json.loads(file.read_text())["host"] == "elsewhere"  # is left to who holds it


@pytest.mark.parametrize("error", [None, OSError("no such file"), KeyError("x")])
def test_a_lock_that_was_lost_is_told_when_the_block_ends(tmp_path, monkeypatch, error):
    monkeypatch.setattr(locks, "RENEW_S", 0.01)

    def hold():
        with locked(tmp_path / "out", "me") as held:
            (tmp_path / ".out.lock").unlink()
            while not held._lost:
                threading.Event().wait(0.01)
            if error:
                raise error

    with pytest.raises(LockLost, match="was taken over by another process, which has ended"):
        hold()


def test_a_lock_file_that_a_full_disk_has_cut_is_still_ours(tmp_path):
    with locked(tmp_path / "out", "me") as held:
        (tmp_path / ".out.lock").write_text("{")
        held.check()
        assert json.loads((tmp_path / ".out.lock").read_text())["renewals"] == 1
    assert list(tmp_path.iterdir()) == []


SUSPENDED = """
import fcntl, sys
from pathlib import Path
from bigbird.support import locks
from bigbird.support.new_folders import new_folder

def flock(*_):
    raise OSError("this file system has no locks")

fcntl.flock, locks.RENEW_S = flock, 0.05
with new_folder(sys.argv[1]) as folder:
    (folder / "dataset.json").write_text("the first's")
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_process_that_was_suspended_does_not_replace_what_another_has_written(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError("this file system has no locks")

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr(locks, "WATCH_S", 0.5)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "model")}
    suspended = subprocess.Popen(
        [sys.executable, "-c", SUSPENDED, str(tmp_path / "out")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
    )
    try:
        assert suspended.stdout.readline() == "held\n"
        suspended.send_signal(signal.SIGSTOP)
        with new_folder(tmp_path / "out") as folder:
            (folder / "dataset.json").write_text("the second's")
            suspended.send_signal(signal.SIGCONT)
            _, told = suspended.communicate("go on\n", timeout=60)
            assert suspended.returncode == 1 and "LockLost" in told
            assert f"out: was taken over by the step that writes out, process {os.getpid()} on" in told
    finally:
        suspended.kill()
        suspended.wait()
    assert (tmp_path / "out" / "dataset.json").read_text() == "the second's"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
