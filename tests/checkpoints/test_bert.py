"""BERTs of every kind become BigBirds that compute the same up to the original's length, and go on beyond it."""

import json
import re
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from safetensors.numpy import load_file, save_file

from bigbird import BigBirdClassifier, BigBirdEncoder, BigBirdMaskedLM, BigBirdSpanModel
from bigbird.checkpoints.convert import convert
from bigbird.checkpoints.encoders import start_from
from bigbird.checkpoints.initialize import initialize_from
from bigbird.checkpoints.native import named_weights
from bigbird.checkpoints.reading import read_checkpoint
from bigbird.config import load_experiment
from bigbird.models import build_model
from bigbird.support.errors import InputError
from bigbird_pipelines.cli import cli

RECORDINGS = Path(__file__).parent / "recordings"
BERT, ROBERTA, GARDEN = (
    RECORDINGS / name for name in ("hugging_face_bert", "hugging_face_roberta", "model_garden_bert")
)
POSITIONS, TYPES = "encoder/embeddings/position/embeddings", "encoder/embeddings/type/embeddings"
CLOSE = {"rtol": 0, "atol": 2e-5}
# At 256 tokens blocks of 16 with one random block attend sparsely: 112 would be the longest input that attends fully.
LONG = {"max_position_embeddings": 256, "block_size": 16, "num_rand_blocks": 1}


def recorded(folder, length):
    """A recorded batch as our models take it, where it is not padded, and its answers."""
    answers = dict(np.load(folder / "answers.npz"))
    found = {name.removeprefix(f"{length}/"): array for name, array in answers.items() if name.startswith(f"{length}/")}
    mask = found["attention_mask"]
    inputs = {"input_word_ids": found["input_ids"], "input_mask": mask, "input_type_ids": found["token_type_ids"]}
    assert mask[0].all() and not mask[1].all()
    return inputs, mask.astype(bool), found


def task_of(**encoder):
    lengths = {"seq_length": min(1024, encoder.get("max_position_embeddings", 1024))}
    tree = {"model": {"encoder": {"bigbird": encoder}, "num_classes": 3}}
    tree |= {"train_data": lengths, "validation_data": lengths}
    return load_experiment("bigbird/glue", overrides=[{"task": tree}]).task


def changed(folder, target, change):
    """A checkpoint of Hugging Face with other arrays: `change` is given them by name, and gives them."""
    shutil.copytree(folder, target)
    save_file(change(load_file(folder / "model.safetensors")), target / "model.safetensors", metadata={"format": "pt"})
    return str(target)


def test_layer_norms_called_as_in_tensorflow_are_read(tmp_path):
    """As in bert-base-uncased."""

    def old(arrays):
        return {
            name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): array
            for name, array in arrays.items()
        }

    path = changed(BERT / "bare", tmp_path / "old", old)
    assert any(name.endswith("LayerNorm.gamma") for name in load_file(f"{path}/model.safetensors"))
    found, expected = read_checkpoint(path, 2), read_checkpoint(str(BERT / "bare"), 2)
    assert found.left_out == expected.left_out and found.weights.keys() == expected.weights.keys()
    for name, array in expected.weights.items():
        np.testing.assert_array_equal(found.weights[name], array, err_msg=name)


@pytest.mark.parametrize("to", ["bigbird", "hugging_face", "model_garden"])
def test_a_checkpoint_that_lacks_a_weight_is_not_converted(tmp_path, to):
    def without(arrays):
        return {name: array for name, array in arrays.items() if "layer.1.attention.self.key.weight" not in name}

    path = changed(BERT / "bare", tmp_path / "less", without)
    with pytest.raises(InputError, match="lacks encoder/layer_1/attention/key/kernel; expected all weights"):
        convert(path, str(tmp_path / "out"), to, max_length=256)
    assert not (tmp_path / "out").exists()


