"""Checkpoints that are damaged, incomplete or not what their files say: refused alike by a conversion and by a run, before any work."""

import json
import os
import shutil
import stat
import tempfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file, save_file

from bigbird.checkpoints import native
from bigbird.checkpoints.convert import convert
from bigbird.checkpoints.encoders import read_with_encoder, start_from
from bigbird.checkpoints.reading import read_checkpoint
from bigbird.config import load_experiment
from bigbird.support.errors import InputError
from bigbird_pipelines.cli import cli
from tests.vocabularies import word_piece
from tests.weights import SAMPLE, encoder_arrays

BERT = Path(__file__).parent / "recordings" / "hugging_face_bert" / "bare"
ROBERTA = Path(__file__).parent / "recordings" / "hugging_face_roberta" / "bare"
WORDS = "embeddings.word_embeddings.weight"
QUERY = "encoder.layer.1.attention.self.query"


def task(**encoder):
    tree = {"model": {"encoder": {"bigbird": encoder}, "num_classes": 2}}
    tree |= {"train_data": {"seq_length": 128}, "validation_data": {"seq_length": 128}}
    return load_experiment("bigbird/glue", overrides=[{"task": tree}]).task


def copied(folder, source=BERT):
    return Path(shutil.copytree(source, folder))


def with_arrays(folder, change, source=BERT):
    """A copy of a checkpoint whose arrays are changed: `change` is given them by name, and may give others."""
    copied(folder, source)
    arrays = load_file(folder / "model.safetensors")
    arrays = change(arrays) or arrays
    save_file(arrays, folder / "model.safetensors")
    return folder


def with_config(folder, source=BERT, **changes):
    """A copy of a checkpoint with other values in its config.json; `...` takes a key out."""
    copied(folder, source)
    config = json.loads((folder / "config.json").read_text()) | changes
    config = {key: value for key, value in config.items() if value is not ...}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def refused_by_both(path):
    """The message with which a conversion and a run refuse a checkpoint; nothing is written."""
    target = Path(path).parent / "converted"
    with pytest.raises(InputError) as by_conversion:
        convert(str(path), str(target), "bigbird")
    with pytest.raises(InputError) as by_run:
        start_from(str(path), task())
    assert str(by_conversion.value) == str(by_run.value)
    assert not target.exists()
    return str(by_run.value)


