"""Answers as spans of a context: SQuAD v1.1 and v2.0."""

from bigbird.tasks.squad.examples import (
    METRICS,
    TASKS,
    WINDOWS_PER_QUESTION,
    Answer,
    Paragraph,
    Question,
    Window,
    WindowOptions,
    encode_paragraphs,
    file_names,
    find_files,
    max_context,
    parse,
    window_spans,
)

__all__ = [
    "METRICS", "TASKS", "WINDOWS_PER_QUESTION", "Answer", "Paragraph", "Question", "Window", "WindowOptions", "encode_paragraphs",
    "file_names", "find_files", "max_context", "parse", "window_spans",
]  # fmt: skip
