"""Compiled programs are kept for later runs: found again, where the user wants them, and a home that is read only hinders nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bigbird_components.train import jax_programs

ROOT = Path(__file__).parents[3]
# Prints whether a program that takes a moment to compile was found among the kept ones, and where they are.
PROGRAM = """
import json, jax, jax.numpy as jnp
from bigbird_components.train.jax_programs import keep_programs
keep_programs()
hits = []
jax.monitoring.register_event_listener(lambda event, **_: hits.append(event) if event.endswith("/cache_hits") else None)
def step(x):
    for i in range(60):
        x = jnp.tanh(x @ x) + jax.nn.softmax(x, axis=i % 2) / 9
    return x.sum()
value = float(jax.jit(jax.grad(step))(jnp.eye(8) / 10)[0, 0])
print(json.dumps([len(hits), jax.config.jax_compilation_cache_dir, value]))
"""


@pytest.fixture
def run(tmp_path):
    """Function (environment) -> hits among the kept programs, their folder, a value."""

    def call(**environment):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False,
            env={
                **os.environ, "PYTHONPATH": f"{ROOT / 'model'}{os.pathsep}{ROOT}", "JAX_PLATFORMS": "cpu",
                "XDG_CACHE_HOME": str(tmp_path / "cache"), **environment,
            },
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return call


def test_a_later_process_finds_the_programs_of_an_earlier_one(run, tmp_path):
    hits, folder, value = run()
    assert hits == 0 and Path(folder).parent == tmp_path / "cache" / "bigbird" / "jax"
    assert Path(folder).stat().st_mode & 0o077 == 0  # only the user may put programs there
    again, _, same = run()
    assert again > 0 and same == value


def test_a_damaged_program_is_compiled_anew(run):
    _, folder, value = run()
    programs = [file for file in Path(folder).iterdir() if file.is_file() and file.stat().st_size > 1000]
    assert programs
    for file in programs:
        file.write_bytes(file.read_bytes()[:500])
    assert run()[2] == value


def test_each_kind_of_processor_has_a_folder_and_where_it_is_not_known_each_machine(monkeypatch):
    def folder(flags, machine):
        monkeypatch.setattr(jax_programs, "instructions", lambda: flags)
        monkeypatch.setattr(jax_programs.platform, "node", lambda: machine)
        return jax_programs.programs_folder()

    assert folder(frozenset({"avx2"}), "a") == folder(frozenset({"avx2"}), "b") != folder(frozenset({"avx512f"}), "a")
    assert folder(None, "a") == folder(None, "a") != folder(None, "b")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"JAX_COMPILATION_CACHE_DIR": "elsewhere"}, "elsewhere"),
        ({"JAX_ENABLE_COMPILATION_CACHE": "0"}, None),
        ({"XDG_CACHE_HOME": "/dev/null/cache"}, None),  # cannot be made
    ],
)
def test_they_are_kept_where_the_environment_says_or_not_at_all(run, environment, expected, tmp_path):
    if expected:
        expected = str(tmp_path / expected)
        environment = {"JAX_COMPILATION_CACHE_DIR": expected}
    assert run(**environment)[:2] == [0, expected]
    assert not (tmp_path / "cache").exists()
