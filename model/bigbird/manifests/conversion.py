"""conversion.json: what became of a converted checkpoint."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, StrictBool, StrictInt, create_model

from bigbird.manifests.base import Manifest, Part


class ConversionVocabulary(Part):
    """The vocabulary that the checkpoint was trained with."""

    sha256: str = Field(description="SHA-256 of its pieces.")
    lower_case: StrictBool | None = Field(None, description="Whether text was lower-cased; None where nothing says so.")


class ConversionHead(Part):
    """How the head computes that went along into a checkpoint of ours."""

    kind: str = Field(description="As task.model.head has it, or triviaqa.")
    pooling: str = Field(description="As task.model.pooling has it.")
    task: str | None = Field(None, description="classifier or span; None where nothing says so.")


class _Conversion(Manifest):
    """conversion.json."""

    KIND: ClassVar[str] = "checkpoint"

    to: str = Field(description="The kind of checkpoint that was written.")
    weights: StrictInt = Field(description="How many were written.")
    left_out: list[str] = Field(default_factory=list, description="Weights that the kind has no place for.")
    vocabulary: ConversionVocabulary | None = Field(
        None, description="The vocabulary that the checkpoint was trained with; None where it carried none."
    )
    head: ConversionHead | None = Field(
        None, description="How a task's head computes in a checkpoint of ours; None without, or where nothing says so."
    )


# A word of Python's own, so that it is read as manifest["from"].
_FROM: dict[str, Any] = {"from": (str, Field(description="The kind of checkpoint that was read."))}
ConversionManifest = create_model("ConversionManifest", __base__=_Conversion, __doc__="conversion.json.", **_FROM)
