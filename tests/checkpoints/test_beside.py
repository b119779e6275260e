"""What lies beside weights goes with them: other settings or another vocabulary are refused, whatever the kind."""

import hashlib
import json
import re
import shutil

import keras
import pytest
import tensorflow as tf
import yaml

from bigbird.checkpoints import native
from bigbird.checkpoints.beside import check_vocabulary, head_facts, vocabulary_of
from bigbird.checkpoints.convert import convert
from bigbird.checkpoints.initialize import initialize_from
from bigbird.checkpoints.names import TARGETS
from bigbird.checkpoints.reading import read_checkpoint
from bigbird.config import AdamWConfig, OptimizerConfig, load_experiment
from bigbird.manifests import DatasetManifest
from bigbird.models import build_model
from bigbird.optimization import AdamW, build_schedule
from bigbird.support.artifacts import write_json
from bigbird.support.errors import InputError
from bigbird.text.sentence_piece import pieces_of, train_vocabulary
from bigbird.text.vocabulary import Vocabulary
from tests.vocabularies import tokenizer_json, word_piece, xlm_roberta

SIZES = {"hidden_size": 8, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 150}
PIECES = b"stands for a SentencePiece model"
SHA256 = hashlib.sha256(PIECES).hexdigest()
KEY = "task.model.encoder.bigbird"

# One change each of what decides what the weights compute, as an override.
CHANGES = {
    "hidden_activation": "relu", "layer_norm_epsilon": "1e-5", "num_attention_heads": "4", "block_size": "32", "num_rand_blocks": "2",
    "random_range": "2048", "random_pattern": "google_research", "full_attention_max_length": "1024",
    "attention.implementation": "dense",
}  # fmt: skip
# What a kind's settings have no word for.
UNSAID = {"google_research": {"attention.implementation"}, "model_garden": {*list(CHANGES)[5:]}}


