"""Evaluation of a user's own documents: intervals, simpler models and shorter lengths, in metrics.json, report and command."""

import html
import json
import random
import re

import pytest
import yaml
from click.testing import CliRunner

from bigbird.manifests import DatasetManifest, ModelManifest
from bigbird.support.artifacts import write_json
from bigbird.support.errors import InputError
from bigbird.support.progress import format_duration
from bigbird.tasks.classification.encoding import Layout, encode_documents
from bigbird.tasks.classification.family import FAMILY
from bigbird.tasks.registry import families
from bigbird.tasks.statistics import Statistics
from bigbird_components.evaluate.__main__ import main
from bigbird_components.evaluate.evaluate import check_compatible, evaluate
from bigbird_components.evaluate.lengths import check_can_be_cut, check_lengths
from tests import manifests
from tests.components.evaluate.conftest import _ENCODER, _manifest, _sentence, _write_split

LABELS = {"single": ["calm", "storm", "sun"], "multi": ["calm", "storm", "sun"], "number": None}


def lines_of(kind, count, seed):
    """Documents of 3 to 100 words; the label is named among the words, so that TF-IDF finds it."""
    rng = random.Random(seed)
    lines = []
    for i in range(count):
        words = _sentence(rng, rng.randint(2, 100)).split()
        label = {
            "single": LABELS["single"][i % 3],
            "multi": [name for name in LABELS["single"] if rng.random() < 0.4],
            "number": float(len(words)),
        }[kind]
        told = [label] if kind == "single" else label if kind == "multi" else []
        text = " ".join([*words, *told])
        place = {"name": f"{seed}-{i}", "file": "table.csv", "line": i + 2}
        lines.append({"id": i, **place, "text_a": text, "text_b": None, "label": label})
    return lines


def write_dataset(folder, vocabulary, kind, *, max_length=64, long_documents="head", unlabelled=()):
    folder.mkdir()
    layout = Layout(max_length, long_documents, 48)
    label_ids = {label: i for i, label in enumerate(LABELS[kind] or ())}
    splits = {}
    for seed, (split, count) in enumerate({"train": 60, "validation": 30}.items()):
        lines = lines_of(kind, count, seed)
        if split in unlabelled:
            lines = [line | {"label": None} for line in lines]
        records = list(encode_documents(lines, layout, label_ids, vocabulary, Statistics()))
        splits[split] = _write_split(folder, split, records, lines) | {"labelled": split not in unlabelled}
    more = {
        "experiment_type": "bigbird/classification",
        "labels": LABELS[kind],
        "metrics": [],
        "kind": kind,
        "pairs": False,
        "numbers": {"mean": 50.0, "deviation": 30.0} if kind == "number" else None,
        "long_documents": long_documents,
        "window_stride": 48,
    }
    return _manifest(folder, vocabulary, "classification", splits, **more | {"max_length": max_length})


def write_model(folder, dataset, decisions=None):
    """A model folder of fresh weights."""
    import keras

    from bigbird.checkpoints.native import save_best
    from bigbird.config import load_experiment
    from bigbird.models import build_model

    data = {"seq_length": 64, "global_batch_size": 8}
    encoder = _ENCODER | {"vocab_size": dataset["vocabulary"]["size"]}
    task = {
        "model": {"encoder": {"bigbird": encoder}},
        "bucket_lengths": [16, 64],
        "train_data": data,
        "validation_data": data | {"is_training": False, "drop_remainder": False},
    }
    experiment = load_experiment("bigbird/classification", overrides=[{"task": task}])
    known = FAMILY.from_dataset(experiment.task, DatasetManifest.model_validate(dataset), "")
    experiment = load_experiment("bigbird/classification", overrides=[{"task": task}, {"task": known}])
    keras.utils.set_random_seed(3)
    classes = experiment.task.model.num_classes
    model = build_model(experiment.task, num_classes=classes)
    folder.mkdir()
    save_best(folder / "best", model, {"step": 7})
    (folder / "config.yaml").write_text(experiment.to_yaml(), encoding="utf-8")
    manifest = {
        "format": 1, "task": "classification", "experiment_type": "bigbird/classification", "num_classes": classes, "best": "best",
        "dataset": dataset, "decisions": decisions, "parameters": 12_345, "steps": 9, "seconds": 65.0,
    }  # fmt: skip
    write_json(folder / "model.json", manifest)


