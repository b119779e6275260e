"""Classification and regression of a user's own documents, as a task family."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from bigbird.config import Task
from bigbird.manifests import DatasetManifest, ModelManifest
from bigbird.records.features import TOKENS, Feature
from bigbird.support.errors import InputError
from bigbird.support.text_files import shown
from bigbird.tasks.classification.classifiers import ClassifierFamily, resolved_weights
from bigbird.tasks.classification.config import WINDOWS_OF_PAIRS, ClassificationTask
from bigbird.tasks.classification.data_section import TableData
from bigbird.tasks.classification.encoding import Layout, encode_documents, shortened
from bigbird.tasks.classification.metrics import LOWER_IS_BETTER
from bigbird.tasks.classification.options import OPTIONS
from bigbird.tasks.evaluation import Evaluation, Outputs
from bigbird.tasks.preprocessing import LineRange, Preprocessing, batches
from bigbird.tasks.raw_input import Inputs, Line, Reading, Storage
from bigbird.tasks.records import BadRecords
from bigbird.tasks.shortening import Record
from bigbird.tasks.statistics import Statistics
from bigbird.tasks.table_rows import Answers, TableRows
from bigbird.tasks.tables.family import TableFamily

if TYPE_CHECKING:
    from bigbird.layers.types import Tensor
    from bigbird.reports.report import Html
    from bigbird.tasks.classification.scoring import ClassificationCollector, ClassificationResults
    from bigbird.text.vocabulary import Vocabulary

BATCH = 512  # documents that are cut into pieces at once; they may be long
# What a dataset says of its records and a configuration must not contradict.
SHARED = ("kind", "labels", "long_documents")


class ClassificationFamily(TableFamily, ClassifierFamily):
    """One label, several labels or a number for each document of a user's own table."""

    name = "classification"
    tasks = ("classification",)
    config = ClassificationTask
    defaults = {"max_length": 1024, "long_documents": "head", "window_stride": 0}
    section = TableData
    table_options = OPTIONS
    examples_per_file = 8192
    metric_meanings = {
        "accuracy": "share of right labels",
        "macro_f1": "mean of the labels' F1: rare labels count as much as frequent ones",
        "micro_f1": "F1 of all decisions together: frequent labels count most",
        "weighted_f1": "mean of the labels' F1, weighted by how often they are right",
        "matthews_corrcoef": "correlation of labels; 0 is chance, 1 is perfect",
        "macro_matthews_corrcoef": "mean of the labels' correlations; 0 is chance, 1 is perfect",
        "macro_roc_auc": "mean area under the ROC curve; 0.5 is chance",
        "macro_pr_auc": "mean average precision",
        "log_loss": "surprise at the right labels, in nats; lower is better",
        "calibration_error": "how far probabilities are from what is right so often; lower is better",
        "subset_accuracy": "share of documents all of whose labels are right",
        "hamming_loss": "share of wrong decisions; lower is better",
        "r2": "share of the variance that is explained; 0 is the mean's, 1 is perfect",
        "mean_absolute_error": "mean distance from the right number; lower is better",
        "root_mean_squared_error": "as the mean absolute error, large errors count more",
        "pearson": "linear correlation with the right numbers",
        "spearman": "correlation of the ranks",
    }
    lower_is_better = LOWER_IS_BETTER

    # ------------------------------------------------------------------------------------------- configuration

    def metrics(self, task: str) -> tuple[str, ...]:
        from bigbird.tasks.classification.scoring import METRICS

        return METRICS["single"]

    def default_metric(self, config: Task) -> str:
        from bigbird.tasks.classification.scoring import METRICS

        return METRICS[_own(config).kind or "single"][0]

    def recipe(self, task: str, *, published: bool) -> str:
        return "classification" if published else "small_classification"

    def title(self, task: str) -> str:
        return "Classification"

    # ----------------------------------------------------------------------------------------------- raw files

    def rows_to_check(self, inputs: Inputs, storage: Storage) -> TableRows:
        from bigbird.tasks.classification.checking import rows_to_check

        return rows_to_check(inputs, storage)

    def read_table(
        self,
        inputs: Inputs,
        storage: Storage,
        scratch: BinaryIO,
        bad: BadRecords,
        told: Callable[[str], None],
        progress: Callable[[str, int], None],
    ) -> Reading:
        from bigbird.tasks.classification.table_reading import read_table

        return read_table(inputs, storage, scratch, bad, told, progress)

    # ------------------------------------------------------------------------------------------- preprocessing

    def preprocessing_settings(self, config: Task) -> dict[str, Any]:
        config = _own(config)
        return {
            **super().preprocessing_settings(config),
            "long_documents": config.long_documents,
            "window_stride": config.window_stride or 0,
        }

    def check_settings(self, settings: Mapping[str, Any], section: Mapping[str, Any]) -> None:
        super().check_settings(settings, section)
        if settings["long_documents"] == "windows" and section.get("text_b") is not None:
            raise InputError(WINDOWS_OF_PAIRS)

    def encode(
        self,
        lines: Iterator[Line],
        place: LineRange,
        preprocessing: Preprocessing,
        vocabulary: Vocabulary,
        statistics: Statistics,
    ) -> Iterator[bytes]:
        layout = Layout.of(preprocessing.settings)
        label_ids = {label: number for number, label in enumerate(preprocessing.labels or ())}
        for batch in batches(lines, BATCH):
            yield from encode_documents(batch, layout, label_ids, vocabulary, statistics)

    def manifest_facts(self, task: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        layout = Layout.of(settings)
        return {
            "max_length": layout.max_length,
            "long_documents": layout.long_documents,
            "window_stride": layout.window_stride,
        }

    # ------------------------------------------------------------------------------------- records and training

    def record_features(self, config: Task) -> tuple[Feature, ...]:
        config = _own(config)
        target = {
            "single": Feature("label_ids", "int64", when="labelled"),
            "multi": Feature("label_ids", "int64", many=True, classes=config.model.num_classes, when="labelled"),
            "number": Feature("label_ids", "float32", when="labelled"),
        }[config.kind or "single"]
        return (Feature("record_id", "int64"), *TOKENS, target, Feature("windows", "int64"))

    def from_dataset(self, config: Task, manifest: DatasetManifest, vocabulary: str) -> dict[str, Any]:
        config = _own(config)
        for key in SHARED:
            found = getattr(config, key)
            if key in config.model_fields_set and found and found != manifest[key]:
                raise InputError(
                    f"task.{key} is {shown(found)}, but the dataset's records are made with {shown(manifest[key])}; leave it out, "
                    "or preprocess again"
                )
        classes = len(manifest.labels) if manifest.labels else 1
        if config.model.num_classes not in (0, classes):
            raise InputError(f"task.model.num_classes is {config.model.num_classes}, but the dataset has {classes}")
        return {
            "model": {"num_classes": classes},
            "kind": manifest["kind"],
            "labels": manifest.labels or [],
            "long_documents": manifest["long_documents"],
            "window_stride": min(manifest["window_stride"], manifest.max_length),
            "class_weights": resolved_weights(config.class_weights, manifest),
            "label_shares": label_shares(manifest),
            "number_mean": manifest["numbers"]["mean"] if manifest["numbers"] else 0.0,
            "number_deviation": manifest["numbers"]["deviation"] if manifest["numbers"] else 1.0,
        }

    def check_without_dataset(self, config: Task, splits: Collection[str]) -> None:
        config = _own(config)
        if not config.model.num_classes or config.kind is None or config.class_weights == "balanced":
            raise InputError(
                "task.model.num_classes, task.kind and task.class_weights are known by the dataset; give it with --dataset, or set "
                "num_classes (1 is a number), kind (single, multi, number), and weights by label"
            )

    def first_bias(self, config: Task) -> list[float] | None:
        return first_bias(_own(config))

    def loss(self, config: Task, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
        """By kind: logits float32[B, C] -> float32[B]."""
        from bigbird.tasks.classification.losses import loss

        return loss(_own(config), outputs["logits"], batch["label_ids"])

    # ---------------------------------------------------------------------------------------------- evaluation

    def collector(
        self, config: Task, manifest: DatasetManifest | None, folder: Path | None, split: str
    ) -> ClassificationCollector:
        from bigbird.tasks.classification.scoring import ClassificationCollector

        return ClassificationCollector(_own(config), manifest, folder, split)

    def decide(self, config: Task, evaluation: Evaluation) -> dict[str, Any] | None:
        from bigbird.tasks.classification.examination import decide

        return decide(_own(config), evaluation.results)

    def examine(
        self, evaluation: Evaluation, config: Task, decisions: Mapping[str, Any] | None, folder: Path | None, split: str
    ) -> Evaluation:
        from bigbird.tasks.classification.examination import examine

        return examine(evaluation, decisions, folder)

    def shorten(self, record: Record, length: int, manifest: DatasetManifest) -> Record | None:
        return shortened(record, length, Layout.of(manifest))

    def write_predictions(self, folder: Path, results: ClassificationResults, task: str, split: str) -> list[str]:
        from bigbird.tasks.classification.predictions import write_predictions

        return write_predictions(folder, results)

    def answers(self, folder: Path) -> Answers:
        from bigbird.tasks.classification.predictions import answers

        return answers(folder)

    def report_sections(self, results: ClassificationResults, tokens: Mapping[int, int]) -> list[Html]:
        from bigbird.tasks.classification.report import report_sections

        return report_sections(results, tokens)

    # ------------------------------------------------------------------------------------------------- serving

    def serving_module(self, model: Any, manifest: ModelManifest, config: Task, vocabulary: Vocabulary) -> Any:
        from bigbird.tasks.classification.decisions import decisions_of
        from bigbird.tasks.classification.serving import Classifier

        config = _own(config)
        return Classifier(
            model,
            vocabulary,
            buckets=config.buckets,
            layout=Layout.of(manifest.trained_on()),
            pairs=manifest.trained_on()["pairs"],
            labels=config.labels,
            decisions=decisions_of(config.kind, config.labels, manifest.decisions),
            window_pooling=config.window_pooling,
            scale=(config.number_mean, config.number_deviation),
        )

    def is_cut(self, pieces: Mapping[str, int], dataset: DatasetManifest) -> bool:
        if not super().is_cut(pieces, dataset):
            return False
        return len(pieces) > 1 or dataset["long_documents"] != "windows"

    def score_answers(
        self,
        lines: Sequence[Line],
        ask: Callable[[Sequence[Line]], Outputs],
        manifest: DatasetManifest,
        metric_name: str,
    ) -> float:
        from bigbird.tasks.classification.scoring import score_answers

        return score_answers(lines, ask(lines), manifest, metric_name)


def label_shares(manifest: DatasetManifest) -> dict[str, float]:
    """Label -> share of the training documents that have it; nothing where labels are numbers, or they were not counted."""
    train = manifest.splits.get("train")
    if train is None or not manifest.labels or not all(train.labels.get(label) for label in manifest.labels):
        return {}
    return {label: train.labels[label] / train.examples for label in manifest.labels}


def first_bias(config: ClassificationTask) -> list[float] | None:
    """What the logits' bias starts at, so that an untrained model gives the constant answer of the least loss.

    From 0 the first steps of many rare labels go into saying no to all of them, and from scratch the layer below does not
    recover from it (Lin et al., "Focal Loss for Dense Object Detection", 2017, section 4.1).

    Returns:
        The log of share times weight; of several labels the log of odds times weight. None where the shares are not known.
    """
    if not config.labels or not all(label in config.label_shares for label in config.labels):
        return None
    weights = config.class_weights if isinstance(config.class_weights, dict) else {}
    starts = []
    for label in config.labels:
        share = config.label_shares[label]
        against = 1.0 - min(share, 1.0 - 1e-6) if config.kind == "multi" else 1.0
        starts.append(math.log(share) - math.log(against) + math.log(max(weights.get(label, 1.0), 1e-6)))
    return starts


def _own(config: Task) -> ClassificationTask:
    assert isinstance(config, ClassificationTask)  # noqa: S101 - this family's
    return config


FAMILY = ClassificationFamily()
