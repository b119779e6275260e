"""The compiler's own estimate of a step's cycles, read from the text of the compiled program.

The scheduler leaves a number of cycles at most instructions. Here they are added up over the program: a loop's body as
often as it runs, of a conditional the dearest branch. What an instruction calls for single elements (a reduction's sum) and
what is inside a fusion belongs to that instruction's own number.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

_COMPUTATION = re.compile(r"^(ENTRY )?%([^\s(]+) \(.*\{$")
_INSTRUCTION = re.compile(r"^\s+(ROOT )?%([^\s=]+) = (.*)$")
_OPCODE = re.compile(r"([a-z][\w-]*)\(")
_REFERENCE = re.compile(r"%([\w.\-]+)")
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
_TRIP_COUNT = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_TARGET = re.compile(r'custom_call_target="([^"]*)"')
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_CALLS = ("call", "async-start")

# Kinds that take real time, so that their lack of an estimate is told; the others are free or next to it.
COSTLY = ("gather", "scatter", "sort", "custom-call")
# What chips tell each other; the start of an exchange stands for all of it.
_COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
_ARRAY = re.compile(r"\b(pred|[a-z]+(\d+)[a-z0-9]*)\[([\d,]*)\]")
# Custom calls by which the compiler says something to itself; they move nothing.
_MARKERS = (
    "AllocateBuffer",
    "AssumeGatherIndicesInBound",
    "ConcatBitcast",
    "X64Combine",
    "X64SplitHigh",
    "X64SplitLow",
)


@dataclass(frozen=True)
class Estimate:
    """What one run of a program takes by its compiler's reckoning.

    Attributes:
        cycles: of one core.
        without_estimate: how often instructions of each of the `COSTLY` kinds run that carry no estimate, fusions of
            them included; their cycles are not in the sum.
        unknown_loops: loops whose number of runs cannot be read; their bodies are counted once.
        collective_bytes: results of what the chips tell each other, such as sums of gradients.
    """

    cycles: int
    without_estimate: Mapping[str, int] = field(default_factory=dict)
    unknown_loops: int = 0
    collective_bytes: int = 0


@dataclass(frozen=True)
class _Instruction:
    name: str
    opcode: str
    operands: tuple[str, ...]
    literal: str  # what stands between the parentheses, of a constant its value
    rest: str  # the attributes after them
    root: bool
    type: str = ""

    @property
    def collective_bytes(self) -> int:
        """Bytes of the result where it is an exchange between chips, else 0."""
        if self.opcode.removesuffix("-start") not in _COLLECTIVES:
            return 0
        return sum(_bytes(width, dimensions) for _, width, dimensions in _ARRAY.findall(self.type))

    @property
    def cycles(self) -> int | None:
        found = _CYCLES.search(self.rest)
        return int(found[1]) if found else None

    def attribute(self, name: str) -> str:
        """The name of a computation that an attribute refers to; "" without the attribute."""
        found = re.search(rf"\b{name}=%([\w.\-]+)", self.rest)
        return found[1] if found else ""


@dataclass(frozen=True)
class _Computation:
    instructions: tuple[_Instruction, ...]

    @cached_property
    def by_name(self) -> dict[str, _Instruction]:
        return {instruction.name: instruction for instruction in self.instructions}

    @property
    def root(self) -> _Instruction:
        return next(instruction for instruction in self.instructions if instruction.root)


def estimate(text: str) -> Estimate:
    """Adds up the cycles of a compiled program.

    Args:
        text: the scheduled HLO module, as `HloModule.to_string` gives it.

    Raises:
        ValueError: there is no entry computation in it.
    """
    computations, entry = _parse(text)
    if not entry:
        raise ValueError("the compiled program's text has no ENTRY computation")
    return _Sum(computations).of(entry)


class _Sum:
    """The estimate of each computation, worked out once."""

    def __init__(self, computations: Mapping[str, _Computation]):
        self._computations = computations
        self._known: dict[str, Estimate] = {}

    def of(self, name: str) -> Estimate:
        if name not in self._known:
            computation = self._computations[name]
            self._known[name] = _added([self._instruction(one, computation) for one in computation.instructions])
        return self._known[name]

    def _instruction(self, one: _Instruction, inside: _Computation) -> Estimate:
        if one.opcode == "while":
            runs = self._runs(one, inside)
            parts = [self.of(one.attribute("body")), self.of(one.attribute("condition"))]
            each = _times(_added(parts), 1 if runs is None else runs)
            return _added([each, Estimate(0, {}, int(runs is None))])
        if one.opcode == "conditional":
            named = _BRANCHES.search(one.rest)
            branches = _REFERENCE.findall(named[1]) if named else []
            branches = branches or [one.attribute("true_computation"), one.attribute("false_computation")]
            return max((self.of(branch) for branch in branches), key=lambda branch: branch.cycles)
        called = one.attribute("to_apply") or one.attribute("calls")
        if one.opcode in _CALLS and called:
            return self.of(called)
        if one.cycles is not None:
            return Estimate(one.cycles, collective_bytes=one.collective_bytes)
        kind = self._costly_kind(one)
        return Estimate(0, {kind: 1} if kind else {}, collective_bytes=one.collective_bytes)

    def _costly_kind(self, one: _Instruction) -> str:
        """The kind of `COSTLY` that an instruction is, or that its fusion holds; "" for none."""
        inside: tuple[_Instruction, ...] = (one,)
        if one.opcode == "fusion":
            inside = self._computations[one.attribute("calls")].instructions
        for each in inside:
            target = _TARGET.search(each.rest)
            if each.opcode in COSTLY and not (target and target[1] in _MARKERS):
                return each.opcode
        return ""

    def _runs(self, loop: _Instruction, outside: _Computation) -> int | None:
        """How often a loop's body runs; None where that cannot be read.

        The compiler's own number where it left one. Else the loop is of the shape `for i in range(first, last)`: its
        condition compares an element of the loop's tuple with a constant, or with another element that is constant.
        """
        known = _TRIP_COUNT.search(loop.rest)
        if known:
            return int(known[1])
        condition = self._computations[loop.attribute("condition")]
        test = condition.root
        if test.opcode != "compare" or "direction=LT" not in test.rest or len(test.operands) != 2:
            return None
        start = outside.by_name.get(loop.operands[0])
        counter, bound = (condition.by_name.get(operand) for operand in test.operands)
        if start is None or counter is None or bound is None or counter.opcode != "get-tuple-element":
            return None
        first = _constant(start, counter, condition, outside)
        last = _constant(start, bound, condition, outside)
        return None if first is None or last is None else max(0, last - first)


def _constant(
    start: _Instruction, value: _Instruction | None, condition: _Computation, outside: _Computation
) -> int | None:
    """The integer that a value of a loop's condition has before the first run; None where it is not constant."""
    while value is not None and value.opcode == "copy":
        value = condition.by_name.get(value.operands[0])
    if value is not None and value.opcode == "get-tuple-element" and start.opcode == "tuple":
        index = re.search(r"\bindex=(\d+)", value.rest)
        value = outside.by_name.get(start.operands[int(index[1])]) if index else None
        while value is not None and value.opcode == "copy":
            value = outside.by_name.get(value.operands[0])
    if value is None or value.opcode != "constant" or not re.fullmatch(r"-?\d+", value.literal):
        return None
    return int(value.literal)


