"""The options of a command about documents with spans, in the order in which help lists them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bigbird.tasks.table_options import COMMON, TableOption

OPTIONS: Mapping[str, TableOption] = {
    "text": COMMON["text"],
    "id": COMMON["id"],
    "group": COMMON["group"],
    "format": replace(COMMON["format"], choices=("auto", "jsonl", "parquet", "conll")),
    "encoding": COMMON["encoding"],
    "delimiter": COMMON["delimiter"],
    "validation_fraction": COMMON["validation_fraction"],
    "test_fraction": COMMON["test_fraction"],
    "window_stride": COMMON["window_stride"],
    "class_weights": COMMON["class_weights"],
    "spans": TableOption("Column of the spans to learn: objects, or lists [start, end, label].  [default: entities]"),
    "span_start": TableOption("Of a span, what its first character's place is called.  [default: start]"),
    "span_end": TableOption("The same of the place after its last character.  [default: end]"),
    "span_label": TableOption("The same of its label.  [default: label]"),
    "token_column": TableOption("CoNLL: number of the token's column; -1 is the last.  [default: 1]", "integer"),
    "tag_column": TableOption("CoNLL: number of the tag's column; -1 is the last.  [default: -1]", "integer"),
    "sentences_per_document": TableOption(
        "CoNLL without -DOCSTART-: how many sentences are a document.  [default: 1]", "count"
    ),
    "units": TableOption(
        "What is labelled: whole words, at their first piece, or each piece of the vocabulary.  [default: words]",
        choices=("words", "pieces"),
        section="task",
    ),
}
"""Name -> option."""
