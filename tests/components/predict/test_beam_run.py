"""Answering on Beam where it goes wrong: what a worker finds reaches the user as it is. Nothing here loads a model."""

import pytest

from bigbird.support.errors import InputError, ServiceError
from bigbird.support.progress import Progress
from bigbird_components.beam_options import parse_options
from bigbird_components.predict import beam_run
from bigbird_components.predict.answering import JobFiles
from bigbird_components.predict.rows import RowRange

SHARDS = [RowRange(number, 0, 3, 1) for number in range(3)]


@pytest.fixture
def files(tmp_path):
    (tmp_path / "work").mkdir()
    return JobFiles(str(tmp_path / "model"), "digest", str(tmp_path / "work"))


@pytest.fixture
def answer(files):
    """Function: answers all shards on Beam's own runner."""

    def answer():
        options = parse_options(["--runner=DirectRunner"], ())
        beam_run.answer_on_beam(files, SHARDS, options, lambda: 0, Progress("answer", 3))

    return answer


def test_what_is_wrong_with_the_model_is_told_as_it_is_without_beam(answer, files, capfd):
    with pytest.raises(InputError, match=r"model: no such folder"):
        answer()
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(("kind", "calls"), [(InputError, 1), (ServiceError, 3)])
def test_the_kind_of_a_workers_error_is_kept(answer, files, monkeypatch, kind, calls):
    asked = []

    def fail(files, shards):
        asked.extend(shards)
        raise kind("gs://b/model: because")

    monkeypatch.setattr(beam_run, "answer_shards", fail)
    for _ in range(2):  # the first one's file is not taken for the second one's
        with pytest.raises(kind, match="gs://b/model: because"):
            answer()
    assert len(asked) == 2 * calls  # after the user's mistake no other shard is tried


def test_a_bug_keeps_its_traceback_though_an_earlier_start_failed(answer, files, monkeypatch):
    def fail(files, shards):
        raise ZeroDivisionError

    with pytest.raises(InputError):
        answer()
    monkeypatch.setattr(beam_run, "answer_shards", fail)
    with pytest.raises(Exception, match="ZeroDivisionError"):
        answer()
