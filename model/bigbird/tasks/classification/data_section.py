"""The configuration of a user's own table: which files and columns, what the label is, how splits are cut."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from bigbird.config import Fraction, Integer, Section
from bigbird.support.text_files import shown

Kind = Literal["auto", "single", "multi", "number"]
Format = Literal["auto", "csv", "tsv", "jsonl", "parquet"]
SPLITS = ("train", "validation", "test")


def _as_list(value: Any) -> Any:
    """One name stands for a list of one."""
    return [value] if isinstance(value, str) else value


Names = Annotated[list[str], BeforeValidator(_as_list)]


class TableData(Section):
    """A table of documents with labels.

    Either `files` is given, from which the splits are cut, or `train` with, if wanted, `validation` and `test`. A split
    that is not named is cut from the training files by its fraction. Where neither is given, the stage that reads them
    is given the files.
    """

    files: Names = Field([], description="files, folders or patterns; the splits are cut from them")
    train: Names = Field([], description="files, folders or patterns of the training split")
    validation: Names = Field([], description="the same of the validation split; default: cut from the training files")
    test: Names = Field([], description="the same of the test split")
    format: Format = Field("auto", description="auto: by the files' names; the text formats may be compressed by gzip")
    encoding: str = Field("utf-8", description="of the text formats; a byte order mark may be there or not")
    delimiter: str | None = Field(None, description="between two values; default: a comma in csv, a tab in tsv")
    quoted: bool = Field(
        True, description='csv and tsv: values may stand in "quotation marks"; false: every such mark is text'
    )

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

    validation_fraction: Fraction = Field(0.1, description="of the training files' records, where none is named")
    test_fraction: Fraction = Field(0.0, description="of the training files' records, where none is named")
    seed: Integer = Field(0, ge=0, le=2**31 - 1, description="of the splits that are cut")
    drop_duplicates: bool = Field(
        False, description="leaves out of training the texts that validation or test have too"
    )

    @field_validator("encoding")
    @classmethod
    def _check_encoding(cls, value: str) -> str:
        try:
            "a".encode(value).decode(value)  # refuses codecs that are no text encoding too, such as base64
        except (LookupError, ValueError):
            raise ValueError(
                f"found {shown(value)}; expected the name of a text encoding, such as utf-8, utf-16, latin-1, cp1252"
            ) from None
        return value

    @field_validator("delimiter")
    @classmethod
    def _check_delimiter(cls, value: str | None) -> str | None:
        if value is not None and (len(value) != 1 or value in '"\r\n\0'):
            raise ValueError(f"found {shown(value)}; expected one character, such as ',', ';', '|' or a tab")
        return value

    @field_validator("text_b", "id", "group", "label_separator")
    @classmethod
    def _check_not_empty(cls, value: str | None) -> str | None:
        if value == "":
            raise ValueError("found an empty text; leave it out, or give what is meant")
        return value

    @model_validator(mode="after")
    def _check(self) -> TableData:
        named = [split for split in SPLITS if getattr(self, split)]
        if self.files and named:
            raise ValueError(
                f"files and {' and '.join(named)} are given; expected either files, from which all splits are cut, or "
                "train, validation and test"
            )
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
        for split in ("validation", "test"):
            fraction = f"{split}_fraction"
            if getattr(self, split) and fraction in self.model_fields_set and getattr(self, fraction):
                raise ValueError(f"both {split} and {fraction} are given; leave one out")
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError(
                f"validation_fraction {self.validation_fraction:g} and test_fraction {self.test_fraction:g} leave nothing "
                "to train on; expected a sum below 1"
            )
        return self
