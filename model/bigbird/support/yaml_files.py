"""Reads and writes YAML whose values are what they look like, and refuses what could run, hide or grow without end.

Plain values follow YAML 1.2's core schema: 0100 is a hundred, 1:30 and `no` and 2026-01-01 are text, 3e-05 is a number.
A file is one document of mappings with text as keys, lists, texts, numbers, true, false and null.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import yaml
from yaml.events import AliasEvent
from yaml.nodes import MappingNode, Node, ScalarNode

from bigbird.support.errors import InputError
from bigbird.support.text_files import cut, shown

MOST_CHARACTERS = 1_000_000  # of a file, and of what its aliases make of it
MOST_DEPTH = 100  # lists and mappings inside each other
MOST_DIGITS = 100  # of a number; Python itself reads up to 4,300

_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
# Not text, or what YAML 1.1 takes for a line's end and editors do not.
_UNUSABLE = re.compile("[^\t\n\r -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_HIDDEN = re.compile("[\0\ud800-\udfff]")  # what an escape must not make
_BASES = {"0o": 8, "0x": 16}  # how the numbers that are not decimal begin
_INFINITY = re.compile(r"([-+]?)\.(inf|nan)", re.IGNORECASE)

# The core schema: a tag, the plain values that have it, and what they stand for. The first that fits counts.
_SCALARS: dict[str, tuple[re.Pattern[str], Callable[[str], Any]]] = {
    f"{_TAG}{name}": (re.compile(rf"(?:{pattern})\Z"), convert)
    for name, pattern, convert in (
        ("null", r"~|null|Null|NULL|", lambda _: None),
        ("bool", r"true|True|TRUE|false|False|FALSE", lambda text: text.lower() == "true"),
        ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", lambda text: int(text, _BASES.get(text[:2], 10))),
        (
            "float",
            r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
            lambda text: float(_INFINITY.sub(r"\1\2", text)),
        ),
    )
}


class _Loader(yaml.SafeLoader):
    """Composes nodes within the bounds above; `_value` makes values of them."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 - filled below, as yaml has it

    def __init__(self, text: str):
        super().__init__(text)
        self._depth = 0
        self._sizes: dict[int, tuple[int, int]] = {}  # of whole nodes: characters, depth; aliases count as written out

    def compose_node(self, parent: Any, index: Any) -> Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        self._depth += 1
        _check(self._depth <= MOST_DEPTH, event, f"lists and mappings go more than {MOST_DEPTH} deep")
        node = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(event, AliasEvent):
            _check(id(node) in self._sizes, event, "an alias stands inside what it stands for")
        elif node is not None:
            self._sizes[id(node)] = size, depth = self._measure(node)
            _check(size <= MOST_CHARACTERS, event, f"with its aliases it has more than {MOST_CHARACTERS:,} characters")
            _check(depth <= MOST_DEPTH, event, f"with its aliases it goes more than {MOST_DEPTH} deep")
        return node

    def _measure(self, node: Node) -> tuple[int, int]:
        if isinstance(node, ScalarNode):
            return len(node.value) + 1, 1
        parts = [part for pair in node.value for part in pair] if isinstance(node, MappingNode) else node.value
        sizes = [self._sizes[id(part)] for part in parts]
        return 1 + sum(size for size, _ in sizes), 1 + max((depth for _, depth in sizes), default=0)


class _Dumper(yaml.SafeDumper):
    """Quotes a text that this module, or a reader of YAML 1.1 as the Model Garden's, would take for something else."""


for _name, (_pattern, _) in _SCALARS.items():
    _Loader.add_implicit_resolver(_name, _pattern, None)
    _Dumper.add_implicit_resolver(_name, _pattern, None)
_Loader.add_implicit_resolver(_MERGE, re.compile(r"<<\Z"), None)


