"""What manifests are made of."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    StrictFloat,
    StrictInt,
    ValidationError,
    model_serializer,
    model_validator,
)

from bigbird.support import artifacts, integrity
from bigbird.support.errors import InputError
from bigbird.support.integrity import CHECKSUMS, Facts
from bigbird.support.text_files import MOST_PROBLEMS, problem_list
from bigbird.support.validation import problem_words

Figure = StrictInt | StrictFloat
"""A number as JSON has it: a whole one stays whole."""


class Part(BaseModel):
    """A JSON object of a manifest.

    What every manifest of its kind says is an attribute. A task family adds keys of its own, and so may a newer version of this
    project: they are kept as they are, and are read by key, as in a dictionary. Only keys that were given are written again,
    in the order in which they were given; a field that was not given has its default.
    """

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())

    _given: tuple[str, ...] = PrivateAttr(())

    @model_validator(mode="wrap")
    @classmethod
    def _note_order(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        made = handler(value)
        if isinstance(value, Mapping):
            made._given = tuple(value)  # noqa: SLF001 - of this class
        return made

    @model_serializer(mode="wrap")
    def _in_order(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        told = handler(self)
        return {name: told[name] for name in self._given}

    def __eq__(self, other: object) -> bool:
        """Equal to another, or to a dictionary, that says the same."""
        return self.to_json() == (other.to_json() if isinstance(other, Part) else other)

    __hash__ = None  # type: ignore[assignment]  # it holds lists and dictionaries

    def __getitem__(self, name: str) -> Any:
        if name not in self._given:
            raise KeyError(name)
        return getattr(self, name) if name in type(self).model_fields else (self.model_extra or {})[name]

    def __contains__(self, name: object) -> bool:
        return name in self._given

    def get(self, name: str, default: Any = None) -> Any:
        """The value under a key, or `default` where it was not given."""
        try:
            return self[name]
        except KeyError:
            return default

    def to_json(self) -> dict[str, Any]:
        """As it is written: what was given, in its order."""
        return self.model_dump()


Made = TypeVar("Made", bound=Part)


class Manifest(Part):
    """A manifest: a file that a stage writes last, with the checksums of the files beside it."""

    KIND: ClassVar[str]
    """A key of `artifacts.MANIFESTS`."""

    version: str | None = Field(None, description="The version of this project that wrote the file.")
    revision: str | None = Field(None, description="The commit of its code, 12 digits; more where it had changes.")
    format: int | None = Field(None, description="Of the file: 2 has checksums; 1, or none, is an earlier version's.")
    checksums: dict[str, Facts] | None = Field(
        None,
        description="Path inside the folder -> bytes and sha256 of each file that a later stage reads; None in format 1.",
    )
    manifest_sha256: str | None = Field(None, description="SHA-256 of the file's other values; None in format 1.")

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> Self:
        """The manifest of a stage's folder.

        Raises:
            InputError: the folder has none (the stage did not finish), it is damaged, or a value is not what it should be.
        """
        path = Path(folder) / artifacts.MANIFESTS[cls.KIND]
        return cls.checked(artifacts.read_manifest(folder, cls.KIND), path)

    @classmethod
    def checked(cls, value: Any, path: str | os.PathLike[str]) -> Self:
        """A manifest from what its file holds.

        Args:
            value: as parsed.
            path: of the file, for the message.

        Raises:
            InputError: names file, key, value and what was expected.
        """
        return checked(cls, value, path, "run the step that wrote it again")

    def write(self, folder: str | os.PathLike[str], checksums: Mapping[str, Facts] | None = None) -> Self:
        """Writes the manifest that makes a folder whole; gives it as written. Arguments as `artifacts.write_manifest`."""
        written = artifacts.write_manifest(folder, self.KIND, self.to_json(), checksums)
        return type(self).model_validate(written)

    def with_values(self, **values: Any) -> Self:
        """A copy in which some keys have other values; checked."""
        return type(self).model_validate({name: self[name] for name in self._given} | values)

    def content(self) -> dict[str, Any]:
        """What it says, without its format and checksums."""
        return integrity.content(self.to_json())

    def check_files(self, folder: str | os.PathLike[str], names: Iterable[str] | None = None) -> None:
        """Checks files of its folder.

        Args:
            folder: the folder.
            names: of the files; default all that the manifest knows.

        Raises:
            DamagedError: one is missing, damaged or was changed.
        """
        known = {} if self.checksums is None else {CHECKSUMS: self.checksums}
        artifacts.check_files(folder, self.KIND, known, names)

    def sealed(self, checksums: Mapping[str, Facts]) -> Self:
        """The manifest with checksums and its own, as `artifacts.write_manifest` would write it."""
        return type(self).model_validate(integrity.sealed({**self.to_json(), CHECKSUMS: dict(checksums)}))


def checked(model: type[Made], value: Any, path: str | os.PathLike[str], remedy: str) -> Made:
    """`value` as a `model`; `InputError` names the file, each wrong key with its value, what was expected, and the remedy."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        told = [problem_words(problem, model) for problem in problems[:MOST_PROBLEMS]]
        listed = problem_list(told, "; ", more=len(problems) - len(told))
        raise InputError(f"{path}: {listed}. It is damaged, or of another version of this project; {remedy}") from None