def experiment(*overrides):
    tree = {"task": {"model": {"encoder": {"bigbird": SIZES}, "num_classes": 2}}}
    return load_experiment("bigbird/glue", overrides=[tree, *overrides])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A whole model folder, as a run leaves it."""
    folder = tmp_path_factory.mktemp("run") / "model"
    keras.utils.set_random_seed(0)
    model = build_model(experiment().task)
    optimizer = AdamW(build_schedule(OptimizerConfig(), 10), AdamWConfig())
    optimizer.build(model.trainable_variables)
    native.save_checkpoint(folder, model, optimizer, {"step": 3}, max_to_keep=1)
    native.save_best(folder / "best", model, {"step": 3})
    (folder / "config.yaml").write_text(experiment().to_yaml())
    (folder / "vocab.model").write_bytes(PIECES)
    stated = {"file": "vocab.model", "sha256": SHA256, "size": 150, "lower_case": True}
    write_json(folder / "model.json", {"best": "best", "dataset": {"task": "sst2", "splits": {}, "vocabulary": stated}})
    return folder


@pytest.fixture(scope="module")
def forms(run, tmp_path_factory):
    """The same weights by every name that a user may give them: {name: path}."""
    step = run / "checkpoints" / "step-00000003"
    found = {"model": run, "best": run / "best", "step": step, "file": step / "model.safetensors"}
    converted = tmp_path_factory.mktemp("converted")
    return found | {kind: convert(str(step), str(converted / kind), kind).checkpoint for kind in TARGETS}


def refusal(path, model):
    try:
        initialize_from(str(path), model)
    except InputError as error:
        return str(error)
    return ""


def test_the_same_settings_are_no_reason_to_refuse(forms):
    model = build_model(experiment().task)
    assert {name: refusal(path, model) for name, path in forms.items()} == dict.fromkeys(forms, "")


@pytest.mark.parametrize("change", CHANGES)
def test_other_settings_are_refused_with_the_override_that_mends_it(forms, change):
    override = f"{KEY}.{change}={CHANGES[change]}"
    model = build_model(experiment(override).task)
    for name, path in forms.items():
        message = refusal(path, model)
        if change in UNSAID.get(name, ()):
            assert message == ""
            continue
        assert f"{change} is " in message and len(message) < 1000
        remedy = re.search(r"set (\S+=\S+)", message)[1]
        assert experiment(override, remedy).task.encoder == experiment().task.encoder
        on_purpose = change not in ("hidden_activation", "layer_norm_epsilon", "num_attention_heads")
        assert ("bigbird convert --params" in message) == on_purpose


def test_a_pattern_that_does_not_matter_is_not_compared(run, tmp_path):
    """A model that attends fully has none; a stated full length that is the default is the default."""
    same = build_model(experiment(f"{KEY}.full_attention_max_length=704").task)
    assert refusal(run, same) == ""
    params = tmp_path / "params.yaml"
    params.write_text(
        yaml.safe_dump({"task": {"model": {"encoder": {"bigbird": {"attention": {"implementation": "dense"}}}}}})
    )
    dense = convert(str(run), str(tmp_path / "dense"), "bigbird", params=str(params)).checkpoint
    assert (
        refusal(dense, build_model(experiment(f"{KEY}.attention.implementation=dense,{KEY}.block_size=32").task)) == ""
    )
    assert "attention.implementation is 'dense' there, 'auto' here" in refusal(dense, same)


def test_another_pattern_on_purpose_is_written_first(run, tmp_path):
    params = tmp_path / "params.yaml"
    params.write_text(yaml.safe_dump({"task": {"model": {"encoder": {"bigbird": {"block_size": 32}}}}}))
    done = convert(str(run), str(tmp_path / "written"), "bigbird", params=str(params))
    assert (done.encoder.block_size, done.encoder.num_rand_blocks) == (32, 3)
    model = build_model(experiment(f"{KEY}.block_size=32").task)
    assert "block_size is 64 there" in refusal(run, model)
    assert refusal(done.checkpoint, model) == ""
    assert vocabulary_of(str(done.checkpoint)).sha256 == SHA256


def test_a_conversion_says_the_rule_that_its_source_brings_along(forms, tmp_path):
    """google-research's files say nothing of it: that is its own rule, and another may be trained on when it is said so."""
    bare = tmp_path / "published"
    bare.mkdir()
    for file in forms["google_research"].parent.glob("ckpt*"):
        shutil.copy(file, bare)
    for kind in ("bigbird", "hugging_face", "google_research"):
        made = convert(str(bare), str(tmp_path / kind), kind, num_heads=2).checkpoint
        assert refusal(made, build_model(experiment(f"{KEY}.random_pattern=google_research").task)) == ""
        other = build_model(experiment(f"{KEY}.random_pattern=model_garden").task)
        assert "random_pattern is 'google_research' there, 'model_garden' here" in refusal(made, other)
        assert refusal(bare, other) == ""


def test_folders_above_a_checkpoint_of_their_own_are_not_asked(forms, tmp_path):
    """What happens to lie above published weights, or above a conversion, is not about them."""
    other = experiment(f"{KEY}.block_size=32").to_yaml()
    (tmp_path / "config.yaml").write_text(other)
    (tmp_path / "params.yaml").write_text(other)
    (tmp_path / "vocab.model").write_bytes(b"another")
    model = build_model(experiment().task)
    for kind in TARGETS:
        shutil.copytree(forms[kind].parent if forms[kind].name == "ckpt" else forms[kind], tmp_path / kind)
        assert refusal(tmp_path / kind, model) == ""
        assert vocabulary_of(str(tmp_path / kind)).sha256 == SHA256
        for name in ("vocab.model", "conversion.json"):
            (tmp_path / kind / name).unlink()
        assert vocabulary_of(str(tmp_path / kind)) is None


def test_the_model_gardens_best_checkpoints_have_their_runs_settings(forms, tmp_path):
    best = tmp_path / "best_ckpt"
    best.mkdir()
    for file in forms["model_garden"].parent.glob("ckpt*"):
        shutil.copy(file, best)
    (tmp_path / "params.yaml").write_text(experiment(f"{KEY}.block_size=32").to_yaml())
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "ckpt-9"\n')
    assert "block_size is 32 there, 64 here" in refusal(best / "ckpt", build_model(experiment().task))


