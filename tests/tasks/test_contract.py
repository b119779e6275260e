"""What every task family must do: the same tests for each, on its own small raw files."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from bigbird.config import load_experiment
from bigbird.data.dataset import training_dataset
from bigbird.data.record_checks import check_records
from bigbird.manifests import ModelManifest
from bigbird.models import build_model
from bigbird.records import features
from bigbird.reports.report import Html
from bigbird.scoring import Scorer, read_examples
from bigbird.tasks.family import AnsweringFamily
from bigbird.tasks.registry import experiment_types, families, family_of, family_of_task
from bigbird.text.vocabulary import Vocabulary
from bigbird_components.evaluate.evaluate import choose_split, compiled, run_model
from bigbird_components.preprocess.preprocess import preprocess
from bigbird_components.run_configuration import resolve_experiment
from bigbird_components.train.sources import resolve
from bigbird_pipelines.recipes import recipe_text
from tests.tasks.small_inputs import SMALL_INPUTS

OWN = {family.name: family for family in families() if type(family).__module__.startswith("bigbird.")}
LENGTH = 40
ENCODER = {
    "hidden_size": 16, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "block_size": 8, "num_rand_blocks": 1,
    "max_position_embeddings": LENGTH, "initializer_range": 0.2,
}  # fmt: skip


def test_every_family_is_tested_here():
    assert set(OWN) == set(SMALL_INPUTS)


@dataclass
class Made:
    family: Any
    task: str
    manifest: dict[str, Any]
    folder: Path
    experiment: Any

    def files(self, split):
        return [str(self.folder / name) for name in self.manifest["splits"][split]["files"]]

    def records(self, split):
        return [features.decode(record) for file in self.files(split) for record in features.read_records(file)]

    @property
    def split(self):
        return choose_split(str(self.folder), self.manifest, None)


@pytest.fixture(scope="module", params=sorted(OWN))
def made(request, tmp_path_factory):
    """A dataset of the family's small raw files, and the configuration as training resolves it."""
    root = tmp_path_factory.mktemp(request.param)
    (root / "raw").mkdir()
    task, arguments = SMALL_INPUTS[request.param](root / "raw", random.Random(request.param))
    arguments = {"vocabulary_size": 80, "max_length": LENGTH, **arguments}
    manifest = preprocess(task, str(root / "dataset"), **arguments)
    data = {"seq_length": LENGTH, "global_batch_size": 4}
    tree = {
        "task": {
            "model": {"encoder": {"bigbird": ENCODER}},
            "train_data": data,
            "validation_data": data,
            "bucket_lengths": [16, LENGTH],
        },
        "trainer": {"train_steps": 1},
    }
    family = OWN[request.param]
    experiment, _ = resolve(
        load_experiment(family.experiment_type, overrides=[tree]), str(root / "dataset"), "train_and_eval", root
    )
    return Made(family, task, manifest, root / "dataset", experiment)


@pytest.fixture(scope="module")
def model(made):
    keras.utils.set_random_seed(1)
    return build_model(made.experiment.task)


def test_its_tasks_have_recipes_metrics_and_names(made):
    family = made.family
    assert family.experiment_type in experiment_types() and family.defaults["max_length"] >= 8
    for task in family.tasks:
        assert family_of_task(task) is family and family.title(task) and family.metrics(task)
        assert set(family.splits(task)) - {"train"}
    for task in family.tasks if family.pipeline_tasks is None else family.pipeline_tasks:
        for published in (True, False):
            experiment = resolve_experiment(task, recipe_text(family.recipe(task, published=published)))
            assert family_of(experiment.task) is family
            assert family.preprocessing_settings(experiment.task)["max_length"] == experiment.task.train_data.seq_length
    for sample, task in family.samples.items():
        assert task in family.tasks and sample


def test_its_dataset_says_what_it_is(made):
    manifest = made.manifest
    assert (manifest["task"], manifest["experiment_type"]) == (made.task, made.family.experiment_type)
    assert manifest["metrics"] and all(isinstance(name, str) for name in manifest["metrics"])
    assert manifest["max_length"] == LENGTH
    for split, facts in manifest["splits"].items():
        assert facts["records"] == len(made.records(split)) > 0 and facts["examples"] > 0
        assert facts["longest"] >= max(len(record["input_ids"]) for record in made.records(split)) > 0
    lines = read_examples(made.folder, made.split)
    assert any(text.strip() for line in lines for text in made.family.texts(line))


def test_its_records_hold_its_features(made):
    config = made.experiment.task
    for split, facts in made.manifest["splits"].items():
        wanted = {
            feature.name
            for feature in made.family.record_features(config)
            if feature.when == "always"
            or (feature.when == "labelled" and facts["labelled"])
            or (feature.when == "evaluation" and split != "train")
        }
        records = made.records(split)
        assert all(set(record) == wanted for record in records)
        assert len({int(record[made.family.identity][0]) for record in records}) == len(records)
        check_records(made.files(split), config, config.validation_data, labels=facts["labelled"])


