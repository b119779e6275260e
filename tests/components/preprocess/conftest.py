"""Small raw files, and the stage run on them."""

import json

import pytest

from components.preprocess.preprocess import preprocess

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


def squad_file(**changes):
    """SQuAD's tree with one question, `changes` laid over it."""
    context = "it was built by anna kern in may . " * 3
    question = {"id": "q1", "question": "who built it ?", "answers": [{"text": "anna", "answer_start": 16}]}
    return {
        "version": "1.1",
        "data": [{"title": "t", "paragraphs": [{"context": context, "qas": [question | changes]}]}],
    }
