"""Manifests are read and written as they are, and wrong ones are explained."""

import json

import pytest

from bigbird.manifests import (
    CheckpointState,
    ConversionManifest,
    DatasetManifest,
    EvaluationManifest,
    ModelManifest,
    Part,
    SavedModelManifest,
)
from bigbird.support.artifacts import write_json
from bigbird.support.errors import DamagedError, InputError

VOCABULARY = {"file": "vocab.model", "sha256": "ab", "size": 7, "lower_case": False}
# As an earlier version wrote it, with a family's own keys between those that every dataset has, and one of a newer version.
EARLIER = {
    "format": 1, "task": "own", "splits": {"train": {"records": 3, "files": ["a"], "longest": 9, "new": [1]}},
    "kind": "single", "window_stride": 20, "vocabulary": VOCABULARY, "labels": ["a", "naïve"], "of_a_newer_version": {"a": None},
}  # fmt: skip


def test_what_is_read_is_written_again_key_for_key(tmp_path):
    write_json(tmp_path / "dataset.json", EARLIER)
    manifest = DatasetManifest.read(tmp_path)
    assert json.dumps(manifest.to_json()) == json.dumps(EARLIER)
    assert manifest.splits["train"].records == 3
    assert (manifest["kind"], manifest.get("pairs"), "window_stride" in manifest) == ("single", None, True)
    assert manifest.facts() == {"kind": "single", "window_stride": 20, "of_a_newer_version": {"a": None}}
    # What it does not say has a default, and is not written.
    assert (manifest.splits["train"].labelled, manifest.rejected, manifest.checksums) == (True, 0, None)
    with pytest.raises(KeyError):
        manifest["rejected"]


def test_a_written_manifest_has_checksums_and_is_the_file(tmp_path):
    (tmp_path / "config.yaml").write_text("x")
    dataset = DatasetManifest.model_validate(EARLIER)
    written = ModelManifest(task="own", metrics={"f1": 0.5, "total": 3}, dataset=dataset).write(tmp_path)
    content = json.loads((tmp_path / "model.json").read_text())
    assert list(content) == ["task", "metrics", "dataset", "checksums", "format", "manifest_sha256"]
    assert json.dumps(content["dataset"]) == json.dumps(EARLIER)
    assert content["metrics"] == {"f1": 0.5, "total": 3} and isinstance(content["metrics"]["total"], int)
    assert ModelManifest.read(tmp_path) == written == content
    assert list(written.checksums) == ["config.yaml"]
    written.check_files(tmp_path)
    (tmp_path / "config.yaml").write_text("y")
    with pytest.raises(DamagedError, match=r"config\.yaml"):
        written.check_files(tmp_path)


def test_a_copy_with_other_values_is_checked():
    manifest = ModelManifest(task="a", best=None, steps=3)
    assert manifest.with_values(best="best").to_json() == {"task": "a", "best": "best", "steps": 3}
    with pytest.raises(ValueError, match="steps"):
        manifest.with_values(steps="many")


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        (DatasetManifest, {"task": 3}, "task: found 3; expected a valid string"),
        (DatasetManifest, {"splits": {"train": {"records": "7"}}}, r"splits\.train\.records: found '7'; expected a valid integer"),
        (DatasetManifest, {"splits": {"a": {"labels": {"b": True}}}}, r"splits\.a\.labels\.b: found True; expected a valid integer"),
        (DatasetManifest, {"splits": []}, r"splits: found \[\]; expected a valid dictionary"),
        (DatasetManifest, {"vocabulary": {}}, r"vocabulary\.sha256: is not there; expected: SHA-256 of its pieces"),
        (ModelManifest, {"dataset": EARLIER | {"rejected": None}}, r"dataset\.rejected: found None; expected a valid integer"),
        (EvaluationManifest, {"split": "v", "primary": {"name": "f1", "value": "high"}}, r"primary\.value: found 'high'"),
        (EvaluationManifest, {}, "split: is not there; expected: Of the dataset"),
        (SavedModelManifest, {"buckets": [64, None]}, r"buckets\.1: found None; expected a valid integer"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_its_key_and_what_was_expected(tmp_path, kind, change, message):
    start = EARLIER if kind is DatasetManifest else {"task": "own"}
    file = {"dataset": "dataset", "model": "model", "evaluation": "metrics", "saved_model": "signature"}[kind.KIND]
    write_json(tmp_path / f"{file}.json", start | change)
    with pytest.raises(InputError, match=rf"{file}\.json: {message}.*run the step that wrote it again") as refused:
        kind.read(tmp_path)
    assert len(str(refused.value)) < 1500


def test_a_conversions_manifest_is_read_by_the_key_from(tmp_path):
    said = {
        "from": "model_garden",
        "to": "bigbird",
        "weights": 3,
        "left_out": [],
        "vocabulary": {"sha256": "ab", "lower_case": None},
    }
    (tmp_path / "model.safetensors").write_bytes(b"x")
    written = ConversionManifest.model_validate(said).write(tmp_path)
    content = json.loads((tmp_path / "conversion.json").read_text())
    assert list(content) == [*said, "checksums", "format", "manifest_sha256"]
    assert {name: content[name] for name in said} == said
    assert written["from"] == ConversionManifest.read(tmp_path)["from"] == "model_garden"
    assert (written.to, written.vocabulary.lower_case) == ("bigbird", None)


def test_a_conversion_of_an_earlier_version_is_read_and_a_wrong_one_is_refused(tmp_path):
    earlier = {"format": 1, "from": "google_research", "to": "hugging_face", "weights": 39, "left_out": ["a"]}
    write_json(tmp_path / "conversion.json", earlier)
    manifest = ConversionManifest.read(tmp_path)
    assert (manifest.to_json(), manifest.vocabulary, manifest.checksums) == (earlier, None, None)
    manifest.check_files(tmp_path)
    with pytest.raises(
        InputError, match=r"conversion\.json: weights: found '7'; expected a valid integer; from: found 3; "
    ):
        ConversionManifest.checked(earlier | {"from": 3, "weights": "7"}, "conversion.json")


def test_an_evaluation_without_labels_has_no_metric_that_counts():
    manifest = EvaluationManifest(task="a", split="test", labelled=False)
    with pytest.raises(InputError, match="'test' holds no metric: the split has no labels"):
        manifest.scored()


@pytest.mark.parametrize("value", [{}, {"step": 1, "left_out": [0.5]}, {"step": 1, "best": {"step": 1}}])
def test_a_state_that_is_none_is_refused(value):
    with pytest.raises(InputError, match=r"state\.json: "):
        CheckpointState.checked(value, "state.json")


def parts(model=Part):
    return [model, *(inner for part in model.__subclasses__() for inner in parts(part))]


@pytest.mark.parametrize("model", parts(), ids=lambda model: model.__name__)
def test_every_key_is_described(model):
    assert model.__doc__
    assert [name for name, field in model.model_fields.items() if not field.description] == []
