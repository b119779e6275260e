"""Answers as spans of long documents, trained on every place that reads like one: TriviaQA."""

from bigbird.tasks.triviaqa.examples import (
    METRICS,
    TRIVIAQA_TASKS,
    Document,
    best_span,
    encode_documents,
    file_names,
    find_answers,
    find_files,
    normalize_answer,
    parse,
    scores,
)

__all__ = [
    "METRICS", "TRIVIAQA_TASKS", "Document", "best_span", "encode_documents", "file_names", "find_answers", "find_files",
    "normalize_answer", "parse", "scores",
]  # fmt: skip
