"""The configuration of answers as spans of a context."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bigbird.config import DataConfig, EncoderConfig, Head, Number, Positive, Section, Task


class SpanModelConfig(Section):
    head: Head = Field("model_garden", description="only logits, or Hugging Face's feed-forward layer before them")
    encoder: EncoderConfig = EncoderConfig()


class SquadDataConfig(DataConfig):
    """`doc_stride` and the keys below it matter where `input_path` is raw SQuAD JSON."""

    doc_stride: Positive = Field(128, description="tokens from one window's start to the next")
    query_length: Positive = Field(64, description="a question's most tokens")
    vocab_file: str = Field("", description="vocabulary, for an input_path of raw JSON; default the dataset's")
    tokenization: Literal["SentencePiece"] = Field(
        "SentencePiece", description="the Model Garden's word; of which kind the vocabulary is, its file says"
    )
    do_lower_case: bool | None = Field(
        None,
        description="lower-cases texts when they are preprocessed; default as the vocabulary says, SentencePiece does not",
    )
    version_2_with_negative: bool = Field(
        False, description="whether there are questions without an answer, for an input_path of raw JSON"
    )


class SquadTask(Task):
    """Answers as spans of a context."""

    model: SpanModelConfig = SpanModelConfig()
    n_best_size: Positive = Field(20, description="best starts and ends that are paired")
    max_answer_length: Positive = Field(30, description="tokens")
    null_score_diff_threshold: Number = Field(
        0.0, description="a question has no answer where that scores so much better than the best answer"
    )
    train_data: SquadDataConfig = SquadDataConfig(global_batch_size=48)
    validation_data: SquadDataConfig = SquadDataConfig(global_batch_size=48, is_training=False, drop_remainder=False)