def test_bfloat16_in_a_bucket_is_read():
    import ml_dtypes

    from bigbird.checkpoints.native import _loaded

    values = np.array([[1.0, -2.5], [0.0, 3e5]], ml_dtypes.bfloat16)
    header = b'{"a":{"dtype":"BF16","shape":[2,2],"data_offsets":[0,8]}}'
    found = _loaded(len(header).to_bytes(8, "little") + header + values.tobytes())["a"]
    assert found.dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(found.astype("float32"), values.astype("float32"))


@pytest.mark.parametrize("folder", [BERT, ROBERTA], ids=lambda folder: folder.name)
@pytest.mark.parametrize("length", [16, 64])
def test_hugging_face_computed_the_same(folder, length):
    """Every model with its head, lengthened; the second row is padded in its last fifth."""
    inputs, real, expected = recorded(folder, length)
    encoder = BigBirdEncoder.from_preset(str(folder / "bare"), with_pooler=True, **LONG)
    found = encoder(inputs)
    np.testing.assert_allclose(
        np.asarray(found["sequence_output"])[real], expected["bare/last_hidden_state"][real], **CLOSE
    )
    np.testing.assert_allclose(found["pooled_output"], expected["bare/pooler_output"], **CLOSE)
    classifier = BigBirdClassifier.from_preset(str(folder / "classifier"), **LONG)
    np.testing.assert_allclose(classifier(inputs)["logits"], expected["classifier/logits"], **CLOSE)
    on_encoder = BigBirdClassifier.from_preset(str(folder / "classifier"), use_encoder_pooler=True, **LONG)
    np.testing.assert_allclose(on_encoder(inputs)["logits"], expected["classifier/logits"], **CLOSE)
    span = BigBirdSpanModel.from_preset(str(folder / "span"), **LONG)(inputs)
    for name in ("start_logits", "end_logits"):
        np.testing.assert_allclose(np.asarray(span[name])[real], expected[f"span/{name}"][real], **CLOSE)
    words = BigBirdMaskedLM.from_preset(str(folder / "masked_lm"), **LONG)
    positions = np.arange(length)[None].repeat(2, 0).astype("int32")
    logits = np.asarray(words(inputs | {"masked_lm_positions": positions})["logits"])
    np.testing.assert_allclose(logits[real], expected["masked_lm/logits"][real], rtol=0, atol=1e-4)  # up to 30


def test_the_other_forms_of_gelu_and_epsilon_would_show():
    inputs, real, expected = recorded(ROBERTA, 64)
    encoder = BigBirdEncoder.from_preset(str(ROBERTA / "bare"))
    for change in ({"hidden_activation": "gelu"}, {"layer_norm_epsilon": 1e-3}):
        other = BigBirdEncoder(encoder.config.model_dump() | change)
        other.build()
        for target, source in zip(other.weights, encoder.weights, strict=True):
            target.assign(source)
        gap = np.abs(np.asarray(other(inputs)["sequence_output"]) - expected["bare/last_hidden_state"])[real].max()
        assert gap > 6e-5, change  # three times what is allowed above


@pytest.mark.parametrize("name", ["bert_bare", "bert_v2_bare", "masked_lm", "classifier"])
def test_the_model_garden_computed_the_same(name):
    answers, path = dict(np.load(GARDEN / "answers.npz")), str(GARDEN / name)
    inputs = {key: answers[key] for key in ("input_word_ids", "input_mask", "input_type_ids")}
    real = inputs["input_mask"].astype(bool)
    if name.endswith("bare"):
        found = BigBirdEncoder.from_preset(path, with_pooler=True, **LONG)(inputs)
        sequence, expected = np.asarray(found["sequence_output"]), answers[f"{name}/sequence_output"]
        np.testing.assert_allclose(sequence[real], expected[real], **CLOSE)
        np.testing.assert_allclose(found["pooled_output"], answers[f"{name}/pooled_output"], **CLOSE)
    elif name == "masked_lm":
        model = BigBirdMaskedLM.from_preset(path, **LONG)
        logits = model(inputs | {"masked_lm_positions": answers["masked_lm_positions"]})["logits"]
        np.testing.assert_allclose(logits, answers["masked_lm/logits"], rtol=0, atol=1e-4)
    else:
        logits = BigBirdClassifier.from_preset(path, **LONG)(inputs)["logits"]
        np.testing.assert_allclose(logits, answers["classifier/logits"], **CLOSE)


