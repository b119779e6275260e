"""The configuration of answers as spans of long documents."""

from __future__ import annotations

from pydantic import Field

from bigbird.config import Count, DataConfig, PlainModelConfig, Positive, Task


class TriviaQADataConfig(DataConfig):
    """`doc_stride` and the keys below it matter while preprocessing."""

    seq_length: Positive = Field(4096, description="tokens; longer records are refused")
    doc_stride: Positive = Field(3072, description="tokens from one window's start to the next")
    query_length: Positive = Field(256, description="a question's most tokens")
    do_lower_case: bool | None = Field(
        None,
        description="lower-cases texts when they are preprocessed; default as the vocabulary says, SentencePiece does not",
    )


class TriviaQATask(Task):
    """Answers as spans of documents, trained on every place that reads like one."""

    model: PlainModelConfig = PlainModelConfig()
    top_k: Positive = Field(8, description="best starts and ends that are paired")
    max_answer_width: Count = Field(16, description="tokens from an answer's first to its last")
    train_data: TriviaQADataConfig = TriviaQADataConfig()
    validation_data: TriviaQADataConfig = TriviaQADataConfig(is_training=False, drop_remainder=False)
