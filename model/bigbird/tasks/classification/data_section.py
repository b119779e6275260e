"""The configuration of a user's own table: which files and columns, what the label is, how splits are cut."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from bigbird.support.text_files import shown
from bigbird.tasks.tables.section import Names, TableFiles

Kind = Literal["auto", "single", "multi", "number"]


class TableData(TableFiles):
    """A table of documents with labels."""

    text: Names = Field(["text"], description="columns of the text; several become one, joined by a blank line")
    text_b: str | None = Field(None, description="column of a second text, for pairs")
    label: str = Field("label", description="column of the label")
    id: str | None = Field(None, description="column of the records' names, all different; default: file and line")
    group: str | None = Field(
        None, description="column whose equal values stay in one split; default: equal texts stay together"
    )
    label_separator: str | None = Field(None, description="several labels: what stands between two labels in a value")
    kind: Kind = Field(
        "auto", description="what the label is: single, one label; multi, several labels; number; auto: by the values"
    )
    drop_duplicates: bool = Field(
        False, description="leaves out of training the texts that validation or test have too"
    )

    @field_validator("text_b", "id", "group", "label_separator")
    @classmethod
    def _check_not_empty(cls, value: str | None) -> str | None:
        if value == "":
            raise ValueError("found an empty text; leave it out, or give what is meant")
        return value

    @model_validator(mode="after")
    def _check(self) -> TableData:
        if not self.text:
            raise ValueError("text names no column; expected one or more")
        columns = [*self.text, self.label, *filter(None, (self.text_b,))]
        repeated = sorted({name for name in columns if columns.count(name) > 1})
        if repeated:
            raise ValueError(
                f"the column {shown(repeated[0])} is named twice; expected different columns in text, text_b and label"
            )
        if self.label_separator is not None and self.kind in ("single", "number"):
            raise ValueError(
                f"label_separator is given with kind {self.kind}; expected it with kind multi or auto only. Leave one out"
            )
        return self