# Hugging Face's names of a BERT -> google-research/bert's, but for kernels, which it stores the other way round.
TF1_NAMES = (
    (r"^(embeddings|encoder|pooler)\.", r"bert.\1."),
    (r"\.layer\.(\d+)\.", r".layer_\1."),
    (r"LayerNorm\.weight", "LayerNorm/gamma"),
    (r"LayerNorm\.bias", "LayerNorm/beta"),
    (r"seq_relationship\.weight", "seq_relationship/output_weights"),
    (r"seq_relationship\.bias", "seq_relationship/output_bias"),
    (r"predictions\.bias", "predictions/output_bias"),
    (r"^classifier\.weight", "output_weights"),
    (r"^classifier\.bias", "output_bias"),
    (r"^qa_outputs\.weight", "cls/squad/output_weights"),
    (r"^qa_outputs\.bias", "cls/squad/output_bias"),
    (r"embeddings\.weight", "embeddings"),
    (r"\.weight", "/kernel"),
    (r"\.", "/"),
)


def as_tf1(source, target, **config):
    """Writes a Hugging Face BERT as google-research/bert stores one."""
    target.mkdir()
    tensors = {}
    for name, array in load_file(source / "model.safetensors").items():
        kernel = name.endswith("dense.weight") or re.search(r"self\.\w+\.weight", name)
        for pattern, to in TF1_NAMES:
            name = re.sub(pattern, to, name)
        tensors[name] = tf.constant(array.T if kernel else array)
    tensors |= {"global_step": tf.constant(7), "bert/pooler/dense/kernel/adam_m": tf.zeros(3)}
    tf.raw_ops.SaveV2(
        prefix=str(target / "bert_model.ckpt"),
        tensor_names=list(tensors),
        tensors=list(tensors.values()),
        shape_and_slices=[""] * len(tensors),
    )
    told = json.loads((source / "config.json").read_text())
    keys = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act",
            "max_position_embeddings", "type_vocab_size")  # fmt: skip
    (target / "bert_config.json").write_text(json.dumps({key: told[key] for key in keys} | config))
    return str(target / "bert_model.ckpt")


@pytest.mark.parametrize("task", ["bare", "masked_lm", "classifier", "span"])
def test_google_researchs_bert_is_read_by_its_own_names(tmp_path, task):
    path = as_tf1(BERT / task, tmp_path / "tf1")
    found, expected = read_checkpoint(path, 2), read_checkpoint(str(BERT / task), 2)
    assert (found.kind, found.left_out) == ("google_bert", [])
    assert found.weights.keys() == expected.weights.keys()
    for name, array in expected.weights.items():
        np.testing.assert_array_equal(found.weights[name], array, err_msg=name)
    done = convert(path, str(tmp_path / "ours"), "bigbird")
    # Its "gelu" is the tanh form, where Hugging Face's is the exact one. The number of heads is bert_config.json's.
    assert (done.encoder.hidden_activation, done.encoder.num_attention_heads) == ("gelu", 2)


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        (BERT / "bare", "hugging_face_bert"),
        (BERT / "masked_lm", "hugging_face_bert"),
        (ROBERTA / "bare", "hugging_face_roberta"),
        (ROBERTA / "masked_lm", "hugging_face_roberta"),
        (GARDEN / "bert_bare", "model_garden_bert"),
        (GARDEN / "bert_v2_bare", "model_garden_bert_v2"),
    ],
)
def test_a_berts_kind_is_recognised(folder, kind):
    checkpoint = read_checkpoint(str(folder), 2)
    assert (checkpoint.kind, checkpoint.left_out) == (kind, [])
    assert "encoder/layer_1/output_layer_norm/beta" in checkpoint.weights


