"""Which files a job answers. Nothing here loads a model."""

import pytest

from bigbird.support.errors import InputError
from bigbird_components.predict import predict as module


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """Function (table, output) -> names of the files of the job that is begun."""

    class Begun(Exception):
        """In the place of reading the model."""

    found = []

    def facts(paths):
        found[:] = paths
        raise Begun

    class Model:
        digest = "d"

    monkeypatch.setattr(module, "_model", lambda _: (Model, ("text_a",)))
    monkeypatch.setattr(module, "input_facts", facts)

    def begun(table, output):
        with pytest.raises(Begun):
            module.predict("model", str(tmp_path / table), str(tmp_path / output))
        return [path.removeprefix(f"{tmp_path}/") for path in found]

    return begun


def test_a_pattern_matches_no_file_of_the_output_folder(begun, tmp_path, caplog):
    caplog.set_level("INFO")
    (tmp_path / "data" / "more").mkdir(parents=True)
    for name in ("a.jsonl", "more/b.jsonl"):
        (tmp_path / "data" / name).write_text("{}")
    first = begun("data/**/*.jsonl", "data/answers")
    assert "left out" not in caplog.text
    (tmp_path / "data" / "answers" / "work").mkdir(parents=True)
    for name in ("work/rows.jsonl", "predictions.jsonl"):
        (tmp_path / "data" / "answers" / name).write_text("{}")
    assert begun("data/**/*.jsonl", "data/answers") == first == ["data/a.jsonl", "data/more/b.jsonl"]
    assert "2 of the files that match are left out, as they are in the output folder" in caplog.text


def test_a_pattern_that_matches_answers_alone_is_refused(tmp_path):
    (tmp_path / "answers").mkdir()
    (tmp_path / "answers" / "predictions.jsonl").write_text("{}")
    with pytest.raises(
        InputError, match=r"\*\.jsonl: matches only files of the output folder .*answers; expected tables"
    ):
        module.predict("model", str(tmp_path / "*" / "*.jsonl"), str(tmp_path / "answers"))