@pytest.mark.parametrize("text", ["- 1", "task: {model: {encoder: {bigbird: [1]}}}", "[" * 5000, "a: {"])
def test_settings_that_are_none_are_refused_by_name(run, tmp_path, text):
    shutil.copytree(run, tmp_path / "model")
    (tmp_path / "model" / "config.yaml").write_text(text)
    message = refusal(tmp_path / "model", build_model(experiment().task))
    assert re.search(r"config\.yaml(:\d+:\d+)?: (no task\.model\.encoder\.bigbird in it|holds|not valid YAML)", message)
    assert len(message) < 1000


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("model.json", "[]", "model.json: holds list; expected a model's manifest, a JSON object"),
        ("model.json", '{"labels": 5}', "model.json: labels"),
        ("config.yaml", "task: [1]", "config.yaml: task is [1]; expected a mapping"),
        ("config.yaml", "task: {model: x}", "config.yaml: model is 'x'; expected a mapping"),
        ("config.yaml", "task: {kind: number, number_mean: a}", "config.yaml: task.number_mean is 'a'; expected a number"),
    ],
)  # fmt: skip
def test_what_a_run_says_of_its_head_is_read_or_refused_by_name(run, tmp_path, file, text, message):
    shutil.copytree(run, tmp_path / "model")
    (tmp_path / "model" / file).write_text(text)
    with pytest.raises(InputError) as caught:
        head_facts(str(tmp_path / "model"), read_checkpoint(str(run), 2))
    assert message in str(caught.value)


def test_a_run_whose_headings_are_empty_says_nothing_of_its_head(run, tmp_path):
    shutil.copytree(run, tmp_path / "model")
    (tmp_path / "model" / "config.yaml").write_text("task:\n  model:\n")
    found = head_facts(str(tmp_path / "model"), read_checkpoint(str(run), 2))
    assert (found.labels, found.kind, found.head, found.pooling) == ((), "", "model_garden", "cls")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"1": "yes", "0": "no"}, ("no", "yes")),
        ({str(i): f"l{i}" for i in range(12)}, tuple(f"l{i}" for i in range(12))),
        ({"LABEL_0": "no"}, "id2label has the key 'LABEL_0'; expected the number of each class"),
        ({"0": "no", "": "yes"}, "id2label has the key ''; expected"),
        ({"9" * 5000: "no"}, "expected the number of each class"),
    ],
    ids=["in order", "more than ten", "names", "an empty key", "too many digits"],
)
def test_labels_of_hugging_face_are_in_the_order_of_their_numbers_or_refused(forms, tmp_path, labels, expected):
    folder = tmp_path / "theirs"
    shutil.copytree(forms["hugging_face"], folder, ignore=shutil.ignore_patterns("conversion.json"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"id2label": labels}))
    checkpoint = read_checkpoint(str(folder), 2)
    if isinstance(expected, tuple):
        assert head_facts(str(folder), checkpoint).labels == expected
        return
    with pytest.raises(InputError, match=f"theirs: config.json: .*{expected}"):
        head_facts(str(folder), checkpoint)


@pytest.mark.parametrize("shards", [{"weight_map": 5}, {}, {"weight_map": {"w": 5}}])
def test_an_index_of_shards_that_is_none_is_refused(forms, tmp_path, shards):
    folder = tmp_path / "theirs"
    shutil.copytree(forms["hugging_face"], folder)
    (folder / "model.safetensors.index.json").write_text(json.dumps(shards))
    for name in ("model.safetensors", "conversion.json"):
        (folder / name).unlink()
    with pytest.raises(InputError, match=r"index\.json: (weight_map is (5|None); expected|names 5, which)"):
        read_checkpoint(str(folder), 2)


def test_the_vocabulary_of_every_form_is_the_runs(forms):
    for name, path in forms.items():
        carried = vocabulary_of(str(path))
        assert (carried.sha256, carried.lower_case) == (SHA256, True), name
        assert carried.file.endswith("/vocab.model")


def test_an_unfinished_run_and_remote_ones_have_their_vocabulary_too(run, tmp_path):
    shutil.copytree(run, tmp_path / "model")
    (tmp_path / "model" / "model.json").unlink()
    carried = vocabulary_of(str(tmp_path / "model" / "checkpoints" / "step-00000003"))
    assert (carried.sha256, carried.lower_case) == (SHA256, None)
    for file in run.rglob("*"):
        if file.is_file():
            target = f"ram://remote/model/{file.relative_to(run)}"
            tf.io.gfile.makedirs(target.rpartition("/")[0])
            tf.io.gfile.copy(str(file), target, overwrite=True)
    assert vocabulary_of("ram://remote/model/best").file == "ram://remote/model/vocab.model"
    other = build_model(experiment(f"{KEY}.block_size=32").task)
    assert "ram://remote/model/config.yaml" in refusal("ram://remote/model/best", other)


