"""The options of a command about a user's own documents with labels, in the order in which help lists them."""

from __future__ import annotations

from collections.abc import Mapping

from bigbird.tasks.table_options import COMMON, TableOption

OPTIONS: Mapping[str, TableOption] = {
    "text": COMMON["text"],
    "text_b": TableOption("Column of a second text, for pairs."),
    "label": TableOption("Column of the label.  [default: label]"),
    "id": COMMON["id"],
    "group": COMMON["group"],
    "label_separator": TableOption('What stands between two labels of one document, e.g. ";".'),
    "kind": TableOption(
        "What the label is: one of several classes, any number of them, or a number.  [default: by the values]",
        choices=("auto", "single", "multi", "number"),
    ),
    "format": COMMON["format"],
    "encoding": COMMON["encoding"],
    "delimiter": COMMON["delimiter"],
    "quoted": COMMON["quoted"],
    "validation_fraction": COMMON["validation_fraction"],
    "test_fraction": COMMON["test_fraction"],
    "drop_duplicates": TableOption("Leaves out of training the texts that validation or test has too.", "flag"),
    "long_documents": TableOption(
        "What is read of a document above --max-length: its beginning, beginning and end, or all in windows.  [default: head]",
        choices=("head", "head_tail", "windows"),
        section="task",
    ),
    "window_stride": COMMON["window_stride"],
    "class_weights": COMMON["class_weights"],
}
"""Name -> option."""
