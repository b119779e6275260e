"""What is damaged is named and never used, and a folder has one writer."""

import shutil
import threading
import time

import numpy as np
import pytest
from safetensors.numpy import load_file

from bigbird.checkpoints import native
from bigbird.config import load_experiment
from bigbird.support.artifacts import read_json, write_json
from bigbird.support.errors import DamagedError, InputError
from bigbird.support.locks import LockLost, locked
from bigbird_components.train.train import train


def _train(tree, dataset, model_dir, mode="train_and_eval"):
    return train(load_experiment("bigbird/glue", overrides=[tree]), model_dir, mode, dataset=str(dataset))


def _flip(file, place=-3):
    content = bytearray(file.read_bytes())
    content[place] ^= 4
    file.write_bytes(content)


def _tensors(folder):
    return {
        f"{file.name}/{name}": value for file in folder.glob("*.safetensors") for name, value in load_file(file).items()
    }


def _assert_same(first, second):
    one, two = _tensors(first), _tensors(second)
    assert one.keys() == two.keys() and one
    for name, value in one.items():
        np.testing.assert_array_equal(two[name], value, err_msg=name)


@pytest.fixture(scope="module")
def trained(request, tmp_path_factory):
    """A finished run of 12 steps, with checkpoints and validations at 4, 8 and 12."""
    dataset, folder = request.getfixturevalue("dataset"), tmp_path_factory.mktemp("trained") / "model"
    data = {"seq_length": 32, "global_batch_size": 8}
    sizes = {"hidden_size": 16, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    tree = {
        "task": {
            "model": {"encoder": {"bigbird": sizes | {"max_position_embeddings": 32, "block_size": 16}}},
            "train_data": data,
            "validation_data": data,
            "bucket_lengths": [16, 32],
        },
        "trainer": {"train_steps": 12, "checkpoint_interval": 4, "validation_interval": 4, "summary_interval": 5},
    }
    _train(tree, dataset, folder)
    return tree, dataset, folder


@pytest.fixture
def copied(trained, tmp_path):
    """The run in a folder of its own, as if its last write had not come."""
    tree, dataset, folder = trained
    shutil.copytree(folder, tmp_path / "model")
    (tmp_path / "model" / "model.json").unlink()
    native._said.clear()
    return tree, dataset, tmp_path / "model", folder


@pytest.mark.slow
@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.safetensors", "state.json"])
def test_a_run_goes_back_to_its_newest_whole_checkpoint_and_says_which_it_left_out(copied, file, capsys):
    tree, dataset, model, unbroken = copied
    _flip(model / "checkpoints/step-00000012" / file)
    _train(tree, dataset, model)
    told = capsys.readouterr().err
    assert f"step-00000012/{file}:" in told and "Left out: going back to step-00000008" in told
    assert "resuming at step 8" in told
    for folder in ("checkpoints/step-00000012", "checkpoints/step-00000008", "best"):
        _assert_same(unbroken / folder, model / folder)
    assert (model / "history.json").read_bytes() == (unbroken / "history.json").read_bytes()


def test_a_finished_run_started_again_with_another_setting_stays_as_it_is(trained, tmp_path, capsys):
    tree, dataset, finished = trained
    model = tmp_path / "model"
    shutil.copytree(finished, model)
    before = {path: path.read_bytes() for path in model.rglob("*") if path.is_file()}
    manifest = _train({**tree, "trainer": {**tree["trainer"], "max_to_keep": 2}}, dataset, model)
    assert "already trained to step 12; nothing to do" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in model.rglob("*") if path.is_file()} == before
    assert {"config.yaml", "vocab.model", "history.json"} <= manifest.checksums.keys()
    manifest.check_files(model)
    assert native.load_model(model)[2].trainer.max_to_keep == 5  # as the stages after training open it


