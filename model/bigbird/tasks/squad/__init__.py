"""Answers as spans of a context: SQuAD v1.1 and v2.0."""

from bigbird.tasks.squad.examples import (
    METRICS,
    SQUAD_TASKS,
    WINDOWS_PER_QUESTION,
    GoldAnswer,
    Paragraph,
    Question,
    QuestionWindow,
    WindowOptions,
    encode_paragraphs,
    file_names,
    find_files,
    max_context,
    parse,
    window_spans,
)

__all__ = [
    "METRICS", "SQUAD_TASKS", "WINDOWS_PER_QUESTION", "GoldAnswer", "Paragraph", "Question", "QuestionWindow", "WindowOptions", "encode_paragraphs",
    "file_names", "find_files", "max_context", "parse", "window_spans",
]  # fmt: skip
