"""Real images on a real engine: nothing here is simulated."""

import json
import os
import subprocess
import tempfile
from pathlib import Path

import pytest
import yaml

from bigbird_pipelines.images import Images

STAGES = ("preprocess", "train", "evaluate", "export")
CALLER = 12345  # a user that no image knows

# A task that a small model learns in seconds: which colour does the text name?
RECIPE = {
    "task": {
        "model": {"encoder": {"bigbird": {
            "hidden_size": 16, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
            "max_position_embeddings": 128, "block_size": 16, "num_rand_blocks": 1, "initializer_range": 0.1,
        }}},
        "bucket_lengths": [32, 128],
        "train_data": {"seq_length": 128, "global_batch_size": 8},
        "validation_data": {"seq_length": 128, "global_batch_size": 8},
    },
    "trainer": {
        "epochs": 4, "checkpoint_interval": 50, "validation_interval": 50,
        "optimizer_config": {"learning_rate": {"polynomial": {"initial_learning_rate": 0.01}}},
    },
}  # fmt: skip


class Engine:
    """The local Docker engine, through its own command."""

    def image(self, name):
        """The full name of an image, a stage of the Dockerfile."""
        return Images.named(train=name).train  # whichever image stands for training

    def __call__(self, *arguments, check=True):
        """Runs `docker ARGUMENTS`; the result has stdout and stderr as text."""
        done = subprocess.run(["docker", *map(str, arguments)], capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, f"docker {arguments}: {done.stdout[-2000:]}{done.stderr[-3000:]}"
        return done

    def has(self, name):
        return self("image", "inspect", self.image(name), check=False).returncode == 0

    def inspect(self, name):
        return json.loads(self("image", "inspect", self.image(name)).stdout)[0]

    def python(self, name, code, *options):
        """What a program prints inside an image, as JSON."""
        command = ("run", "--rm", "--entrypoint", "python", *options, self.image(name), "-c", code)
        return json.loads(self(*command).stdout)


@pytest.fixture(scope="session")
def engine():
    engine = Engine()
    absent = [engine.image(stage) for stage in STAGES if not engine.has(stage)]
    assert not absent, f"not built: {absent}; `make test-docker` builds them"
    return engine


@pytest.fixture
def data():
    """Writes SST-2's files: 1 where the text is about a red house."""

    def write(folder, rows=200):
        folder.mkdir()
        for split, count in (("train", rows), ("dev", 40)):
            lines = [f"the {('blue', 'red')[i % 2]} house {'stands ' * (i % 7)}here\t{i % 2}" for i in range(count)]
            (folder / f"{split}.tsv").write_text("sentence\tlabel\n" + "\n".join(lines) + "\n", encoding="utf-8")
        return folder

    return write


@pytest.fixture
def recipe():
    """Writes a recipe from which a model learns that in seconds."""

    def write(file):
        file.write_text(yaml.safe_dump(RECIPE), encoding="utf-8")
        return file

    return write


@pytest.fixture
def callers_folder():
    """A folder of a user that no image knows; pytest's own lie below one that only root may enter."""
    with tempfile.TemporaryDirectory(prefix="bigbird-test-") as name:
        folder = Path(name).resolve()
        if os.getuid() == 0:
            os.chown(folder, CALLER, CALLER)
        yield folder


@pytest.fixture
def caller():
    """The user and group to give to `docker run --user`: root stands for somebody else, others for themselves."""
    return (CALLER, CALLER) if os.getuid() == 0 else (os.getuid(), os.getgid())
