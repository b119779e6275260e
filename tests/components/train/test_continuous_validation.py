"""What mode continuous_eval does beside a run: it misses no checkpoint, and names the best in the run's model.json."""

import threading
import time

import pytest

from bigbird.checkpoints import native
from bigbird.manifests import ModelManifest
from bigbird.support.artifacts import write_json, write_manifest
from bigbird.support.errors import InputError
from bigbird.support.locks import locked
from bigbird_components.train import validation_modes
from bigbird_components.train.interruption import Interruption
from bigbird_components.train.validation_modes import _new_checkpoints, _tell_manifest

BEST = {"step": 8, "value": 0.75, "metrics": {"accuracy": 0.75}, "decisions": None}


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch):
    monkeypatch.setattr(validation_modes, "POLL_S", 0.01)


def _save(model_dir, step):
    folder = native.step_folder(model_dir, step)
    folder.mkdir(parents=True)
    write_json(folder / native.STATE_FILE, {"step": step})


def test_a_checkpoint_that_comes_at_any_moment_is_validated(tmp_path, monkeypatch):
    """The run saves after every look at its folder."""
    look = native.list_checkpoints

    def look_and_save(model_dir):
        found = look(model_dir)
        if len(found) < 3:
            _save(model_dir, 4 * (len(found) + 1))
        return found

    monkeypatch.setattr(native, "list_checkpoints", look_and_save)
    found = [folder.name for folder in _new_checkpoints(tmp_path, 12, 60, Interruption())]
    assert found == ["step-00000004", "step-00000008", "step-00000012"]


def test_a_run_that_saves_nothing_new_is_not_waited_for_forever(tmp_path):
    _save(tmp_path, 4)
    checkpoints = _new_checkpoints(tmp_path, 12, 0, Interruption())
    assert next(checkpoints) == tmp_path / "checkpoints" / "step-00000004"
    with pytest.raises(InputError, match=r"no new checkpoint for 0 s \(step 4 is the last, and the run goes to 12\)"):
        next(checkpoints)


def test_the_best_is_named_once_training_ends_however_long_that_takes(tmp_path, capsys):
    holds = threading.Event()

    def end_training():
        with locked(tmp_path, "training", inside=True):
            holds.set()
            time.sleep(1.0)  # a hundred looks
            write_manifest(tmp_path, "model", {"task": "sst2", "best": None, "dataset": None, "steps": 12})

    training = threading.Thread(target=end_training)
    training.start()
    assert holds.wait(10)
    _tell_manifest(tmp_path, "best", BEST, Interruption(), lambda: None)
    training.join()
    manifest = ModelManifest.read(tmp_path)
    assert (manifest.best, manifest.best_step, manifest.steps) == ("best", 8, 12)
    assert manifest.metrics == {"accuracy": 0.75}
    assert capsys.readouterr().err.count("waiting until training ends") == 1
    assert not (tmp_path / ".lock").exists()


def test_a_run_that_was_stopped_before_its_end_is_told_with_what_to_do(tmp_path, capsys):
    _tell_manifest(tmp_path, "best", BEST, Interruption(), lambda: None)
    told = capsys.readouterr().err
    assert "training has not ended, as there is no model.json, which was to name best as the best checkpoint" in told
    assert "Start training again with the same model_dir" in told
    assert list(tmp_path.iterdir()) == []
