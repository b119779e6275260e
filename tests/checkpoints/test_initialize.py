"""What is recognised as a checkpoint, what is refused, and what the log says of the rest."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file, save_file

from bigbird.checkpoints.initialize import initialize_from
from bigbird.checkpoints.native import named_weights
from bigbird.checkpoints.reading import read_checkpoint
from bigbird.config import load_experiment
from bigbird.models import build_model
from bigbird.support.errors import InputError

RECORDINGS = Path(__file__).parent / "recordings"
GOOGLE, GARDEN, HUGGING = (RECORDINGS / name for name in ("google_research", "model_garden", "hugging_face"))


def model(folder, **encoder):
    keras.utils.set_random_seed(0)
    sizes = json.loads((folder / "sizes.json").read_text())
    tree = {"encoder": {"bigbird": sizes | encoder}, "num_classes": 2}
    return build_model(load_experiment("bigbird/glue", overrides=[{"task": {"model": tree}}]).task)


def refused(path, target):
    with pytest.raises(InputError) as error:
        initialize_from(str(path), target)
    return str(error.value)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("google_research/model.ckpt-0", "google_research"),
        ("google_research/model.ckpt-0.index", "google_research"),
        ("google_research/model.ckpt-0.data-00000-of-00001", "google_research"),
        ("google_research", "google_research"),
        ("google_research/", "google_research"),
        ("model_garden/bare", "model_garden"),
        ("model_garden/classifier", "model_garden"),
        ("hugging_face/bare", "hugging_face"),
        ("hugging_face/bare/model.safetensors", "hugging_face"),
        ("hugging_face/span", "hugging_face"),
    ],
)
def test_a_checkpoints_kind_is_recognised(path, kind):
    checkpoint = read_checkpoint(f"{RECORDINGS}/{path}", 2)
    assert checkpoint.kind == kind
    assert checkpoint.left_out == []
    assert "encoder/layer_1/output_layer_norm/beta" in checkpoint.weights


def test_a_folder_of_several_checkpoints_wants_one_named():
    message = refused(GARDEN, model(GARDEN))
    assert "holds several checkpoints (after_step, bare, classifier, gradients_1024, span); name one: " in message


def test_remote_checkpoints_are_streamed():
    """ram:// takes the way of gs://: a file system that only tf.io.gfile knows."""
    for source, target in ((HUGGING / "bare", "ram://hf"), (GOOGLE, "ram://gr"), (GARDEN, "ram://mg")):
        tf.io.gfile.makedirs(target)
        for file in source.iterdir():
            if file.suffix != ".npz" and file.is_file():
                tf.io.gfile.copy(str(file), f"{target}/{file.name}", overwrite=True)
    for path, local in (
        ("ram://hf", HUGGING / "bare"), ("ram://hf/model.safetensors", HUGGING / "bare"),
        ("ram://gr", GOOGLE), ("ram://gr/model.ckpt-0", GOOGLE), ("ram://mg/span", GARDEN / "span"),
    ):  # fmt: skip
        found, expected = read_checkpoint(path, 2), read_checkpoint(str(local), 2)
        assert found.kind == expected.kind
        for name, array in expected.weights.items():
            np.testing.assert_array_equal(found.weights[name], array)
    with pytest.raises(InputError, match="no checkpoint there"):
        read_checkpoint("ram://nothing/at/all", 2)


def test_several_files_of_one_model_are_joined(tmp_path):
    arrays = load_file(HUGGING / "bare" / "model.safetensors")
    names = sorted(arrays)
    parts = {"model-1.safetensors": names[:10], "model-2.safetensors": names[10:]}
    for file, part in parts.items():
        save_file({name: arrays[name] for name in part}, tmp_path / file)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {name: file for file, part in parts.items() for name in part}}))
    assert read_checkpoint(str(tmp_path), 2).weights.keys() == read_checkpoint(str(HUGGING / "bare"), 2).weights.keys()
    index.write_text(json.dumps({"weight_map": {"x": "../outside.safetensors"}}))
    with pytest.raises(InputError, match=r"names \.\./outside\.safetensors, which the folder does not hold"):
        read_checkpoint(str(tmp_path), 2)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_precisions_become_float32(tmp_path, dtype):
    arrays = load_file(HUGGING / "bare" / "model.safetensors")
    save_file({name: array.astype(dtype) for name, array in arrays.items()}, tmp_path / "model.safetensors")
    found = read_checkpoint(str(tmp_path / "model.safetensors"), 2).weights["encoder/pooler/bias"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, arrays["pooler.bias"], rtol=1e-3)


