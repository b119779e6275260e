"""Small raw files, and the stage run on them."""

import json

import pytest
from click.testing import CliRunner

from bigbird_components.preprocess.__main__ import main
from bigbird_components.preprocess.preprocess import preprocess

GOOD = "sentence\tlabel\n" + "".join(f"a fine film of the year {1900 + i}\t{i % 2}\n" for i in range(30))


@pytest.fixture
def raw(tmp_path):
    """Function (file name -> text, bytes or a JSON value) -> a folder of these files."""

    def write(**files):
        folder = tmp_path / "raw"
        folder.mkdir(exist_ok=True)
        for name, content in files.items():
            if not isinstance(content, (str, bytes)):
                content = json.dumps(content)
            data = content if isinstance(content, bytes) else content.encode()
            (folder / name).write_bytes(data)
        return folder

    return write


@pytest.fixture
def run(tmp_path):
    """Function (task, input, further options) -> the dataset folder."""

    def start(task, folder=None, *, out="dataset", **options):
        target = tmp_path / out
        given = {"vocabulary_size": 60, **options}
        preprocess(task, str(target), input=None if folder is None else str(folder), **given)
        return target

    return start


@pytest.fixture
def refused(tmp_path):
    """Function (task, input, further options) -> the message the command ends with.

    Fails unless that is one message, the exit code is 2 and nothing is new, gone or changed below `tmp_path`.
    """

    def start(task, folder=None, *, out="dataset", **options):
        given = {"vocabulary_size": 60, "output": tmp_path / out, **options}
        if folder is not None:
            given["input"] = folder
        before = _tree(tmp_path)
        result = CliRunner().invoke(main, ["--task", task, *(f"--{name}={value}" for name, value in given.items())])
        assert result.exit_code == 2, (result.exception, result.output)
        assert result.stdout == ""
        *earlier, message = result.stderr.splitlines()
        assert message.startswith("error: ") and not any("rror" in line for line in earlier), result.stderr
        assert len(message) < 1000
        assert _tree(tmp_path) == before
        return message

    return start


def _tree(folder):
    """Path -> bytes of every file below a folder, None for folders."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def squad_file(**changes):
    """SQuAD's tree with one question, `changes` laid over it."""
    context = "it was built by anna kern in may . " * 3
    question = {"id": "q1", "question": "who built it ?", "answers": [{"text": "anna", "answer_start": 16}]}
    return {
        "version": "1.1",
        "data": [{"title": "t", "paragraphs": [{"context": context, "qas": [question | changes]}]}],
    }