@pytest.mark.slow
def test_its_model_learns_from_its_batches(made, model):
    config = made.experiment.task
    batch = next(iter(training_dataset(made.files("train"), config, seed=1)))
    assert set(made.family.model_inputs) <= set(batch)
    inputs = {name: batch[name] for name in made.family.model_inputs}
    with tf.GradientTape() as tape:
        loss = made.family.loss(config, model(inputs, training=True, seed=np.array([1, 2], np.int32)), batch)
        mean = tf.reduce_mean(loss)
    assert loss.shape == (4,) and loss.dtype == tf.float32 and np.isfinite(loss).all() and (loss.numpy() >= 0).all()
    gradients = tape.gradient(mean, model.trainable_variables)
    assert all(gradient is not None for gradient in gradients)
    assert sum(float(tf.norm(tf.convert_to_tensor(gradient))) for gradient in gradients) > 0


@pytest.fixture(scope="module")
def evaluated(made, model):
    """Evaluation of the validation split, and its records' lengths."""
    if not isinstance(made.family, AnsweringFamily):
        pytest.skip(f"{made.family.name} answers nothing: it has no evaluation, report and export")
    config = made.experiment.task
    scorer = Scorer(config, made.manifest, made.folder, made.split)
    tokens = run_model(compiled(model), config, scorer, str(made.folder), made.manifest, made.split, "evaluate")
    assert scorer.missing == 0
    assert len(tokens) == made.manifest["splits"][made.split]["records"]
    return scorer.result(), tokens


def test_its_evaluation_has_its_metrics(made, evaluated):
    evaluation, _ = evaluated
    examined = made.family.examine(evaluation, made.experiment.task, None, made.folder, made.split)
    assert set(made.manifest["metrics"]) <= set(examined.metrics) | set(examined.undefined)
    assert set(made.manifest["metrics"]) <= set(made.family.metric_meanings)
    assert examined.primary == made.manifest["metrics"][0]
    assert all(np.isfinite(value) for value in examined.metrics.values())
    assert set(made.manifest["metrics"]) & set(examined.metrics) <= set(examined.baseline) and examined.baseline_answer
    assert made.family.count(examined.results) == made.manifest["splits"][made.split]["examples"]


def test_its_report_and_predictions_are_written(made, evaluated, tmp_path):
    evaluation, tokens = evaluated
    names = made.family.write_predictions(tmp_path, evaluation.results, made.task, made.split)
    assert names and sorted(names) == sorted(path.name for path in tmp_path.iterdir())
    sections = made.family.report_sections(evaluation.results, tokens)
    assert sections and all(isinstance(section, Html) for section in sections)


def test_its_exported_model_is_its_signatures_alone(made, model):
    """A function that the module keeps would be traced and saved beside them, so that the graph would be there twice."""
    if not isinstance(made.family, AnsweringFamily):
        pytest.skip(f"{made.family.name} answers nothing: it has no export")
    vocabulary = Vocabulary(made.folder / "vocab.model")
    stated = ModelManifest(task=made.task, dataset=made.manifest, labels=made.manifest.labels)
    module = made.family.serving_module(model, stated, made.experiment.task, vocabulary)
    assert module.signatures()
    kept = [
        name for name, value in vars(module).items() if isinstance(value, tf.types.experimental.PolymorphicFunction)
    ]
    assert kept == []


def test_its_exported_model_answers_as_evaluation_measures(made, model, evaluated):
    evaluation, _ = evaluated
    vocabulary = Vocabulary(made.folder / "vocab.model")
    stated = ModelManifest(task=made.task, dataset=made.manifest, labels=made.manifest.labels)
    serve = made.family.serving_module(model, stated, made.experiment.task, vocabulary).signatures()["serving_default"]
    fields = {spec.name for spec in serve.input_signature}
    meanings = set(made.family.signature_meanings())
    assert fields <= meanings & set(made.family.made_up_request)
    lines = list(read_examples(made.folder, made.split))
    requests = [request for line in lines for request in made.family.requests(line)]
    assert len(requests) == made.manifest["splits"][made.split]["examples"]
    assert all(set(request) >= fields for request in requests)

    def ask(examples):
        answers = serve(**{name: tf.constant([example[name] for example in examples]) for name in fields})
        assert set(answers) <= meanings
        return {name: np.asarray(answer) for name, answer in answers.items()}

    found = made.family.score_answers(lines, ask, made.manifest, evaluation.primary)
    assert found == pytest.approx(evaluation.metrics[evaluation.primary], abs=1e-6)
