"""The interface of a task family: everything that depends on what is learnt, in one object.

A family is a kind of learning, such as classification; its tasks share their records, model, loss and metrics. Stages and
pipelines are written against this interface alone, find a family through `bigbird.tasks.registry`, and know no family's
name. `docs/how_to/add_a_task.md` says how to add one.

Heavy packages (TensorFlow, Keras, matplotlib) are imported inside the methods that need them: every command loads all
families.

Letters: B examples of a batch, L padded tokens, N examples of a split.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

from bigbird.config import DataConfig, Task
from bigbird.manifests import DatasetManifest, ModelManifest
from bigbird.support.errors import InputError
from bigbird.tasks.evaluation import Collector, Evaluation, Outputs
from bigbird.tasks.preprocessing import LineRange, Preprocessing
from bigbird.tasks.raw_input import FileNames, Inputs, Item, Line, Reading, Source, Storage
from bigbird.tasks.records import BadRecords
from bigbird.tasks.shortening import Record, cut_record
from bigbird.tasks.statistics import Statistics
from bigbird.tasks.table_options import TableOption
from bigbird.tasks.table_rows import Answers, TableRows

if TYPE_CHECKING:
    from bigbird.records.features import Feature
    from bigbird.reports.report import Html
    from bigbird.support.types import Tensor
    from bigbird.text.vocabulary import Vocabulary


class TaskFamily(ABC):
    """A kind of learning.

    Attributes:
        name: of the family; its experiment type is `bigbird/NAME`.
        tasks: the tasks' names, as commands and manifests have them.
        pipeline_tasks: those of them that the pipeline learns; default all.
        samples: name of an embedded sample -> its task.
        config: the task's section of the configuration.
        defaults: settings of preprocessing, in tokens; the command's options of the same names change them.
        examples_per_file: enough files to spread over workers and readers, each large enough to be worth opening.
        own_tables: whether the pipeline gives it a user's own tables, any file, folder or pattern, whose columns the
            configuration's data section names; otherwise each split is one file of an official name.
        table_options: the options of a command about such tables, by the names of their keys in the configuration; several families
            may have the same one.
        keeps_training_lines: whether a dataset holds the training split's lines too.
        vocabulary_bytes: of a training split whose lines have more bytes, a vocabulary is trained on an even sample with about so
            many; 0: on all of it.
        identity: the feature that numbers records.
        target: a tensor that a batch has where it can be compared with what is right.
        model_inputs: what the model takes of a batch.
        lower_is_better: the metrics that are errors.
    """

    name: ClassVar[str]
    tasks: ClassVar[tuple[str, ...]]
    pipeline_tasks: ClassVar[tuple[str, ...] | None] = None
    samples: ClassVar[Mapping[str, str]] = {}
    config: ClassVar[type[Task]]
    defaults: ClassVar[Mapping[str, Any]]
    own_tables: ClassVar[bool] = False
    table_options: ClassVar[Mapping[str, TableOption]] = {}
    keeps_training_lines: ClassVar[bool] = False
    examples_per_file: ClassVar[int] = 8192
    vocabulary_bytes: ClassVar[int] = 0
    identity: ClassVar[str] = "example_id"
    target: ClassVar[str] = "label_ids"
    model_inputs: ClassVar[tuple[str, ...]] = ("input_word_ids", "input_mask", "input_type_ids")
    lower_is_better: ClassVar[Collection[str]] = ()

    @property
    def experiment_type(self) -> str:
        """As configurations and manifests have it; the Model Garden's where it has one."""
        return f"bigbird/{self.name}"

    # ------------------------------------------------------------------------------------------- configuration

    @abstractmethod
    def metrics(self, task: str) -> tuple[str, ...]:
        """A task's own metrics, the first of which picks the best checkpoint."""

    def default_metric(self, config: Task) -> str:
        """The metric that decides for a configuration, where no dataset says which task it is."""
        return self.metrics(self.tasks[0])[0]

    def task_defaults(self, task: str) -> dict[str, Any]:
        """What follows from a task's name alone, under the recipe's own words: a tree of the configuration."""
        return {}

    @abstractmethod
    def recipe(self, task: str, *, published: bool) -> str:
        """The name of the recipe that a task takes by default, from published weights or from scratch."""

    def title(self, task: str) -> str:
        """A task's name for people."""
        return task

    def write_sample(self, sample: str, folder: Path, seed: int) -> None:
        """Writes an embedded sample's files into a folder; the same seed gives the same bytes."""
        raise InputError(f"task family {self.name} has no sample {sample!r}")

    # ----------------------------------------------------------------------------------------------- raw files

    def splits(self, task: str) -> tuple[str, ...]:
        """The splits that a task may have; all but "train" are evaluated."""
        return tuple(self.file_names(task).splits)

    @abstractmethod
    def file_names(self, task: str) -> FileNames:
        """How a task's files are named."""

    def is_table(self, name: str) -> bool:
        """Whether a file of this name is a table, or a spreadsheet to be saved as one; of families that have `own_tables`."""
        return False

    def named_tables(self, config: Task) -> dict[str, list[str]]:
        """What a configuration itself says of where the tables are; of families that have `own_tables`.

        Returns:
            "files", "train", "validation", "test" -> files, folders and patterns; those that are named, in `task.data`.
        """
        return {}

    def reads_tables(self, inputs: Inputs) -> bool:
        """Whether what the user gave are tables of their own, for `read_table`, and not official files."""
        return self.own_tables

    def find_tables(self, inputs: Inputs, storage: Storage) -> Mapping[str, Sequence[str]]:
        """Finds the files of a user's own tables without opening one; of families that have `own_tables`.

        Args:
            inputs: what the user gave.
            storage: where the files are; it is only asked for names.

        Returns:
            Split -> paths. What other splits are cut from is "train".

        Raises:
            InputError: a path names nothing that can be read, the data section is wrong, or nothing would be left to
                validate on.
        """
        raise InputError(f"task family {self.name} reads official files, not tables")

    def read_table(
        self,
        inputs: Inputs,
        storage: Storage,
        scratch: BinaryIO,
        bad: BadRecords,
        told: Callable[[str], None],
        progress: Callable[[str, int], None],
    ) -> Reading:
        """Reads and checks a user's own tables, where `reads_tables`.

        Args:
            inputs: what the user gave.
            storage: where the files are.
            scratch: an empty file to write and read, open until the examples are given; there is room in it for all of them.
            bad: takes the records that are skipped.
            told: is given a line for each file that is read.
            progress: is given a split and its records so far.

        Raises:
            InputError: the input cannot be used.
        """
        raise InputError(f"task family {self.name} reads official files, not tables")

    def rows_to_check(self, inputs: Inputs, storage: Storage) -> TableRows:
        """A user's own tables as they are, for `bigbird check`, where `reads_tables`.

        Args:
            inputs: what the user gave.
            storage: where the files are.

        Raises:
            InputError: a path names nothing that can be read, or the data section is wrong.
        """
        raise InputError(f"task family {self.name} has no tables that can be checked")

    def find_files(self, task: str, names: Collection[str]) -> dict[str, str]:
        """Split -> file name, of the official names found among a folder's file names."""
        present = set(names)
        options = self.file_names(task).splits.items()
        found = {split: next((name for name in choice if name in present), None) for split, choice in options}
        return {split: name for split, name in found.items() if name}

    def inner_folder(self, task: str, names: Collection[str]) -> str | None:
        """The folder among `names` that holds the task's files, where the folder above it was given."""
        return None

    def further_folders(self, paths: Sequence[Path]) -> list[Path]:
        """Folders of this machine that are read besides the given files and folders."""
        return []

    @abstractmethod
    def read(self, task: str, source: Source, storage: Storage, bad: BadRecords) -> Iterator[Item]:
        """Reads and checks one raw file.

        Raises:
            InputError: the file cannot be used, or holds more bad records than allowed; names file and line.
        """

    @abstractmethod
    def texts(self, line: Line) -> Iterable[str]:
        """The texts of a line, to train a vocabulary on."""

    # ------------------------------------------------------------------------------------------- preprocessing

    def preprocessing_settings(self, config: Task) -> dict[str, Any]:
        """What a configuration says about preprocessing, as the stage's keyword arguments; in tokens."""
        return {"max_length": config.train_data.seq_length}

    def check_settings(self, settings: Mapping[str, Any], section: Mapping[str, Any]) -> None:
        """Refuses settings of preprocessing that leave no room for text; `InputError`.

        Args:
            settings: as `defaults` names them.
            section: the configuration's data section, of families that have `own_tables`.
        """
        if settings["max_length"] < 8:
            raise InputError(
                f"max_length {settings['max_length']} leaves no room beside the special pieces; expected at least 8"
            )

    @abstractmethod
    def encode(
        self,
        lines: Iterator[Line],
        place: LineRange,
        preprocessing: Preprocessing,
        vocabulary: Vocabulary,
        statistics: Statistics,
    ) -> Iterator[bytes]:
        """Makes lines into records (serialised tf.Examples), and counts them in `statistics`.

        Raises:
            InputError: an example cannot be encoded.
        """

    def labels(self, task: str) -> tuple[str, ...] | None:
        """Names of a task's classes in the order of their ids; None where it has none."""
        return None

    def manifest_facts(self, task: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """What dataset.json says of a task besides its files, labels and metrics."""
        return {"max_length": settings["max_length"]}

    # ------------------------------------------------------------------------------------- records and training

    @abstractmethod
    def record_features(self, config: Task) -> tuple[Feature, ...]:
        """The table of the records."""

    def target_features(self, config: Task) -> tuple[Feature, ...]:
        """Those of the records that the loss compares with."""
        return tuple(feature for feature in self.record_features(config) if feature.when == "labelled")

    def masker(self, data: DataConfig) -> Any:
        """What draws a batch's targets, int32[B, ...] and float32[B, ...], while training; called as `bigbird.tasks.pretraining.masking.Masker` is.

        None where the records hold the targets.
        """
        return None

    def raw_validation(self, file: str, data: DataConfig, folder: Path) -> DatasetManifest:
        """Makes a raw file that a configuration names for validation into a dataset folder; gives its manifest."""
        raise InputError(
            f"task.validation_data.input_path is {file!r}; expected TFRecords: run the preprocess stage first"
        )

    def from_dataset(self, config: Task, manifest: DatasetManifest, vocabulary: str) -> dict[str, Any]:
        """What a dataset says that the configuration leaves open, as changes of the configuration.

        Raises:
            InputError: the configuration says otherwise.
        """
        return {}

    def check_without_dataset(self, config: Task, splits: Collection[str]) -> None:  # noqa: B027 - most leave nothing open
        """Refuses a configuration that leaves open what only a dataset folder says.

        Args:
            config: the task's.
            splits: of "train" and "validation" those that are used.

        Raises:
            InputError: names the key.
        """

    def num_classes(self, task: str) -> int | None:
        """Width of a classifier's output, 1 for a number; None where the model is no classifier."""
        return None

    @abstractmethod
    def build_model(self, config: Task, *, num_classes: int | None, dtype: str) -> Any:
        """A Keras model, not built; see `bigbird.models.build_model`."""

    @abstractmethod
    def loss(self, config: Task, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
        """The loss of each example, in Keras' operations.

        Args:
            config: the task's.
            outputs: the model's by name, float32[B, ...].
            batch: inputs int32[B, L] and targets, by the names and dtypes of `record_features`.

        Returns:
            float32[B].
        """

    def summarize(self, config: Task, outputs: dict[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What scoring needs of a batch's outputs, in Keras' operations; arguments as of `loss`.

        Returns:
            float32[B, ...] by name, a row for each example.
        """
        return outputs

    # ---------------------------------------------------------------------------------------------- evaluation

    @abstractmethod
    def collector(self, config: Task, manifest: DatasetManifest | None, folder: Path | None, split: str) -> Collector:
        """What scores a split; without a dataset folder against labels that the records hold.

        Raises:
            InputError: the dataset lacks what scoring needs.
        """

    def decide(self, config: Task, evaluation: Evaluation) -> dict[str, Any] | None:
        """What is chosen on the validation split for the best checkpoint, such as thresholds; None where nothing is.

        The result is JSON, kept in model.json under "decisions".

        Raises:
            InputError: what the configuration asks for cannot be chosen.
        """
        return None


class AnsweringFamily(TaskFamily):
    """A family whose models answer something: they are evaluated, exported, served and registered.

    Attributes:
        unit: what an example is called.
        metric_meanings: metric -> what it says, in a few words.
        metric_note: a remark below the metrics in the report.
        made_up_request: input of the exported model -> texts, for a model exported without its dataset.
    """

    unit: ClassVar[str] = "examples"
    metric_meanings: ClassVar[Mapping[str, str]] = {}
    metric_note: ClassVar[str] = ""
    made_up_request: ClassVar[Mapping[str, Sequence[str]]] = {}

    def answers_too(self, task: str) -> tuple[str, ...]:
        """Other tasks whose data a task's model answers, as their labels are its own."""
        return ()

    def examine(
        self, evaluation: Evaluation, config: Task, decisions: Mapping[str, Any] | None, folder: Path | None, split: str
    ) -> Evaluation:
        """What the evaluation stage adds to what validation measures: decisions, intervals, comparisons.

        Args:
            evaluation: of a split, as the collector gave it.
            config: the task's.
            decisions: what training chose; None where it chose nothing.
            folder: the dataset; None leaves out the comparisons, which are fitted on it.
            split: its split.
        """
        return evaluation

    def shorten(self, record: Record, length: int, manifest: DatasetManifest) -> Record | None:
        """A record as it would be if the model read less of its text.

        Asked of families whose records hold for each token only its id and its segment.

        Args:
            record: of an evaluation split, as `features.decode` gives it.
            length: most tokens that are read of an example, special pieces included; at least 8.
            manifest: of the dataset.

        Returns:
            The record; None where none of it would be read.
        """
        return cut_record(record, length)

    @abstractmethod
    def count(self, results: Any) -> int:
        """How many examples were scored."""

    def confusion(self, results: Any) -> dict[str, Any] | None:
        """`labels`, and `counts` by right and by answered label; None where there is no such thing."""
        return None

    @abstractmethod
    def write_predictions(self, folder: Path, results: Any, task: str, split: str) -> list[str]:
        """Writes files of predictions; gives their names."""

    def answers(self, folder: Path) -> Answers:
        """The answers that `write_predictions` left in an evaluation's folder, with the probabilities of labels.

        Raises:
            InputError: they have no probabilities, or no right labels beside them; or the files are damaged.
        """
        raise InputError(f"{folder}: predictions of task family {self.name} have no probabilities of labels")

    @abstractmethod
    def report_sections(self, results: Any, tokens: Mapping[int, int]) -> list[Html]:
        """The report's part on the outcome of the examples; `tokens` gives each record's length."""

    # ------------------------------------------------------------------------------------------------- serving

    @abstractmethod
    def serving_module(self, model: Any, manifest: ModelManifest, config: Task, vocabulary: Vocabulary) -> Any:
        """The model on raw text, as a tf.Module whose `signatures()` gives the functions to save, each made by `serving.signatures.signature`.

        None of them is an attribute of the module: TensorFlow would save it a second time.

        Outputs have a row for each example. Where an answer is a list of objects, an output called LIST/FIELD has a field of all of
        them, [B, most of an example], padded with 0 and empty texts; one field or more is a text that is never empty.

        Args:
            model: as `load_model` gives it.
            manifest: of the model folder; its `dataset` says how texts are read, its `max_length` being at most the longest bucket.
            config: the task's.
            vocabulary: the model's.
        """

    @abstractmethod
    def signature_meanings(self) -> Mapping[str, str]:
        """Name of an input or output of the module's signatures -> what it is."""

    def requests(self, line: Line) -> Iterator[dict[str, str]]:
        """What a client would ask of a line: the exported model's inputs."""
        yield line

    def is_cut(self, pieces: Mapping[str, int], dataset: DatasetManifest) -> bool:
        """Whether the exported model reads less than all text of an example; here one that it cuts at `max_length`.

        Args:
            pieces: input of the model -> pieces of its text.
            dataset: the manifest of what the model was trained on.
        """
        specials = 1 + len(pieces)  # [CLS], and a [SEP] after each text
        return sum(pieces.values()) + specials > dataset.max_length

    def labels_of(self, answer: Mapping[str, Any]) -> Sequence[str]:
        """The labels that an answer gives, to be counted; none of numbers and of texts."""
        return [answer["label"]] if "label" in answer else answer.get("labels", ())

    @abstractmethod
    def score_answers(
        self,
        lines: Sequence[Line],
        ask: Callable[[Sequence[Line]], Outputs],
        manifest: DatasetManifest,
        metric_name: str,
    ) -> float:
        """A metric from an exported model's own answers, equal to what evaluation measures.

        Args:
            lines: of a split with labels.
            ask: gives the model's outputs for examples by name, arrays [examples, ...] of float32, int32 or bytes.
            manifest: of the dataset.
            metric_name: of the metric.

        Raises:
            InputError: the model knows other labels.
        """
