"""The TPU image as far as a machine without a TPU goes: its TensorFlow computes right on CPUs, and a TPU has every kernel."""

import json
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODEL_TESTS = ("layers/attention", "models", "test_optimization.py", "checkpoints/test_published.py")


@pytest.fixture(autouse=True)
def built(engine):
    if not engine.has("train-tpu"):
        pytest.skip(f"NOT RUN: {engine.image('train-tpu')} is not built; make images IMAGES=train-tpu")


def test_the_models_tests_pass_on_its_tensorflow(engine):
    """pytest is lent to the image, behind its own packages, so that no other of this environment's is used.

    Left out: XLA on CPUs, which this build of TensorFlow lacks (it has a TPU's instead), JAX with its kernels, and the examples that
    need a trained run, whose preprocessing the image has not.
    """
    lent = Path(find_spec("pytest").origin).parents[1]
    code = (
        "import sys; sys.path.append('/lent'); import pytest; "
        "sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', '--rootdir=/project', '-c', '/project/pyproject.toml', "
        "'-o', 'pythonpath=', '-k', 'not jax and not xla and not kernel and not test_api_examples', *sys.argv[1:]]))"
    )
    done = engine(
        "run",
        "--rm",
        "--entrypoint",
        "python",
        "-v",
        f"{lent}:/lent:ro",
        "-v",
        f"{ROOT}:/project:ro",
        "--workdir",
        "/project",
        "--env",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1",
        "--env",
        "TPU_SKIP_MDS_QUERY=1",
        "--tmpfs",
        "/tmp:exec",
        engine.image("train-tpu"),
        "-c",
        code,
        *(f"tests/{name}" for name in MODEL_TESTS),
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout.splitlines()[-1]


def test_every_operation_of_a_training_step_has_a_tpu_kernel(engine):
    done = subprocess.run(
        [
            "docker", "run", "--rm", "--entrypoint", "python", "-v", f"{Path(__file__).parent}:/scripts:ro",
            engine.image("train-tpu"), "/scripts/lower_for_tpu.py",
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-6000:]
    lowered = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [(step["kind"], step["length"]) for step in lowered] == [
        ("bigbird/glue", 4096),
        ("bigbird/squad", 4096),
        ("bigbird/triviaqa", 4096),
        ("bigbird/pretraining", 4096),
        ("bigbird/glue", 128),
    ]
    assert all(step["bytes"] > 100_000 for step in lowered)
