"""Conversions between all kinds: bit-equal there and back, settings carried along."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from bigbird.checkpoints.convert import convert
from bigbird.checkpoints.names import TARGETS
from bigbird.checkpoints.native import save_best
from bigbird.checkpoints.reading import read_checkpoint
from bigbird.checkpoints.settings import from_params
from bigbird.config import load_experiment, replace
from bigbird.manifests import ConversionManifest
from bigbird.models import build_model
from bigbird.support.artifacts import write_manifest
from bigbird.support.errors import InputError
from bigbird.support.new_folders import new_folder
from bigbird_pipelines.cli import cli

RECORDINGS = Path(__file__).parent / "recordings"
SOURCES = {
    "google_research": RECORDINGS / "google_research" / "model.ckpt-0",
    "model_garden": RECORDINGS / "model_garden" / "bare",
    "hugging_face": RECORDINGS / "hugging_face" / "bare",
}


def assert_equal(a, b):
    assert a.keys() == b.keys()
    for name, array in a.items():
        np.testing.assert_array_equal(array, b[name], err_msg=name)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("through", TARGETS)
def test_a_round_trip_gives_every_bit_back(tmp_path, source, through):
    there = convert(str(SOURCES[source]), str(tmp_path / "there"), through, num_heads=2)
    assert (there.source, there.left_out, there.encoder.num_attention_heads) == (source, [], 2)
    back = convert(str(there.checkpoint), str(tmp_path / "back"), source)
    assert (back.source, back.left_out) == (through, [])
    # The Model Garden knows one rule for random blocks, and its files name none.
    rule = "model_garden" if through == "model_garden" else there.encoder.random_pattern
    assert back.encoder == replace(there.encoder, random_pattern=rule)
    original = read_checkpoint(str(SOURCES[source]), 2)
    assert back.weights == len(original.weights)
    assert_equal(read_checkpoint(str(back.checkpoint), 2).weights, original.weights)


@pytest.mark.parametrize("kind", ["model_garden", "hugging_face"])
@pytest.mark.parametrize("task", ["classifier", "span"])
def test_heads_go_where_they_mean_the_same(tmp_path, kind, task):
    source = str(RECORDINGS / kind / task)
    ours = convert(source, str(tmp_path / "ours"), "bigbird", num_heads=2)
    assert ours.left_out == []
    other = "hugging_face" if kind == "model_garden" else "model_garden"
    foreign = convert(source, str(tmp_path / "foreign"), other, num_heads=2)
    assert "logits/kernel" in foreign.left_out and not any(n.startswith("encoder/") for n in foreign.left_out)
    same = convert(source, str(tmp_path / "same"), kind, num_heads=2)
    assert same.left_out == []
    assert_equal(read_checkpoint(str(same.checkpoint), 2).weights, read_checkpoint(source, 2).weights)


def own_classifier(folder, head, pooling, kind, labels, **task):
    """A model folder of ours with fresh weights."""
    model = {"head": head, "pooling": pooling, "num_classes": len(labels) or 1}
    return own_model(folder, "classification", {"model": model, "kind": kind, "labels": labels, **task})


def own_model(folder, family, task):
    encoder = {
        "vocab_size": 60, "hidden_size": 16, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
        "max_position_embeddings": 1024,
    }  # fmt: skip
    sizes = {"task": {"model": {"encoder": {"bigbird": encoder}}}}
    lengths = {name: {"seq_length": 1024} for name in ("train_data", "validation_data")}
    experiment = load_experiment(f"bigbird/{family}", overrides=[sizes, {"task": task | lengths}])
    labels = task.get("labels")
    folder.mkdir()
    save_best(folder / "best", build_model(experiment.task), {"step": 1})
    (folder / "config.yaml").write_text(experiment.to_yaml(), encoding="utf-8")
    write_manifest(folder, "model", {"task": family, "labels": labels or None, "best": "best", "dataset": None})
    return str(folder)


@pytest.mark.parametrize(
    ("kind", "labels", "told"),
    [
        ("single", ["no", 'sí, "quoted"'], "single_label_classification"),
        ("multi", ["acq", "earn", "\u6771\u4eac"], "multi_label_classification"),
        ("number", [], "regression"),
    ],
)
def test_labels_go_along_to_hugging_face_and_through_it(tmp_path, kind, labels, told):
    source = own_classifier(tmp_path / "model", "hugging_face", "cls", kind, labels)
    done = convert(source, str(tmp_path / "theirs"), "hugging_face")
    assert done.left_out == []
    again = convert(str(done.checkpoint), str(tmp_path / "again"), "hugging_face")
    names = labels or ["number"]
    for folder in (done.checkpoint, again.checkpoint):
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        assert config["architectures"] == ["BigBirdForSequenceClassification"]
        assert config["id2label"] == {str(index): name for index, name in enumerate(names)}
        assert config["label2id"] == {name: index for index, name in enumerate(names)}
        assert config["problem_type"] == told


@pytest.mark.parametrize("to", TARGETS)
@pytest.mark.parametrize("head", ["model_garden", "hugging_face"])
@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_head_that_a_target_computes_otherwise_stays_behind(tmp_path, to, head, pooling):
    """Straight from the run, and from a conversion of it into a checkpoint of ours."""
    run = own_classifier(tmp_path / "m", head, pooling, "single", ["a", "b"])
    ours = convert(run, str(tmp_path / "ours"), "bigbird")
    assert ours.left_out == []
    assert ConversionManifest.read(tmp_path / "ours").head == {"kind": head, "pooling": pooling, "task": None}
    same = to == "bigbird" or (to == head and pooling == "cls")
    expected = [] if same else ["logits/bias", "logits/kernel", "pooler_dense/bias", "pooler_dense/kernel"]
    for name, source in (("run", run), ("conversion", str(ours.checkpoint))):
        done = convert(source, str(tmp_path / f"{name} {to}"), to)
        assert done.left_out == expected
        if to == "hugging_face":
            assert ("id2label" in json.loads((done.checkpoint / "config.json").read_text())) == same


@pytest.mark.parametrize("to", TARGETS)
def test_triviaqas_head_is_nobody_elses(tmp_path, to):
    run = own_model(tmp_path / "m", "triviaqa", {})
    ours = convert(run, str(tmp_path / "ours"), "bigbird")
    assert ConversionManifest.read(tmp_path / "ours")["head"] == {"kind": "triviaqa", "pooling": "cls", "task": None}
    for name, source in (("run", run), ("conversion", str(ours.checkpoint))):
        done = convert(source, str(tmp_path / f"{name} {to}"), to)
        assert [name for name in done.left_out if name.startswith("encoder/")] == []
        assert ("logits/kernel" in done.left_out) == ("output/kernel" in done.left_out) == (to != "bigbird")
        if to == "hugging_face":
            assert json.loads((done.checkpoint / "config.json").read_text())["architectures"] == ["BigBirdModel"]


def test_a_number_that_is_not_as_the_model_gives_it_is_said(tmp_path):
    scaled = own_classifier(tmp_path / "m", "hugging_face", "cls", "number", [], number_mean=30.5, number_deviation=4.0)
    for to in ("hugging_face", "bigbird"):
        told = [note for note in convert(scaled, str(tmp_path / to), to).notes if "the head gives" in note]
        assert told == [
            (
                f"the head gives (number - 30.5) / 4, as it was trained, which a {to} checkpoint does not say: multiply what it gives by 4 and add "
                "30.5"
            )
        ]
    assert not any("the head gives" in note for note in convert(scaled, str(tmp_path / "left"), "model_garden").notes)
    plain = own_classifier(tmp_path / "plain", "hugging_face", "cls", "number", [])
    assert not any("the head gives" in note for note in convert(plain, str(tmp_path / "0"), "hugging_face").notes)


@pytest.mark.parametrize("to", TARGETS)
def test_a_pattern_that_a_targets_own_code_has_not_is_said(tmp_path, to):
    params = tmp_path / "given.yaml"

    def notes(number, **pattern):
        params.write_text(yaml.safe_dump({"task": {"model": {"encoder": {"bigbird": pattern}}}}))
        given = {"num_heads": 2, "params": str(params)}
        return " ".join(convert(str(SOURCES["model_garden"]), str(tmp_path / str(number)), to, **given).notes)

    blocks, longer = "at lengths other than 1,024, 2,048, 3,072 and 4,096", "attends fully up to 2,048 tokens"
    own, other = ("model_garden", "google_research") if to == "model_garden" else ("google_research", "model_garden")
    assert notes(0, random_pattern=own) == ""
    assert (blocks in notes(1, random_pattern=other)) == (to in ("google_research", "hugging_face"))
    assert ("follow google-research's rule" in notes(2, random_pattern=other)) == (to == "model_garden")
    told = notes(3, random_pattern=own, full_attention_max_length=2048)
    assert (longer in told) == (to != "bigbird")
    assert "random blocks" not in notes(4, random_pattern=other, full_attention_max_length=4096)


def test_ids_of_special_pieces_are_the_sources_where_it_has_no_vocabulary(tmp_path):
    source = tmp_path / "source"
    shutil.copytree(SOURCES["hugging_face"], source)
    config = json.loads((source / "config.json").read_text())
    ids = {"pad_token_id": 3, "bos_token_id": 4, "eos_token_id": 5, "sep_token_id": 7}
    (source / "config.json").write_text(json.dumps(config | ids))
    done = convert(str(source), str(tmp_path / "out"), "hugging_face", num_heads=2)
    told = json.loads((done.checkpoint / "config.json").read_text())
    assert {key: told[key] for key in ids} == ids
    garden = convert(str(SOURCES["model_garden"]), str(tmp_path / "garden"), "hugging_face", num_heads=2)
    assert not any(key in json.loads((garden.checkpoint / "config.json").read_text()) for key in ids)


def test_sizes_and_pattern_are_carried_along(tmp_path):
    params = tmp_path / "given.yaml"
    pattern = {"block_size": 32, "num_rand_blocks": 2, "random_range": 512, "random_pattern": "google_research"}
    params.write_text(yaml.safe_dump({"task": {"model": {"encoder": {"bigbird": pattern}}}}))
    path = str(SOURCES["google_research"])
    for number, kind in enumerate(("hugging_face", "bigbird", "google_research")):
        done = convert(
            path,
            str(tmp_path / str(number)),
            kind,
            num_heads=2 if number == 0 else None,
            params=str(params) if number == 0 else None,
        )
        assert done.encoder.model_dump(include=pattern.keys()) == pattern
        assert (done.encoder.hidden_size, done.encoder.num_attention_heads) == (32, 2)
        path = str(done.checkpoint)
    config = json.loads((tmp_path / "0" / "config.json").read_text())
    assert (config["model_type"], config["num_random_blocks"], config["hidden_act"]) == ("big_bird", 2, "gelu_new")
    assert config["bigbird_pipelines"]["random_range"] == 512


def test_full_attention_is_carried_along_where_the_kind_can_say_it(tmp_path):
    params = tmp_path / "given.yaml"
    dense = {"attention": {"implementation": "dense"}}
    params.write_text(yaml.safe_dump({"task": {"model": {"encoder": {"bigbird": dense}}}}))
    path = str(SOURCES["google_research"])
    for kind in ("hugging_face", "bigbird", "hugging_face"):
        done = convert(
            path,
            str(tmp_path / f"{kind}{path == str(SOURCES['google_research'])}"),
            kind,
            num_heads=2,
            params=str(params) if path == str(SOURCES["google_research"]) else None,
        )
        assert done.encoder.attention.implementation == "dense"
        path = str(done.checkpoint)
    assert json.loads((Path(path) / "config.json").read_text())["attention_type"] == "original_full"
    result = CliRunner().invoke(cli, ["convert", path, str(tmp_path / "garden"), "--to", "model_garden"])
    assert "attends fully at every length, which a model_garden checkpoint does not say" in result.output
    sparse = convert(str(SOURCES["hugging_face"]), str(tmp_path / "sparse"), "bigbird", num_heads=2)
    assert "attention" not in (sparse.checkpoint / "params.yaml").read_text().replace("attention_", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task: 5", "p.yaml: no task.model.encoder.bigbird in it, task is 5; expected a mapping"),
        ("task: {model: {encoder: {bigbird: [1]}}}", r"no task.model.encoder.bigbird in it, bigbird is \[1\]"),
        ("[1]", "p.yaml: holds list; expected a mapping with task.model.encoder.bigbird"),
        ("task: {model: !!timestamp x}", "p.yaml:1:15: not valid YAML"),
        ("[" * 2000, "p.yaml:1:101: not valid YAML"),
    ],
)
def test_a_params_file_that_says_nothing_of_an_encoder_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        from_params(text, "p.yaml")
    assert from_params("", "p.yaml") == from_params("task: {model: {}}", "p.yaml") == {}
    read = from_params("\ufefftask: {model: {encoder: {bigbird: {num_layers: 03}}}}", "p.yaml")
    assert read == {"num_layers": 3}


def test_what_does_not_fit_is_refused(tmp_path):
    out = str(tmp_path / "out")
    with pytest.raises(InputError, match="no checkpoint there"):
        convert(str(tmp_path / "nothing"), out, "bigbird")
    with pytest.raises(InputError, match="does not have 4 attention heads: it has 2"):
        convert(str(SOURCES["model_garden"]), out, "bigbird", num_heads=4)
    with pytest.raises(InputError, match="its hidden size, 32, is not a multiple of the 5 attention heads"):
        convert(str(SOURCES["google_research"]), out, "bigbird", num_heads=5)
    with pytest.raises(InputError, match="no such file"):
        convert(str(SOURCES["google_research"]), out, "bigbird", params=str(tmp_path / "none.yaml"))
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(yaml.safe_dump({"task": {"model": {"encoder": {"bigbird": {"num_layers": 3}}}}}))
    with pytest.raises(InputError, match="num_layers is 3, the weights have 2"):
        convert(str(SOURCES["google_research"]), out, "bigbird", params=str(wrong))
    with new_folder(out) as folder:
        (folder / "mine").write_text("")
    with pytest.raises(InputError, match="already holds files"):
        convert(str(SOURCES["google_research"]), out, "bigbird", num_heads=2)
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["mine"]


def test_the_command_says_what_became_of_the_checkpoint(tmp_path):
    command = ["convert", str(RECORDINGS / "model_garden" / "classifier"), str(tmp_path / "out"), "--to"]
    done = CliRunner().invoke(cli, [*command, "hugging_face"])
    assert done.exit_code == 0, done.output
    sizes = "2 layers, hidden 16, 2 heads, 4096 positions, 16 token types, blocks of 64, 3 random ones"
    assert done.stdout.splitlines() == [
        f"{command[1]}: model_garden, {sizes}",
        *(
            f"  {name}: has no place in a hugging_face checkpoint, left out"
            for name in ("logits/bias", "logits/kernel", "pooler_dense/bias", "pooler_dense/kernel")
        ),
        (
            "  the model's random blocks follow the Model Garden's rule; Hugging Face's code takes others at lengths other than 1,024, 2,048, 3,072 "
            "and 4,096"
        ),
        f"wrote 39 weights to {tmp_path / 'out'}; use it as task.init_checkpoint={tmp_path / 'out'}",
    ]
    again = CliRunner().invoke(cli, [*command, "bigbird"])
    assert again.exit_code == 2 and "pass --overwrite" in again.stderr
    assert CliRunner().invoke(cli, [*command, "bigbird", "--overwrite"]).exit_code == 0
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "conversion.json",
        "model.safetensors",
        "params.yaml",
    ]
    manifest = ConversionManifest.read(tmp_path / "out")
    assert [manifest[key] for key in ("from", "to", "weights", "left_out")] == ["model_garden", "bigbird", 43, []]