def words_of(page):
    page = re.sub(r"<style>.*?</style>|<svg.*?</svg>", "", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_the_command_the_report_and_the_manifest_say_the_same(tmp_path, vocabulary):
    dataset = write_dataset(tmp_path / "dataset", vocabulary, "single")
    write_model(tmp_path / "model", dataset)
    folders = ["--model", str(tmp_path / "model"), "--dataset", str(tmp_path / "dataset")]
    arguments = [*folders, "--output", str(tmp_path / "out"), "--at-lengths", "16, 64"]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    manifest = json.loads((tmp_path / "out/metrics.json").read_text(encoding="utf-8"))
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    words = words_of(page)

    value, interval = manifest["primary"]["value"], manifest["interval"]
    told = f"95 % interval {interval['low']:.3f} to {interval['high']:.3f}"
    assert interval["low"] < value < interval["high"]
    assert f"{value:.4f} {told}" in words and f"accuracy {value:.4f}, {told}" in result.stdout
    tfidf = {each["name"]: each for each in manifest["comparisons"]}
    assert list(tfidf) == ["tfidf", "tfidf_first_512"]
    columns = [value, manifest["baseline"]["value"], *(each["metrics"]["accuracy"] for each in tfidf.values())]
    row = " ".join(f"{column:.4f}" for column in columns)
    assert f"Accuracy {row} share of right labels" in words
    assert " ".join(re.search(r"\n  accuracy (.*)", result.stdout)[1].split()) == row
    gain = tfidf["tfidf"]["metrics"]["accuracy"] - value
    assert gain > 0.2  # the label is a word of the text, and the model is not trained
    assert f"A simpler model is better than this one by {gain:.4f}" in words
    assert f"A simpler model is better than this one by {gain:.4f}" in result.stdout
    assert f"12,345 parameters {format_duration(65)} to train" in words
    assert f"{tfidf['tfidf']['seconds']:.1f} s, all in all" in words
    drawn = re.search(r"Beside simpler models.*?</svg>", page, flags=re.DOTALL)[0]
    for column in columns:
        assert f">{column:.4f}</text>" in drawn

    write_dataset(tmp_path / "short", vocabulary, "single", max_length=16)
    short = evaluate(str(tmp_path / "model"), str(tmp_path / "short"), str(tmp_path / "short_out"))
    at = manifest["at_lengths"]
    assert list(at) == ["16", "64"]
    assert at["16"]["metrics"] == pytest.approx(short["metrics"], abs=1e-6)
    assert at["16"]["interval"] == pytest.approx(short["interval"].to_json(), abs=1e-6)
    assert at["16"]["metrics"] != manifest["metrics"]
    assert 20 < at["16"]["records_changed"] <= 30
    assert at["64"] | {"seconds": 0} == {
        "metrics": manifest["metrics"],
        "interval": interval,
        "records_changed": 0,
        "seconds": 0,
    }
    rates = " ".join(f"{at['16']['metrics'][name]:.4f}" for name in list(manifest["metrics"])[:4])
    assert f"16 {at['16']['records_changed']} {rates} 64 0" in words
    assert f"at 16 tokens: accuracy {at['16']['metrics']['accuracy']:.4f}, 95 % interval" in result.stdout
    chart = re.search(r"When the model may read less.*?</svg>", page, flags=re.DOTALL)[0]
    assert f">{at['16']['metrics']['accuracy']:.3f}</text>" in chart and f">{value:.3f}</text>" in chart

    for given, problem in (("16,x", "found 'x'; expected whole numbers"), ("7", "found 7; expected lengths in tokens")):
        refused = CliRunner().invoke(main, [*arguments[:-1], given, "--overwrite"])
        assert refused.exit_code == 2 and problem in refused.stderr


def test_a_limit_of_records_is_trainings_and_a_best_checkpoint_in_a_folder_in_a_folder_has_its_decisions(
    tmp_path, vocabulary
):
    dataset = write_dataset(tmp_path / "dataset", vocabulary, "multi")
    model = tmp_path / "model"
    write_model(
        model,
        dataset,
        {
            "activation": "sigmoid",
            "temperature": {"value": 2.0},
            "thresholds": {"values": dict.fromkeys(LABELS["multi"], 0.4)},
        },
    )
    expected = evaluate(str(model), str(tmp_path / "dataset"), str(tmp_path / "all"))
    config = yaml.safe_load((model / "config.yaml").read_text(encoding="utf-8"))
    config["task"]["validation_data"]["max_records"] = 8
    (model / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    (model / "exports").mkdir()
    (model / "best").rename(model / "exports/best")
    stated = json.loads((model / "model.json").read_text(encoding="utf-8"))
    write_json(model / "model.json", stated | {"best": "exports/best"})
    found = evaluate(str(model), str(tmp_path / "dataset"), str(tmp_path / "out"))
    assert (found["examples"], found["which"], found["metrics"]) == (30, "best", expected["metrics"])
    assert found["before_decisions"] == expected["before_decisions"] != found["metrics"]


@pytest.mark.parametrize(
    ("task", "given", "message"),
    [
        (
            "classification",
            {"labels": ["calm", "sun", "storm", "fog"], "kind": "single"},
            "dataset: has 'storm', 'fog', which model does not know; it was trained on 'sun', 'calm'. Give a dataset of only these labels, or",
        ),
        (
            "classification",
            {"labels": ["calm"], "kind": "multi"},
            "dataset: its labels are of kind 'multi', but model was trained on labels of kind 'single'; give a dataset with",
        ),
        ("classification", {"labels": None, "kind": "number"}, "dataset: its labels are of kind 'number', but model"),
        ("token_labels", {"labels": ["calm", "fog"]}, "dataset: has 'fog', which model does not know; it was trained on 'sun', 'calm'"),
    ],
)  # fmt: skip
def test_labels_that_the_model_does_not_know_are_refused(task, given, message):
    kind = {"kind": "single"} if task == "classification" else {}
    trained_on = manifests.dataset(task=task, labels=["sun", "calm"], **kind)
    model = ModelManifest.model_validate({"task": task, "dataset": trained_on.to_json()})
    check_compatible("model", model, "dataset", manifests.dataset(task=task, labels=["calm"], **kind))
    with pytest.raises(InputError, match=message):
        check_compatible("model", model, "dataset", manifests.dataset(task=task, **given))


def test_windows_up_to_a_length_and_decisions_are_kept(tmp_path, vocabulary):
    dataset = write_dataset(tmp_path / "dataset", vocabulary, "multi", max_length=32, long_documents="windows")
    decisions = {
        "activation": "sigmoid",
        "temperature": {"value": 2.0},
        "thresholds": {"values": {"calm": 0.4, "storm": 0.6, "sun": 0.5}},
    }
    write_model(tmp_path / "model", dataset, decisions)
    output = tmp_path / "out"
    manifest = evaluate(str(tmp_path / "model"), str(tmp_path / "dataset"), str(output), at_lengths=[1000, 32, 32])
    at = manifest["at_lengths"]
    assert list(at) == ["32", "1000"]
    assert at["1000"]["metrics"] == manifest["metrics"] and at["1000"]["records_changed"] == 0
    write_dataset(tmp_path / "first", vocabulary, "multi", max_length=32)  # its first window alone
    first_facts = json.loads((tmp_path / "first/dataset.json").read_text())
    assert first_facts["long_documents"] == "head"
    first = evaluate(str(tmp_path / "model"), str(tmp_path / "first"), str(tmp_path / "first_out"))
    assert at["32"]["metrics"] == pytest.approx(first["metrics"], abs=1e-6)
    assert manifest["before_decisions"]["log_loss"] != manifest["metrics"]["log_loss"]
    page = words_of((output / "report.html").read_text(encoding="utf-8"))
    row = f"log loss (lower is better) {manifest['before_decisions']['log_loss']:.4f} {manifest['metrics']['log_loss']:.4f}"
    assert row in page


def test_an_error_is_not_shown_as_better_when_it_is_higher(tmp_path, vocabulary):
    dataset = write_dataset(tmp_path / "dataset", vocabulary, "number")
    write_model(tmp_path / "model", dataset)
    manifest = evaluate(str(tmp_path / "model"), str(tmp_path / "dataset"), str(tmp_path / "out"))
    assert manifest["primary"]["name"] == "r2"
    from bigbird_components.evaluate import report_page, wording

    error = "mean_absolute_error"
    as_primary = manifest.with_values(primary={"name": error, "value": manifest["metrics"][error]})
    best = min(each["metrics"][error] for each in manifest["comparisons"])
    gain = best - manifest["metrics"][error]
    told = wording.verdict(as_primary, lower_is_better=wording.lower_is_better("classification", error))
    assert "(lower is better)" in told
    expected = (
        f"The model is better by {gain:,.4f}"
        if gain > 0
        else f"A simpler model is better than this one by {-gain:,.4f}"
    )
    assert expected in told
    assert report_page._gain(2.0, 5.0, lower_is_better=True)[:2] == ("Below it by", 3.0)
    assert report_page._gain(0.9, 0.5, lower_is_better=False)[:2] == ("Above it by", pytest.approx(0.4))
    words = words_of((tmp_path / "out/report.html").read_text(encoding="utf-8"))
    assert "mean distance from the right number; lower is better" in words


def test_what_cannot_be_read_shorter_is_refused(tmp_path, vocabulary, squad_dataset, untrained_model):
    untrained_model(tmp_path / "model", squad_dataset(tmp_path / "dataset", False, 2))
    with pytest.raises(
        InputError, match=r"--at-lengths: this task's answers are spans of the text, so .*offset_starts.*--max-length"
    ):
        evaluate(str(tmp_path / "model"), str(tmp_path / "dataset"), str(tmp_path / "out"), at_lengths=[32])
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="--at-lengths: the split has no labels"):
        check_lengths([32], labelled=False)
    cut = {family.name for family in families() if _can_be_cut(family)}
    assert cut == {"classification", "glue"}


def _can_be_cut(family):
    from bigbird.tasks.family import AnsweringFamily

    if not isinstance(family, AnsweringFamily):
        return False
    try:
        check_can_be_cut(family, family.config())
    except InputError:
        return False
    return True
