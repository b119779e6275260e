"""The part of a data section that says which files a user's table consists of, how they are written and how splits are cut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from bigbird.config import Fraction, Integer, Section
from bigbird.config.overrides import merge
from bigbird.support.errors import InputError
from bigbird.support.text_files import shown
from bigbird.tasks.raw_input import Inputs

Format = Literal["auto", "csv", "tsv", "jsonl", "parquet"]
SPLITS = ("train", "validation", "test")
ENDINGS = {
    "csv": (".csv",),
    "tsv": (".tsv", ".tab"),
    "jsonl": (".jsonl", ".ndjson", ".json"),
    "parquet": (".parquet", ".pq"),
}
"""Format -> how the names of its files end, with .gz after it or without."""


def _as_list(value: Any) -> Any:
    """One name stands for a list of one."""
    return [value] if isinstance(value, str) else value


Names = Annotated[list[str], BeforeValidator(_as_list)]


class TableFormat(Section):
    """How a table's files are written.

    A family that reads other formats has a section of its own, with another `format` and these two.

    Attributes:
        endings: of the formats that are read.
        expected_names: the same in words.
    """

    endings: ClassVar[Mapping[str, tuple[str, ...]]] = ENDINGS
    expected_names: ClassVar[str] = ".csv, .tsv, .jsonl (each may be compressed: .gz) or .parquet"

    format: Format = Field("auto", description="auto: by the files' names; the text formats may be compressed by gzip")
    encoding: str = Field("utf-8", description="of the text formats; a byte order mark may be there or not")
    delimiter: str | None = Field(None, description="between two values; default: a comma in csv, a tab in tsv")
    quoted: bool = Field(
        True, description='csv and tsv: values may stand in "quotation marks"; false: every such mark is text'
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


class TableFiles(TableFormat):
    """A table's files and its splits.

    Either `files` is given, from which the splits are cut, or `train` with, if wanted, `validation` and `test`. A split
    that is not named is cut from the training files by its fraction. Where neither is given, the stage that reads them
    is given the files.
    """

    files: Names = Field([], description="files, folders or patterns; the splits are cut from them")
    train: Names = Field([], description="files, folders or patterns of the training split")
    validation: Names = Field([], description="the same of the validation split; default: cut from the training files")
    test: Names = Field([], description="the same of the test split")

    validation_fraction: Fraction = Field(0.1, description="of the training files' records, where none is named")
    test_fraction: Fraction = Field(0.0, description="of the training files' records, where none is named")
    seed: Integer = Field(0, ge=0, le=2**31 - 1, description="of the splits that are cut")

    @model_validator(mode="after")
    def _check_splits(self) -> Self:
        named = [split for split in SPLITS if getattr(self, split)]
        if self.files and named:
            raise ValueError(
                f"files and {' and '.join(named)} are given; expected either files, from which all splits are cut, or "
                "train, validation and test"
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


AnyFiles = TypeVar("AnyFiles", bound=TableFiles)


def section_of(inputs: Inputs, kind: type[AnyFiles]) -> AnyFiles:
    """The data section, with the files that the stage was given in the place of its own.

    Args:
        inputs: what the user gave.
        kind: the family's section.

    Raises:
        InputError: names the key, what was found and what was expected.
    """
    files: dict[str, Any] = {split: [path] for split, path in inputs.files.items()}
    if inputs.path:
        files |= {"files": [inputs.path]}
    given = (
        merge(dict(inputs.section), {"files": [], "train": [], "validation": [], "test": [], **files})
        if files
        else inputs.section
    )
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(map(str, problem["loc"]))
        told = problem["ctx"]["error"] if problem["type"] == "value_error" else problem["msg"]
        raise InputError(f"the data section{f', {where}' if where else ''}: {told}") from None
