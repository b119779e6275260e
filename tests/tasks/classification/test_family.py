"""From a table to answers: what evaluation says of a document is what the exported model says of its text."""

import json
import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from bigbird.checkpoints.native import save_best
from bigbird.config import Experiment, load_experiment, replace
from bigbird.manifests import ModelManifest
from bigbird.models import build_model
from bigbird.scoring import Scorer
from bigbird.serving.saved_model import Predictor
from bigbird.support.artifacts import read_manifest
from bigbird.support.errors import InputError
from bigbird.tasks.classification.classifiers import resolved_weights
from bigbird.tasks.classification.examination import decide
from bigbird.tasks.classification.family import FAMILY, first_bias
from bigbird.text.vocabulary import Vocabulary
from bigbird_components.evaluate.evaluate import compiled, run_model
from bigbird_components.export.export import export
from bigbird_components.preprocess.preprocess import preprocess
from bigbird_components.serve.warm_up import warm_up
from tests import manifests

WORDS = "the a red green blue bird big small flew sang over under river tree house and then away never often".split()
LABELS = ["fine", "grave", "odd"]
ENCODER = {
    "hidden_size": 16, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 64,
    "block_size": 4, "num_rand_blocks": 1, "initializer_range": 0.5,
}  # fmt: skip


def value(kind, rng):
    """A label as JSON Lines has it."""
    if kind == "number":
        return round(rng.uniform(-50, 150), 2)
    return rng.choice(LABELS) if kind == "single" else rng.sample(LABELS, rng.randint(0, 3))


def table(path, kind, *, pairs=False, documents=240, most=90):
    rng = random.Random(f"{kind} {pairs}")
    with path.open("w", encoding="utf-8") as file:
        for _ in range(documents):
            row = {"body": " ".join(rng.choices(WORDS, k=rng.randint(1, most))), "verdict": value(kind, rng)}
            if pairs:
                row["other"] = " ".join(rng.choices(WORDS, k=rng.randint(1, most)))
            file.write(json.dumps(row) + "\n")


def made(folder, kind, *, pairs=False, long_documents="head", **task):
    """A dataset of random documents, the task's configuration and an untrained model."""
    table(folder / "t.jsonl", kind, pairs=pairs)
    section = {"text": ["body"], "label": "verdict", "kind": kind, "validation_fraction": 0.5}
    manifest = preprocess(
        "classification",
        str(folder / "dataset"),
        str(folder / "t.jsonl"),
        vocabulary_size=120,
        max_length=32,
        section=section | ({"text_b": "other"} if pairs else {}),
        long_documents=long_documents,
        window_stride=20,
    )
    data = {"seq_length": 32, "global_batch_size": 8}
    tree = {
        "model": {"pooling": "mean", "encoder": {"bigbird": ENCODER | {"vocab_size": manifest["vocabulary"]["size"]}}},
        "bucket_lengths": [16, 32],
        "train_data": data,
        "validation_data": data,
        **task,
    }
    config = load_experiment("bigbird/classification", overrides=[{"task": tree}]).task
    config = replace(config, **FAMILY.from_dataset(config, manifest, ""))
    keras.utils.set_random_seed(1)
    return manifest, config, build_model(config)


def evaluated(folder, manifest, config, model):
    scorer = Scorer(config, manifest, folder / "dataset", "validation")
    run_model(compiled(model), config, scorer, str(folder / "dataset"), manifest, "validation", "evaluate")
    assert scorer.missing == 0
    return scorer.result()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["single", "multi", "number"])
@pytest.mark.parametrize("long_documents", ["head", "head_tail", "windows"])
def test_the_exported_model_answers_as_evaluation_does(tmp_path, kind, long_documents):
    pooling = "max" if kind == "single" else "mean"
    manifest, config, model = made(tmp_path, kind, long_documents=long_documents, window_pooling=pooling)
    evaluation = evaluated(tmp_path, manifest, config, model)
    decisions = decide(config, evaluation.results)
    assert (decisions is None) == (kind == "number")
    examined = FAMILY.examine(evaluation, config, decisions, tmp_path / "dataset", "validation")
    results = examined.results

    vocabulary = Vocabulary(tmp_path / "dataset" / "vocab.model")
    module = FAMILY.serving_module(model, ModelManifest(dataset=manifest, decisions=decisions), config, vocabulary)
    answers = module.signatures()["serving_default"](text_a=tf.constant([a for a, _ in results.texts]))
    longest = max(len(pieces) for pieces in vocabulary.encode([a for a, _ in results.texts]))
    assert longest > 60  # more than two windows
    if kind == "number":
        np.testing.assert_allclose(answers["number"], results.predicted, rtol=1e-5, atol=1e-4)
        return
    np.testing.assert_allclose(answers["probabilities"], results.probabilities, rtol=0, atol=1e-5)
    if kind == "single":
        assert [label.decode() for label in answers["label"].numpy()] == [LABELS[i] for i in results.predicted]
        return
    given = [[name.decode() for name in row if name] for row in answers["labels"].numpy()]
    assert given == [[LABELS[i] for i in np.flatnonzero(row)] for row in results.predicted]
    assert results.decisions.threshold_array().tolist() != [0.5] * 3  # thresholds that were chosen


