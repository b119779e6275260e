"""Validation of a split with one kind of question only, or cut before any question is whole."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from bigbird.checkpoints.native import save_best
from bigbird.config import load_experiment
from bigbird.models import build_model
from bigbird.support.artifacts import write_manifest
from bigbird.support.errors import InputError
from bigbird.tasks.classification.encoding import MOST_WINDOWS
from bigbird_components.preprocess.preprocess import preprocess
from bigbird_components.train.interruption import Interruption
from bigbird_components.train.sources import Split
from bigbird_components.train.steps import Prediction
from bigbird_components.train.train import train
from bigbird_components.train.validation import Validator
from bigbird_components.train.validation_modes import _initialize_whole

CONTEXT = "the old mill by the river was built by ada kern in the month of may . " * 3


def _dataset(tmp_path, task, *, answered):
    """A dataset of three questions, four windows each."""
    answer = {"answers": [{"text": "ada kern", "answer_start": CONTEXT.index("ada")}]} if answered else {"answers": []}
    questions = [
        {"id": f"q{i}", "question": "who built it ?", "is_impossible": not answered, **answer} for i in range(3)
    ]
    tree = {"data": [{"title": "t", "paragraphs": [{"context": CONTEXT, "qas": questions}]}]}
    for name in ("train", "dev"):
        (tmp_path / f"{name}.json").write_text(json.dumps(tree))
    files = {"train_file": str(tmp_path / "train.json"), "validation_file": str(tmp_path / "dev.json")}
    sizes = {"vocabulary_size": 60, "max_length": 32, "query_length": 8, "doc_stride": 16}
    return preprocess(task, str(tmp_path / "dataset"), **files, **sizes)["splits"]["validation"]


def _train(tmp_path, settings, **changes):
    tree = settings(task={"bucket_lengths": [32]}, trainer={"train_steps": 2, "validation_interval": 2, **changes})
    experiment = load_experiment("bigbird/squad", overrides=[tree])
    return train(experiment, tmp_path / "model", dataset=str(tmp_path / "dataset"))


def test_a_split_without_an_answer_is_scored_by_what_it_has(tmp_path, settings):
    _dataset(tmp_path, "squad_v2", answered=False)
    metrics = _train(tmp_path, settings)["metrics"]
    assert metrics["NoAns_total"] == 3 and 0 <= metrics["f1"] == metrics["NoAns_f1"] <= 1
    assert "HasAns_f1" not in metrics


def test_the_worst_checkpoint_is_not_kept_as_the_best(tmp_path, settings, monkeypatch):
    from bigbird.tasks.registry import family_of_task

    _dataset(tmp_path, "squad_v1", answered=True)
    monkeypatch.setattr(type(family_of_task("squad_v1")), "lower_is_better", ("f1",))
    with pytest.raises(InputError, match=r"is f1, an error, and .*best_checkpoint_metric_comp is higher"):
        _train(tmp_path, settings, best_checkpoint_eval_metric="f1")
    assert not (tmp_path / "model" / "history.json").exists()
    assert (
        _train(tmp_path, settings, best_checkpoint_eval_metric="f1", best_checkpoint_metric_comp="lower")["best_step"]
        == 2
    )


@pytest.mark.parametrize("metric", ["accuracy", "HasAns_f1", "loss"])
def test_a_metric_that_the_task_has_not_is_refused_before_training(tmp_path, settings, metric):
    _dataset(tmp_path, "squad_v1", answered=True)
    with pytest.raises(
        InputError,
        match=f"trainer.best_checkpoint_eval_metric is '{metric}', which is no metric of this task; expected one of f1, exact_match, ",
    ):
        _train(tmp_path, settings, best_checkpoint_eval_metric=metric)
    assert not (tmp_path / "model" / "history.json").exists()


def test_a_limit_before_the_first_whole_question_is_refused_before_training(tmp_path, settings):
    facts = _dataset(tmp_path, "squad_v1", answered=True)
    windows = facts["records"] // 3
    assert windows > 2
    least = -(-windows // 2)
    small = {"seq_length": 32, "global_batch_size": 2}
    for steps in (1, least - 1):
        tree = settings(task={"bucket_lengths": [32], "validation_data": small}, trainer={"validation_steps": steps})
        experiment = load_experiment("bigbird/squad", overrides=[tree])
        with pytest.raises(
            InputError, match=rf"trainer\.validation_steps is {steps}, batches of 2: .* at least {least}, or -1"
        ):
            train(experiment, tmp_path / "model", dataset=str(tmp_path / "dataset"))
        assert not (tmp_path / "model" / "history.json").exists()
    data = {"validation_data": {**small, "max_records": windows - 1}}
    experiment = load_experiment("bigbird/squad", overrides=[settings(task={"bucket_lengths": [32], **data})])
    with pytest.raises(
        InputError, match=rf"validation_data\.max_records is {windows - 1}: .* at least {windows}, or 0"
    ):
        train(experiment, tmp_path / "model", dataset=str(tmp_path / "dataset"))
    tree = settings(
        task={"bucket_lengths": [32], "validation_data": small},
        trainer={"train_steps": 2, "validation_interval": 2, "validation_steps": least},
    )
    manifest = train(
        load_experiment("bigbird/squad", overrides=[tree]), tmp_path / "other", dataset=str(tmp_path / "dataset")
    )
    assert set(manifest["metrics"]) >= {"f1", "exact_match"}


def _validator(kind, **trainer):
    """On bare records, of which nothing is read."""
    experiment = load_experiment(f"bigbird/{kind}", overrides=[{"trainer": trainer}])
    return Validator(None, experiment, Split("validation", ["validation.tfrecord"]))


@pytest.mark.parametrize("metric", ["masked_lm_loss", "perplexity"])
def test_the_worst_pretrained_checkpoint_is_not_kept_as_the_best(metric):
    with pytest.raises(InputError, match=f"is {metric}, an error, and .*best_checkpoint_metric_comp is higher"):
        _validator("pretraining", best_checkpoint_eval_metric=metric)
    _validator("pretraining", best_checkpoint_eval_metric=metric, best_checkpoint_metric_comp="lower")
    _validator("pretraining")


@pytest.mark.parametrize(
    ("kind", "metric", "known"),
    [
        ("pretraining", "accuracy", "masked_lm_accuracy, masked_lm_loss, perplexity"),
        ("glue", "f1", "accuracy, cls_accuracy"),
        ("glue", "pearson_spearman_corr", "accuracy, cls_accuracy"),
        ("classification", "r2", "accuracy, "),
    ],
)
def test_a_metric_of_another_task_is_refused(kind, metric, known):
    with pytest.raises(InputError, match=f"is '{metric}', which is no metric of this task; expected one of {known}"):
        _validator(kind, best_checkpoint_eval_metric=metric)


@pytest.mark.parametrize("kind", ["glue", "classification"])
def test_a_recipes_name_of_a_metric_is_ours(kind):
    """The Model Garden's recipes say cls_accuracy."""
    ids, labels = MOST_WINDOWS * np.arange(4), np.array([0, 1, 1, 0])
    answered = np.eye(2, dtype=np.float32)[[0, 1, 0, 0]]  # three of four are right
    prediction = Prediction(ids, np.ones(4), {"logits": answered}, None, labels)
    validator = _validator(kind, best_checkpoint_eval_metric="cls_accuracy")
    validator._steps = SimpleNamespace(predictions=lambda *_, **__: [prediction])
    validated = validator(Interruption())
    assert validated.value == validated.metrics["accuracy"] == 0.75
    assert "cls_accuracy" not in validated.metrics


@pytest.mark.parametrize("name", ["head", "pooling"])
def test_weights_of_another_head_are_not_validated_as_this_ones(tmp_path, settings, name):
    other = {"head": "hugging_face", "pooling": "mean"}[name]
    own = {"head": "model_garden", "pooling": "cls"}[name]

    def experiment(value):
        tree = settings(task={"init_checkpoint": str(tmp_path)})
        tree["task"]["model"] |= {"num_classes": 2, name: value}
        return load_experiment("bigbird/glue", overrides=[tree])

    save_best(tmp_path / "best", build_model(experiment(other).task), {"step": 1})
    (tmp_path / "config.yaml").write_text(experiment(other).to_yaml(), encoding="utf-8")
    write_manifest(tmp_path, "model", {"task": "sst2", "best": "best", "dataset": None})
    for value in (own, other):
        steps = SimpleNamespace(model=build_model(experiment(value).task))
        if value == other:
            _initialize_whole(experiment(value), steps, None)
            continue
        with pytest.raises(
            InputError, match=rf"is not fine-tuned for this task:\n  .*left out, as task\.model\.{name} is {own}\n"
        ):
            _initialize_whole(experiment(value), steps, None)
