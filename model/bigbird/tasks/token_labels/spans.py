"""Spans: as a user's data has them, checked; and as numbers of tags."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from bigbird.support.text_files import shown
from bigbird.tasks.tables.values import BadValueError
from bigbird.tasks.token_labels.words import MARK, Characters

LONGEST_LABEL = 200

_OWN_TEXT = "text"
# What other tools count places in: encoding, bytes of a unit, and how it is called.
_OTHER_COUNTS = (("utf-16-le", 2, "UTF-16 code units, as JavaScript does"), ("utf-8", 1, "bytes"))


class Span(NamedTuple):
    """A labelled part of a text.

    Attributes:
        start: its first character.
        end: one past its last character.
        label: what it is.
    """

    start: int
    end: int
    label: str


def overlapping(span: Span, others: Sequence[Span]) -> Sequence[Span]:
    """Those of some spans that share a character with one; they are in the order of the text and share none with each other."""
    first = bisect_right(others, span.start, key=lambda other: other.end)
    return others[first : bisect_left(others, span.end, key=lambda other: other.start)]


class Fields(NamedTuple):
    """How the values of a span are called, where it is an object."""

    start: str
    end: str
    label: str


class TextSpans(NamedTuple):
    """The spans of a text.

    Attributes:
        spans: in the order of the text, without blanks at their ends.
        trimmed: how many had such.
        inside_words: how many begin or end between two letters or digits.
    """

    spans: list[Span]
    trimmed: int
    inside_words: int


def read_spans(text: str, value: Any, column: str, fields: Fields) -> TextSpans:
    """The spans of a text as they stand in a column: a list of objects, or of lists [start, end, label].

    An object may have the span's text as `text`, as Label Studio and `bigbird predict` write it; it is compared.

    Raises:
        BadValueError: they are none, or not of this text; says what was found and what was expected.
    """
    parsed = parsed_spans(value, column, fields)
    found = checked_spans(text, parsed)
    for span, given in zip(parsed, value, strict=True):
        own = given.get(_OWN_TEXT) if isinstance(given, dict) else None
        if isinstance(own, str) and not _same_text(own, text[span.start : span.end]):
            raise BadValueError(
                f"has the span {_told(text, span)}, whose own text is {shown(own, 60)}; expected the same.{_other_places(text, span, own)}"
            )
    return found


def _same_text(a: str, b: str) -> bool:
    """Whether texts differ only in blanks."""
    return "".join(a.split()) == "".join(b.split())


def _other_places(text: str, span: Span, own: str) -> str:
    """What a span's places seem to count, where its own text says so."""
    if _same_text(own, text[span.start : span.end + 1]):
        return " Is end the place of the last character? It is one past it here"
    for encoding, size, what in _OTHER_COUNTS:
        part = text.encode(encoding, "surrogatepass")[size * span.start : size * span.end]
        if _same_text(own, part.decode(encoding, "ignore")):
            return f" Places seem to count {what}; they count characters (code points) here"
    return " Correct its places"


def parsed_spans(value: Any, column: str, fields: Fields) -> list[Span]:
    """Spans as they stand in a column, in their order there.

    Raises:
        BadValueError: it is none; says what was found and what was expected.
    """
    if not isinstance(value, list):
        raise BadValueError(
            f"has {shown(value)} in column {shown(column, 60)}; expected a list of spans, [] where there is none"
        )
    return [_parsed(each, column, fields) for each in value]


def _parsed(value: Any, column: str, fields: Fields) -> Span:
    where = f"has the span {shown(value, 120)} in column {shown(column, 60)}"
    if isinstance(value, dict):
        absent = [name for name in fields if name not in value]
        if absent:
            option = {name: key for key, name in zip(("span_start", "span_end", "span_label"), fields, strict=True)}
            flag = option[absent[0]].replace("_", "-")
            raise BadValueError(
                f"{where} without {shown(absent[0])}; expected {', '.join(map(shown, fields))}. Name its field with {option[absent[0]]} (--{flag})"
            )
        start, end, label = (value[name] for name in fields)
    elif isinstance(value, list | tuple) and len(value) == 3:
        start, end, label = value
    else:
        raise BadValueError(f"{where}; expected an object with {', '.join(map(shown, fields))}, or [start, end, label]")
    if isinstance(label, list) and len(label) == 1:  # as Label Studio writes it
        label = label[0]
    for number in (start, end):
        if not isinstance(number, int) or isinstance(number, bool):
            raise BadValueError(
                f"{where}, whose bound is {shown(number)}; expected whole numbers, places of characters"
            )
    if not isinstance(label, str) or not label.strip() or len(label) > LONGEST_LABEL:
        raise BadValueError(
            f"{where}, whose label is {shown(label)}; expected a text of at most {LONGEST_LABEL} characters"
        )
    if not label.isprintable():
        raise BadValueError(f"{where}, whose label is {shown(label)}; expected a text that can be printed on one line")
    return Span(start, end, label)


