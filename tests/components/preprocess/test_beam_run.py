"""How many processes the work on this machine is spread over."""

import os

import pytest
from apache_beam.options.pipeline_options import DirectOptions
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from components.preprocess import beam_run


def _workers(*flags, total_bytes=beam_run.MANY_BYTES, shards=4):
    options = beam_run.parse_options(flags)
    runner = beam_run._local_runner(options, total_bytes, shards)
    direct = options.view_as(DirectOptions)
    if isinstance(runner._default_environment, SubprocessSDKEnvironment):
        return "multi_processing", direct.direct_num_workers
    return direct.direct_running_mode, direct.direct_num_workers


@pytest.fixture
def cores(monkeypatch):
    """Function (number) -> lets this process use so many cores."""
    return lambda number: monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(number)))


def test_long_work_takes_a_process_for_each_core_it_may_use_and_short_work_none(cores):
    cores(3)
    assert _workers() == ("multi_processing", 3)
    assert _workers(shards=2) == ("multi_processing", 2)
    assert _workers(total_bytes=beam_run.MANY_BYTES - 1) == ("in_memory", 1)
    cores(1)
    assert _workers() == ("in_memory", 1)


def test_what_the_user_says_of_workers_stands(cores):
    cores(8)
    assert _workers("--direct_num_workers=2") == ("in_memory", 2)
    assert _workers("--direct_running_mode=multi_threading", "--direct_num_workers=1") == ("multi_threading", 1)
