"""GLUE's tasks as presets of classification."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bigbird.config import Task
from bigbird.manifests import DatasetManifest, ModelManifest
from bigbird.records.features import LABEL_IDS, TOKENS, Feature
from bigbird.support.errors import InputError
from bigbird.tasks.classification.classifiers import ClassifierFamily, resolved_weights
from bigbird.tasks.classification.encoding import Layout
from bigbird.tasks.classification.glue.config import GlueTask
from bigbird.tasks.classification.glue.examples import GLUE_TASKS, GlueExample, encode_examples, find_files, parse
from bigbird.tasks.evaluation import Outputs
from bigbird.tasks.preprocessing import LineRange, Preprocessing, batches
from bigbird.tasks.raw_input import FileNames, Item, Line, Source, Storage
from bigbird.tasks.records import BadRecords
from bigbird.tasks.statistics import Statistics

if TYPE_CHECKING:
    from bigbird.layers.types import Tensor
    from bigbird.reports.report import Html
    from bigbird.tasks.classification.glue.scoring import GlueCollector, GlueResults
    from bigbird.text.vocabulary import Vocabulary

# Examples that are cut into pieces at once: enough to amortise the call, few enough to keep little in memory.
BATCH = 2048
# Models that also answer another task's data, as its labels are theirs.
ANSWERS_TOO = {"mnli": ("ax",)}


class GlueFamily(ClassifierFamily):
    """Presets: GLUE's nine tasks and its diagnostic set, with their official files and metrics."""

    name = "glue"
    tasks = tuple(GLUE_TASKS)
    pipeline_tasks = tuple(task for task in GLUE_TASKS if "train" in GLUE_TASKS[task].splits)
    samples = {"glue": "sst2"}
    config = GlueTask
    defaults = {"max_length": 1024, "doc_stride": 128, "query_length": 64}
    examples_per_file = 8192
    metric_meanings = {
        "accuracy": "share of right labels",
        "f1": "harmonic mean of precision and recall",
        "matthews_corrcoef": "correlation of labels; 0 is chance, 1 is perfect",
        "pearson": "linear correlation with the right scores",
        "spearman": "correlation of the ranks",
    }

    # ------------------------------------------------------------------------------------------- configuration

    def metrics(self, task: str) -> tuple[str, ...]:
        return GLUE_TASKS[task].metrics

    def default_metric(self, config: Task) -> str:
        from bigbird.tasks.classification.glue.scoring import METRIC_TYPES

        name = _own(config).metric_type
        return METRIC_TYPES.get(name, (name,))[0]

    def task_defaults(self, task: str) -> dict[str, Any]:
        first = GLUE_TASKS[task].metrics[0]
        data = {"label_type": "int" if GLUE_TASKS[task].labels else "float"}
        metric_type = "pearson_spearman_corr" if first == "pearson" else first
        return {"task": {"metric_type": metric_type, "train_data": data, "validation_data": data}}

    def recipe(self, task: str, *, published: bool) -> str:
        if published:
            return f"glue_{task}"
        return "small_sst2" if task == "sst2" else "small_glue"

    def title(self, task: str) -> str:
        return GLUE_TASKS[task].folder

    def write_sample(self, sample: str, folder: Path, seed: int) -> None:
        from bigbird.tasks.classification.glue.sample import write_sample

        write_sample(folder, seed)

    # ----------------------------------------------------------------------------------------------- raw files

    def file_names(self, task: str) -> FileNames:
        splits = GLUE_TASKS[task].splits
        return FileNames(splits, "", ".tsv", ", ".join(options[0] for options in splits.values()))

    def inner_folder(self, task: str, names: Collection[str]) -> str | None:
        spec = GLUE_TASKS[task]
        return spec.folder if spec.folder in names and not find_files(list(names), spec) else None

    def read(self, task: str, source: Source, storage: Storage, bad: BadRecords) -> Iterator[Item]:
        data = storage.read_bytes(source.path, f"{source.split} file of {task}")
        for example in parse(data, source.path, GLUE_TASKS[task], source.split, bad):
            yield Item(example._asdict(), 1, example.label is not None)

    # ------------------------------------------------------------------------------------------- preprocessing

    def encode(
        self,
        lines: Iterator[Line],
        place: LineRange,
        preprocessing: Preprocessing,
        vocabulary: Vocabulary,
        statistics: Statistics,
    ) -> Iterator[bytes]:
        spec = GLUE_TASKS[preprocessing.task]
        for batch in batches(lines, BATCH):
            examples = [GlueExample(**line) for line in batch]
            statistics.examples += len(examples)
            if spec.labels is not None:
                statistics.labels.update(str(example.label) for example in examples if example.label is not None)
            for record, length, cut in encode_examples(examples, spec, vocabulary, preprocessing.max_length):
                statistics.add_record(length)
                statistics.truncated += cut
                yield record

    def labels(self, task: str) -> tuple[str, ...] | None:
        return GLUE_TASKS[task].labels

    # ------------------------------------------------------------------------------------- records and training

    def record_features(self, config: Task) -> tuple[Feature, ...]:
        return (*TOKENS, LABEL_IDS[_own(config).train_data.label_type], Feature("example_id", "int64"))

    def from_dataset(self, config: Task, manifest: DatasetManifest, vocabulary: str) -> dict[str, Any]:
        labels = manifest.labels
        classes, label_type = (len(labels), "int") if labels else (1, "float")
        config = _own(config)
        found = config.model.num_classes
        if found not in (0, classes):
            raise InputError(f"task.model.num_classes is {found}, but {manifest.task} has {classes}")
        changes: dict[str, Any] = {"model": {"num_classes": classes}}
        for name in ("train_data", "validation_data"):
            data = getattr(config, name)
            if "label_type" in data.model_fields_set and data.label_type != label_type:
                raise InputError(
                    f"task.{name}.label_type is {data.label_type}, but {manifest.task} has {label_type} labels"
                )
            changes[name] = {"label_type": label_type}
        if config.class_weights is not None:
            weights = resolved_weights(config.class_weights, manifest)
            changes |= {"class_weights": weights, "labels": list(labels or ())}
        return changes

    def check_without_dataset(self, config: Task, splits: Collection[str]) -> None:
        config = _own(config)
        if not config.model.num_classes:
            raise InputError(
                "task.model.num_classes is not set; set it (1 is regression) or give --dataset, which knows it"
            )
        if config.class_weights is not None and (config.class_weights == "balanced" or not config.labels):
            raise InputError(
                "task.class_weights needs the labels, which the dataset knows; give it with --dataset, or set task.labels in "
                "the order of their ids and weights by label"
            )

    def num_classes(self, task: str) -> int | None:
        return GLUE_TASKS[task].num_classes

    def loss(self, config: Task, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
        """Cross-entropy; of one class, which is a number, the squared error. Logits float32[B, C] -> float32[B]."""
        from bigbird.tasks.classification.losses import number_loss, single_label_loss, weights_of

        config, logits = _own(config), outputs["logits"]
        if logits.shape[-1] == 1:
            return number_loss(logits, batch["label_ids"])
        return single_label_loss(logits, batch["label_ids"], weights_of(config), config.label_smoothing)

    # ---------------------------------------------------------------------------------------------- evaluation

    def collector(
        self, config: Task, manifest: DatasetManifest | None, folder: Path | None, split: str
    ) -> GlueCollector:
        from bigbird.tasks.classification.glue.scoring import GlueCollector

        return GlueCollector(_own(config), manifest, folder, split)

    def answers_too(self, task: str) -> tuple[str, ...]:
        return ANSWERS_TOO.get(task, ())

    def write_predictions(self, folder: Path, results: GlueResults, task: str, split: str) -> list[str]:
        from bigbird.tasks.classification.glue.predictions import write_predictions

        return write_predictions(folder, results, GLUE_TASKS[task], split)

    def report_sections(self, results: GlueResults, tokens: Mapping[int, int]) -> list[Html]:
        from bigbird.tasks.classification.glue.report import report_sections

        return report_sections(results, tokens)

    # ------------------------------------------------------------------------------------------------- serving

    def serving_module(self, model: Any, manifest: ModelManifest, config: Task, vocabulary: Vocabulary) -> Any:
        from bigbird.tasks.classification.serving import Classifier

        length = manifest.trained_on().max_length
        return Classifier(
            model,
            vocabulary,
            buckets=config.buckets,
            layout=Layout(length, "head", length),
            pairs=len(GLUE_TASKS[manifest.trained_on().task].text_columns) == 2,
            labels=manifest.labels or (),
            number="score",
        )

    def score_answers(
        self,
        lines: Sequence[Line],
        ask: Callable[[Sequence[Line]], Outputs],
        manifest: DatasetManifest,
        metric_name: str,
    ) -> float:
        from bigbird.tasks.classification.glue.scoring import score_answers

        return score_answers(lines, ask(lines), manifest.labels, metric_name)


def _own(config: Task) -> GlueTask:
    assert isinstance(config, GlueTask)  # noqa: S101 - this family's
    return config


FAMILY = GlueFamily()
