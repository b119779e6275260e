"""What pydantic finds wrong with a file's values, in our words: full path, what was found, what is allowed."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Collection, Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from bigbird.support.text_files import cut, shown


def problem_words(
    problem: Any, model: type[BaseModel], prefix: tuple[Any, ...] = (), hidden: Collection[str] = ()
) -> str:
    """One line for one of pydantic's errors.

    Args:
        problem: of `ValidationError.errors()`.
        model: what was to be made.
        prefix: path of its value in the file.
        hidden: fields of `model` itself that nobody sets.
    """
    path = problem["loc"]
    if problem["type"] == "extra_forbidden":
        return unknown_key(path, model, prefix, hidden)
    keys, field = _walk(path, model)[1:]
    where = _dotted((*prefix, *keys))
    if problem["type"] == "missing":
        meaning = field.description if field is not None and field.description else "a value"
        return f"{where}: is not there; expected: {meaning.removesuffix('.')}"
    if problem["type"] == "value_error":
        return f"{where}: {problem['ctx']['error']}"
    message = problem["msg"][0].lower() + problem["msg"][1:]
    return f"{where}: found {shown(problem['input'])}; {message.replace('input should be', 'expected')}"


def unknown_key(
    path: tuple[Any, ...], model: type[BaseModel], prefix: tuple[Any, ...] = (), hidden: Collection[str] = ()
) -> str:
    """One line for a key that means nothing: its path, the nearest known key, all of them; arguments as `problem_words`."""
    allowed = [name for name in _walk(path[:-1], model)[0].model_fields if name not in hidden]
    close = difflib.get_close_matches(cut(path[-1], 100), allowed, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    return f"{_dotted(prefix + path)}: unknown key{hint} Allowed here: {', '.join(allowed)}"


def _walk(path: tuple[Any, ...], model: type[BaseModel]) -> tuple[type[BaseModel], list[Any], FieldInfo | None]:
    """Follows a path that pydantic gives: the innermost model, the path's keys, the last one's field.

    Where a value may be of several types, pydantic puts the type that it tried into the path, as if that were a key.
    """
    keys: list[Any] = []
    field: FieldInfo | None = None
    in_mapping = False
    for part in path:
        if isinstance(part, int) or in_mapping:
            keys.append(part)
            in_mapping = False
        elif part in model.model_fields:
            keys.append(part)
            field = model.model_fields[part]
            inner, in_mapping = _inside(field.annotation)
            model = inner or model
    return model, keys, field


def _inside(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The model that a field holds, if any, and whether under names of its own."""
    if typing.get_origin(annotation) is dict:
        return _inside(typing.get_args(annotation)[1])[0], True
    options = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    models = [option for option in options if isinstance(option, type) and issubclass(option, BaseModel)]
    return (models[0] if models else None), False


def _dotted(path: Iterable[Any]) -> str:
    return ".".join(cut(part, 100) for part in path)