# ------------------------------------------------------------------------------------------------- config.json


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"num_attention_heads": 0}, "num_attention_heads: found 0; expected"),
        ({"num_attention_heads": "2"}, "num_attention_heads: found '2'; expected"),
        ({"num_attention_heads": None}, "num_attention_heads: found None; expected"),
        ({"num_attention_heads": True}, "num_attention_heads: found True; expected"),
        ({"num_attention_heads": 2.0}, "num_attention_heads: found 2.0; expected"),
        ({"num_attention_heads": 3}, "its hidden size, 16, is not a multiple of the 3 attention heads that config.json says"),
        ({"num_attention_heads": ...}, "is not a multiple of the 12 attention heads"),  # Hugging Face's own default
        ({"hidden_size": "16"}, "hidden_size: found '16'; expected"),
        ({"hidden_size": 32}, "(config.json) are not these weights': hidden_size is 32, the weights have 16"),
        ({"num_hidden_layers": 12}, "num_hidden_layers is 12, the weights have 2"),
        ({"vocab_size": 30522}, "vocab_size is 30522, the weights have 40"),
        ({"layer_norm_eps": "1e-12"}, "layer_norm_eps: found '1e-12'; expected"),
        ({"layer_norm_eps": 0}, "layer_norm_eps: found 0; expected greater than 0"),
        ({"hidden_dropout_prob": 1.5}, "hidden_dropout_prob: found 1.5; expected less than 1"),
        ({"max_position_embeddings": [64]}, "max_position_embeddings: found [64]; expected"),
        ({"hidden_act": "swish"}, "hidden_act is 'swish'; only"),
        ({"model_type": "deberta"}, "model_type is 'deberta'; only"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_or_are_of_other_weights_are_named(tmp_path, changes, told):
    message = refused_by_both(with_config(tmp_path / "bert", **changes))
    assert "config.json" in message or "attention heads" in message
    assert told in message


@pytest.mark.parametrize(
    ("padding", "told"),
    [(600, "pad_token_id is 600, but the table of positions"), (-3, "pad_token_id is -3; expected")],
)
def test_robertas_first_position_must_be_in_its_table(tmp_path, padding, told):
    assert f"config.json: {told}" in refused_by_both(with_config(tmp_path / "roberta", ROBERTA, pad_token_id=padding))


def test_the_number_of_heads_is_never_guessed_of_hugging_faces_weights(tmp_path):
    folder = copied(tmp_path / "bert")
    (folder / "config.json").unlink()
    assert "nothing beside it says how many attention heads" in refused_by_both(folder)
    assert "--heads" in refused_by_both(folder)
    given, expected = read_with_encoder(str(folder), num_heads=2), read_with_encoder(str(BERT))
    assert given[1].num_attention_heads == expected[1].num_attention_heads == 2
    for name, array in expected[0].weights.items():
        np.testing.assert_array_equal(given[0].weights[name], array, err_msg=name)
    (note,) = [note for note in given[0].notes if note.startswith("not said beside the weights")]
    assert "activation gelu_erf" in note
    said = read_with_encoder(str(folder), num_heads=2, given={"hidden_activation": "relu", "layer_norm_epsilon": 1e-6})[
        0
    ]
    assert not [note for note in said.notes if note.startswith("not said")]
    checkpoint, filled = start_from(str(folder), task(num_attention_heads=2))
    assert filled.encoder.num_attention_heads == 2
    assert checkpoint.weights["encoder/layer_0/attention/query/kernel"].shape == (16, 2, 8)


def test_a_number_of_heads_against_what_the_checkpoint_says_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"does not have 4 attention heads: config\.json: num_attention_heads is 2"):
        convert(str(BERT), str(tmp_path / "out"), "bigbird", num_heads=4)


@pytest.mark.parametrize(
    ("size", "value"), [("hidden_size", 24), ("num_layers", 3), ("vocab_size", 10), ("num_attention_heads", 4)]
)
def test_a_runs_own_sizes_are_held_against_the_weights(size, value):
    with pytest.raises(
        InputError,
        match=rf"bigbird\.{size} is {value}, the weights have \d+.*\n.*or take a recipe that leaves them open",
    ):
        start_from(str(BERT), task(**{size: value}))


def test_weights_of_ours_without_their_settings_say_what_they_are_taken_for(tmp_path):
    save_file(encoder_arrays(**SAMPLE), tmp_path / "model.safetensors")
    notes = read_with_encoder(str(tmp_path))[0].notes
    assert notes == [
        "not said beside the weights, and taken as usual: activation gelu, layer norm's epsilon 1e-12, tokens of a block 64, random blocks 3"
    ]


def test_a_configuration_that_lies_beside_a_bert_by_chance_is_not_read(tmp_path):
    folder = copied(tmp_path / "bert")
    (folder / "config.yaml").write_text("task: ner\n")
    assert read_with_encoder(str(folder))[1] == read_with_encoder(str(BERT))[1]


# ----------------------------------------------------------------------------------------------------- weights


def squeezed(name):
    def change(arrays):
        arrays[name] = arrays[name].reshape(-1)

    return change


def cut(name, rows):
    def change(arrays):
        arrays[name] = arrays[name][:rows]

    return change


def cast(dtype):
    return lambda arrays: {name: array.astype(dtype) for name, array in arrays.items()}


def set_first(value):
    def change(arrays):
        arrays[WORDS][0, 0] = value

    return change