def test_a_run_without_a_whole_checkpoint_is_refused_and_nothing_is_changed(copied):
    tree, dataset, model, _ = copied
    for folder in (model / "checkpoints").iterdir():
        _flip(folder / "model.safetensors")
    before = {path: path.read_bytes() for path in model.rglob("*") if path.is_file()}
    with pytest.raises(
        DamagedError, match=r"holds no undamaged checkpoint to go on from: .*step-00000012/model\.safetensors"
    ):
        _train(tree, dataset, model)
    assert {path: path.read_bytes() for path in model.rglob("*") if path.is_file()} == before


def test_a_damaged_best_checkpoint_is_written_again_from_that_of_its_step(copied, capsys):
    tree, dataset, model, unbroken = copied
    _flip(model / "best/model.safetensors")
    _train(tree, dataset, model)
    assert "best/model.safetensors: is damaged" in capsys.readouterr().err
    _assert_same(unbroken / "best", model / "best")


def test_a_best_checkpoint_newer_than_the_state_is_written_again_from_that_of_its_step(copied, capsys):
    """A process that was killed after a validation may leave one that the checkpoint it goes on from does not know."""
    tree, dataset, model, _ = copied
    last, earlier = model / "checkpoints/step-00000012", model / "checkpoints/step-00000008"
    native.copy_best(last, model / "best")
    state = native.read_state(last).content()
    state["best"] = {"step": 8, "value": 2.0, "metrics": {"accuracy": 2.0}}
    native._write_state(last, state, native.check_checkpoint(last).checksums)
    manifest = _train(tree, dataset, model)
    assert (
        "best: is of step 12, but the best one up to step 12 is of step 8. Written again from"
        in capsys.readouterr().err
    )
    assert manifest["best_step"] == 8 == native.read_state(model / "best").step
    best, expected = load_file(model / "best/model.safetensors"), load_file(earlier / "model.safetensors")
    for name, value in expected.items():
        np.testing.assert_array_equal(best[name], value, err_msg=name)


@pytest.mark.slow
def test_a_best_checkpoint_that_cannot_be_had_again_is_forgotten_aloud(copied, capsys):
    tree, dataset, model, _ = copied
    shutil.rmtree(model / "checkpoints/step-00000012")
    _flip(model / "best/model.safetensors")
    state = native.read_state(model / "checkpoints/step-00000008").content()
    state["best"] = {"step": 6, "value": 2.0, "metrics": {"accuracy": 2.0}}
    native._write_state(
        model / "checkpoints/step-00000008",
        state,
        native.check_checkpoint(model / "checkpoints/step-00000008").checksums,
    )
    manifest = _train(tree, dataset, model)
    assert "The best step's own checkpoint is gone too" in capsys.readouterr().err
    assert manifest["best_step"] == 12
    native.check_checkpoint(model / "best")


def test_what_a_kill_while_writing_or_pruning_leaves_is_removed(copied):
    tree, dataset, model, _ = copied
    steps = model / "checkpoints"
    for name in (".step-00000016.0123abcd.tmp", ".step-00000004.89abcdef.tmp"):
        shutil.copytree(steps / "step-00000012", steps / name)
    shutil.copytree(steps / "step-00000004", steps / "step-00000002")
    (steps / "step-00000002/state.json").unlink()
    (model / ".history.json.0123abcd.tmp").write_text("[")
    (model / "best").rename(
        model / ".best.0123abcd.old"
    )  # killed between moving it aside and putting the new one there
    _train(tree, dataset, model)
    assert sorted(path.name for path in steps.iterdir()) == [f"step-{step:08d}" for step in (4, 8, 12)]
    assert not [path.name for path in model.iterdir() if path.name.startswith(".")]
    native.check_checkpoint(model / "best")


def test_training_and_a_continuous_validation_beside_it_leave_each_others_unfinished_files(copied):
    tree, dataset, model, _ = copied
    of_training = [model / "checkpoints/.step-00000016.0123abcd.tmp", model / ".history.json.0123abcd.tmp"]
    of_validation = [model / ".best.0123abcd.tmp", model / ".validation.json.0123abcd.tmp"]

    def left():
        return [path.name for path in (*of_training, *of_validation) if path.exists()]

    for path in (*of_training, *of_validation):
        path.mkdir() if path.name.startswith((".step", ".best")) else path.write_text("[")
    _train(tree, dataset, model, "train")
    assert left() == [path.name for path in of_validation]
    for path in of_training:
        path.mkdir()
    _train(tree, dataset, model, "continuous_eval")
    assert left() == [path.name for path in of_training]


