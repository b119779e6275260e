"""The champion on other evaluation data: its exported model is asked, and scored exactly as evaluation scores."""

import json
import shutil

import numpy as np
import pytest

from bigbird.manifests import DatasetManifest
from bigbird.serving.saved_model import Predictor
from bigbird.storage import services
from bigbird.support.artifacts import read_json, write_manifest
from bigbird.support.errors import InputError, ServiceError
from bigbird.support.integrity import content
from bigbird.tasks.metrics import accuracy
from bigbird_components.register.answers import measure
from bigbird_components.register.register import register
from tests.components.register.conftest import arguments

pytestmark = pytest.mark.slow  # a fixture that its tests share takes more than 10 s


def _measured(stages):
    """(asked of the SavedModel, by the evaluation stage) of every metric of the task that both give."""
    evaluated = read_json(stages / "evaluation" / "metrics.json", "metrics")
    manifest = DatasetManifest.read(stages / "dataset")
    predictor, split = Predictor(stages / "saved_model"), evaluated["split"]
    return [
        (measure(predictor, str(stages / "dataset"), manifest, split, name), evaluated["metrics"][name])
        for name in manifest.metrics
    ]


def test_a_classifiers_answers_give_evaluations_metric(classified):
    ((asked, evaluated),) = _measured(classified)
    assert asked == evaluated


def test_a_pairs_classes_or_numbers_give_evaluations_metrics(paired):
    """Numbers differ in their last bits with the batch they are in, and hardly trained ones differ in little else."""
    measured = _measured(paired)
    assert len(measured) == 2
    for asked, evaluated in measured:
        assert asked == pytest.approx(evaluated, rel=1e-4)


def test_a_readers_answers_give_evaluations_metrics(answered):
    measured = _measured(answered)
    assert len(measured) == 2 and any(value for value, _ in measured)
    for asked, evaluated in measured:
        assert asked == evaluated


def test_the_champions_classes_are_taken_by_name(classified):
    manifest = DatasetManifest.read(classified / "dataset")
    predictor = Predictor(classified / "saved_model")
    turned = manifest.with_values(labels=["1", "0"])
    folder = str(classified / "dataset")
    assert measure(predictor, folder, turned, "validation", "accuracy") == measure(
        predictor, folder, manifest, "validation", "accuracy"
    )
    with pytest.raises(InputError, match="the model answers 0, 1; the dataset has good, bad"):
        measure(predictor, folder, manifest.with_values(labels=["good", "bad"]), "validation", "accuracy")


# --------------------------------------------------------------------------------- a champion in a bucket


@pytest.fixture
def champion(registry, classified):
    """The sentiment model, registered; its files lie in the bucket."""
    for file in (classified / "saved_model").rglob("*"):
        if file.is_file():
            name = file.relative_to(classified / "saved_model").as_posix()
            registry.objects[f"gs://bucket/champion/saved_model/{name}"] = file.read_bytes()
    registry.objects["gs://bucket/champion/saved_model/"] = b""  # as the console makes folders
    assert register(**arguments(classified, "champion"))["default"]
    return registry


@pytest.fixture
def newer(classified, tmp_path):
    """A run of the same task on the first twenty of the examples; (its arguments, the champion's accuracy on them)."""
    shutil.copytree(classified / "dataset", tmp_path / "newer" / "dataset")
    shutil.copytree(classified / "saved_model", tmp_path / "newer" / "saved_model")
    file = tmp_path / "newer" / "dataset" / "validation.examples.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)[:20]
    for number in (3, 7):  # so that the champion is wrong somewhere
        example = json.loads(lines[number])
        lines[number] = json.dumps({**example, "label": "1" if example["label"] == "0" else "0"}) + "\n"
    file.write_text("".join(lines), encoding="utf-8")
    rows = (classified / "evaluation" / "predictions.tsv").read_text(encoding="utf-8").splitlines()[1:21]
    gold = np.array([json.loads(line)["label"] for line in lines])
    expected = accuracy(gold, np.array([row.split("\t")[1] for row in rows]))
    metrics = read_json(classified / "evaluation" / "metrics.json", "metrics")
    primary = {"name": "accuracy", "value": expected + 0.05}
    (tmp_path / "newer" / "evaluation").mkdir()
    write_manifest(tmp_path / "newer" / "evaluation", "evaluation", content({**metrics, "primary": primary}))
    dataset = tmp_path / "newer" / "dataset"
    write_manifest(dataset, "dataset", content(read_json(dataset / "dataset.json", "manifest")))
    return arguments(tmp_path / "newer", "newer"), expected