def renumbered(arrays):
    return {name.replace("layer.1.", "layer.2."): array for name, array in arrays.items()}


def without(name):
    return lambda arrays: {key: array for key, array in arrays.items() if key != name}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (cut(f"{QUERY}.weight", 8), "encoder/layer_1/attention/query/kernel: (16, 2, 4), expected (16, 2, 8)"),
        (cut(f"{QUERY}.bias", 8), "encoder/layer_1/attention/query/bias: (2, 4), expected (2, 8)"),
        (cut("encoder.layer.0.output.LayerNorm.bias", 3), "encoder/layer_0/output_layer_norm/beta: (3,), expected (16,)"),
        (cut("encoder.layer.1.intermediate.dense.bias", 3), "encoder/layer_1/intermediate/bias: (3,), expected (32,)"),
        (squeezed("encoder.layer.0.intermediate.dense.weight"), "encoder/layer_0/intermediate/kernel: (512,), expected (16, 32)"),
        (squeezed(WORDS), "encoder/embeddings/word/embeddings has the shape (640,); expected tables"),
        (squeezed("embeddings.position_embeddings.weight"), "encoder/embeddings/position/embeddings has the shape"),
        (without("encoder.layer.1.output.dense.bias"), "lacks encoder/layer_1/output/bias; expected all weights"),
        (without(WORDS), "lacks encoder/embeddings/word/embeddings"),
        (lambda arrays: arrays | {f"encoder.layer.{'9' * 5000}.x": arrays[WORDS]} | {WORDS: arrays[WORDS] * np.nan}, "values are infinite"),
        (renumbered, "holds layer 2, counted from 0, but no layer 1"),
        (cast(np.int8), "is of int8; expected floating-point weights"),
        (set_first(np.nan), "encoder/embeddings/word/embeddings: 1 of its 640 values are infinite or not numbers"),
        (set_first(np.inf), "1 of its 640 values are infinite or not numbers"),
    ],
)  # fmt: skip
def test_weights_that_do_not_fit_each_other_or_are_no_numbers_are_named(tmp_path, change, told):
    assert told in refused_by_both(with_arrays(tmp_path / "bert", change))


def test_a_heads_bias_must_fit_its_kernel(tmp_path):
    source = BERT.parent / "classifier"
    assert "logits/bias: (2,), expected (3,)" in refused_by_both(
        with_arrays(tmp_path / "bert", cut("classifier.bias", 2), source)
    )


@pytest.mark.parametrize("prefix", ["module.", "model.", "encoder.", "0.auto_model.", "module.bert."])
def test_what_a_larger_model_puts_before_the_names_is_taken_off(tmp_path, prefix):
    folder = with_arrays(tmp_path / "bert", lambda arrays: {f"{prefix}{name}": array for name, array in arrays.items()})
    checkpoint, encoder = read_with_encoder(str(folder))
    expected, same = read_with_encoder(str(BERT))
    assert encoder == same and checkpoint.weights.keys() == expected.weights.keys()
    for name, array in expected.weights.items():
        np.testing.assert_array_equal(checkpoint.weights[name], array, err_msg=name)
    assert checkpoint.notes[0] == f"{prefix.removesuffix('bert.')} before the names of weights: taken off"


def test_two_berts_in_one_file_are_not_taken_for_one(tmp_path):
    def two(arrays):
        return {f"{one}.{name}": array for name, array in arrays.items() for one in ("question", "context")}

    message = refused_by_both(with_arrays(tmp_path / "bert", two))
    assert "holds no encoder" in message and "expected bert.embeddings.word_embeddings.weight" in message


