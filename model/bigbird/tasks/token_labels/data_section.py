"""The configuration of documents with spans: which files, where text and spans stand in them, how splits are cut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from bigbird.config import Integer, Positive
from bigbird.support.text_files import shown
from bigbird.tasks.tables.section import ENDINGS, TableFiles
from bigbird.tasks.token_labels.spans import Fields

SpanFormat = Literal["auto", "jsonl", "parquet", "conll"]


def _only(value: Any) -> Any:
    """The name in a list of one, as a repeatable option gives it."""
    if not isinstance(value, list):
        return value
    if len(value) != 1:
        raise ValueError(f"names {len(value)} columns; expected one, as spans have their places in one text")
    return value[0]


class SpanData(TableFiles):
    """Documents with spans: JSON Lines or Parquet with a text and its spans, or CoNLL's columns of tokens and tags."""

    endings: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "jsonl": ENDINGS["jsonl"],
        "parquet": ENDINGS["parquet"],
        "conll": (".conll", ".bio", ".iob", ".iob2", ".iobes", ".bioes"),
    }
    expected_names: ClassVar[str] = ".jsonl, .conll (either may be compressed: .gz) or .parquet"

    format: SpanFormat = Field(  # type: ignore[assignment]  # another choice of formats
        "auto", description="auto: by the files' names; the text formats may be compressed by gzip"
    )
    delimiter: str | None = Field(None, description="conll: between two columns; default: blanks")
    text: Annotated[str, BeforeValidator(_only)] = Field("text", description="column of the text")
    spans: str = Field("entities", description="column of the spans: objects, or lists [start, end, label]")
    span_start: str = Field(
        "start", description="of a span that is an object: what its first character's place is called"
    )
    span_end: str = Field("end", description="the same of the place after its last character")
    span_label: str = Field("label", description="the same of its label")
    id: str | None = Field(None, description="column of the documents' names, all different; default: file and line")
    group: str | None = Field(
        None, description="column whose equal values stay in one split; default: equal texts stay together"
    )
    token_column: Integer = Field(1, description="conll: the column of the token; -1 is the last one")
    tag_column: Integer = Field(-1, description="conll: the column of the tag; -1 is the last one")
    sentences_per_document: Positive = Field(
        1,
        description="conll without -DOCSTART- lines: how many sentences, blocks of lines between blank lines, are a document",
    )

    @field_validator("text", "spans", "span_start", "span_end", "span_label", "id", "group")
    @classmethod
    def _check_not_empty(cls, value: str | None) -> str | None:
        if value == "":
            raise ValueError("found an empty text; leave it out, or give what is meant")
        return value

    @property
    def fields(self) -> Fields:
        """What the values of a span are called."""
        return Fields(self.span_start, self.span_end, self.span_label)

    def where_spans_are(self, form: str) -> str:
        """What a message adds where no span was found in files of a format."""
        if form == "conll":
            return f"All tags in column {self.tag_column} are O: name the tags' column with tag_column (--tag-column)"
        return f"Name the spans' column with spans (--spans): {shown(self.spans)} was read"

    @model_validator(mode="after")
    def _check(self) -> SpanData:
        for pair in (
            ("text", "spans"),
            ("span_start", "span_end"),
            ("span_start", "span_label"),
            ("span_end", "span_label"),
        ):
            first, second = (getattr(self, key) for key in pair)
            if first == second:
                raise ValueError(f"{pair[0]} and {pair[1]} both name {shown(first)}; expected two different names")
        for key in ("token_column", "tag_column"):
            if getattr(self, key) == 0:
                raise ValueError(f"{key} is 0; expected 1 for the first column, 2 for the second, or -1 for the last")
        if self.token_column == self.tag_column:
            raise ValueError(f"token_column and tag_column are both {self.tag_column}; expected two columns")
        return self
