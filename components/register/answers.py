"""A metric from an exported model's own answers to raw examples, equal to what the evaluation stage measures."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bigbird.console import Progress, format_duration
from bigbird.errors import InputError
from bigbird.scoring import read_examples
from bigbird.serving.saved_model import Predictor
from bigbird.tasks import metrics as metric
from bigbird.tasks import triviaqa
from bigbird.tasks.families import family

BATCH = 16  # examples sent to the model at once

Example = dict[str, Any]
Outputs = dict[str, np.ndarray]


def measure(predictor: Predictor, dataset: str, manifest: Mapping[str, Any], split: str, name: str) -> float:
    """Asks a model every example of a split and scores what it answers.

    Args:
        predictor: the model.
        dataset: the dataset folder.
        manifest: of the folder.
        split: one with labels.
        name: the metric, one of the task's.

    Raises:
        InputError: the model takes other texts, knows other labels, or gives numbers that are not finite.
    """
    lines = list(read_examples(dataset, split))
    kind = family(manifest["task"])
    if kind == "glue":
        return _glue(lines, _ask(predictor, lines, split), manifest["labels"], name)
    if kind == "squad":
        asked = [{**question, "context": line["context"]} for line in lines for question in line["questions"]]
        return _squad(asked, _ask(predictor, asked, split), manifest["version_2"], name)
    return _triviaqa(lines, _ask(predictor, lines, split), name)


def _ask(predictor: Predictor, examples: Sequence[Example], split: str) -> Outputs:
    """The model's outputs for all examples, a row each."""
    absent = set(predictor.fields) - {name for name, value in examples[0].items() if isinstance(value, str)}
    if absent:
        raise InputError(f"the model expects {', '.join(sorted(absent))}, which the examples of {split!r} have not")
    progress, started = Progress(f"champion on {split}", len(examples)), time.monotonic()
    parts = []
    for start in range(0, len(examples), BATCH):
        parts.append(predictor.outputs(examples[start : start + BATCH]))
        progress.update(min(start + BATCH, len(examples)))
    progress.finish(f"champion on {split}: {len(examples):,} examples in {format_duration(time.monotonic() - started)}")
    outputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    for name, values in outputs.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise InputError(f"the model's {name} are not all finite")
    return outputs


def _glue(examples: Sequence[Example], outputs: Outputs, labels: Sequence[str] | None, name: str) -> float:
    gold = [example["label"] for example in examples]
    if labels is None:
        return metric.GLUE_METRICS[name](np.array(gold, np.float32), outputs["score"])
    # By name: an older model may have its classes in another order.
    index = {label: number for number, label in enumerate(labels)}
    predicted = list(_texts(outputs["label"]))
    if unknown := set(predicted) - index.keys():
        raise InputError(f"the model answers {', '.join(sorted(unknown))}; the dataset has {', '.join(labels)}")
    as_classes = [np.array([index[label] for label in column], np.int64) for column in (gold, predicted)]
    return metric.GLUE_METRICS[name](*as_classes)


def _squad(questions: Sequence[Example], outputs: Outputs, version_2: bool, name: str) -> float:
    answers = zip(questions, _texts(outputs["answer"]), strict=True)
    predictions = {question["id"]: text for question, text in answers}
    golds = {question["id"]: [answer["text"] for answer in question["answers"]] for question in questions}
    return metric.squad_metrics(metric.squad_scores(predictions, golds, version_2=version_2))[name]


def _triviaqa(documents: Sequence[Example], outputs: Outputs, name: str) -> float:
    """Of all documents that a key has, the one with the best span answers; the first of equals."""
    best: dict[str, tuple[float, str]] = defaultdict(lambda: (-np.inf, ""))
    for document, score, text in zip(documents, outputs["score"].tolist(), _texts(outputs["answer"]), strict=True):
        if score > best[document["key"]][0]:
            best[document["key"]] = score, text
    predictions = {key: text for key, (_, text) in best.items() if text}
    golds = {document["key"]: document["aliases"] for document in reversed(documents)}
    return metric.squad_metrics(triviaqa.scores(predictions, golds))[name]


def _texts(values: np.ndarray) -> Iterator[str]:
    return (value.decode("utf-8") for value in values)