@pytest.mark.parametrize(("dtype", "rounds"), [("float16", False), ("float64", True)])
def test_other_floating_point_weights_become_float32_and_rounding_is_said(tmp_path, dtype, rounds):
    folder = with_arrays(tmp_path / "bert", cast(dtype))
    notes = convert(str(folder), str(tmp_path / "out"), "bigbird").notes
    assert ("weights of float64: rounded to float32" in notes) == rounds
    written = load_file(tmp_path / "out" / "model.safetensors")
    original = load_file(folder / "model.safetensors")[WORDS]
    np.testing.assert_array_equal(written["encoder/embeddings/word/embeddings"], original.astype("float32"))


# ------------------------------------------------------------------------------------------------------- files


def lfs_pointer(folder):
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")


def half(folder):
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])


def folder_for_weights(folder):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").mkdir()


def folder_for_config(folder):
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()


def dangling_config(folder):
    (folder / "config.json").unlink()
    (folder / "config.json").symlink_to("nowhere")


def pickled(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def other_name(folder):
    (folder / "model.safetensors").rename(folder / "bert.safetensors")


def parts_without_index(folder):
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")


def one_below(folder):
    (folder / "0_Transformer").mkdir()
    for name in ("model.safetensors", "config.json"):
        (folder / name).rename(folder / "0_Transformer" / name)


def adapter(folder):
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lfs_pointer, "model.safetensors: is what Git LFS keeps in the place of a file; get the file itself: git lfs pull"),
        (half, "bytes); download or copy it again"),
        (folder_for_weights, "model.safetensors: cannot be read (Is a directory)"),
        (folder_for_config, "config.json: cannot be read (Is a directory)"),
        (dangling_config, "config.json: cannot be read (No such file or directory)"),
        (pickled, "pytorch_model.bin: is a pickle, which can run any code and is never loaded"),
        (other_name, "Give the file, if it is meant: {folder}/bert.safetensors"),
        (parts_without_index, "These parts of a model need model.safetensors.index.json"),
        (one_below, "Give the folder in it, if it is meant: {folder}/0_Transformer"),
        (adapter, "is an adapter and no whole model: merge it into its model"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_read_are_named_with_what_to_do(tmp_path, change, told):
    folder = copied(tmp_path / "bert")
    change(folder)
    assert told.format(folder=folder) in refused_by_both(folder)


def test_a_file_that_may_not_be_read_is_not_called_absent():
    """Root, who may read every file, is somebody else meanwhile."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for file in ("model.safetensors", "config.json"):
            shutil.copy(BERT / file, folder / file)
        user = os.geteuid()
        for file in ("model.safetensors", "config.json"):
            (folder / file).chmod(0)
            os.seteuid(user or 65534)
            try:
                with pytest.raises(InputError, match=rf"{file}: cannot be read \(Permission denied\)"):
                    read_checkpoint(str(folder), 1)
            finally:
                os.seteuid(user)
            (folder / file).chmod(0o644)


def test_the_command_for_a_pickle_writes_what_it_says_and_quotes_its_paths(tmp_path):
    """Run as far as Python's parser, with the arguments as a shell splits them: transformers is no dependency."""
    import ast
    import shlex

    folder = copied(tmp_path / "it's my bert")
    pickled(folder)
    python, flag, code = shlex.split(refused_by_both(folder).splitlines()[-1])
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    paths = {arg.value for node in calls for arg in node.args if isinstance(arg, ast.Constant)} - {0}
    assert (python, flag) == ("python", "-c") and paths == {str(folder), f"{folder}-safetensors"}


@pytest.mark.parametrize("path", ["bert-base-uncased", "google/bigbird-roberta-base"])
def test_a_hubs_name_is_said_not_to_be_enough(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="The name of a model on a hub is not enough, as nothing is downloaded"):
        start_from(path, task())


def test_an_address_of_no_known_service_is_refused_without_a_traceback(tmp_path):
    done = CliRunner().invoke(cli, ["convert", "https://example.com/bert", str(tmp_path / "out"), "--to", "bigbird"])
    assert done.exit_code == 2
    assert "cannot be reached from here; expected a path of this machine, gs://" in done.stderr


def shards(folder):
    """Splits a checkpoint's file in two, with their index."""
    arrays = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(arrays)
    parts = {"model-00001-of-00002.safetensors": names[:5], "model-00002-of-00002.safetensors": names[5:]}
    for file, part in parts.items():
        save_file({name: arrays[name] for name in part}, folder / file)
    index = {"weight_map": {name: file for file, part in parts.items() for name in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def test_a_part_of_a_model_is_told_and_its_index_may_be_named(tmp_path):
    folder = copied(tmp_path / "bert")
    shards(folder)
    assert "is one of several files that hold a model; give their folder" in refused_by_both(
        folder / "model-00001-of-00002.safetensors"
    )
    whole = read_with_encoder(str(folder / "model.safetensors.index.json"))[0]
    assert whole.weights.keys() == read_with_encoder(str(BERT))[0].weights.keys()


def test_a_single_part_is_a_whole_model_and_an_index_may_be_named_without_a_folder(tmp_path, monkeypatch):
    folder = copied(tmp_path / "bert")
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    assert read_with_encoder(str(folder / "model-00001-of-00001.safetensors"))[1].num_layers == 2
    folder = copied(tmp_path / "parts")
    shards(folder)
    monkeypatch.chdir(folder)
    assert read_with_encoder("model.safetensors.index.json")[1].num_layers == 2


def test_the_one_file_goes_before_the_parts_as_in_transformers(tmp_path):
    folder = copied(tmp_path / "bert")
    shards(folder)
    arrays = load_file(BERT / "model.safetensors")
    arrays[WORDS] = arrays[WORDS] + 1
    save_file(arrays, folder / "model.safetensors")
    found = read_with_encoder(str(folder))[0].weights["encoder/embeddings/word/embeddings"]
    np.testing.assert_array_equal(found, arrays[WORDS])


def test_weights_are_written_with_the_rights_of_other_files(tmp_path):
    before = os.umask(0o027)
    try:
        convert(str(BERT), str(tmp_path / "out"), "bigbird")
        native.write_arrays(tmp_path / "own.safetensors", {"a": np.zeros(1, "float32")})
    finally:
        os.umask(before)
    for file in (*(tmp_path / "out").iterdir(), tmp_path / "own.safetensors"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o640, file


# ------------------------------------------------------------------------------------- --params, --max-length


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("num_attention_heads: 8", "holds no task.model.encoder.bigbird"),
        ("bigbird: {num_attention_heads: 8}", "holds no task.model.encoder.bigbird"),
        ("task: {model: {encoder: {bigbird: {num_heads: 8}}}}", "task.model.encoder.bigbird.num_heads: unknown key"),
        ("task: {model: {encoder: {bigbird: {type_vocab_size: many}}}}", "bigbird.type_vocab_size: found 'many'; expected"),
        ("task: {model: {encoder: {bigbird: {max_position_embeddings: -4}}}}", "bigbird.max_position_embeddings: found -4"),
    ],
)  # fmt: skip
def test_a_file_of_params_that_says_nothing_or_nonsense_is_refused(tmp_path, text, told):
    (tmp_path / "given.yaml").write_text(text)
    with pytest.raises(InputError, match=r"--params .*given\.yaml: ") as refused:
        convert(str(BERT), str(tmp_path / "out"), "bigbird", params=str(tmp_path / "given.yaml"))
    assert told in str(refused.value)


def converted(tmp_path, text, source=BERT, **options):
    (tmp_path / "given.yaml").write_text(f"task: {{model: {{encoder: {{bigbird: {text}}}}}}}")
    return convert(str(source), str(tmp_path / "out"), "bigbird", params=str(tmp_path / "given.yaml"), **options)


def test_values_of_params_are_of_their_types_and_what_only_the_model_garden_knows_is_passed_over(tmp_path):
    text = '{num_attention_heads: "4", max_position_embeddings: 128.0, norm_first: false, embedding_width: null}'
    encoder = converted(tmp_path, text).encoder
    assert (encoder.num_attention_heads, encoder.max_position_embeddings) == (4, 128)


@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        ("{type_vocab_size: 16}", {}, "type_vocab_size is 16, the weights have 2"),
        ("{num_layers: 3}", {}, r"settings \(as given\) are not these weights': num_layers is 3"),
        ("{max_position_embeddings: 256}", {"max_length": 512}, "max_position_embeddings is 256, the weights have 512"),
        ("{num_attention_heads: 7}", {}, "hidden size, 16, is not a multiple of the 7 attention heads"),
        ("{num_attention_heads: 4}", {"num_heads": 8}, "does not have 8 attention heads: as given: num_attention_heads is 4"),
    ],
)  # fmt: skip
def test_params_that_are_not_the_weights_are_refused_by_their_own_names(tmp_path, text, options, told):
    with pytest.raises(InputError, match=told):
        converted(tmp_path, text, **options)