def test_every_mismatch_is_listed_from_both_sides(tmp_path):
    arrays = load_file(HUGGING / "bare" / "model.safetensors")
    del arrays["encoder.layer.0.output.LayerNorm.bias"]
    arrays["encoder.layer.1.intermediate.dense.bias"] = np.zeros(7, "float32")
    arrays["encoder.layer.2.output.dense.bias"] = np.zeros(16, "float32")
    save_file(arrays, tmp_path / "model.safetensors")
    message = refused(tmp_path / "model.safetensors", model(HUGGING))
    assert message.splitlines()[1:] == [
        "  encoder/layer_1/intermediate/bias: (7,) in the checkpoint, (32,) in the model",
        "  encoder/layer_0/output_layer_norm/beta: only in the model",
        "  encoder/layer_2/output/bias: only in the checkpoint",
    ]


def test_what_a_kind_lacks_is_named_and_starts_fresh(tmp_path):
    target = model(HUGGING, type_vocab_size=16)
    fresh = named_weights(target)["encoder/embeddings/type/embeddings"].numpy()
    assert initialize_from(str(HUGGING / "bare"), target) == [
        "encoder/embeddings/type/embeddings: rows 2 to 15 not in the checkpoint, start fresh",
        "encoder/pooler/bias: only in the checkpoint, left out",
        "encoder/pooler/kernel: only in the checkpoint, left out",
        "pooler_dense/kernel: not in the checkpoint, starts fresh",
        "pooler_dense/bias: not in the checkpoint, starts fresh",
        "logits/kernel: not in the checkpoint, starts fresh",
        "logits/bias: not in the checkpoint, starts fresh",
    ]
    table = named_weights(target)["encoder/embeddings/type/embeddings"].numpy()
    np.testing.assert_array_equal(table[2:], fresh[2:])
    np.testing.assert_array_equal(
        table[:2], load_file(HUGGING / "bare" / "model.safetensors")["embeddings.token_type_embeddings.weight"]
    )


def test_a_head_that_computes_something_else_is_not_taken():
    notes = initialize_from(str(HUGGING / "classifier"), model(HUGGING))
    assert notes[0] == "the hugging_face head: left out, as task.model.head is model_garden"
    assert "pooler_dense/kernel: not in the checkpoint, starts fresh" in notes


def test_the_classification_pooler_starts_from_a_published_one():
    target = model(HUGGING)
    initialize_from(str(HUGGING / "bare"), target, cls_pooler=True)
    stored = load_file(HUGGING / "bare" / "model.safetensors")["pooler.weight"]
    np.testing.assert_array_equal(named_weights(target)["pooler_dense/kernel"].numpy(), stored.T)


@pytest.mark.parametrize("positions", [2048, 8192])
def test_other_positions_are_refused_with_the_fix(positions):
    message = refused(GARDEN / "bare", model(GARDEN, max_position_embeddings=positions))
    assert (
        f"(4096, 16) in the checkpoint, ({positions}, 16) in the model; set task.model.encoder.bigbird."
        "max_position_embeddings=4096 and seq_length to at most that"
    ) in message