def test_without_a_config_names_and_sizes_tell_the_kind(tmp_path):
    shutil.copy(BERT / "bare" / "model.safetensors", tmp_path / "bert.safetensors")
    shutil.copy(ROBERTA / "masked_lm" / "model.safetensors", tmp_path / "roberta.safetensors")
    assert read_checkpoint(str(tmp_path / "bert.safetensors"), 2).kind == "hugging_face_bert"
    roberta = read_checkpoint(str(tmp_path / "roberta.safetensors"), 2)
    assert (roberta.kind, roberta.learnt) == ("hugging_face_roberta", 64)
    done = convert(str(tmp_path / "roberta.safetensors"), str(tmp_path / "ours"), "bigbird", num_heads=2)
    assert (done.encoder.hidden_activation, done.encoder.layer_norm_epsilon) == ("gelu_erf", 1e-5)


@pytest.mark.parametrize("folder", [BERT, ROBERTA], ids=lambda folder: folder.name)
def test_conversion_repeats_positions_and_says_so(tmp_path, folder):
    command = ["convert", str(folder / "bare"), str(tmp_path / "long"), "--to", "bigbird", "--max-length", "200"]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 0, result.output
    stored = load_file(folder / "bare" / "model.safetensors")
    learnt = stored["embeddings.position_embeddings.weight"][-64:]  # RoBERTa's begin at position 2
    written = load_file(tmp_path / "long" / "model.safetensors")
    np.testing.assert_array_equal(written[POSITIONS], np.concatenate([learnt] * 4)[:200])
    types = stored["embeddings.token_type_embeddings.weight"]
    np.testing.assert_array_equal(written[TYPES], types if len(types) == 2 else types.repeat(2, 0))
    lines = result.stdout.splitlines()
    assert f"  {POSITIONS}: 64 learnt positions, repeated up to 200" in lines
    repeated = f"  {TYPES}: one learnt row, repeated for all 2 types"
    assert (repeated in lines) == (folder == ROBERTA)
    assert f"--params-override task.init_checkpoint={tmp_path / 'long'}" in result.stdout


def test_full_attention_reaches_as_far_as_the_originals(tmp_path):
    params = tmp_path / "params.yaml"
    params.write_text("task: {model: {encoder: {bigbird: {block_size: 4, num_rand_blocks: 1}}}}")
    done = convert(str(BERT / "bare"), str(tmp_path / "long"), "bigbird", params=str(params), max_length=128)
    assert (done.encoder.full_attention_threshold, done.encoder.max_position_embeddings) == (64, 128)
    again = BigBirdEncoder.from_preset(str(done.checkpoint))
    assert again.config.full_attention_max_length == 64
    inputs, real, expected = recorded(BERT, 64)
    found = np.asarray(again(inputs)["sequence_output"])
    np.testing.assert_allclose(found[real], expected["bare/last_hidden_state"][real], **CLOSE)
    wide = convert(str(BERT / "bare"), str(tmp_path / "wide"), "bigbird", max_length=1024)
    assert wide.encoder.full_attention_max_length is None  # 704 without a word
    assert "attention dropout 0: up to 704 tokens; BigBird's sparse attention has none" in wide.notes