@pytest.mark.slow
def test_a_checkpoint_of_an_earlier_version_is_resumed(copied):
    """Without checksums, sums and history."""
    tree, dataset, model, unbroken = copied
    for folder in [*(model / "checkpoints").iterdir(), model / "best"]:
        state = native.read_state(folder).content()
        write_json(
            folder / "state.json", {"format": 1} | {k: v for k, v in state.items() if k not in ("sums", "history")}
        )
    shutil.rmtree(model / "checkpoints/step-00000012")
    _train(tree, dataset, model)
    _assert_same(unbroken / "checkpoints/step-00000012", model / "checkpoints/step-00000012")
    assert [entry["step"] for entry in read_json(model / "history.json", "history")] == [4, 5, 8, 10, 12, 12]


def test_a_second_training_of_a_folder_is_refused_and_names_the_first(copied):
    tree, dataset, model, _ = copied
    with locked(model, "training", inside=True):
        with pytest.raises(InputError, match=r"model: is being written by training, process \d+ on"):
            _train(tree, dataset, model)


def test_a_training_that_lost_its_lock_writes_no_checkpoint(trained, tmp_path):
    """As after a machine was suspended, while another one took the folder over."""
    tree, dataset, _ = trained
    lock, other = tmp_path / "model/.lock", '{"what": "training", "process": 1, "host": "elsewhere"}'

    def take_over():
        until = time.monotonic() + 60
        while not (lock.exists() and lock.read_text()) and time.monotonic() < until:
            time.sleep(0.01)
        lock.write_text(other)

    taking = threading.Thread(target=take_over)
    taking.start()
    with pytest.raises(LockLost, match=r"model: was taken over by training, process 1 on elsewhere"):
        _train(tree, dataset, tmp_path / "model")
    taking.join()
    assert native.list_checkpoints(tmp_path / "model") == [] and lock.read_text() == other
    assert not {"best", "model.json"} & {path.name for path in (tmp_path / "model").iterdir()}


@pytest.mark.parametrize(
    "subdir", ["../best", "/tmp/best", "a/../../b", "checkpoints", "logs", "model.json", ".hidden", ""]
)
def test_a_best_checkpoint_outside_the_model_folder_or_in_the_place_of_something_is_refused(trained, tmp_path, subdir):
    tree, dataset, _ = trained
    with pytest.raises(InputError, match=r"^trainer\.best_checkpoint_export_subdir: "):
        _train(
            tree | {"trainer": {**tree["trainer"], "best_checkpoint_export_subdir": subdir}},
            dataset,
            tmp_path / "model",
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_model_folder_that_is_a_file_or_a_dangling_link(trained, tmp_path):
    tree, dataset, _ = trained
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file: is a file; expected a folder"):
        _train(tree, dataset, tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    _train(tree, dataset, tmp_path / "link")
    assert (tmp_path / "real" / "model.json").is_file()


@pytest.mark.parametrize("cut", [True, False], ids=["between two records", "a bit"])
def test_a_damaged_dataset_is_refused_before_training(trained, tmp_path, cut):
    tree, dataset, _ = trained
    shutil.copytree(dataset, tmp_path / "dataset")
    file = tmp_path / "dataset/train-00000-of-00001.tfrecord"
    content, at = file.read_bytes(), 0
    for _ in range(30):
        at += int.from_bytes(content[at : at + 8], "little") + 16
    file.write_bytes(content[:at])
    if not cut:
        file.write_bytes(content[:-2])
    expected = "split 'train' has 30 records; its manifest says 64" if cut else "ends inside record 63"
    with pytest.raises(DamagedError, match=expected):  # its manifest is of an earlier version: it has no checksums
        _train(tree, tmp_path / "dataset", tmp_path / "model")
    assert not (tmp_path / "model").exists()
