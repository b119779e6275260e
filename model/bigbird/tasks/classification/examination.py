"""What comes after training: a temperature and thresholds for the best checkpoint; and what evaluation adds to metrics.

A split's comparison is with models that a linear one is: see `baselines`. They are fitted on the training texts, which the
dataset folder keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from bigbird.manifests import DatasetManifest
from bigbird.scoring import read_examples
from bigbird.support.errors import InputError
from bigbird.tasks.classification.baselines import (
    Baselines,
    number_baselines,
    one_label_baselines,
    several_labels_baselines,
)
from bigbird.tasks.classification.config import ClassificationTask
from bigbird.tasks.classification.decisions import (
    LEAST_EXAMPLES,
    fit_one_label,
    fit_several_labels,
    from_record,
)
from bigbird.tasks.classification.intervals import (
    Interval,
    number_interval,
    one_label_interval,
    several_labels_interval,
)
from bigbird.tasks.classification.scoring import METRICS, ClassificationResults, gold_of
from bigbird.tasks.evaluation import Comparison, Evaluation

MOST_TRAINING_LINES = 50_000
"""So many training documents are kept for the comparisons, drawn at random where there are more."""


def decide(config: ClassificationTask, results: ClassificationResults) -> dict[str, Any] | None:
    """As `TaskFamily.decide`: a temperature, and for several labels thresholds.

    Raises:
        InputError: `decisions.fit` is "always", and there are too few examples.
    """
    wanted = config.decisions.fit
    if wanted == "never" or results.kind == "number" or results.gold is None:
        return None
    if wanted == "auto" and len(results.gold) < LEAST_EXAMPLES:
        return None
    if results.kind == "single":
        return fit_one_label(results.gold, results.logits, results.labels).record()
    return fit_several_labels(results.gold, results.logits, results.labels, config.decisions.metric).record()


def examine(evaluation: Evaluation, decisions: Mapping[str, Any] | None, folder: Path | None) -> Evaluation:
    """As `AnsweringFamily.examine`."""
    before: ClassificationResults = evaluation.results
    results = before
    if decisions is not None:
        chosen = from_record(decisions, before.labels, "model.json: decisions")
        results = before.with_decisions(chosen)
    decided = results.evaluation()
    details: dict[str, Any] = {"kind": results.kind, "labels": list(results.labels)}
    if results.kind != "number":
        details["decisions"] = results.decisions.record()
    if results.gold is None:
        return replace(decided, details=details)
    if decisions is not None:
        details["before_decisions"] = evaluation.metrics
    details["per_label"] = results.metrics.per_label
    details["undefined"] = results.metrics.undefined
    details["interval"] = interval(results, decided.primary).record()
    if folder is None:
        return replace(decided, details=details)
    compared = compare(results, folder)
    constant = compared.measured[0]
    names = METRICS[results.kind]
    return replace(
        decided,
        baseline={name: constant.metrics.values[name] for name in names if name in constant.metrics.values},
        baseline_answer=constant.description,
        details=details | {"comparisons_unavailable": compared.unavailable},
        comparisons=[
            Comparison(
                each.name,
                each.description,
                {name: each.metrics.values[name] for name in names if name in each.metrics.values},
                each.seconds,
            )
            for each in compared.measured[1:]
        ],
    )


def interval(results: ClassificationResults, metric: str) -> Interval:
    """The 95 % interval of one metric. Of a split with labels."""
    gold = results.gold
    assert gold is not None  # noqa: S101 - asked of labelled splits
    if results.kind == "number":
        return number_interval(metric, gold, results.predicted)
    if results.kind == "single":
        return one_label_interval(metric, gold, results.probabilities)
    return several_labels_interval(metric, gold, results.probabilities, results.decisions.threshold_array())


def compare(results: ClassificationResults, folder: Path) -> Baselines:
    """The constant answer, and TF-IDF with a linear model, on the same documents.

    Raises:
        InputError: the dataset folder holds no training documents.
    """
    manifest = DatasetManifest.read(folder)
    if "train" not in manifest.splits:
        raise InputError(f"{folder}: has no training split, which the baselines are fitted on; write the dataset again")
    manifest.check_files(folder, ["train.examples.jsonl"])
    lines = _training_lines(folder, manifest.splits["train"].examples)
    training_gold = gold_of([line["label"] for line in lines], results.labels, results.kind)
    training = [_joined(line["text_a"], line["text_b"]) for line in lines]
    evaluated = [_joined(*pair) for pair in results.texts]
    assert training_gold is not None  # noqa: S101 - both splits have labels
    assert results.gold is not None  # noqa: S101
    if results.kind == "number":
        return number_baselines(training, training_gold, evaluated, results.gold)
    function = one_label_baselines if results.kind == "single" else several_labels_baselines
    return function(training, training_gold, evaluated, results.gold, results.labels)


def _training_lines(folder: Path, count: int) -> list[dict[str, Any]]:
    """Lines of all parts of the training split: the first ones of a sorted table have only the first label."""
    lines = read_examples(folder, "train")
    if count <= MOST_TRAINING_LINES:
        return list(lines)
    drawn = np.zeros(count, bool)
    drawn[np.random.default_rng(0).choice(count, MOST_TRAINING_LINES, replace=False)] = True
    return list(compress(lines, drawn))


def _joined(text_a: str, text_b: str | None) -> str:
    return text_a if text_b is None else f"{text_a}\n\n{text_b}"
