"""What a run takes from its dataset: the padded lengths, which it then keeps, and the steps of its epochs."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file

from bigbird.checkpoints.native import latest_checkpoint
from bigbird.config import load_experiment
from bigbird.records import features
from bigbird.support.errors import InputError
from bigbird.tasks.statistics import Statistics
from bigbird_components.train.sources import resolve
from bigbird_components.train.train import train


@pytest.fixture(scope="module")
def measured(dataset, tmp_path_factory):
    """The small dataset with the lengths that preprocessing notes; records of up to 24 tokens."""
    folder = tmp_path_factory.mktemp("measured") / "dataset"
    shutil.copytree(dataset, folder)
    manifest = json.loads((folder / "dataset.json").read_text())
    for split in manifest["splits"].values():
        statistics = Statistics()
        for record in features.read_records(folder / split["files"][0]):
            statistics.add_record(len(features.decode(record)["input_ids"]))
        split |= {name: statistics.to_json()[name] for name in ("lengths", "longest")}
    (folder / "dataset.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def tree(settings):
    """Function (further settings) -> a configuration without bucket_lengths, whose schedule does not depend on its length."""

    def build(steps=12, **task):
        rate = {"polynomial": {"initial_learning_rate": 0.01, "decay_steps": 40}}
        optimizer = {"learning_rate": rate, "warmup": {"polynomial": {"warmup_steps": 4}}}
        built = settings(trainer={"train_steps": steps, "optimizer_config": optimizer})
        del built["task"]["bucket_lengths"]
        built["task"] |= {
            name: {"seq_length": 64, "global_batch_size": 8} for name in ("train_data", "validation_data")
        }
        built["task"]["model"]["encoder"]["bigbird"]["max_position_embeddings"] = 64
        return built | {"task": built["task"] | task}

    return build


def _experiment(tree):
    return load_experiment("bigbird/glue", overrides=[tree])


def _resolved(tree, dataset, scratch, mode="train_and_eval", **options):
    return resolve(_experiment(tree), str(dataset), mode, scratch, **options)[0]


def test_lengths_follow_the_datasets_own_in_every_mode(measured, dataset, tree, tmp_path):
    for mode in ("train", "eval", "train_and_eval", "continuous_eval"):
        assert _resolved(tree(), measured, tmp_path, mode).task.bucket_lengths == [16, 24, 64]
    assert _resolved(tree(), dataset, tmp_path).task.bucket_lengths == [64]  # the manifest notes the longest only
    records = tree(train_data={"input_path": str(measured / "train-*.tfrecord"), "seq_length": 64})
    records["task"]["model"]["num_classes"] = 2
    bare = resolve(_experiment(records), None, "train", tmp_path)[0].task
    assert bare.bucket_lengths is None and bare.buckets == [64]


def test_lengths_that_are_given_or_with_which_the_run_began_stay(measured, tree, tmp_path):
    assert _resolved(tree(bucket_lengths=[48, 64]), measured, tmp_path, buckets=[64]).task.buckets == [48, 64]
    assert _resolved(tree(), measured, tmp_path, buckets=[40, 64]).task.bucket_lengths == [40, 64]
    # Of a run with other inputs, which cannot be resumed in any case.
    assert _resolved(tree(), measured, tmp_path, buckets=[16, 128]).task.bucket_lengths == [16, 24, 64]


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize("bare", [True, False], ids=["bare", "dataset folder"])
@pytest.mark.parametrize("steps", [0, 12])
def test_a_split_without_any_record_is_refused_before_training(measured, tree, tmp_path, split, bare, steps):
    """It hung: the endless stream looked for a record for ever."""
    folder = tmp_path / "dataset"
    shutil.copytree(measured, folder)
    (folder / f"{split}-00000-of-00001.tfrecord").write_bytes(b"")
    manifest = json.loads((folder / "dataset.json").read_text())
    manifest["splits"][split] |= {"records": 0, "examples": 0}
    (folder / "dataset.json").write_text(json.dumps(manifest))
    configured = tree(steps)
    configured["trainer"]["epochs"] = None if steps else 1.0
    if bare:
        configured["task"]["model"]["num_classes"] = 2
        for name in ("train", "validation"):
            configured["task"][f"{name}_data"]["input_path"] = str(folder / f"{name}-*.tfrecord")
    expected = rf"{split}-00000-of-00001\.tfrecord: no record; expected one at least"
    with pytest.raises(InputError, match=expected):
        _resolved(configured, folder, tmp_path)


def _buckets(model_dir):
    return load_experiment(config_files=[model_dir / "config.yaml"]).task.bucket_lengths


def _tensors(model_dir):
    """Every tensor of the newest checkpoint, the optimizer's included."""
    folder = latest_checkpoint(model_dir)
    return {
        f"{file}/{name}": value
        for file in ("model", "optimizer")
        for name, value in load_file(folder / f"{file}.safetensors").items()
    }


@pytest.mark.slow
def test_a_longer_run_goes_on_from_a_finished_one_with_its_lengths(measured, tree, tmp_path):
    def go(settings, folder, mode="train"):  # which validates nothing: faster
        return train(_experiment(settings), tmp_path / folder, mode, dataset=str(measured))

    go(tree(), "new", "train_and_eval")
    assert _buckets(tmp_path / "new") == [16, 24, 64]
    assert go(tree(24), "new", "train_and_eval")["steps"] == 24
    go(tree(24), "whole", "train_and_eval")
    # One that was begun when lengths doubled: its checkpoint says so.
    earlier = tree(bucket_lengths=[64])
    go(earlier, "earlier")
    go(tree(24), "earlier")
    go(tree(24, bucket_lengths=[64]), "given")
    assert _buckets(tmp_path / "new") == [16, 24, 64] and _buckets(tmp_path / "earlier") == [64]
    for resumed, unbroken in (("new", "whole"), ("earlier", "given")):
        found, expected = _tensors(tmp_path / resumed), _tensors(tmp_path / unbroken)
        assert found.keys() == expected.keys()
        for name, value in found.items():
            np.testing.assert_array_equal(value, expected[name], err_msg=name)
    result = train(_experiment(tree(24)), tmp_path / "earlier", "eval", dataset=str(measured))
    assert result["step"] == 24


@pytest.mark.slow
def test_an_epoch_of_a_token_budget_has_as_many_steps_as_fill_its_batches(measured, tree, tmp_path):
    data = {"seq_length": 64, "global_batch_size": 2, "tokens_per_batch": 128}
    budget = tree(0, train_data=data)
    budget["trainer"]["epochs"] = 3
    experiment = _resolved(budget, measured, tmp_path)
    lengths = [
        len(features.decode(record)["input_ids"])
        for record in features.read_records(measured / "train-00000-of-00001.tfrecord")
    ]
    rows = {16: 8, 24: 4, 64: 2}  # 24 tokens: 128 // 24 = 5 examples, the nearest multiple of 2 is 4
    batches = sum(1 / rows[min(bucket for bucket in rows if bucket >= length)] for length in lengths)
    assert experiment.trainer.train_steps == int(np.ceil(3 * batches)) < 3 * len(lengths) / 2
    manifest = train(_experiment(budget), tmp_path / "model", dataset=str(measured))
    assert manifest["steps"] == experiment.trainer.train_steps
