"""What tests of several folders share."""

import gc
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bigbird.support.log import configure_logging

ROOT = Path(__file__).parents[1]

# Shells start background jobs with Ctrl-C ignored, and children inherit that: tests that send it need it heard.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption(
        "--docker", action="store_true", help="run the tests of the images: `make test-docker` builds them"
    )
    parser.addoption("--long", action="store_true", help="run the tests that take long or want a quiet machine")
    parser.addoption("--repeats", type=int, default=3, help="how often a failure that must never be missed is provoked")


@pytest.fixture(scope="session", autouse=True)
def cache_of_its_own(tmp_path_factory):
    """What commands keep for later ones is not the user's."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


# gzip's header with a time in it, inside a test's id. Data that gzip packs contains the time, so the processes that share
# the tests would collect different ids, and pytest-xdist would refuse them.
_GZIP_WITH_TIME = re.compile(r"\\x1f\\x8b\\x08\\x00(?!\\x00\\x00\\x00\\x00|-)")


def pytest_collection_modifyitems(config, items):
    for item in items:
        if _GZIP_WITH_TIME.search(item.nodeid):
            raise pytest.UsageError(
                f"{item.nodeid[:200]}: the id contains gzip data, which differs in each process; give the case an id "
                "(pytest.param(…, id=…)), or pack with gzip.compress(…, mtime=0)"
            )
    if not config.getoption("--long"):
        long = pytest.mark.skip(reason="NOT RUN without --long: takes long, or wants a quiet machine")
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(long)
    if config.getoption("--docker"):
        return
    why = pytest.mark.skip(
        reason="NOT RUN without --docker: needs a Docker engine and the images; see make test-docker"
    )
    for item in items:
        if item.path.is_relative_to(ROOT / "tests" / "docker"):
            item.add_marker(why)


def pytest_collection_finish(session):
    """Calls gc.freeze: the garbage collector leaves out what the imports made, which took it a second each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _logging():
    """What the packages log goes to stderr, as in a command."""
    configure_logging()


@pytest.fixture
def check_on_jax(tmp_path):
    """Runs a program on Keras' JAX backend and holds the arrays it writes against those expected.

    The program gets two arguments, a folder and a JSON value; it reads given.npz and writes found.npz there.
    """

    def check(program, value, given, expected):
        np.savez(tmp_path / "given.npz", **given)
        environment = {
            **os.environ,
            "KERAS_BACKEND": "jax",
            "JAX_PLATFORMS": "cpu",
            "PYTHONPATH": str(ROOT / "model"),
        }
        result = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path), json.dumps(value)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert result.returncode == 0, result.stderr[-3000:]
        found = np.load(tmp_path / "found.npz")
        assert set(found) == set(expected)
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array, rtol=0, atol=2e-5, err_msg=name)

    return check
