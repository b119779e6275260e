"""Checkpoints: whole or absent, equal to the bit, and strict about what they are loaded into."""

import errno
import os
from pathlib import Path

import keras
import numpy as np
import pytest

from bigbird.checkpoints import native
from bigbird.checkpoints.initialize import initialize_from
from bigbird.checkpoints.reading import find_weights
from bigbird.config import AdamWConfig, OptimizerConfig, load_experiment
from bigbird.models import build_model
from bigbird.optimization import AdamW, build_schedule
from bigbird.support.artifacts import write_json
from bigbird.support.errors import DamagedError, InputError

_ENCODER = {"hidden_size": 8, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 20}


def _experiment(kind="bigbird/glue", num_classes=2, use_encoder_pooler=False, backend="tensorflow", **encoder):
    model = {"encoder": {"bigbird": _ENCODER | encoder}}
    if kind == "bigbird/glue":
        model |= {"num_classes": num_classes, "use_encoder_pooler": use_encoder_pooler}
    return load_experiment(kind, overrides=[{"task": {"model": model}, "runtime": {"backend": backend}}])


def _model(seed, **options):
    keras.utils.set_random_seed(seed)
    return build_model(_experiment(**options).task)


def _optimizer(model):
    optimizer = AdamW(build_schedule(OptimizerConfig(), 100), AdamWConfig())
    optimizer.build(model.trainable_variables)
    return optimizer


def _weights(model):
    return {name: variable.numpy() for name, variable in native.named_weights(model).items()}


