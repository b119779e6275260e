"""How many processes the work on this machine is spread over."""

import os
import subprocess

import pytest

from bigbird_components.preprocess import beam_run, local_shards, worker_pool


def _processes(*flags, total_bytes=local_shards.MANY_BYTES, shards=4):
    return local_shards.processes_for(beam_run.parse_options(flags), total_bytes, shards)


@pytest.fixture
def cores(monkeypatch):
    """Function (number) -> lets this process use so many cores."""
    return lambda number: monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(number)))


def test_long_work_takes_a_process_for_each_core_it_may_use_and_short_work_none(cores):
    cores(3)
    assert _processes() == 3
    assert _processes(shards=2) == 2
    assert _processes(total_bytes=local_shards.MANY_BYTES - 1) == 1
    cores(1)
    assert _processes() == 1


def test_what_the_user_says_of_workers_stands(cores):
    cores(8)
    assert _processes("--direct_running_mode=multi_processing", "--direct_num_workers=3", total_bytes=1) == 3
    assert _processes("--direct_running_mode=multi_processing", "--direct_num_workers=0", shards=20) == 8
    assert _processes("--direct_num_workers=2") == 1  # threads of Beam's own
    assert _processes("--direct_running_mode=multi_threading", "--direct_num_workers=1") == 1


def test_processes_start_once_there_is_enough_to_encode_and_end_with_the_stage(cores, tmp_path, monkeypatch):
    started = []

    def start(*command, **options):
        started.append(popen(*command, **options))
        return started[-1]

    popen = subprocess.Popen
    monkeypatch.setattr(worker_pool.subprocess, "Popen", start)
    cores(1)
    alone = local_shards.EarlyShards(beam_run.parse_options([]), str(tmp_path))
    alone.expect(local_shards.MANY_BYTES)
    assert not started
    cores(2)
    early = local_shards.EarlyShards(beam_run.parse_options([]), str(tmp_path))
    early.expect(local_shards.MANY_BYTES - 1)
    assert not started
    early.expect(local_shards.MANY_BYTES)
    early.expect(local_shards.MANY_BYTES + 1)
    assert [process.poll() for process in started] == [None, None]
    early.close()  # as where the table is refused after all
    assert [process.poll() for process in started] == [-9, -9]