@pytest.mark.parametrize("folder", [BERT, ROBERTA], ids=lambda folder: folder.name)
def test_a_direct_start_gives_the_weights_of_a_conversion(tmp_path, folder):
    checkpoint, task = start_from(str(folder / "bare"), task_of(**LONG))
    assert (task.encoder.num_layers, task.encoder.hidden_size, task.encoder.num_attention_heads) == (2, 16, 2)
    assert (task.encoder.vocab_size, task.encoder.type_vocab_size) == (40, 2)
    assert (task.encoder.hidden_activation, task.encoder.max_position_embeddings) == ("gelu_erf", 256)
    direct = build_model(task)
    notes = initialize_from(str(folder / "bare"), direct, checkpoint=checkpoint)
    assert notes[0] == f"{POSITIONS}: 64 learnt positions, repeated up to 256"
    assert "attention dropout 0.1: up to 112 tokens; BigBird's sparse attention has none" in notes
    assert notes[-1].startswith("to adapt the model to its new length, pre-train it further on text of your own:\n")
    for longest, told in ((256, 2), (112, 1), (64, 0)):  # no advice about lengths that no input has
        checkpoint, _ = start_from(str(folder / "bare"), task)
        said = initialize_from(str(folder / "bare"), direct, checkpoint=checkpoint, longest=longest)
        assert len(said) == len(notes) - 2 + told, longest
        assert ("--max-length 112" in said[-1]) == (longest == 112)
    done = convert(str(folder / "bare"), str(tmp_path / "ours"), "bigbird", max_length=256)
    checkpoint, task = start_from(str(done.checkpoint), task_of(max_position_embeddings=256))
    through = build_model(task)
    initialize_from(str(done.checkpoint), through, checkpoint=checkpoint)
    one, other = named_weights(direct), named_weights(through)
    for name in one:
        if name.startswith("encoder/"):
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_more_types_than_a_bert_has_start_fresh_and_fewer_positions_are_cut():
    checkpoint, task = start_from(str(BERT / "bare"), task_of(max_position_embeddings=1024, type_vocab_size=4))
    keras.utils.set_random_seed(0)
    notes = initialize_from(str(BERT / "bare"), build_model(task), checkpoint=checkpoint)
    assert f"{TYPES}: rows 2 to 3 not in the checkpoint, start fresh" in notes
    encoder = BigBirdEncoder.from_preset(str(BERT / "bare"), max_position_embeddings=16)
    assert encoder.embeddings.position.embeddings.shape == (16, 16)
    inputs, real, expected = recorded(BERT, 16)
    found = np.asarray(encoder(inputs)["sequence_output"])
    np.testing.assert_allclose(found[real], expected["bare/last_hidden_state"][real], **CLOSE)


def test_a_lengthened_bert_goes_back_to_hugging_face_as_a_big_bird(tmp_path):
    ours = convert(str(ROBERTA / "masked_lm"), str(tmp_path / "ours"), "bigbird", max_length=256)
    back = convert(str(ours.checkpoint), str(tmp_path / "back"), "hugging_face")
    config = json.loads((back.checkpoint / "config.json").read_text())
    told = {key: config[key] for key in ("model_type", "architectures", "hidden_act", "layer_norm_eps", "type_vocab_size",
                                         "max_position_embeddings")}  # fmt: skip
    assert told == {
        "model_type": "big_bird", "architectures": ["BigBirdForMaskedLM"], "hidden_act": "gelu", "layer_norm_eps": 1e-5,
        "type_vocab_size": 2, "max_position_embeddings": 256,
    }  # fmt: skip
    names = load_file(back.checkpoint / "model.safetensors")
    assert names["bert.embeddings.position_embeddings.weight"].shape == (256, 16)
    assert "cls.predictions.transform.LayerNorm.weight" in names
    again = read_checkpoint(str(back.checkpoint), 2)
    for name, array in load_file(ours.checkpoint / "model.safetensors").items():
        np.testing.assert_array_equal(again.weights[name], array, err_msg=name)


