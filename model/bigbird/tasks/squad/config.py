"""The configuration of answers as spans of a context."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bigbird.config import DataConfig, EncoderConfig, Head, Number, Positive, Section, Task


class SpanModelConfig(Section):
    head: Head = Field("model_garden", description="logits alone, or Hugging Face's feed-forward layer before them")
    encoder: EncoderConfig = EncoderConfig()


class SquadDataConfig(DataConfig):
    """`doc_stride` and the keys below it matter where `input_path` is raw SQuAD JSON."""

    doc_stride: Positive = Field(128, description="tokens from one window's start to the next")
    query_length: Positive = 64
    vocab_file: str = ""
    tokenization: Literal["SentencePiece"] = "SentencePiece"
    do_lower_case: bool = False
    version_2_with_negative: bool = False


class SquadTask(Task):
    """Answers as spans of a context."""

    model: SpanModelConfig = SpanModelConfig()
    n_best_size: Positive = 20
    max_answer_length: Positive = Field(30, description="tokens")
    null_score_diff_threshold: Number = 0.0
    train_data: SquadDataConfig = SquadDataConfig(global_batch_size=48)
    validation_data: SquadDataConfig = SquadDataConfig(global_batch_size=48, is_training=False, drop_remainder=False)
