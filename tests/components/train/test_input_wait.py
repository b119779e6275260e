"""A device that waits for its input is noticed, one that does not is left in peace."""

import time
from pathlib import Path

import pytest

from bigbird.config import load_experiment
from bigbird.support.artifacts import read_json
from bigbird_components.train import input_wait
from bigbird_components.train.input_wait import InputWait, waited
from bigbird_components.train.tensorflow_step import TensorFlowSteps
from bigbird_components.train.train import train


def _simulate(produce, step, updates=20, looks=10, ahead=2):
    """An accelerator fed by a host that runs ahead of it, with `ahead` batches prefetched.

    Returns:
        The share of time it was idle, and the share that `waited` tells from the host's waits.
    """
    clock = device_free = idle = told = start = 0.0
    ready = [0.0] * ahead  # when each prefetched batch is there; a place in it is free once its batch is taken
    for look in range(looks):
        if look == 1:  # the first finds all prefetched
            start, idle, told = clock, 0.0, 0.0
        waits = []
        for _ in range(updates):
            taken = max(clock, ready.pop(0))
            waits.append(taken - clock)
            ready.append(max([taken, *ready]) + produce)
            clock = taken
            idle += max(0.0, clock - device_free)
            device_free = max(clock, device_free) + step
        clock = device_free  # the look at the loss
        told += waited(waits)
    return idle / (clock - start), told / (clock - start)


@pytest.mark.parametrize(("produce", "step"), [(0.1, 1.0), (0.5, 1.0), (0.9, 1.0), (1.0, 1.0), (1.5, 1.0), (5.0, 1.0)])
def test_the_wait_is_the_devices_not_the_hosts(produce, step):
    idle, told = _simulate(produce, step)
    assert told == pytest.approx(idle, abs=0.05)
    assert (told > input_wait.MOST_SHARE) == (produce > step)


def test_a_device_looked_at_after_each_update_waits_as_long_as_the_host():
    assert waited([0.3]) == 0.3
    assert waited([0.2, 0.3, 0.1]) == pytest.approx(0.6)
    assert waited([0.0, 0.3, 0.3]) == 0.0


def test_one_warning_after_warm_up_and_enough_time(capsys):
    watch = InputWait()
    for _ in range(input_wait.WARM_UP_LOOKS):
        watch.add(10, 60.0, 60.0)
    watch.add(10, 0.5, 10.0)
    watch.add(10, 0.5, 10.0)
    assert capsys.readouterr().err == ""
    for _ in range(4):
        watch.add(10, 4.0, 10.0)
    message = capsys.readouterr().err
    assert message.count("warning: the device waits for its input 40% of the time") == 1
    assert "task.train_data.cycle_length" in message


@pytest.fixture
def trained(dataset, settings, tmp_path, monkeypatch):
    """Function (seconds that each batch takes to come) -> the shares in the run's speed.json."""
    monkeypatch.setattr(input_wait, "LEAST_SECONDS", 1.0)
    real = TensorFlowSteps.training_batches

    def run(delay):
        def slow(steps, skip, without):
            for batch in real(steps, skip, without):
                time.sleep(delay)
                yield batch

        monkeypatch.setattr(TensorFlowSteps, "training_batches", slow)
        trainer = {"train_steps": 120, "checkpoint_interval": 120, "summary_interval": 30, "validation_interval": 120}
        tree = settings(trainer=trainer)
        train(load_experiment("bigbird/glue", overrides=[tree]), tmp_path / str(delay), "train", str(dataset))
        speed = read_json(Path(tmp_path / str(delay)) / "speed.json", "speed")
        return [entry["input_wait"] for entry in speed]

    return run


@pytest.mark.slow
def test_a_slow_source_is_told_once_and_its_share_is_logged(trained, capsys):
    shares = trained(0.05)
    assert len(shares) == 4 and all(0.4 < share < 1.0 for share in shares[1:])
    assert capsys.readouterr().err.count("warning: the device waits for its input") == 1


@pytest.mark.slow
def test_the_projects_own_input_does_not_keep_a_small_model_waiting(trained, monkeypatch, capsys):
    """Nor is any other source blamed while the model is the slower one."""
    slow_train = TensorFlowSteps.train

    def train_slowly(steps, batch):
        time.sleep(0.05)
        return slow_train(steps, batch)

    monkeypatch.setattr(TensorFlowSteps, "train", train_slowly)
    shares = trained(0.0)
    assert max(shares[1:]) < input_wait.MOST_SHARE
    assert "waits for its input" not in capsys.readouterr().err
