"""What a run takes over from the checkpoint that it starts from."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from bigbird.checkpoints.native import latest_checkpoint, load_model, read_state
from bigbird.config import load_experiment
from bigbird.support.errors import InputError
from bigbird_components.train.start import with_start
from bigbird_components.train.train import train

RECORDINGS = Path(__file__).parents[2] / "checkpoints" / "recordings"
ROWS = 130  # of the word embeddings; the dataset's vocabulary has 42 pieces


def with_more_words(kind, folder, rows=ROWS):
    """A copy of a recorded model whose embeddings have rows enough for the dataset."""
    shutil.copytree(RECORDINGS / kind / "bare", folder)
    arrays = load_file(folder / "model.safetensors")
    table = arrays["embeddings.word_embeddings.weight"]
    more = np.random.default_rng(0).normal(0, 0.2, (rows - len(table), table.shape[1])).astype("float32")
    save_file(
        arrays | {"embeddings.word_embeddings.weight": np.concatenate([table, more])}, folder / "model.safetensors"
    )
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": rows}))
    return folder


@pytest.fixture
def experiment(settings):
    """Function (path of the start, settings of the encoder) -> an experiment that leaves all others open."""

    def build(path, encoder=None, **trainer):
        tree = settings(task={"init_checkpoint": str(path)}, trainer=trainer)
        tree["task"]["model"]["encoder"]["bigbird"] = encoder or {}
        return load_experiment("bigbird/glue", overrides=[tree])

    return build


def test_the_encoder_is_the_checkpoints_where_the_run_leaves_it_open(experiment, tmp_path):
    found, checkpoint = with_start(experiment(RECORDINGS / "hugging_face" / "bare"), tmp_path)
    encoder = found.task.encoder
    told = {"vocab_size": 70, "hidden_size": 16, "num_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
            "max_position_embeddings": 4096, "random_pattern": "google_research", "hidden_activation": "gelu"}  # fmt: skip
    assert encoder.model_dump(include=told.keys()) == told
    assert encoder.type_vocab_size == 16  # as always: the checkpoint's 2, and fresh ones
    assert checkpoint.kind == "hugging_face"
    assert checkpoint.weights["encoder/layer_0/attention/query/kernel"].shape == (16, 2, 8)
    garden, _ = with_start(experiment(RECORDINGS / "model_garden" / "bare"), tmp_path)
    assert (garden.task.encoder.random_pattern, garden.task.encoder.hidden_size) == ("model_garden", 16)


def test_what_the_run_says_goes_before_what_the_checkpoint_says(experiment, tmp_path):
    given = {"random_pattern": "model_garden", "block_size": 32}
    found, _ = with_start(experiment(RECORDINGS / "hugging_face" / "bare", given), tmp_path)
    assert found.task.encoder.model_dump(include=given.keys()) == given
    assert found.task.encoder.num_layers == 2


@pytest.mark.slow
def test_a_published_bigbird_is_trained_with_its_own_random_blocks(experiment, dataset, tmp_path):
    """At 1,280 tokens Hugging Face and the Model Garden have other random blocks; recorded is what Hugging Face computes."""
    start = with_more_words("hugging_face", tmp_path / "start")
    still = {"optimizer_config": {"learning_rate": {"polynomial": {"initial_learning_rate": 0.0}}}}
    recorded = np.load(RECORDINGS / "hugging_face" / "rule_1280.npz")
    ids, gaps = recorded["input_word_ids"], {}
    for name, encoder in (("its_own", {}), ("said", {"random_pattern": "model_garden"})):
        run = experiment(start, encoder, train_steps=1, **still)
        train(run, tmp_path / name, "train", str(dataset))
        model, _, _ = load_model(tmp_path / name, "last")
        inputs = {"input_word_ids": ids, "input_mask": np.ones_like(ids), "input_type_ids": np.zeros_like(ids)}
        found = np.asarray(model.encoder(inputs)["sequence_output"])[:, ::16]
        gaps[name] = np.abs(found - recorded["sequence_output_every_16th"]).max()
    assert gaps["its_own"] <= 5e-5 < 0.01 < gaps["said"]


@pytest.mark.slow
def test_a_berts_run_goes_on_without_the_checkpoint_that_it_started_from(experiment, dataset, tmp_path, capsys):
    start = with_more_words("hugging_face_bert", tmp_path / "start")
    encoder = {"max_position_embeddings": 96, "block_size": 8, "num_rand_blocks": 1}
    rate = {"polynomial": {"initial_learning_rate": 0.01, "decay_steps": 8}}
    trainer = {"optimizer_config": {"learning_rate": rate, "warmup": {"polynomial": {"warmup_steps": 0}}}}
    for name, steps in (("whole", 8), ("parted", 4)):
        train(experiment(start, encoder, train_steps=steps, **trainer), tmp_path / name, "train", str(dataset))
    told = capsys.readouterr().err
    assert "encoder/embeddings/position/embeddings: 64 learnt positions, repeated up to 96" in told
    assert "the word embeddings have 130 rows, the dataset's vocabulary 42 pieces: the others stay unused" in told
    assert "attention dropout" not in told  # the inputs have at most 64 tokens: they attend fully
    setup = read_state(latest_checkpoint(tmp_path / "parted")).setup
    key = "task.model.encoder.bigbird"
    assert (setup[f"{key}.num_layers"], setup[f"{key}.full_attention_max_length"]) == (2, 64)
    assert f"{key}.layer_norm_epsilon" not in setup  # so that runs of earlier versions go on
    again = experiment(start, encoder, train_steps=8, **trainer)
    shutil.rmtree(start)
    train(again, tmp_path / "parted", "train", str(dataset))
    one, two = (load_file(latest_checkpoint(tmp_path / name) / "model.safetensors") for name in ("whole", "parted"))
    for weight, array in one.items():
        np.testing.assert_array_equal(two[weight], array, err_msg=weight)


def test_a_vocabulary_larger_than_the_checkpoints_embeddings_is_refused(experiment, dataset, tmp_path):
    start = RECORDINGS / "hugging_face_bert" / "bare"  # 40 rows
    run = experiment(start, {"max_position_embeddings": 96})
    with pytest.raises(
        InputError, match=r"vocab_size is 40, but the dataset's vocabulary has 42 pieces; .* has 40 rows of"
    ):
        train(run, tmp_path / "model", "train", str(dataset))
