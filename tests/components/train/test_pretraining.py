"""Text to a pre-trained checkpoint, and fine-tuning that starts from it."""

import random

import numpy as np
import pytest
from safetensors.numpy import load_file

from bigbird.checkpoints.convert import convert
from bigbird.checkpoints.native import latest_checkpoint
from bigbird.config import load_experiment
from bigbird.data.dataset import Rows, evaluation_dataset, training_dataset
from bigbird.support.artifacts import read_json
from bigbird.support.errors import InputError
from bigbird_components.train.sources import resolve
from bigbird_components.train.train import train

pytestmark = pytest.mark.slow  # a fixture that its tests share takes more than 10 s

SIZES = {"hidden_size": 64, "num_layers": 2, "num_attention_heads": 2, "intermediate_size": 128, "block_size": 16}


def _text(seed, documents):
    """Sentences whose words follow from each other, so that a masked one can be told from its neighbours."""
    rng, chains = random.Random(seed), ["red apple falls", "blue river flows", "old mill turns", "dark night comes"]
    return "\n\n".join(" ".join(rng.choices(chains, k=rng.randint(3, 12))) for _ in range(documents))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    from bigbird_components.preprocess.preprocess import preprocess

    folder = tmp_path_factory.mktemp("pretraining")
    (folder / "train.txt").write_text(_text(0, 200))
    (folder / "validation.txt").write_text(_text(1, 30))
    preprocess("pretraining", str(folder / "dataset"), input=str(folder), vocabulary_size=60, max_length=32)
    return folder / "dataset"


def _experiment(**task):
    data = {"seq_length": 32, "global_batch_size": 16}
    encoder = {**SIZES, "max_position_embeddings": 32, "dropout_rate": 0.0, "initializer_range": 0.1}
    tree = {"model": {"encoder": {"bigbird": encoder}}, "train_data": data, "validation_data": data}
    rate = {"learning_rate": {"polynomial": {"initial_learning_rate": 0.003}}}
    trainer = {"train_steps": 600, "validation_interval": 300, "checkpoint_interval": 300, "optimizer_config": rate}
    return load_experiment("bigbird/pretraining", overrides=[{"task": tree | task, "trainer": trainer}])


@pytest.fixture(scope="module")
def pretrained(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrained") / "model"
    return folder, train(_experiment(), folder, "train_and_eval", str(dataset))


@pytest.fixture(scope="module")
def measured(pretrained, dataset):
    """The metrics of its newest checkpoint, as mode eval measures them."""
    return train(_experiment(), pretrained[0], "eval", str(dataset))["metrics"]


def test_the_masked_words_are_learnt(pretrained):
    folder, manifest = pretrained
    validated = [entry for entry in read_json(folder / "history.json", "history") if entry["kind"] == "validation"]
    assert manifest["metrics"]["masked_lm_accuracy"] > 0.5
    assert validated[-1]["masked_lm_loss"] < 0.5 * np.log(60)
    for entry in validated:
        assert entry["perplexity"] == pytest.approx(np.exp(entry["masked_lm_loss"]))
    assert manifest["task"] == "pretraining" and manifest["experiment_type"] == "bigbird/pretraining"


def test_fine_tuning_starts_from_it(pretrained, dataset, tmp_path, settings, capsys):
    from bigbird_components.preprocess.preprocess import preprocess

    rows = "".join(f"{text} {i}\t{i % 2}\n" for i, text in enumerate(["red apple falls", "blue river flows"] * 16))
    (tmp_path / "train.tsv").write_text(f"sentence\tlabel\n{rows}")
    (tmp_path / "dev.tsv").write_text(f"sentence\tlabel\n{rows}")
    preprocess(
        "sst2", str(tmp_path / "dataset"), input=str(tmp_path), vocabulary=str(dataset / "vocab.model"), max_length=32
    )
    tree = settings(task={"init_checkpoint": str(pretrained[0])}, encoder=SIZES, trainer={"train_steps": 1})
    train(load_experiment("bigbird/glue", overrides=[tree]), tmp_path / "model", "train", str(tmp_path / "dataset"))
    log = capsys.readouterr().err
    assert "masked_lm/dense/kernel: only in the checkpoint, left out" in log
    assert "pooler_dense/kernel: not in the checkpoint, starts fresh" in log
    name = "encoder/layer_0/intermediate/kernel"
    before = load_file(latest_checkpoint(pretrained[0]) / "model.safetensors")[name]
    after = load_file(latest_checkpoint(tmp_path / "model") / "model.safetensors")[name]
    assert np.abs(before - after).max() < 0.02 < np.abs(before).max()


@pytest.mark.parametrize("kind", ["google_research", "hugging_face"])
def test_pre_training_goes_on_from_a_published_head(pretrained, measured, dataset, tmp_path, kind):
    """The head goes along both ways: mode eval measures the converted weights as it measures ours."""
    theirs = convert(str(latest_checkpoint(pretrained[0])), str(tmp_path / "theirs"), kind).checkpoint
    # These two kinds have 2 token types where we have 16; pre-training uses the first alone.
    found = train(_experiment(init_checkpoint=str(theirs)), tmp_path / "model", "eval", str(dataset))
    assert found["metrics"] == pytest.approx(measured)


def test_masks_are_drawn_anew_in_each_pass_and_are_the_same_however_training_goes_on(dataset, tmp_path):
    experiment, sources = resolve(_experiment(), str(dataset), "train_and_eval", tmp_path)
    task, files = experiment.task, sources.train.files

    def batches(count, **where):
        stream = training_dataset(files, task, seed=3, **where)
        return [{name: value.numpy() for name, value in batch.items()} for batch in stream.take(count)]

    whole = batches(80)
    for skipped, batch in zip(batches(10, skip=70), whole[70:], strict=True):
        for name in batch:
            np.testing.assert_array_equal(skipped[name], batch[name])
    halves = [batches(40, rows=Rows(place, place + 1, 2)) for place in (0, 1)]
    for left, right, batch in zip(*halves, whole[:40], strict=True):
        for name in batch:
            np.testing.assert_array_equal(np.concatenate([left[name], right[name]]), batch[name])
    seen = {}
    for batch in whole:
        for number, places in zip(batch["record_id"].tolist(), batch["masked_lm_positions"].tolist(), strict=True):
            seen.setdefault(number, []).append(tuple(places))
    repeated = [places for places in seen.values() if len(places) > 1]
    assert repeated and np.mean([len(set(places)) == len(places) for places in repeated]) > 0.8
    first, second = (
        [batch["input_word_ids"].numpy() for batch in evaluation_dataset(sources.validation.files, task)] for _ in "ab"
    )
    for one, two in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, two)


def test_what_it_cannot_do_is_said(pretrained, dataset, tmp_path):
    from bigbird_components.evaluate.evaluate import evaluate
    from bigbird_components.export.export import export

    with pytest.raises(InputError, match="is a pre-trained model, which answers nothing yet"):
        evaluate(str(pretrained[0]), str(dataset), str(tmp_path / "evaluation"))
    with pytest.raises(InputError, match="is a pre-trained model; fine-tune a task from it"):
        export(str(pretrained[0]), str(tmp_path / "saved"))
    with pytest.raises(InputError, match=r"task\.train_data\.vocab_file is not set; name the vocabulary"):
        train(
            _experiment(train_data={"input_path": str(dataset / "*.tfrecord"), "seq_length": 32}),
            tmp_path / "m",
            "train",
        )
