"""The model to register: what its folders say of it, checked against each other."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from bigbird.manifests import DatasetManifest, EvaluationManifest, SavedModelManifest
from bigbird.support.errors import InputError
from bigbird.tasks.registry import answering_family
from bigbird.version import revision
from bigbird_components.register.labels import (
    OURS,
    OURS_VALUE,
    dataset_fingerprint,
    evaluation_fingerprint,
    label_value,
    metric_label,
    rounded,
    run_label,
)
from bigbird_components.register.model_files import local_folder


@dataclass(frozen=True)
class Challenger:
    """A model and how it was evaluated.

    Attributes:
        task: of the model.
        metric: name of the metric that counts.
        value: its value, six digits.
        dataset: the dataset folder it was evaluated on.
        manifest: of that folder.
        split: the split it was evaluated on.
        evaluation: fingerprint of that split and the metric.
        run: names the run that made the model.
    """

    task: str
    metric: str
    value: Decimal
    dataset: str
    manifest: DatasetManifest
    split: str
    evaluation: str
    run: str

    def labels(self) -> dict[str, str]:
        """The labels of its version."""
        return {
            OURS: OURS_VALUE,
            "task": label_value(self.task),
            "metric": label_value(self.metric),
            "value": metric_label(self.value),
            "evaluation": self.evaluation,
            "dataset": dataset_fingerprint(self.manifest),
            "commit": label_value(revision()),
            "run": self.run,
        }

    def description(self) -> str:
        """One line for people."""
        return f"{self.task}: {self.metric} {self.value} on {self.split}, code {revision()}"


def read_challenger(saved_model: str, artifact_uri: str, evaluation: str, dataset: str, pipeline: str) -> Challenger:
    """Reads the folders of a run.

    Args:
        saved_model: the exported model's folder, here or in a bucket.
        artifact_uri: where Vertex AI finds it.
        evaluation: the evaluation folder.
        dataset: the dataset folder that was evaluated.
        pipeline: the pipeline job, or "".

    Raises:
        InputError: a folder is not whole, they are of different tasks or checkpoints, or there is no metric.
        ServiceError: a bucket cannot be read.
    """
    if not artifact_uri.startswith("gs://"):
        raise InputError(
            f"{artifact_uri}: the registry takes models from buckets only; expected the SavedModel's folder as "
            "gs://BUCKET/FOLDER"
        )
    evaluated, manifest = EvaluationManifest.read(evaluation), DatasetManifest.read(dataset)
    with local_folder(saved_model, only="signature.json") as folder:
        exported = SavedModelManifest.read(folder)
    task = exported.task
    if evaluated.task != manifest.task or evaluated.split not in manifest.splits:
        raise InputError(
            f"{evaluation}: is of task {evaluated.task!r}, split {evaluated.split!r}, but {dataset} holds "
            f"{manifest.task!r} with {', '.join(manifest.splits)}; give the dataset that was evaluated"
        )
    if task != manifest.task and manifest.task not in answering_family(task).answers_too(task):
        raise InputError(
            f"{saved_model}: is a model for {task!r}, but {evaluation} is of task {manifest.task!r}; "
            "give the folders of one run"
        )
    if evaluated.which == "last" and exported.metrics:  # which are the best checkpoint's, where one was made
        raise InputError(
            f"{evaluation}: is of the last checkpoint, but {saved_model} holds the best one by validation; evaluate that with "
            "`bigbird evaluate --checkpoint best`"
        )
    if evaluated.precision and exported.precision and evaluated.precision != exported.precision:
        raise InputError(
            f"{evaluation}: is of the model in {evaluated.precision}, but {saved_model} computes in {exported.precision}; evaluate it with "
            f"`bigbird evaluate --precision {exported.precision}`"
        )
    primary = evaluated.primary
    if primary is None:
        raise InputError(
            f"{evaluation}: split {evaluated.split!r} has no labels, so there is no metric to compare; "
            "evaluate a split with labels"
        )
    manifest.check_files(dataset, [f"{evaluated.split}.examples.jsonl"])
    return Challenger(
        task=task,
        metric=primary.name,
        value=rounded(primary.value),
        dataset=dataset,
        manifest=manifest,
        split=evaluated.split,
        evaluation=evaluation_fingerprint(dataset, evaluated.split, primary.name),
        run=run_label(pipeline, artifact_uri, exported),
    )
