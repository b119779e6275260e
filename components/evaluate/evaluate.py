"""A trained model on a split of its dataset: metrics.json, predictions and report.html."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from bigbird.artifacts import check_files, new_folder, read_manifest, write_manifest
from bigbird.checkpoints.native import load_model, read_state, weights_folder
from bigbird.config import Task
from bigbird.console import Progress, format_duration
from bigbird.errors import InputError
from bigbird.scoring import Evaluation, GlueResults, Scorer, SquadResults
from bigbird.tasks.families import experiment_type
from bigbird.tasks.glue import TASKS
from bigbird.tasks.metrics import confusion
from bigbird.tasks.pretraining import TASK as PRETRAINING
from bigbird.version import provenance
from components.evaluate.predictions import write_glue, write_squad
from components.evaluate.report_page import evaluation_page

# Models that also answer another task's data, as its labels are theirs.
ALSO_ANSWERS = {"mnli": ("ax",)}
MODEL_INPUTS = ("input_word_ids", "input_mask", "input_type_ids", "paragraph_mask")


def evaluate(
    model: str,
    dataset: str,
    output: str,
    split: str | None = None,
    checkpoint: Literal["best", "last"] = "best",
    overwrite: bool = False,
) -> dict[str, Any]:
    """Evaluates a model and writes the evaluation folder.

    Args:
        model: a model folder.
        dataset: a dataset folder of the model's task and vocabulary.
        output: the folder to write.
        split: of the dataset; default its validation split, or its only one.
        checkpoint: the best by validation, or the last.
        overwrite: replaces what `output` holds.

    Returns:
        The manifest, as in metrics.json.

    Raises:
        InputError: a folder is not whole, or dataset and model are not of one task and one vocabulary.
    """
    model_manifest, dataset_manifest = read_manifest(model, "model"), read_manifest(dataset, "dataset")
    if model_manifest.get("experiment_type") == experiment_type(PRETRAINING):
        raise InputError(
            f"{model}: is a pre-trained model, which answers nothing yet. Its masked-LM metrics are in its model.json "
            "(`python -m components.train --mode eval` measures others); fine-tune a task from it: task.init_checkpoint"
        )
    check_compatible(model, model_manifest, dataset, dataset_manifest)
    check_files(model, "model", model_manifest)
    split = choose_split(dataset, dataset_manifest, split)
    weights = weights_folder(model, model_manifest, checkpoint)
    with new_folder(output, overwrite=overwrite) as folder:
        started = time.monotonic()
        loaded, _, experiment = load_model(model, checkpoint)
        scorer = Scorer(experiment.task, dataset_manifest, dataset, split)
        tokens = run_model(loaded, experiment.task, scorer, dataset, dataset_manifest, split)
        if scorer.missing:
            raise InputError(
                f"{dataset}: {scorer.missing} examples of split {split!r} have no record; write the dataset again"
            )
        evaluation = scorer.result()
        manifest = _manifest(dataset_manifest["task"], split, evaluation)
        manifest["checkpoint"] = read_state(weights)["step"]
        manifest["which"] = "best" if weights == Path(model) / str(model_manifest["best"]) else "last"
        manifest["files"] = _write_predictions(folder, evaluation, dataset_manifest["task"], split)
        manifest["seconds"] = round(time.monotonic() - started, 3)
        page = evaluation_page(evaluation, manifest, model, model_manifest, dataset_manifest, tokens)
        (folder / "report.html").write_text(page, encoding="utf-8")
        return write_manifest(folder, "evaluation", manifest)


def check_compatible(
    model: str, model_manifest: dict[str, Any], dataset: str, dataset_manifest: dict[str, Any]
) -> None:
    """Refuses a dataset of another task or another vocabulary than the model's.

    Raises:
        InputError: names both sides.
    """
    task, other = model_manifest["task"], dataset_manifest["task"]
    if task is None:  # trained on bare records, which state neither task nor vocabulary
        if model_manifest["experiment_type"] != dataset_manifest["experiment_type"]:
            kind = model_manifest["experiment_type"]
            raise InputError(f"{dataset}: is a dataset of task {other!r}, but {model} was trained for {kind}")
        classes, wanted = model_manifest["num_classes"], TASKS[other].num_classes if other in TASKS else None
        if classes != wanted:
            raise InputError(f"{dataset}: task {other!r} has {wanted} classes, but {model} has {classes}")
        return
    if other != task and other not in ALSO_ANSWERS.get(task, ()):
        raise InputError(
            f"{dataset}: is a dataset of task {other!r}, but {model} is a model for {task!r}; give a dataset of {task!r}"
        )
    trained, found = model_manifest["dataset"]["vocabulary"], dataset_manifest["vocabulary"]
    for key, meaning in (("sha256", "vocabulary"), ("lower_case", "lower-casing")):
        if trained[key] != found[key]:
            raise InputError(
                f"{dataset}: was made with another {meaning} than the model's ({key} {found[key]}; {model} has {trained[key]}); "
                f"preprocess again with --vocabulary {Path(model) / 'vocab.model'}{' --lower_case' if trained['lower_case'] else ''}"
            )


def choose_split(dataset: str, manifest: dict[str, Any], split: str | None) -> str:
    """The split to evaluate: the one asked for, else the validation split (MNLI: the matched one), else the only one.

    Raises:
        InputError: there is no such split, or none that can be evaluated.
    """
    splits = [name for name in manifest["splits"] if name != "train"]
    if split is None:
        validation = sorted(name for name in splits if name.startswith("validation"))
        if not validation and len(splits) != 1:
            raise InputError(
                f"{dataset}: has no validation split; choose one with --split: {', '.join(splits) or 'there is none'}"
            )
        return (validation or splits)[0]
    if split not in splits:
        found = ", ".join(splits) or "none"
        raise InputError(f"{dataset}: has no split {split!r} to evaluate; it has {found}")
    return split


def run_model(
    model: Any, task: Task, scorer: Scorer, dataset: str, manifest: dict[str, Any], split: str
) -> dict[int, int]:
    """Feeds a split through the model into the scorer, showing progress.

    Returns:
        Record id -> length in tokens.
    """
    import tensorflow as tf

    from bigbird.dataset import evaluation_dataset, explain_bad_records, split_files

    files = split_files(dataset, manifest, split)
    predict = tf.function(lambda inputs: model(inputs, training=False))
    progress = Progress(f"evaluate {split}", manifest["splits"][split]["records"])
    lengths: dict[int, int] = {}
    started = time.monotonic()
    with explain_bad_records(files, task, task.validation_data, labels=False):
        for batch in evaluation_dataset(files, task, labels=False):
            outputs = {name: value.numpy() for name, value in predict(_inputs(batch)).items()}
            ids, weight = batch["record_id"].numpy(), batch["weight"].numpy()
            scorer.add(ids, outputs, weight)
            counts = batch["input_mask"].numpy().sum(axis=1)
            lengths.update(zip(ids[weight > 0].tolist(), counts[weight > 0].tolist(), strict=True))
            progress.update(len(lengths), f"{sum(lengths.values()) / (time.monotonic() - started):,.0f} tokens/s")
    progress.finish(f"evaluate {split}: {len(lengths):,} records in {format_duration(time.monotonic() - started)}")
    return lengths


def _inputs(batch: Mapping[str, Any]) -> dict[str, Any]:
    return {name: batch[name] for name in MODEL_INPUTS if name in batch}


def _manifest(task: str, split: str, evaluation: Evaluation) -> dict[str, Any]:
    """What metrics.json says of the result."""
    results, primary = evaluation.answers, evaluation.primary
    labelled = bool(evaluation.metrics)
    manifest: dict[str, Any] = {
        "task": task,
        "split": split,
        "labelled": labelled,
        "metrics": evaluation.metrics,
        "primary": {"name": primary, "value": evaluation.metrics[primary]} if labelled else None,
        "baseline": None,
        "examples": len(results.ids if isinstance(results, GlueResults) else results.questions),
        **provenance(),
    }
    if labelled:
        value = evaluation.baseline[primary]
        manifest["baseline"] = {
            "description": evaluation.baseline_answer,
            "value": value,
            "metrics": evaluation.baseline,
        }
    if isinstance(results, GlueResults) and results.gold is not None and results.labels is not None:
        counts = confusion(results.gold, results.predicted, len(results.labels))
        manifest["confusion"] = {"labels": list(results.labels), "counts": counts.tolist()}
    return manifest


def _write_predictions(folder: Path, evaluation: Evaluation, task: str, split: str) -> list[str]:
    if isinstance(evaluation.answers, SquadResults):
        return write_squad(folder, evaluation.answers)
    return write_glue(folder, evaluation.answers, TASKS[task], split)