def _added(parts: list[Estimate]) -> Estimate:
    missing: Counter[str] = Counter()
    for part in parts:
        missing.update(part.without_estimate)
    cycles, loops, exchanged = (
        sum(getattr(part, name) for part in parts) for name in ("cycles", "unknown_loops", "collective_bytes")
    )
    return Estimate(cycles, dict(missing), loops, exchanged)


def _times(part: Estimate, runs: int) -> Estimate:
    missing = {kind: runs * count for kind, count in part.without_estimate.items()}
    return Estimate(runs * part.cycles, missing, part.unknown_loops, runs * part.collective_bytes)


def _bytes(width: str, dimensions: str) -> int:
    """Of an array in HLO's words: bits of an element, "" for truth values, and sizes."""
    elements = math.prod(int(size) for size in dimensions.split(",") if size)
    return elements * max(8, int(width or 8)) // 8


def _parse(text: str) -> tuple[dict[str, _Computation], str]:
    """The computations of a module by name, and the name of the entry."""
    computations: dict[str, _Computation] = {}
    found: list[_Instruction] = []
    name, entry = "", ""
    for line in text.splitlines():
        header = _COMPUTATION.match(line)
        if header:
            name, found = header[2], []
            entry = name if header[1] else entry
        elif line.startswith("}") and name:
            computations[name], name = _Computation(tuple(found)), ""
        elif name and (instruction := _INSTRUCTION.match(line)):
            found.append(_read(instruction[2], instruction[3], root=bool(instruction[1])))
    return computations, entry


def _read(name: str, text: str, *, root: bool) -> _Instruction:
    """Reads `TYPE opcode(operands), attributes`; TYPE may be a tuple in parentheses."""
    type_end = _closing(text) + 1 if text.startswith("(") else text.index(" ") if " " in text else len(text)
    type_, after_type = text[:type_end], text[type_end:]
    opcode = _OPCODE.match(after_type.lstrip())
    if opcode is None:
        return _Instruction(name, "", (), "", after_type, root, type_)
    call = after_type.lstrip()[opcode.end() - 1 :]
    end = _closing(call)
    inner = call[1:end]
    return _Instruction(name, opcode[1], tuple(_REFERENCE.findall(inner)), inner, call[end + 1 :], root, type_)


def _closing(text: str) -> int:
    """The place of the parenthesis that closes the first character's."""
    depth = 0
    for place, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if not depth:
            return place
    return len(text)