def test_on_other_examples_the_champion_is_asked(champion, newer, capsys):
    given, expected = newer
    assert 0 < expected < 1
    registration = register(**{**given, "margin": 0.06})
    assert registration["champion"] == {"version": "1", "value": round(expected, 6), "found": "evaluated"}
    assert not registration["default"]
    assert "champion on validation: 20 examples" in capsys.readouterr().err
    assert register(**given)["champion"] == registration["champion"]  # the same run again, from its labels
    assert len(champion.asked("GET /download/")) == len(champion.objects) - 1


def test_a_mounted_bucket_is_read_where_it_is(champion, newer, classified, tmp_path, monkeypatch):
    given, expected = newer
    (tmp_path / "gcs/bucket/champion").mkdir(parents=True)
    (tmp_path / "gcs/bucket/champion/saved_model").symlink_to(classified / "saved_model")
    monkeypatch.setattr(services, "MOUNT", str(tmp_path / "gcs"))
    registration = register(**given)
    assert registration["champion"]["value"] == round(expected, 6) and registration["default"]
    assert not champion.asked("/storage/")


def _refused(registry, given, error=InputError):
    """The message with which a registration fails, which leaves the registry as it was."""
    with pytest.raises(error) as raised:
        register(**given)
    assert len(registry.uploads) == 1
    message = str(raised.value)
    assert "@1, the default version, cannot be compared with the new model: " in message
    assert "Nothing was registered. Give the alias `default` to a version that can be evaluated, or " in message
    return message


def test_a_champion_without_files_is_not_replaced(champion, newer):
    for address in list(champion.objects):
        if not address.endswith("/"):
            del champion.objects[address]
    message = _refused(champion, newer[0])
    assert "gs://bucket/champion/saved_model: holds no objects; it is another folder, or was deleted" in message


def test_a_champion_that_is_not_whole_is_not_replaced(champion, newer):
    address = "gs://bucket/champion/saved_model/saved_model.pb"
    champion.objects[address] = champion.objects[address][:1000]
    assert "gs://bucket/champion/saved_model: cannot be loaded (" in _refused(champion, newer[0])
    del champion.objects["gs://bucket/champion/saved_model/signature.json"]
    assert "has no signature.json" in _refused(champion, newer[0])


def test_a_champion_of_another_task_is_not_replaced(champion, newer):
    champion.models["7"][0]["labels"]["task"] = "cola"
    assert "it is a model for 'cola', the new one for 'sst2'" in _refused(champion, newer[0])
    del champion.models["7"][0]["labels"]["task"]  # somebody cleared it; the model itself says so too
    champion.objects["gs://bucket/champion/saved_model/signature.json"] = b'{"task": "rte"}'
    assert "is a model for 'rte', the new one for 'sst2'" in _refused(champion, newer[0])


def test_a_bucket_that_may_not_be_read_names_the_role(champion, newer):
    champion.trouble("GET /storage/v1/b/bucket/o$", 1, status=403)
    message = _refused(champion, newer[0], ServiceError)
    assert "gs://bucket/champion/saved_model: you may not read it" in message
    assert "roles/storage.objectViewer on gs://bucket" in message


@pytest.mark.parametrize("name", ["../evil", "assets/../../evil", "/evil", "a\\..\\evil"])
def test_an_objects_name_that_leaves_the_folder_is_not_followed(champion, newer, name):
    champion.objects[f"gs://bucket/champion/saved_model/{name}"] = b"x"
    assert "and might lead out of the folder; rename or delete the object" in _refused(champion, newer[0])


def test_a_champion_whose_recorded_value_is_no_number_is_asked(champion, classified):
    champion.models["7"][0]["labels"]["value"] = "good"
    registration = register(**arguments(classified, "second"))
    assert registration["champion"]["found"] == "evaluated"
    assert registration["champion"]["value"] == registration["metric"]["value"] and not registration["default"]