def test_settings_of_ours_with_values_that_cannot_be_are_named(tmp_path):
    save_file(encoder_arrays(**SAMPLE), tmp_path / "model.safetensors")
    (tmp_path / "params.yaml").write_text(
        "task: {model: {encoder: {bigbird: {num_attention_heads: abc, block_size: -4}}}}"
    )
    message = refused_by_both(tmp_path)
    assert "params.yaml: " in message
    assert "bigbird.num_attention_heads: found 'abc'" in message and "bigbird.block_size: found -4" in message


def test_an_absurd_length_is_refused_as_an_option(tmp_path):
    command = ["convert", str(BERT), str(tmp_path / "out"), "--to", "bigbird", "--max-length", "100000000000"]
    done = CliRunner().invoke(cli, command)
    assert done.exit_code == 2 and "--max-length" in done.stderr


# --------------------------------------------------------------------------------------------------- vocabulary


def test_a_vocabulary_larger_than_the_table_of_words_is_another_models(tmp_path):
    folder = copied(tmp_path / "bert")
    (folder / "vocab.txt").write_bytes(word_piece())
    with pytest.raises(InputError, match=r"vocab\.txt: has \d+ pieces, and the weights beside it 40 rows"):
        convert(str(folder), str(tmp_path / "out"), "bigbird")