def test_a_vocabulary_whose_file_is_gone_or_exchanged_is_known_by_its_digest(run, tmp_path):
    shutil.copytree(run, tmp_path / "model")
    (tmp_path / "model" / "vocab.model").unlink()
    carried = vocabulary_of(str(tmp_path / "model"))
    assert (carried.file, carried.sha256) == ("", SHA256)
    (tmp_path / "model" / "vocab.model").write_bytes(b"another")
    with pytest.raises(InputError, match=f"is not the vocabulary that the weights were trained with; .*{SHA256}"):
        vocabulary_of(str(tmp_path / "model"))


@pytest.mark.parametrize("manifest", [{}, {"dataset": None}, {"dataset": {"vocabulary": "x"}}, {"dataset": []}])
def test_manifests_that_say_nothing_of_a_vocabulary_are_no_mistake(tmp_path, manifest):
    write_json(tmp_path / "model.json", manifest)
    assert vocabulary_of(str(tmp_path)) is None


def test_a_datasets_vocabulary_is_held_against_the_checkpoints(run, forms, tmp_path):
    manifest = DatasetManifest.model_validate(json.loads((run / "model.json").read_text())["dataset"])

    def dataset(**changes):
        return manifest.with_values(vocabulary=manifest.vocabulary.to_json() | changes)

    for path in map(str, forms.values()):
        assert check_vocabulary(path, manifest) == []
        assert check_vocabulary(path, None) == [
            "the records carry no vocabulary: whether it is the checkpoint's cannot be compared"
        ]
        with pytest.raises(InputError, match=f"SHA-256 {SHA256} in .*, 77 in the dataset of task sst2.*--vocabulary "):
            check_vocabulary(path, dataset(sha256="77"))
        with pytest.raises(InputError, match="preprocess with --lower-case"):
            check_vocabulary(path, dataset(lower_case=False))
    (tmp_path / "model.ckpt-0.index").touch()
    assert check_vocabulary(str(tmp_path / "model.ckpt-0"), manifest) == [
        "the checkpoint carries no vocabulary: whether it is the records' cannot be compared"
    ]


def test_a_sentence_piece_model_goes_to_hugging_face_by_its_names(run, tmp_path):
    """With the pieces that it has: others would be added, with ids above the last row of the embeddings."""
    trained = train_vocabulary(["ant bee cat dog"] * 50, 40)
    vocabulary = Vocabulary(trained)
    source = tmp_path / "source"
    convert(str(run), str(source), "hugging_face")
    (source / "conversion.json").unlink()
    (source / "vocab.model").write_bytes(trained)
    there = convert(str(source), str(tmp_path / "there"), "hugging_face").checkpoint
    assert (there / "spiece.model").read_bytes() == trained
    told = json.loads((there / "tokenizer_config.json").read_text())
    assert told.pop("tokenizer_class") == "BigBirdTokenizer"
    pieces = pieces_of(trained)
    assert {key: pieces.index(piece) for key, piece in told.items()} == {
        "pad_token": vocabulary.pad_id, "unk_token": vocabulary.unk_id, "cls_token": vocabulary.cls_id,
        "sep_token": vocabulary.sep_id, "mask_token": vocabulary.mask_id, "bos_token": pieces.index(told["bos_token"]),
        "eos_token": pieces.index(told["eos_token"]),
    }  # fmt: skip
    config = json.loads((there / "config.json").read_text())
    for name in ("pad", "bos", "eos", "sep"):
        assert config[f"{name}_token_id"] == pieces.index(told[f"{name}_token"])
    back = convert(str(there), str(tmp_path / "back"), "bigbird").checkpoint
    assert Vocabulary(back).sha256 == vocabulary.sha256 == vocabulary_of(str(there)).sha256


