"""What the configurations of all tasks have: their data, and the checkpoint to start from."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from bigbird.config.model import BigBirdEncoderConfig
from bigbird.config.section import Count, Integer, Positive, Section


class DataConfig(Section):
    """Where examples come from and how they are batched."""

    input_path: str | list[str] = Field("", description="TFRecord files, patterns or a dataset folder")
    global_batch_size: Positive = Field(32, description="examples of a batch, over all replicas")
    tokens_per_batch: Positive | None = Field(
        None,
        description="most tokens of a batch, padding included: shorter buckets then take more examples, a multiple of "
        "global_batch_size; default: every batch has global_batch_size examples",
    )
    is_training: bool = Field(True, description="kept for the Model Garden's recipes; the split decides")
    seq_length: Positive = Field(1024, description="tokens; longer records are refused")
    drop_remainder: bool = Field(
        True, description="kept for the Model Garden's recipes; training has whole batches, evaluation every example"
    )
    shuffle_buffer_size: Count = Field(10_000, description="records; 0 keeps the files' order")
    cycle_length: Positive | None = Field(None, description="files read side by side; default all, at most 16")
    seed: Integer | None = Field(None, description="order of the examples; default runtime.seed")
    max_records: Count = Field(0, description="reads only this many records; 0 is all")

    def batch_size_at(self, length: int) -> int:
        """Examples of a batch that is padded to `length` tokens, over all replicas."""
        if self.tokens_per_batch is None:
            return self.global_batch_size
        return max(1, self.tokens_per_batch // (length * self.global_batch_size)) * self.global_batch_size


class Task(Section):
    """What every task has."""

    init_checkpoint: str = Field("", description="read only where model_dir holds no checkpoint")
    hub_module_url: Literal[""] = Field("", description="kept for the Model Garden's recipes; must be empty")
    bucket_lengths: list[Positive] | None = Field(
        None,
        description="padded lengths, ascending, up to seq_length; default: chosen from the dataset's own lengths, or "
        "without a dataset folder 64, 128, 256, 512, 1024, ...",
    )

    train_data: DataConfig
    validation_data: DataConfig

    @model_validator(mode="after")
    def _check_lengths(self) -> Task:
        encoder = self.encoder
        longest = max(self.train_data.seq_length, self.validation_data.seq_length)
        if longest > encoder.max_position_embeddings:
            raise ValueError(
                f"seq_length {longest} is above model.encoder.bigbird.max_position_embeddings {encoder.max_position_embeddings}; raise that, "
                "or lower seq_length of train_data and validation_data"
            )
        for name, data in (("train_data", self.train_data), ("validation_data", self.validation_data)):
            least = data.global_batch_size * longest
            if data.tokens_per_batch is not None and data.tokens_per_batch < least:
                raise ValueError(
                    f"{name}.tokens_per_batch {data.tokens_per_batch} is below {least} = global_batch_size "
                    f"{data.global_batch_size} * seq_length {longest}"
                )
        if self.bucket_lengths is not None:
            if not self.bucket_lengths:
                raise ValueError(f"bucket_lengths is empty; it must end with the longest seq_length, {longest}")
            if sorted(set(self.bucket_lengths)) != self.bucket_lengths:
                raise ValueError(f"bucket_lengths {self.bucket_lengths} must ascend without repeats")
            if self.bucket_lengths[-1] != longest:
                raise ValueError(
                    f"bucket_lengths must end with the longest seq_length, {longest}, not {self.bucket_lengths[-1]}"
                )
        return self

    @property
    def encoder(self) -> BigBirdEncoderConfig:
        return self.model.encoder.bigbird  # type: ignore[attr-defined]

    @property
    def buckets(self) -> list[int]:
        """Padded lengths, in tokens, ascending. Training, evaluation and the exported model all pad to these."""
        if self.bucket_lengths is not None:
            return self.bucket_lengths
        longest = max(self.train_data.seq_length, self.validation_data.seq_length)
        lengths, length = [], 64
        while length < longest:
            lengths.append(length)
            length *= 2
        return [*lengths, longest]
