"""Masked-language modelling, as a task family."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from bigbird.config import DataConfig, Task
from bigbird.manifests import DatasetManifest
from bigbird.records.features import TOKENS, Feature
from bigbird.support.errors import InputError
from bigbird.tasks.family import TaskFamily
from bigbird.tasks.preprocessing import LineRange, Preprocessing, batches
from bigbird.tasks.pretraining.config import PretrainingDataConfig, PretrainingTask
from bigbird.tasks.pretraining.examples import FILES, METRICS, TASK, encode_documents, parse
from bigbird.tasks.raw_input import FileNames, Inputs, Item, Line, Reading, Source, Storage
from bigbird.tasks.records import BadRecords
from bigbird.tasks.statistics import Statistics

if TYPE_CHECKING:
    from bigbird.layers.types import Tensor
    from bigbird.tasks.pretraining.masking import Masker
    from bigbird.tasks.pretraining.scoring import PretrainingCollector
    from bigbird.text.vocabulary import Vocabulary

BATCH = 64  # documents that are cut into pieces at once


class PretrainingFamily(TaskFamily):
    """Plain text; a model that answers nothing yet."""

    name = "pretraining"
    tasks = (TASK,)
    pipeline_tasks = ()  # it is two stages by hand
    config = PretrainingTask
    defaults = {"max_length": 4096, "doc_stride": 128, "query_length": 64}
    examples_per_file = 4096
    model_inputs = (*TaskFamily.model_inputs, "masked_lm_positions")
    target = "masked_lm_ids"
    lower_is_better = ("masked_lm_loss", "perplexity")

    def metrics(self, task: str) -> tuple[str, ...]:
        return METRICS

    def recipe(self, task: str, *, published: bool) -> str:
        return "pretraining" if published else "small_pretraining"

    # ----------------------------------------------------------------------------------------------- raw files

    def file_names(self, task: str) -> FileNames:
        return FileNames(FILES, "", ".txt", "train.txt, validation.txt (or dev.txt), test.txt")

    def is_table(self, name: str) -> bool:
        from bigbird.tasks.tables.files import is_table

        return is_table(name)

    def reads_tables(self, inputs: Inputs) -> bool:
        """Tables, where a column is named or a file is one; else text files with their official names."""
        from bigbird.tasks.tables.files import is_table

        return bool(inputs.section) or any(map(is_table, (inputs.path, *inputs.files.values())))

    def read_table(
        self,
        inputs: Inputs,
        storage: Storage,
        scratch: BinaryIO,
        bad: BadRecords,
        told: Callable[[str], None],
        progress: Callable[[str, int], None],
    ) -> Reading:
        from bigbird.tasks.pretraining.documents import read_documents

        return read_documents(inputs, storage, scratch, bad, told, progress)

    def read(self, task: str, source: Source, storage: Storage, bad: BadRecords) -> Iterator[Item]:
        data = storage.read_bytes(source.path, f"{source.split} file of {task}")
        for document in parse(data, source.path):
            yield Item({"text": document}, 1, True)

    def texts(self, line: Line) -> Iterable[str]:
        yield line["text"]

    # ------------------------------------------------------------------------------------------- preprocessing

    def encode(
        self,
        lines: Iterator[Line],
        place: LineRange,
        preprocessing: Preprocessing,
        vocabulary: Vocabulary,
        statistics: Statistics,
    ) -> Iterator[bytes]:
        def documents() -> Iterator[list[str]]:
            for batch in batches(lines, BATCH):
                statistics.examples += len(batch)
                yield [line["text"] for line in batch]

        # Records are numbered from the lines' first byte: there are fewer of them than bytes, so all numbers differ.
        encoded = encode_documents(documents(), vocabulary, preprocessing.max_length, first_record=place.first_byte)
        for record, length in encoded:
            statistics.add_record(length)
            yield record

    # ------------------------------------------------------------------------------------- records and training

    def record_features(self, config: Task) -> tuple[Feature, ...]:
        return (*TOKENS, Feature("example_id", "int64"))

    def masker(self, data: DataConfig) -> Masker:
        from bigbird.tasks.pretraining.masking import Masker
        from bigbird.text.vocabulary import Vocabulary

        assert isinstance(data, PretrainingDataConfig)  # noqa: S101 - this family's
        return Masker(Vocabulary(data.vocab_file), data)

    def from_dataset(self, config: Task, manifest: DatasetManifest, vocabulary: str) -> dict[str, Any]:
        return {name: {"vocab_file": vocabulary} for name in ("train_data", "validation_data")}

    def check_without_dataset(self, config: Task, splits: Collection[str]) -> None:
        for split in ("train", "validation"):
            name = f"{split}_data"
            if split in splits and not getattr(config, name).vocab_file:
                raise InputError(
                    f"task.{name}.vocab_file is not set; name the vocabulary that the records were made with, "
                    "or give --dataset, which has it"
                )

    def build_model(self, config: Task, *, num_classes: int | None, dtype: str) -> Any:
        from bigbird.models import BigBirdMaskedLM

        return BigBirdMaskedLM(config.encoder, dtype=dtype)

    def loss(self, config: Task, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
        """Mean of the masked tokens' cross-entropies: logits float32[B, P, V] of P masked tokens and V pieces -> float32[B]."""
        from keras import ops

        from bigbird.models import masked_losses

        count = ops.sum(batch["masked_lm_weights"], axis=1)
        return masked_losses(outputs, batch) / ops.maximum(count, 1.0)

    def summarize(self, config: Task, outputs: dict[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Of the large logits three sums per row: masked_lm_loss, masked_lm_correct and masked_lm_count, float32[B]."""
        from keras import ops

        from bigbird.models import masked_losses

        weights = batch["masked_lm_weights"]
        right = ops.equal(ops.argmax(outputs["logits"], axis=-1), ops.cast(batch["masked_lm_ids"], "int32"))
        return {
            "masked_lm_loss": masked_losses(outputs, batch),
            "masked_lm_correct": ops.sum(ops.cast(right, "float32") * weights, axis=1),
            "masked_lm_count": ops.sum(weights, axis=1),
        }

    # ---------------------------------------------------------------------------------------------- evaluation

    def collector(
        self, config: Task, manifest: DatasetManifest | None, folder: Path | None, split: str
    ) -> PretrainingCollector:
        from bigbird.tasks.pretraining.scoring import PretrainingCollector

        return PretrainingCollector()


FAMILY = PretrainingFamily()