@pytest.mark.parametrize("to", ["google_research", "model_garden"])
def test_what_the_targets_own_code_does_not_compute_is_said(tmp_path, to):
    done = convert(str(ROBERTA / "bare"), str(tmp_path / "out"), to, max_length=128)
    assert any("gelu_erf and a layer norm's epsilon of 1e-05, which" in note for note in done.notes)
    again = convert(str(done.checkpoint), str(tmp_path / "again"), "bigbird")
    assert (again.encoder.hidden_activation, again.encoder.layer_norm_epsilon) == ("gelu_erf", 1e-5)


def test_a_span_head_beside_a_pooler_is_no_classifiers(tmp_path):
    """As google-research's run_squad leaves one; the task goes along through a checkpoint of ours."""

    def with_pooler(arrays):
        pooler = {"bert.pooler.dense.weight": np.ones((16, 16)), "bert.pooler.dense.bias": np.ones(16)}
        return arrays | {name: array.astype(np.float32) for name, array in pooler.items()}

    source = changed(BERT / "span", tmp_path / "source", with_pooler)
    assert read_checkpoint(source, 2).task == "span"
    assert read_checkpoint(str(BERT / "classifier"), 2).task == "classifier"
    ours = convert(source, str(tmp_path / "ours"), "bigbird")
    for name, path in (("source", source), ("ours", str(ours.checkpoint))):
        done = convert(path, str(tmp_path / f"{name} garden"), "model_garden")
        assert read_checkpoint(str(done.checkpoint), 2).task == "span"
        logits = read_checkpoint(str(done.checkpoint), 2).weights["logits/kernel"]
        np.testing.assert_array_equal(logits, read_checkpoint(source, 2).weights["logits/kernel"])


def test_heads_of_tokens_and_choices_are_left_out(tmp_path):
    for change in ({"architectures": ["BertForTokenClassification"]}, {"architectures": ["BertForMultipleChoice"]}):
        folder = tmp_path / change["architectures"][0]
        shutil.copytree(BERT / "classifier", folder)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | change))
        assert read_checkpoint(str(folder), 2).left_out == ["classifier.bias", "classifier.weight"]
    span, target = str(BERT / "span"), build_model(task_of(**_SIZES))
    notes = initialize_from(span, target)
    assert "logits/kernel: of another head, left out" in notes


_SIZES = {
    "vocab_size": 40, "hidden_size": 16, "num_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
    "max_position_embeddings": 1024, "type_vocab_size": 2, "hidden_activation": "gelu_erf",
}  # fmt: skip


def test_a_decoder_of_its_own_is_no_head_of_ours(tmp_path):
    shutil.copytree(BERT / "masked_lm", tmp_path / "untied")
    file = tmp_path / "untied" / "model.safetensors"
    arrays = load_file(file)
    arrays["cls.predictions.decoder.weight"] = np.ones((40, 16), "float32")
    save_file(arrays, file)
    checkpoint = read_checkpoint(str(tmp_path / "untied"), 2)
    assert not any(name.startswith("masked_lm/") for name in checkpoint.weights)
    assert "cls.predictions.decoder.weight" in checkpoint.left_out


@pytest.mark.parametrize(
    ("path", "length", "message"),
    [
        (BERT / "bare", 32, "--max-length 32: .* has 64 positions; expected at least as many"),
        (
            RECORDINGS / "hugging_face" / "bare",
            8192,
            "has 4096 positions; .* only for a BERT, whose positions are repeated",
        ),
    ],
)
def test_positions_are_repeated_for_berts_only_and_never_lost(tmp_path, path, length, message):
    with pytest.raises(InputError, match=message):
        convert(str(path), str(tmp_path / "out"), "bigbird", num_heads=2, max_length=length)


def test_a_run_that_cannot_have_the_checkpoints_encoder_is_refused_with_the_reason(tmp_path):
    done = convert(str(BERT / "bare"), str(tmp_path / "ours"), "bigbird", max_length=512)
    with pytest.raises(InputError, match=r"its encoder does not fit this run: task: seq_length 1024 is above .* 512"):
        start_from(str(done.checkpoint), task_of())