def test_rows_without_a_piece_and_a_missing_vocabulary_are_told(tmp_path, caplog):
    pieces = len(word_piece().splitlines())
    folder = with_arrays(tmp_path / "bert", lambda arrays: arrays | {WORDS: np.zeros((pieces + 3, 16), "float32")})
    config = json.loads((folder / "config.json").read_text()) | {"vocab_size": pieces + 3}
    (folder / "config.json").write_text(json.dumps(config))
    notes = convert(str(folder), str(tmp_path / "none"), "bigbird").notes
    assert any(note.startswith("no vocabulary is written, as none of a kind that is read lies") for note in notes)
    (folder / "vocab.txt").write_bytes(word_piece())
    notes = convert(str(folder), str(tmp_path / "there"), "bigbird").notes
    assert f"{folder}/vocab.txt: has {pieces} pieces; the other 3 rows of word embeddings are unused" in notes
    (folder / "vocab.txt").unlink()
    for name in ("vocab.json", "merges.txt"):
        (folder / name).write_text("{}")
    convert(str(folder), str(tmp_path / "bytes"), "bigbird")
    assert "is a byte-level BPE vocabulary" in caplog.text


def test_paths_in_what_to_do_next_are_quoted(tmp_path):
    done = CliRunner().invoke(
        cli, ["convert", str(BERT), str(tmp_path / "my bert"), "--to", "bigbird", "--max-length", "2048"]
    )
    assert done.exit_code == 0, done.output
    assert done.stdout.count(f"task.init_checkpoint='{tmp_path / 'my bert'}'") == 2
