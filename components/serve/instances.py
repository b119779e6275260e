"""The body of a request to its examples, or the reason why it is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from bigbird.serving.saved_model import check_example, shown
from bigbird.support.errors import InputError


def read_instances(body: bytes, fields: Sequence[str], max_instances: int) -> list[dict[str, str]]:
    """Reads `{"instances": [...]}`.

    Args:
        body: JSON in UTF-8. An instance is an object with a text for each of the fields, or, where the model takes one
            text, that text alone.
        fields: names of the model's inputs.
        max_instances: most instances of one request.

    Returns:
        The examples, in order.

    Raises:
        InputError: names the instance and field, what was found and what was expected.
    """
    request = _parse(body)
    expected = 'expected {"instances": [...]}'
    if not isinstance(request, dict):
        raise InputError(f"the body is {_kind(request)}; {expected}")
    for key in request:
        if key not in ("instances", "parameters"):
            raise InputError(f"the body has {shown(key)}; {expected} and at most parameters beside it")
    if "instances" not in request:
        raise InputError(f"the body has no instances; {expected}")
    _check_parameters(request.get("parameters"))
    instances = request["instances"]
    if not isinstance(instances, list) or not instances:
        found = "an empty list" if instances == [] else _kind(instances)
        raise InputError(f"instances is {found}; expected a list of at least one instance")
    if len(instances) > max_instances:
        raise InputError(f"instances holds {len(instances)}; expected at most {max_instances} in one request")
    return [_example(number, instance, fields) for number, instance in enumerate(instances)]


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8").removeprefix("\ufeff"))  # a byte order mark
    except UnicodeDecodeError as error:
        raise InputError(f"the body is not UTF-8 at byte {error.start}; expected JSON in UTF-8") from None
    except json.JSONDecodeError as error:
        raise InputError(
            f"the body is not valid JSON at line {error.lineno}, column {error.colno} ({error.msg})"
        ) from None
    except RecursionError:
        raise InputError("the body is nested too deeply; expected a list of objects with texts") from None
    except ValueError:  # an integer of thousands of digits
        raise InputError("the body holds a number that is too long; expected texts") from None


def _check_parameters(parameters: Any) -> None:
    if parameters is None or parameters == {}:
        return
    if not isinstance(parameters, dict):
        raise InputError(f"parameters is {_kind(parameters)}; expected an object")
    raise InputError(f"parameters has {', '.join(map(shown, parameters))}; this model takes none")


def _example(number: int, instance: Any, fields: Sequence[str]) -> dict[str, str]:
    where = f"instances[{number}]"
    if isinstance(instance, str) and len(fields) == 1:
        instance = {fields[0]: instance}
    if not isinstance(instance, dict):
        expected = f"an object with {' and '.join(fields)}" + (", or a text" if len(fields) == 1 else "")
        raise InputError(f"{where}: is {_kind(instance)}; expected {expected}")
    check_example(where, instance, fields)
    return instance


def _kind(value: Any) -> str:
    """What a JSON value is called."""
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", dict: "an object"}
    return names[type(value)]
