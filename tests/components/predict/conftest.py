"""Tables to answer, and a command that answers them."""

import csv
import io
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# With shards so small that a short table has several.
COMMAND = [
    sys.executable,
    "-c",
    "from bigbird_components.predict import rows; rows.ROWS = 32; from bigbird_pipelines.cli import main; main()",
    "predict",
]
_WORDS = 'great awful the a tree über 東京 bird I\'m , "x" lovely sad'.split()


def texts_of(count, seed=0):
    """Texts of 1 to 150 words, which tell a label or not."""
    rng = random.Random(seed)
    return [" ".join(rng.choices(_WORDS, k=rng.choice((1, 3, 10, 40, 150)))) for _ in range(count)]


@pytest.fixture
def table(tmp_path):
    """Function (number of rows, name) -> a CSV file with the columns name, text, label and shop."""

    def table(count, name="table.csv", seed=0):
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(["name", "text", "label", "shop"])
        for number, each in enumerate(texts_of(count, seed)):
            writer.writerow([f"n{number}", each, number % 3, ""])
        (tmp_path / name).write_text(text.getvalue(), encoding="utf-8", newline="")
        return str(tmp_path / name)

    return table


@pytest.fixture
def command():
    """Function (words of `bigbird predict`) -> the process."""

    def start(*words):
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "model"), "TF_CPP_MIN_LOG_LEVEL": "2"}
        return subprocess.Popen(
            [*COMMAND, *map(str, words)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    return start


def answers_of(folder):
    """The records of predictions.jsonl."""
    return [json.loads(line) for line in (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]


def almost(value):
    """Answers as `pytest.approx` takes them: a number may differ in its sixth digit, as it is computed in another batch."""
    if isinstance(value, float):
        return pytest.approx(value, abs=2e-6)
    if isinstance(value, list):
        return [almost(item) for item in value]
    return {name: almost(item) for name, item in value.items()} if isinstance(value, dict) else value