def checked_spans(text: str, spans: Sequence[Span]) -> TextSpans:
    """Spans that fit their text.

    Raises:
        BadValueError: a span is outside the text, empty, cuts a character, or overlaps another one.
    """
    characters = Characters.of(text)
    found, trimmed = [], 0
    ordered = sorted(spans)
    for span in ordered:
        _check_place(text, span)
    starts = characters.next_base(np.array([span.start for span in ordered], np.int64)).tolist()
    ends = characters.solid_end(np.array([span.end for span in ordered], np.int64)).tolist()
    for span, start, end in zip(ordered, starts, ends, strict=True):
        for place, which in ((span.start, "start"), (span.end, "end")):
            if place < len(text) and characters.classes[place] == MARK:
                raise BadValueError(
                    f"has the span {_told(text, span)}, whose {which} {place} is inside a character: U+{ord(text[place]):04X} belongs to "
                    f"{shown(text[max(0, place - 1) : place + 1])}. Move it before or after; were offsets counted on another form of the text?"
                )
        if start >= end:
            raise BadValueError(
                f"has the span {_told(text, span)}, which covers no visible text; expected some. Remove it"
            )
        trimmed += (start, end) != (span.start, span.end)
        found.append(Span(start, end, span.label))
    for before, after in pairwise(found):
        if after.start < before.end:
            what = "twice" if before == after else f"and, overlapping it, {_told(text, after)}"
            raise BadValueError(
                f"has the span {_told(text, before)} {what}; expected spans that do not overlap. Keep one of them"
            )
    inside = characters.inside_word(np.array(starts, np.int64)) | characters.inside_word(np.array(ends, np.int64))
    return TextSpans(found, trimmed, int(inside.sum()))


def _check_place(text: str, span: Span) -> None:
    if span.start < 0 or span.end > len(text):
        raise BadValueError(
            f"has the span {span.start} to {span.end} ({shown(span.label)}), which is outside its text of {len(text):,} characters; expected "
            f"0 <= start < end <= {len(text):,}.{_other_count(text, span.end)}"
        )
    if span.start >= span.end:
        raise BadValueError(
            f"has the span {span.start} to {span.end} ({shown(span.label)}), which is empty; expected start < end, end one past the last "
            "character"
        )


def _other_count(text: str, end: int) -> str:
    """What else than characters a place beyond the text may count."""
    for encoding, size, what in _OTHER_COUNTS:
        if len(text) < end <= len(text.encode(encoding, "surrogatepass")) // size:
            return (
                f" The text has that many {what}: are places counted in these? They count characters (code points) here"
            )
    return ""


def _told(text: str, span: Span) -> str:
    return f"{span.start} to {span.end}, {shown(text[span.start : span.end], 60)} ({shown(span.label, 60)})"


class Fitted(NamedTuple):
    """Spans in units.

    Attributes:
        spans: (first unit, last unit, label) of each that can be expressed, in the order of the text.
        widened: how many of these are not what they were: longer, or without a unit that the span before takes.
        lost: how many cannot be expressed: no unit is theirs alone.
    """

    spans: list[tuple[int, int, str]]
    widened: int
    lost: int


def fit(spans: Sequence[Span], starts: np.ndarray, ends: np.ndarray) -> Fitted:
    """Widens spans to whole units.

    Args:
        spans: in the order of the text, not overlapping.
        starts, ends: of the units, int64[U] each.
    """
    found: list[tuple[int, int, str]] = []
    widened = lost = 0
    taken = -1  # the last unit of the span before
    for span in spans:
        first, last = int(np.searchsorted(ends, span.start, "right")), int(np.searchsorted(starts, span.end)) - 1
        first = max(first, taken + 1)
        if first > last:
            lost += 1
            continue
        taken = last
        widened += (int(starts[first]), int(ends[last])) != (span.start, span.end)
        found.append((first, last, span.label))
    return Fitted(found, widened, lost)


def tag_names(labels: Sequence[str]) -> list[str]:
    """The tags by their numbers: O, and of each label B and I. Of C labels 1 + 2C."""
    return ["O", *(f"{part}-{label}" for label in labels for part in "BI")]


def tags_of(fitted: Sequence[tuple[int, int, str]], units: int, label_ids: Mapping[str, int]) -> np.ndarray:
    """The tag of each unit, int64[units]."""
    tags = np.zeros(units, np.int64)
    for first, last, label in fitted:
        tags[first] = 1 + 2 * label_ids[label]
        tags[first + 1 : last + 1] = 2 + 2 * label_ids[label]
    return tags
