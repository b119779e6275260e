"""A trained model on a split of its dataset: metrics.json, predictions and report.html."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from bigbird.checkpoints.native import load_model, read_state, weights_folder
from bigbird.config import Task, replace
from bigbird.layers.own_gradient import without_gradients
from bigbird.layers.types import Tensor
from bigbird.manifests import DatasetManifest, EvaluationManifest, ModelManifest
from bigbird.scoring import Scorer
from bigbird.storage import check_output
from bigbird.support.errors import InputError
from bigbird.support.new_folders import new_folder
from bigbird.support.precision import Precision, policy, slow_here
from bigbird.support.progress import Progress, format_duration
from bigbird.support.text_files import shown
from bigbird.tasks.evaluation import Evaluation
from bigbird.tasks.family import AnsweringFamily
from bigbird.tasks.registry import answering_family, family_of, family_of_task, family_of_type
from bigbird.version import provenance
from bigbird_components.evaluate.lengths import check_can_be_cut, check_lengths, evaluate_at_lengths
from bigbird_components.evaluate.report_page import evaluation_page

_log = logging.getLogger(__name__)

_SHOWN = 12  # labels in a message


def evaluate(
    model: str,
    dataset: str,
    output: str,
    split: str | None = None,
    checkpoint: Literal["best", "last"] = "best",
    overwrite: bool = False,
    at_lengths: Sequence[int] = (),
    precision: Precision | None = None,
) -> EvaluationManifest:
    """Evaluates a model and writes the evaluation folder.

    Args:
        model: a model folder.
        dataset: a dataset folder of the model's task and vocabulary.
        output: the folder to write.
        split: of the dataset; default its validation split, or its only one.
        checkpoint: the best by validation, or the last.
        overwrite: replaces what `output` holds.
        precision: what the model computes in; default as it was trained.
        at_lengths: evaluates also at these lengths, the most tokens of each example that are read; see `lengths`.

    Returns:
        The manifest, as in metrics.json.

    Raises:
        InputError: a folder is not whole, or dataset and model are not of one task and one vocabulary, or the examples cannot be
            read at other lengths, or the output folder holds what is read.
    """
    check_output(output, [model, dataset])
    model_manifest, dataset_manifest = ModelManifest.read(model), DatasetManifest.read(dataset)
    kind = model_manifest.experiment_type
    if kind is not None and not isinstance(family_of_type(kind), AnsweringFamily):
        raise InputError(
            f"{model}: is a pre-trained model, which answers nothing yet. Its masked-LM metrics are in its model.json "
            "(`bigbird train --mode eval` measures others); fine-tune a task from it: task.init_checkpoint"
        )
    check_compatible(model, model_manifest, dataset, dataset_manifest)
    family = answering_family(dataset_manifest.task)
    model_manifest.check_files(model)
    split = choose_split(dataset, dataset_manifest, split)
    check_lengths(at_lengths, dataset_manifest.splits[split].labelled)
    weights = weights_folder(model, model_manifest, checkpoint)
    with new_folder(output, overwrite=overwrite) as folder:
        started = time.monotonic()
        loaded, _, experiment = load_model(model, checkpoint, dtype=precision and policy(precision))
        precision = precision or experiment.runtime.mixed_precision_dtype
        if slow := slow_here(precision):
            _log.warning(f"{slow}; `bigbird evaluate --precision float32` computes in float32 instead")
        task = experiment.task
        if at_lengths:
            check_can_be_cut(family, task)
        predict = compiled(loaded)
        which = "best" if weights == Path(model) / str(model_manifest.best) else "last"
        decisions = model_manifest.decisions if which == "best" else None

        def score(data: str, facts: DatasetManifest, what: str) -> tuple[Evaluation, dict[int, int]]:
            scorer = Scorer(task, facts, data, split)
            tokens = run_model(predict, task, scorer, data, facts, split, what)
            if scorer.missing:
                raise InputError(
                    f"{data}: {scorer.missing} examples of split {split!r} have no record; write the dataset again"
                )
            return scorer.result(), tokens

        def at_length(data: str, facts: DatasetManifest, length: int) -> Evaluation:
            found, _ = score(data, facts, f"evaluate {split} at {length:,} tokens")
            return family.examine(found, task, decisions, None, split)

        found, tokens = score(dataset, dataset_manifest, f"evaluate {split}")
        answering = time.monotonic() - started
        evaluation = family.examine(found, task, decisions, Path(dataset), split)
        _check_defined(dataset, split, evaluation)
        stated = _stated(family, dataset_manifest.task, split, evaluation)
        stated["checkpoint"] = read_state(weights).step
        stated["which"] = which
        stated["precision"] = precision
        stated["answering_seconds"] = round(answering, 3)
        if at_lengths:
            stated["at_lengths"] = evaluate_at_lengths(
                at_lengths, family, dataset, dataset_manifest, split, evaluation, at_length
            )
        stated["files"] = family.write_predictions(folder, evaluation.results, dataset_manifest.task, split)
        stated["seconds"] = round(time.monotonic() - started, 3)
        manifest = EvaluationManifest.model_validate(stated)
        page = evaluation_page(evaluation, manifest, model, model_manifest, dataset_manifest, tokens)
        (folder / "report.html").write_text(page, encoding="utf-8")
        return manifest.write(folder)


def check_compatible(
    model: str, model_manifest: ModelManifest, dataset: str, dataset_manifest: DatasetManifest
) -> None:
    """Refuses a dataset of another task or another vocabulary than the model's, or with labels that the model does not know.

    Raises:
        InputError: names both sides.
    """
    task, other = model_manifest.task, dataset_manifest.task
    if task is None:  # trained on bare records, which state neither task nor vocabulary
        if model_manifest.experiment_type != dataset_manifest.experiment_type:
            kind = model_manifest.experiment_type
            raise InputError(f"{dataset}: is a dataset of task {other!r}, but {model} was trained for {kind}")
        classes, wanted = model_manifest.num_classes, family_of_task(other).num_classes(other)
        if classes != wanted:
            raise InputError(f"{dataset}: task {other!r} has {wanted} classes, but {model} has {classes}")
        return
    if other != task and other not in answering_family(task).answers_too(task):
        raise InputError(
            f"{dataset}: is a dataset of task {other!r}, but {model} is a model for {task!r}; give a dataset of {task!r}"
        )
    trained_on = model_manifest.trained_on()
    _check_labels(model, trained_on, dataset, dataset_manifest)
    trained, found = trained_on.vocabulary, dataset_manifest.vocabulary
    for key, meaning in (("sha256", "vocabulary"), ("lower_case", "lower-casing")):
        if trained[key] != found[key]:
            raise InputError(
                f"{dataset}: was made with another {meaning} than the model's ({key} {found[key]}; {model} has {trained[key]}); "
                f"preprocess again with --vocabulary {Path(model) / trained.file}{' --lower-case' if trained.lower_case else ''}"
            )


def _check_labels(model: str, trained_on: DatasetManifest, dataset: str, given: DatasetManifest) -> None:
    """Refuses labels that the model can never answer: where one is right, nothing the model says can be scored."""
    kind, wanted = given.get("kind"), trained_on.get("kind")  # of families whose labels may be of several kinds
    if kind != wanted and None not in (kind, wanted):
        raise InputError(
            f"{dataset}: its labels are of kind {kind!r}, but {model} was trained on labels of kind {wanted!r}; give a dataset with "
            f"labels of kind {wanted!r}"
        )
    known = trained_on.labels or []
    if unknown := [label for label in given.labels or [] if label not in known]:
        raise InputError(
            f"{dataset}: has {_listed(unknown)}, which {model} does not know; it was trained on {_listed(known)}. Give a dataset of "
            "only these labels, or train a model on this one"
        )


def _listed(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - _SHOWN:,} more" if len(labels) > _SHOWN else ""
    return ", ".join(shown(label, 60) for label in labels[:_SHOWN]) + more


def choose_split(dataset: str, manifest: DatasetManifest, split: str | None) -> str:
    """The split to evaluate: the one asked for, else the validation split (MNLI: the matched one), else the only one.

    Raises:
        InputError: there is no such split, or none that can be evaluated.
    """
    splits = [name for name in manifest.splits if name != "train"]
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


def compiled(model: Any) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    """The model as a compiled function of a batch's inputs, without dropout: int32[B, L] -> float32[B, ...], by name."""
    import tensorflow as tf

    def answer(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        with without_gradients():  # as the exported model is made
            return model(inputs, training=False)

    return tf.function(answer, autograph=False)


def run_model(
    predict: Callable[[dict[str, Tensor]], dict[str, Tensor]],
    task: Task,
    scorer: Scorer,
    dataset: str,
    manifest: DatasetManifest,
    split: str,
    what: str,
) -> dict[int, int]:
    """Feeds a whole split through the model into the scorer, showing progress.

    Args:
        predict: the model, as `compiled` gives it.
        task: the task's configuration.
        scorer: takes the outputs.
        dataset: the dataset folder.
        manifest: of the dataset.
        split: of the dataset.
        what: is done, for the progress.

    Returns:
        Record id -> length in tokens.
    """
    from bigbird.data.dataset import evaluation_dataset, explain_bad_records
    from bigbird.data.record_files import split_files

    task = replace(task, validation_data={"max_records": 0})  # the limit is training's, for validating often
    family, files = family_of(task), split_files(dataset, manifest, split)
    progress = Progress(what, manifest.splits[split].records)
    lengths: dict[int, int] = {}
    started = time.monotonic()
    with explain_bad_records(files, task, task.validation_data, labels=False):
        for batch in evaluation_dataset(files, task, labels=False):
            inputs = {name: batch[name] for name in family.model_inputs}
            outputs = {name: value.numpy() for name, value in predict(inputs).items()}
            ids, weight = batch["record_id"].numpy(), batch["weight"].numpy()
            scorer.add(ids, outputs, weight)
            counts = batch["input_mask"].numpy().sum(axis=1)
            lengths.update(zip(ids[weight > 0].tolist(), counts[weight > 0].tolist(), strict=True))
            progress.update(len(lengths), f"{sum(lengths.values()) / (time.monotonic() - started):,.0f} tokens/s")
    progress.finish(f"{what}: {len(lengths):,} records in {format_duration(time.monotonic() - started)}")
    return lengths


def _check_defined(dataset: str, split: str, evaluation: Evaluation) -> None:
    """Refuses a split that does not define the metric that decides."""
    if reason := evaluation.undefined.get(evaluation.primary):
        raise InputError(
            f"{dataset}: {evaluation.primary} is not defined for split {split!r}: {reason}; expected a split that shows what "
            "was learnt. Cut another one, or name its file"
        )


def _stated(family: AnsweringFamily, task: str, split: str, evaluation: Evaluation) -> dict[str, Any]:
    """What metrics.json says of the result."""
    primary = evaluation.primary
    labelled = bool(evaluation.metrics)
    stated: dict[str, Any] = {
        "task": task,
        "split": split,
        "labelled": labelled,
        "metrics": evaluation.metrics,
        "primary": {"name": primary, "value": evaluation.metrics[primary]} if labelled else None,
        "baseline": None,
        "examples": family.count(evaluation.results),
        **evaluation.details,
        **provenance(),
    }
    if evaluation.comparisons:
        stated["comparisons"] = [
            {
                "name": each.name,
                "description": each.description,
                "metrics": dict(each.metrics),
                "seconds": round(each.seconds, 3),
            }
            for each in evaluation.comparisons
        ]
    if labelled:
        value = evaluation.baseline[primary]
        stated["baseline"] = {
            "description": evaluation.baseline_answer,
            "value": value,
            "metrics": evaluation.baseline,
        }
    if confusion := family.confusion(evaluation.results):
        stated["confusion"] = confusion
    return stated