def _assert_equal(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def test_weights_and_optimizer_come_back_equal_to_the_bit(tmp_path):
    model = _model(1)
    optimizer = _optimizer(model)
    optimizer.apply([keras.ops.ones(variable.shape) for variable in model.trainable_variables])
    folder = native.save_checkpoint(tmp_path, model, optimizer, {"step": 1, "note": "x"}, max_to_keep=5)
    other = _model(2)
    fresh = _optimizer(other)
    assert native.restore_checkpoint(folder, other, fresh).content() == {"step": 1, "note": "x"}
    _assert_equal(_weights(model), _weights(other))
    for before, after in zip(optimizer.variables, fresh.variables, strict=True):
        np.testing.assert_array_equal(before.numpy(), after.numpy())
    assert int(fresh.iterations) == 1


def test_only_the_newest_checkpoints_are_kept(tmp_path):
    model = _model(1)
    optimizer = _optimizer(model)
    for step in (5, 10, 100_000_000):
        native.save_checkpoint(tmp_path, model, optimizer, {"step": step}, max_to_keep=2)
    assert native.list_checkpoints(tmp_path) == [10, 100_000_000]
    assert native.latest_checkpoint(tmp_path) == tmp_path / "checkpoints" / "step-100000000"


def test_a_folder_without_its_state_is_no_checkpoint_and_left_overs_go(tmp_path):
    (tmp_path / "checkpoints" / "step-00000007").mkdir(parents=True)
    left_over = tmp_path / "checkpoints" / ".step-00000008.0123abcd.tmp"
    left_over.mkdir()
    assert native.list_checkpoints(tmp_path) == []
    assert native.latest_checkpoint(tmp_path) is None
    native.remove_unfinished(tmp_path)
    assert not left_over.exists()


def test_saving_a_step_again_keeps_its_weights_and_renews_its_state(tmp_path):
    model = _model(1)
    optimizer = _optimizer(model)
    native.save_checkpoint(tmp_path, model, optimizer, {"step": 3, "best": None}, max_to_keep=1)
    best = {"step": 3, "value": 0.5, "metrics": {"f1": 0.5}}
    folder = native.save_checkpoint(tmp_path, model, optimizer, {"step": 3, "best": best}, max_to_keep=1)
    assert native.read_state(folder).content() == {"step": 3, "best": best}
    native.restore_checkpoint(folder, model, optimizer)


def test_the_best_checkpoint_is_replaced(tmp_path):
    for seed in (1, 2):
        native.save_best(tmp_path / "best", _model(seed), {"step": seed})
    other = _model(3)
    assert native.restore_checkpoint(tmp_path / "best", other).content() == {"step": 2}
    _assert_equal(_weights(other), _weights(_model(2)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best"]


def test_a_best_checkpoint_that_cannot_be_replaced_stays(tmp_path, monkeypatch):
    native.save_best(tmp_path / "best", _model(1), {"step": 1})
    really = os.replace

    def replace(source, target):
        if Path(source).name.endswith(".tmp") and Path(source).is_dir():
            raise PermissionError(errno.EACCES, "no")
        really(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(PermissionError):
        native.save_best(tmp_path / "best", _model(2), {"step": 2})
    assert native.check_checkpoint(tmp_path / "best").step == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best"]


def test_loading_into_another_model_lists_every_difference(tmp_path):
    native.save_best(tmp_path / "best", _model(1, num_classes=3), {"step": 1})
    with pytest.raises(InputError) as caught:
        native.restore_checkpoint(tmp_path / "best", _model(1, kind="bigbird/squad", vocab_size=30))
    message = str(caught.value)
    assert "encoder/embeddings/word/embeddings: (20, 8) in the file, (30, 8) in the model" in message
    assert "logits/kernel: (8, 3) in the file, (8, 2) in the model" in message
    assert "pooler_dense/bias: only in the file" in message


def test_a_damaged_file_is_named(tmp_path):
    native.save_best(tmp_path / "best", _model(1), {"step": 1})
    file = tmp_path / "best" / native.MODEL_FILE
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(DamagedError, match=r"model\.safetensors: has 137,438 bytes; its manifest says 137,448"):
        native.restore_checkpoint(tmp_path / "best", _model(1))


def test_another_tasks_checkpoint_gives_its_encoder_and_the_head_starts_fresh(tmp_path):
    source = _model(1, num_classes=3)
    native.save_best(tmp_path / "best", source, {"step": 1})
    target = _model(2, num_classes=2)
    before = _weights(target)
    notes = initialize_from(tmp_path / "best", target)
    assert notes == [
        "logits/kernel: (8, 3) in the checkpoint, (8, 2) here, starts fresh",
        "logits/bias: (3,) in the checkpoint, (2,) here, starts fresh",
    ]
    after, stored = _weights(target), _weights(source)
    for name in after:
        np.testing.assert_array_equal(after[name], (before if name.startswith("logits") else stored)[name])


@pytest.mark.parametrize("classes", [2, 3])
def test_a_span_model_starts_from_a_classifiers_encoder_and_not_from_its_logits(tmp_path, classes):
    native.save_best(tmp_path / "best", _model(1, num_classes=classes), {"step": 1})
    target = _model(2, kind="bigbird/squad")
    before = _weights(target)
    assert initialize_from(str(tmp_path / "best"), target) == [
        "logits/bias: of another head, left out",
        "logits/kernel: of another head, left out",
        "pooler_dense/bias: only in the checkpoint, left out",
        "pooler_dense/kernel: only in the checkpoint, left out",
        "logits/kernel: not in the checkpoint, starts fresh",
        "logits/bias: not in the checkpoint, starts fresh",
    ]
    np.testing.assert_array_equal(_weights(target)["logits/kernel"], before["logits/kernel"])


@pytest.mark.parametrize("change", [{"num_layers": 2}, {"vocab_size": 30}, {"use_encoder_pooler": True}])
def test_an_encoder_that_does_not_match_fully_is_refused(tmp_path, change):
    native.save_best(tmp_path / "best", _model(1), {"step": 1})
    with pytest.raises(InputError, match="encoder/"):
        initialize_from(tmp_path / "best", _model(2, **change))


def test_the_heads_pooler_can_start_from_the_encoders(tmp_path):
    source = _model(1, use_encoder_pooler=True)
    native.save_best(tmp_path / "best", source, {"step": 1})
    target = _model(2)
    notes = initialize_from(tmp_path / "best", target, cls_pooler=True)
    np.testing.assert_array_equal(_weights(target)["pooler_dense/kernel"], _weights(source)["encoder/pooler/kernel"])
    assert notes == [f"encoder/pooler/{part}: only in the checkpoint, left out" for part in ("bias", "kernel")]
    native.save_best(tmp_path / "without", _model(1), {"step": 1})
    with pytest.raises(InputError, match=r"has no encoder/pooler/kernel, which task\.init_cls_pooler needs"):
        initialize_from(tmp_path / "without", target, cls_pooler=True)


def test_weights_are_found_in_every_kind_of_folder_and_nowhere_else(tmp_path):
    model = _model(1)
    folder = native.save_checkpoint(tmp_path, model, _optimizer(model), {"step": 4}, max_to_keep=1)
    assert find_weights(str(folder)) == find_weights(str(tmp_path)) == str(folder / native.MODEL_FILE)
    native.save_best(tmp_path / "best", model, {"step": 4})
    write_json(tmp_path / "model.json", {"best": "best"})
    assert find_weights(str(tmp_path)) == str(tmp_path / "best" / native.MODEL_FILE)
    with pytest.raises(InputError, match="no checkpoint there"):
        find_weights(str(tmp_path / "logs"))


def test_a_model_folder_gives_its_best_or_its_last_weights(tmp_path):
    experiment, last, best = _experiment(num_classes=3), _model(1, num_classes=3), _model(2, num_classes=3)
    native.save_checkpoint(tmp_path, last, _optimizer(last), {"step": 4}, max_to_keep=1)
    native.save_best(tmp_path / "best", best, {"step": 2})
    (tmp_path / "config.yaml").write_text(experiment.to_yaml())
    write_json(tmp_path / "model.json", {"num_classes": 3, "best": "best"})
    for which, expected in (("best", best), ("last", last)):
        model, manifest, loaded = native.load_model(tmp_path, which)
        _assert_equal(_weights(model), _weights(expected))
        assert (manifest["num_classes"], loaded) == (3, experiment)
    write_json(tmp_path / "model.json", {"num_classes": 3, "best": None})  # a run without validation
    _assert_equal(_weights(native.load_model(tmp_path, "best")[0]), _weights(last))
    with pytest.raises(InputError, match="expected best or last"):
        native.load_model(tmp_path, "first")


def test_a_model_that_was_trained_with_the_kernel_for_tpus_is_loaded_without_a_tpu(tmp_path):
    experiment, model = _experiment(backend="jax", attention={"implementation": "pallas"}), _model(1)
    native.save_best(tmp_path / "best", model, {"step": 2})
    (tmp_path / "config.yaml").write_text(experiment.to_yaml())
    write_json(tmp_path / "model.json", {"num_classes": 2, "best": "best"})
    loaded, _, found = native.load_model(tmp_path)
    _assert_equal(_weights(loaded), _weights(model))
    assert loaded.config.attention.implementation == "auto" and found == experiment
    with pytest.raises(InputError, match="implementation: pallas cannot be had: Keras' backend is tensorflow"):
        build_model(experiment.task)


def test_checkpoints_are_written_where_folders_cannot_be_renamed(tmp_path, monkeypatch):
    """As on Cloud Storage FUSE, where Vertex AI's training writes its model."""
    really = os.replace

    def replace(source, target):
        if Path(source).is_dir():
            raise OSError(errno.EMFILE, "Too many open files")
        really(source, target)

    monkeypatch.setattr(os, "replace", replace)
    model, other = _model(1), _model(2)
    optimizer = _optimizer(model)
    for step in (1, 2):
        native.save_checkpoint(tmp_path, model, optimizer, {"step": step}, max_to_keep=1)
        native.save_best(tmp_path / "best", model, {"step": step})
    assert native.list_checkpoints(tmp_path) == [2]
    assert native.restore_checkpoint(tmp_path / "best", other).content() == {"step": 2}
    _assert_equal(_weights(model), _weights(other))
    assert not list(tmp_path.rglob("*.tmp")) and not list(tmp_path.rglob("*.old"))