def test_hugging_faces_config_must_be_of_the_same_arithmetic(tmp_path):
    folder = tmp_path / "bare"
    shutil.copytree(HUGGING / "bare", folder)
    config, target = json.loads((folder / "config.json").read_text()), model(HUGGING)
    for change, expected in (
        ({"num_attention_heads": 4}, "set task.model.encoder.bigbird.num_attention_heads=4"),
        ({"hidden_act": "silu"}, "hidden_act is 'silu'; only 'gelu_new' or"),
        (
            {"hidden_act": "gelu"},
            "hidden_activation is 'gelu_erf' there, 'gelu' here; set task.model.encoder.bigbird.hidden_a",
        ),
        (
            {"hidden_act": "relu"},
            "hidden_activation is 'relu' there, 'gelu' here; set task.model.encoder.bigbird.hidden_a",
        ),
        ({"rescale_embeddings": True}, "rescale_embeddings is True; only False is built here"),
        ({"layer_norm_eps": 1e-5}, "layer_norm_epsilon is 1e-05 there, 1e-12 here; set"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key'; only 'absolute' is"),
        ({"is_decoder": True}, "is_decoder is True; only False is built here"),
        (
            {"model_type": "albert"},
            "config.json: model_type is 'albert'; only big_bird, bert, roberta, xlm-roberta, camem",
        ),
        ({"model_type": ["bert"]}, "config.json: model_type is ['bert']; only big_bird"),
        ({"use_bias": False}, "use_bias is False"),
        ({"block_size": 32}, "block_size is 32 there, 64 here; set task.model.encoder.bigbird.block_size=32"),
        ({"num_random_blocks": 2}, "num_rand_blocks is 2 there, 3 here; set"),
        ({"attention_type": "original_full"}, "set task.model.encoder.bigbird.attention.implementation=dense"),
    ):
        (folder / "config.json").write_text(json.dumps(config | change))
        for path in (folder, folder / "model.safetensors"):  # the settings are beside the file too
            assert expected in refused(path, target)
    (folder / "config.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(config).encode())
    assert initialize_from(str(folder), model(HUGGING))
    for content, problem in (
        (b"{", "config.json: not valid JSON"),
        (b"[" * 100_000, "config.json: not valid JSON (maximum recursion"),
        (b"\xff", "config.json: not UTF-8 at byte 0"),
    ):
        (folder / "config.json").write_bytes(content)
        assert problem in refused(folder, target)


def test_pickles_are_never_loaded(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    (tmp_path / "config.json").write_text("{}")
    for path in (tmp_path, tmp_path / "pytorch_model.bin"):
        message = refused(path, model(HUGGING))
        assert "is a pickle, which can run any code and is never loaded" in message
        assert "safe_serialization=True" in message


def test_optimizer_slots_of_every_kind_are_skipped(tmp_path):
    reader = tf.train.load_checkpoint(str(GOOGLE / "model.ckpt-0"))
    tensors = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    query = "bert/encoder/layer_0/attention/self/query/kernel"
    tensors[query] = tensors[query].reshape(32, 2, 16)  # stored so by some releases
    for slot in ("adam_m", "adam_v", "Adafactor", "AdamWeightDecayOptimizer", "AdamWeightDecayOptimizer_1", "Adam_1"):
        tensors[f"{query}/{slot}"] = np.zeros(3, "float32")
    tensors["global_step"] = np.int64(7)
    tensors["transform/kernel"] = np.ones((32, 32), "float32")
    tensors["cls/predictions/transform/bias"] = np.ones(32, "float32")
    names = list(tensors)
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "ckpt"),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(tensors[name]) for name in names],
    )
    found, plain = read_checkpoint(str(tmp_path / "ckpt"), 2), read_checkpoint(str(GOOGLE), 2)
    assert found.left_out == []
    assert found.weights.keys() - plain.weights.keys() == {"masked_lm/dense/kernel", "masked_lm/dense/bias"}
    for name, array in plain.weights.items():
        np.testing.assert_array_equal(found.weights[name], array)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("model.safetensors", b"", "not a whole safetensors file"),
        ("model.safetensors", b"\xff" * 100, "not a whole safetensors file"),
        ("x.index", b"not an index", "not a whole TensorFlow checkpoint"),
        ("notes.txt", b"", "no checkpoint there; expected a model folder of ours"),
    ],
)
def test_broken_files_are_named(tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content)
    assert expected in refused(tmp_path, model(HUGGING))


def test_a_truncated_data_file_is_named(tmp_path):
    for file in GOOGLE.glob("model.ckpt-0.*"):
        shutil.copy(file, tmp_path)
    data = tmp_path / "model.ckpt-0.data-00000-of-00001"
    data.chmod(0o644)
    data.write_bytes(data.read_bytes()[:1000])
    assert "cannot be read; is the data file whole?" in refused(tmp_path, model(GARDEN))


def test_another_models_checkpoint_is_not_taken_for_one(tmp_path):
    save_file({"roberta.embeddings.weight": np.ones(3, "float32")}, tmp_path / "model.safetensors")
    message = refused(tmp_path / "model.safetensors", model(HUGGING))
    assert (
        "holds no encoder of a BigBird or BERT that is known here; expected roberta.embeddings.word_embeddings.weight and the like, found roberta.embeddings.weight"
        in message
    )