@pytest.mark.parametrize(
    ("vocabulary", "file", "told"),
    [
        (lambda: train_vocabulary(["ant bee cat dog"] * 50, 40), "vocab.model", True),
        (xlm_roberta, "sentencepiece.bpe.model", True),
        (word_piece, "vocab.txt", False),
    ],
)
def test_lower_case_that_hugging_faces_tokenizer_does_not_do_is_said(run, tmp_path, vocabulary, file, told):
    source, content = tmp_path / "source", vocabulary()
    convert(str(run), str(source), "hugging_face")
    for name in ("vocab.model", "conversion.json", "spiece.model", "tokenizer_config.json"):
        (source / name).unlink(missing_ok=True)
    (source / file).write_bytes(content)
    stated = {"sha256": Vocabulary(source).sha256, "lower_case": True}
    write_json(
        source / "conversion.json", {"from": "bigbird", "to": "hugging_face", "weights": 1, "vocabulary": stated}
    )
    for to in TARGETS:
        notes = convert(str(source), str(tmp_path / to), to).notes
        assert any("give it lower-cased text" in note for note in notes) == (told and to == "hugging_face")


def test_ids_of_special_pieces_are_the_vocabularys(run, tmp_path):
    for file, content in (("sentencepiece.bpe.model", xlm_roberta()), ("vocab.txt", word_piece())):
        source = tmp_path / file
        convert(str(run), str(source), "hugging_face")
        for name in ("vocab.model", "conversion.json", "spiece.model", "tokenizer_config.json"):
            (source / name).unlink(missing_ok=True)
        (source / file).write_bytes(content)
        vocabulary = Vocabulary(source)
        done = convert(str(source), str(tmp_path / f"{file} out"), "hugging_face").checkpoint
        config = json.loads((done / "config.json").read_text())
        assert {name: config[f"{name}_token_id"] for name in ("pad", "bos", "eos", "sep")} == {
            "pad": vocabulary.pad_id,
            "bos": vocabulary.cls_id,
            "eos": vocabulary.sep_id,
            "sep": vocabulary.sep_id,
        }


@pytest.mark.parametrize(
    ("files", "kind", "lower_case"),
    [
        ({"vocab.txt": word_piece()}, "wordpiece", True),
        ({"vocab.txt": word_piece(), "tokenizer_config.json": b'{"do_lower_case": false}'}, "wordpiece", False),
        ({"tokenizer.json": tokenizer_json(word_piece())}, "wordpiece", True),
        (
            {"sentencepiece.bpe.model": xlm_roberta(), "tokenizer.json": b'{"model": {"type": "Unigram"}}'},
            "xlm_roberta",
            None,
        ),
    ],
)
def test_a_vocabulary_of_hugging_face_beside_weights_goes_with_every_conversion(run, tmp_path, files, kind, lower_case):
    source = tmp_path / "source"
    convert(str(run), str(source), "hugging_face")
    for name in ("vocab.model", "spiece.model", "tokenizer_config.json", "conversion.json"):
        (source / name).unlink()
    for name, content in files.items():
        (source / name).write_bytes(content)
    carried, expected = vocabulary_of(str(source)), Vocabulary(source)
    assert (carried.sha256, carried.lower_case) == (expected.sha256, lower_case)
    assert carried.own_lower_case == bool(lower_case) == expected.lower_case
    for target in TARGETS:
        vocabulary_of_target = vocabulary_of(str(convert(str(source), str(tmp_path / target), target).checkpoint))
        found = Vocabulary(tmp_path / target)
        assert (found.kind, found.sha256, found.lower_case) == (kind, expected.sha256, expected.lower_case)
        assert vocabulary_of_target.sha256 == expected.sha256
    names = {file.name for file in (tmp_path / "hugging_face").iterdir()}
    wanted = {
        "wordpiece": {"tokenizer.json", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json"},
        "xlm_roberta": {"sentencepiece.bpe.model", "tokenizer_config.json"},
    }
    assert wanted[kind] <= names and "vocab.model" not in names


def test_a_vocabulary_that_is_not_built_is_named_and_the_weights_are_read_without_it(run, tmp_path, caplog):
    convert(str(run), str(tmp_path / "source"), "hugging_face")
    for name in ("vocab.model", "conversion.json"):
        (tmp_path / "source" / name).unlink()
    (tmp_path / "source" / "tokenizer.json").write_text('{"model": {"type": "BPE"}}')
    assert vocabulary_of(str(tmp_path / "source")) is None
    assert "byte-level BPE vocabulary" in caplog.text
    assert convert(str(tmp_path / "source"), str(tmp_path / "done"), "bigbird").weights