@pytest.mark.slow
def test_several_labels_go_through_export_and_into_a_loaded_model(tmp_path):
    manifest, config, model = made(tmp_path, "multi", long_documents="windows")
    evaluation = evaluated(tmp_path, manifest, config, model)
    decisions = decide(config, evaluation.results)
    results = FAMILY.examine(evaluation, config, decisions, None, "validation").results
    folder = tmp_path / "model"
    folder.mkdir()
    save_best(folder / "best", model, {"step": 1})
    (folder / "config.yaml").write_text(
        Experiment(type="bigbird/classification", task=config).to_yaml(), encoding="utf-8"
    )
    (folder / "vocab.model").write_bytes((tmp_path / "dataset" / "vocab.model").read_bytes())
    stated = {"task": "classification", "experiment_type": "bigbird/classification", "metrics": {}, "best": "best"}
    stated |= {"labels": LABELS, "num_classes": 3, "dataset": manifest, "decisions": decisions}
    ModelManifest(**stated).write(folder)

    described = export(str(folder), str(tmp_path / "saved"), str(tmp_path / "dataset"))
    assert (described["labels"], described["decisions"]) == (LABELS, decisions)
    predictor = Predictor(tmp_path / "saved")
    assert warm_up(predictor, tmp_path / "saved") == 4
    answers = list(predictor([{"text_a": text} for text, _ in results.texts]))
    assert [answer["labels"] for answer in answers] == [
        [LABELS[i] for i in np.flatnonzero(row)] for row in results.predicted
    ]
    found = np.array([answer["probabilities"] for answer in answers])
    np.testing.assert_allclose(found, results.probabilities, rtol=0, atol=1e-5)


@pytest.mark.parametrize("long_documents", ["head", "head_tail"])
def test_pairs_are_read_alike(tmp_path, long_documents):
    manifest, config, model = made(tmp_path, "single", pairs=True, long_documents=long_documents)
    results = evaluated(tmp_path, manifest, config, model).results
    vocabulary = Vocabulary(tmp_path / "dataset" / "vocab.model")
    module = FAMILY.serving_module(model, ModelManifest(dataset=manifest), config, vocabulary)
    first, second = (tf.constant(list(texts)) for texts in zip(*results.texts, strict=True))
    answers = module.signatures()["serving_default"](text_a=first, text_b=second)
    np.testing.assert_allclose(answers["probabilities"], results.probabilities, rtol=0, atol=1e-5)


def test_the_manifest_says_what_later_stages_need(tmp_path):
    manifest, config, _ = made(tmp_path, "multi", long_documents="windows")
    assert manifest == read_manifest(tmp_path / "dataset", "dataset")
    assert (manifest["kind"], manifest["labels"], manifest["metrics"][0]) == ("multi", LABELS, "micro_f1")
    assert (manifest["long_documents"], manifest["window_stride"], manifest["pairs"]) == ("windows", 20, False)
    train = manifest["splits"]["train"]
    assert train["examples"] + manifest["splits"]["validation"]["examples"] == 240
    assert train["records"] > train["examples"]
    assert (config.kind, config.labels, config.model.num_classes) == ("multi", LABELS, 3)


def test_a_configuration_that_contradicts_the_records_is_refused(tmp_path):
    manifest, config, _ = made(tmp_path, "single")
    for wrong, message in (
        ({"long_documents": "windows"}, "task.long_documents is 'windows'"),
        ({"kind": "multi"}, "task.kind is 'multi'"),
        ({"labels": ["x", "y", "z"]}, "task.labels is"),
        ({"class_weights": {"fine": 2.0, "gravee": 1.0}}, "Did you mean 'grave'"),
    ):
        with pytest.raises(InputError, match=message):
            FAMILY.from_dataset(replace(config, **wrong), manifest, "")


def test_balanced_weights():
    counts = {"a": 80, "b": 20}
    splits = {"train": {"labels": counts, "examples": 100}}
    manifest = manifests.dataset(labels=["a", "b"], kind="single", splits=splits)
    assert resolved_weights("balanced", manifest) == {"a": 100 / 160, "b": 100 / 40}  # as scikit-learn's
    several = resolved_weights("balanced", manifest.with_values(kind="multi"))
    assert several == {"a": 1.0, "b": 2.0}  # the root of 80 / 20
    with pytest.raises(InputError, match="labels are numbers"):
        resolved_weights("balanced", manifest.with_values(labels=None))
    assert (
        resolved_weights("balanced", manifest.with_values(labels=["a", "b", "c"]))["c"] == 100 / 3
    )  # as if it were there once
    with pytest.raises(InputError, match="no training split to count labels in"):
        resolved_weights("balanced", manifest.with_values(splits={}))


@pytest.mark.parametrize("kind", ["single", "multi"])
@pytest.mark.parametrize("weights", [None, {"a": 1.0, "b": 4.0, "c": 0.5}])
def test_the_bias_starts_at_the_constant_answer_of_the_least_loss(kind, weights):
    rng = np.random.default_rng(1)
    if kind == "single":
        targets = rng.choice(3, 400, p=[0.7, 0.05, 0.25]).astype(np.int32)
        shares = np.bincount(targets, minlength=3) / 400
    else:
        targets = (rng.random((400, 3)) < [0.7, 0.05, 0.25]).astype(np.float32)
        shares = targets.mean(axis=0)
    known = {"kind": kind, "labels": ["a", "b", "c"], "class_weights": weights}
    config = load_experiment(
        "bigbird/classification",
        overrides=[{"task": {**known, "label_shares": dict(zip("abc", map(float, shares), strict=True))}}],
    ).task
    bias = tf.Variable(first_bias(config))
    with tf.GradientTape() as tape:
        logits = tf.zeros((400, 3)) + bias
        loss = tf.reduce_mean(FAMILY.loss(config, {"logits": logits}, {"label_ids": tf.constant(targets)}))
    np.testing.assert_allclose(tape.gradient(loss, bias), 0.0, atol=1e-6)


def test_without_shares_the_bias_starts_at_zero():
    config = load_experiment("bigbird/classification", overrides=[{"task": {"kind": "single", "labels": ["a", "b"]}}])
    assert first_bias(config.task) is None
