import json

import pytest

from bigbird.support.errors import InputError, TrainingDiverged
from bigbird_components.stage import FAILURE_FILE, run_stage


def fail(error: BaseException):
    def stage():
        raise error

    return stage


def test_the_stages_result_is_returned():
    assert run_stage(lambda: {"format": 1}) == {"format": 1}


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (InputError("dev.tsv:3: no label"), 2, "dev.tsv:3: no label"),
        (TrainingDiverged("loss is NaN at step 4"), 3, "loss is NaN at step 4"),
        (KeyError("x"), 1, "KeyError: 'x'"),
    ],
)
def test_a_failure_is_told_to_the_runner_and_in_the_exit_code(tmp_path, monkeypatch, error, code, message):
    monkeypatch.setenv(FAILURE_FILE, str(tmp_path / "failure.json"))
    with pytest.raises(SystemExit) as exited:
        run_stage(fail(error))
    assert exited.value.code == code
    assert json.loads((tmp_path / "failure.json").read_text()) == {"message": message}


def test_without_a_runner_the_message_goes_to_stderr(monkeypatch, capsys):
    monkeypatch.delenv(FAILURE_FILE, raising=False)
    with pytest.raises(SystemExit):
        run_stage(fail(InputError("no label")))
    assert capsys.readouterr().err == "error: no label\n"


def test_an_interruption_has_its_own_exit_code():
    with pytest.raises(SystemExit) as exited:
        run_stage(fail(KeyboardInterrupt()))
    assert exited.value.code == 130