def parse_yaml(text: str, source: str, *, place: str = "{source}:{line}:{column}") -> Any:
    """The value of a YAML text; None for an empty one.

    Args:
        text: the text.
        source: where it comes from, for messages.
        place: how a message names a mistake's place; of `source`, `line` and `column`.

    Raises:
        InputError: it is no YAML, or not as the module's docstring has it; names line and column.
    """
    text = text.removeprefix("\ufeff")
    if len(text) > MOST_CHARACTERS:
        raise InputError(
            f"{cut(source, 300)}: has {len(text):,} characters; expected a YAML file of at most {MOST_CHARACTERS:,}"
        )
    try:
        _check_characters(text)
        node = _Loader(text).get_single_node()  # type: ignore[no-untyped-call]
        return None if node is None else _value(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = ", ".join(filter(None, (error.context, error.problem)))
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # an escape or a version that is no number
        mark, problem = None, str(error)
    if mark is None:
        raise InputError(f"{cut(source, 300)}: not valid YAML ({cut(problem, 300)})") from None
    where = place.format(source=cut(source, 300), line=mark.line + 1, column=mark.column + 1)
    at = "" if "{column}" in place else f", at column {mark.column + 1}"
    raise InputError(f"{where}: not valid YAML ({cut(problem, 300)}{at})") from None


def parse_yaml_mapping(
    text: str, source: str, expected: str, *, place: str = "{source}:{line}:{column}"
) -> dict[str, Any]:
    """The mapping of a YAML text; an empty text is an empty one. Arguments and exceptions as `parse_yaml`.

    Raises:
        InputError: also where the top level is no mapping; `expected` says which one should be there.
    """
    value = parse_yaml(text, source, place=place)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError(f"{cut(source, 300)}: holds {type(value).__name__}; expected {expected}")
    return value


def plain_value(text: str) -> Any:
    """What a plain value stands for: a number, true, false, null, or itself.

    Raises:
        ValueError: it is a number of too many digits.
    """
    for pattern, convert in _SCALARS.values():
        if pattern.match(text):
            if len(text) > MOST_DIGITS:
                raise ValueError(f"a number of {len(text):,} characters; expected at most {MOST_DIGITS}")
            return convert(text)
    return text


def dump_yaml(value: Any) -> str:
    """A tree as YAML that `parse_yaml` reads back as it was; keys stay in order."""
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False) if _UNUSABLE.search(text) else text


def quoted(text: str) -> str:
    """A text in double quotes on one line, as YAML has it."""
    return yaml.dump(text, Dumper=_Dumper, default_style='"', width=2**31).removesuffix("\n")


def _check(holds: bool, at: Any, problem: str) -> None:
    """Refuses an event or a node where something does not hold."""
    if not holds:
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=at.start_mark)


def _check_characters(text: str) -> None:
    found = _UNUSABLE.search(text)
    if found is not None:
        before = text[: found.start()]
        mark = yaml.Mark("", 0, before.count("\n"), found.start() - before.rfind("\n") - 1, "", 0)
        code = ord(found[0])
        remedy = rf'write it in double quotes as "\u{code:04x}"' if code in (0x85, 0x2028, 0x2029) else "it is no text"
        raise yaml.MarkedYAMLError(problem=f"found the character U+{code:04X}; {remedy}", problem_mark=mark)


def _value(node: Node) -> Any:
    if isinstance(node, ScalarNode):
        return _scalar(node)
    kind = "map" if isinstance(node, MappingNode) else "seq"
    _check(node.tag == _TAG + kind, node, f"the tag {_short(node.tag)} has no meaning here")
    return _mapping(node) if isinstance(node, MappingNode) else [_value(item) for item in node.value]


def _scalar(node: ScalarNode) -> Any:
    text = node.value
    if node.tag == f"{_TAG}str":
        _check(not _HIDDEN.search(text), node, f"{shown(text)} holds an escape that is no character")
        return text
    _check(node.tag in _SCALARS, node, f"the tag {_short(node.tag)} has no meaning here")
    _check(len(text) <= MOST_DIGITS, node, f"a number of {len(text):,} characters; expected at most {MOST_DIGITS}")
    pattern, convert = _SCALARS[node.tag]
    _check(bool(pattern.match(text)), node, f"{shown(text)} is no {_short(node.tag)}")
    return convert(text)


def _mapping(node: MappingNode) -> dict[str, Any]:
    own: dict[str, Any] = {}
    merged: dict[str, Any] = {}
    for key, value in node.value:
        if key.tag == _MERGE:
            for inherited in reversed(value.value if isinstance(value, yaml.SequenceNode) else [value]):
                _check(isinstance(inherited, MappingNode), value, "<< expects a mapping, or a list of some")
                merged |= _value(inherited)
            continue
        _check(isinstance(key, ScalarNode), key, "a list or a mapping is no key; expected a name")
        _check(key.tag == f"{_TAG}str", key, f"the key {cut(key.value, 100)} is no text; quote it")
        name = _scalar(key)
        _check(name not in own, key, f"the key {shown(name)} stands twice in one mapping")
        own[name] = _value(value)
    return merged | own


def _short(tag: str) -> str:
    """A tag as people write it."""
    return cut(tag.replace(_TAG, "!!", 1) if tag.startswith(_TAG) else tag)
