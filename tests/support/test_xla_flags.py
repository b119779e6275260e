"""XLA's flags: what it compiles with them is looked up in the programs that it writes down."""

import os
import subprocess
import sys

import pytest

from bigbird.support.xla_flags import without_ynn

_YNN = "--xla_cpu_experimental_ynn_fusion_type="
_TENSORFLOW = """
import tensorflow as tf
from bigbird.layers.fusion import fused
fused(lambda x: tf.nn.softmax(x))(tf.random.normal((512, 768)))
"""
_JAX = """
import jax, jaxlib
from bigbird.support.xla_flags import without_ynn
without_ynn("jaxlib", jaxlib.__version__)
jax.jit(jax.nn.softmax)(jax.numpy.ones((512, 768))).block_until_ready()
"""


@pytest.mark.parametrize(("backend", "program"), [("tensorflow", _TENSORFLOW), ("jax", _JAX)])
@pytest.mark.parametrize(("given", "expected"), [("", 0), (f" {_YNN}reduce", 2)])
def test_sums_and_maxima_are_made_by_ynnpack_only_where_the_user_says_so(backend, program, given, expected, tmp_path):
    environment = {"KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": f"--xla_dump_to={tmp_path}{given}"}
    subprocess.run([sys.executable, "-c", program], env={**os.environ, **environment}, check=True, timeout=120)
    programs = "".join(path.read_text() for path in tmp_path.glob("*cpu_after_optimizations.txt"))
    assert "exponential" in programs  # the softmax is among them
    assert programs.count("__ynn_fusion") == expected


@pytest.mark.parametrize(
    ("package", "release", "before", "after"),
    [
        ("tensorflow", "2.21.0", "", _YNN),
        ("tensorflow", "2.20.1", "", ""),  # TPU's builds; XLA would end the process
        ("tensorflow", "2.22.0", "--xla_dump_to=x", "--xla_dump_to=x"),
        ("jaxlib", "0.10.2", "--xla_dump_to=x", f"--xla_dump_to=x {_YNN}"),
        ("jaxlib", "0.10.2", f"{_YNN}dot", f"{_YNN}dot"),
        ("jaxlib", "0.10.2", "/tmp/flags.txt", "/tmp/flags.txt"),  # a file of flags
    ],
)
def test_the_flag_is_set_once_beside_the_users_and_only_for_releases_that_have_it(
    package, release, before, after, monkeypatch
):
    monkeypatch.setenv("XLA_FLAGS", before)
    without_ynn(package, release)
    without_ynn(package, release)
    assert os.environ["XLA_FLAGS"] == after


def test_importing_the_layers_leaves_the_flags_alone():
    """Another library of the same process may have an XLA that does not know them."""
    program = "import os; import bigbird.layers.attention.block_sparse; assert 'XLA_FLAGS' not in os.environ"
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    subprocess.run(
        [sys.executable, "-c", program], env=environment | {"KERAS_BACKEND": "tensorflow"}, check=True, timeout=120
    )
