"""What sections of a configuration are made of."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _no_truth_value(value: Any) -> Any:
    """In Python true is the number 1; in a configuration it is a mistake."""
    if isinstance(value, bool):
        raise ValueError(f"found {value!r}; expected a number")
    return value


Number = Annotated[float, BeforeValidator(_no_truth_value), Field(allow_inf_nan=False)]
Amount = Annotated[Number, Field(ge=0.0)]
Fraction = Annotated[Number, Field(ge=0.0, lt=1.0)]
Integer = Annotated[int, BeforeValidator(_no_truth_value)]
Count = Annotated[Integer, Field(ge=0)]
Positive = Annotated[Integer, Field(ge=1)]


class Section(BaseModel):
    """A node of the tree: immutable, every key known."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, strict=False)
