"""What sections of a configuration are made of."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from bigbird.support.text_files import shown


def _no_truth_value(value: Any) -> Any:
    """In Python true is the number 1; in a configuration it is a mistake."""
    if isinstance(value, bool):
        raise ValueError(f"found {value!r}; expected a number")
    return value


def _regular_expression(value: str) -> str:
    try:
        re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(
            f"found {shown(value)}: {error}; expected a regular expression of Python, in which the character ( is written \\("
        ) from None
    return value


Number = Annotated[float, BeforeValidator(_no_truth_value), Field(allow_inf_nan=False)]
Amount = Annotated[Number, Field(ge=0.0)]
Fraction = Annotated[Number, Field(ge=0.0, lt=1.0)]
Integer = Annotated[int, BeforeValidator(_no_truth_value)]
Count = Annotated[Integer, Field(ge=0)]
Positive = Annotated[Integer, Field(ge=1)]
Pattern = Annotated[str, AfterValidator(_regular_expression)]


class Section(BaseModel):
    """A node of the tree: immutable, every key known."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, strict=False)
