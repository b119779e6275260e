"""Overrides: `key.path=value` from command lines, one or several in a text, laid over a tree of settings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bigbird.support.errors import InputError
from bigbird.support.text_files import cut, shown
from bigbird.support.yaml_files import MOST_DEPTH, parse_yaml, plain_value, quoted

# A comma ends an assignment where a key follows. After a value without quotes or brackets, which may hold commas and
# equals signs itself (lr=0.1,bs=32/m), only a dotted key or one of the tree's roots is one.
_KEY = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*"
_ROOTS = ("task", "trainer", "runtime", "type")
_BEFORE_A_KEY = re.compile(rf",(?=\s*{_KEY}\s*=)")
_BEFORE_A_PATH = re.compile(rf",(?=\s*(?:{'|'.join(_ROOTS)}|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+)\s*=)")
_QUOTED = re.compile(r"""\s*(?:"(?:\\.|[^"\\])*"|'(?:''|[^'])*')""", re.DOTALL)
# What counts in finding the bracket that ends a list or a mapping: quoted parts, where a value may begin, and brackets.
_BRACKETS = re.compile(r"""(?<=[\[{,:\s])(?:"(?:\\.|[^"\\])*"|'(?:''|[^'])*')|[\[\]{}]""", re.DOTALL)
_SPACE = " \t\r\n"
_LONGEST_PLAIN_KEY = 1000  # characters; YAML allows 1,024


def parse_override(text: str) -> dict[str, Any]:
    """Reads `task.a=1,trainer.b=[2,3]` into `{"task": {"a": 1}, "trainer": {"b": [2, 3]}}`.

    A value is a number, true, false, null, a list or mapping in brackets, or a text as it was typed: `a #b`, `a: b`,
    `lr=0.1,bs=32`. In quotes a text may hold everything, also a comma with a key behind it.

    Raises:
        InputError: an assignment is no `key.path=value`, or its value is not whole.
    """
    unusable = re.search("[\0\ud800-\udfff]", text)
    if unusable:
        raise InputError(f"override {shown(text)}: holds {unusable[0]!r}, which is no character; expected text")
    tree: dict[str, Any] = {}
    rest = text.strip(_SPACE).removeprefix(",")
    while rest:
        key, equals, after = rest.partition("=")
        key = key.strip(_SPACE)
        if not equals or not re.fullmatch(_KEY, key) or key.count(".") >= MOST_DEPTH:
            raise InputError(f"override {shown(rest)}: expected key.path=value")
        value, rest = _cut_value(key, after)
        tree = merge(tree, _nested(key, value))
    return tree


def join_overrides(overrides: Iterable[str]) -> str:
    """Overrides as one, which `parse_override` reads as all of them, one after the other.

    Raises:
        InputError: one of them is no `key.path=value`, or its key is neither dotted nor a root of the tree.
    """
    kept = [stripped for override in overrides if (stripped := override.strip(_SPACE).removeprefix(","))]
    for override in kept:
        parse_override(override)
        if not _BEFORE_A_PATH.match(f",{override}"):  # it would end up in the value before it
            key = override.partition("=")[0]
            raise InputError(f"override {shown(override)}: {cut(key, 100)} is no key; expected {', '.join(_ROOTS)}")
    return ",".join(kept)


def assignment(key: str, value: Any) -> str:
    """The override that sets a key to a value, as `parse_override` and `join_overrides` read it back.

    Args:
        key: dotted.
        value: a text, a finite number, a truth value, None, or a list or mapping of these; keys of mappings are texts.
            A text is quoted where it would be read as something else without.
    """
    if not isinstance(value, str):
        return f"{key}={_flow(value)}"
    plain = f"{key}={value}"
    try:
        is_plain = parse_override(plain) == _nested(key, value)
    except InputError:
        is_plain = False
    return plain if is_plain else f"{key}={quoted(value)}"


def _flow(value: Any) -> str:
    """A value on one line of YAML, every text in quotes."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_flow_key(key)}: {_flow(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_flow, value))}]"
    return json.dumps(value)


def _flow_key(key: str) -> str:
    """A mapping's key; YAML finds the end of a long one only where a question mark announces it."""
    text = quoted(key)
    return text if len(text) <= _LONGEST_PLAIN_KEY else f"? {text} "


def _nested(key: str, value: Any) -> dict[str, Any]:
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def _cut_value(key: str, text: str) -> tuple[Any, str]:
    """The value that a text begins with, and what follows after the comma that ends it."""
    end = _closed(key, text)
    comma = _BEFORE_A_KEY.match(text, end) if end else None
    if end and (comma or end == len(text)):
        return _yaml(key, text[:end]), text[end + 1 :]
    comma = _BEFORE_A_PATH.search(text, end)
    value, rest = (text[: comma.start()], text[comma.end() :]) if comma else (text, "")
    value = value.strip(_SPACE)
    if value.startswith("!!"):  # one of YAML's own tags
        return _yaml(key, value), rest
    try:
        return plain_value(value) if value else "", rest
    except ValueError as error:
        raise InputError(f"override {cut(key, 200)}: {error}") from None


def _yaml(key: str, value: str) -> Any:
    return parse_yaml(value, f"override {cut(key, 200)}: {shown(value)}", place="{source}")


def _closed(key: str, text: str) -> int:
    """Where the quotes or brackets end that a value begins with, and the space behind them; 0 if it has none.

    Raises:
        InputError: they do not end.
    """
    begins = text.lstrip(_SPACE)[:1]
    end = 0
    if begins in ('"', "'"):
        match = _QUOTED.match(text)
        end = match.end() if match else -1
    elif begins in ("[", "{"):
        depth, end = 0, -1
        for part in _BRACKETS.finditer(text):
            depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(part[0], 0)
            if depth == 0:
                end = part.end()
                break
    if end < 0:
        raise InputError(
            f"override {cut(key, 200)}: {shown(text)} begins with {begins} and does not end it; expected the end, or for text "
            "that begins so, the whole value in quotes"
        )
    return end and len(text) - len(text[end:].lstrip(_SPACE))


def changed_keys(before: str, now: str) -> list[str]:
    """The keys that two texts of overrides set to different values, by their paths; both as `join_overrides` gives them."""
    old, new = (dict(_leaves(parse_override(text))) for text in (before, now))
    return [key for key in {**old, **new} if (key in old, old.get(key)) != (key in new, new.get(key))]


def _leaves(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """(path, value) of a tree's values."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with `changes` laid over it, mapping by mapping; neither is altered."""
    result = dict(base)
    for key, value in changes.items():
        inner = result.get(key)
        result[key] = merge(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result
