"""Spans as users have them: what is taken, what is refused, and how they become tags."""

import numpy as np
import pytest

from bigbird.tasks.tables.values import BadValueError
from bigbird.tasks.token_labels.spans import (
    Fields,
    Span,
    checked_spans,
    fit,
    overlapping,
    parsed_spans,
    read_spans,
    tag_names,
    tags_of,
)

FIELDS = Fields("start", "end", "label")
TEXT = "Anna Kern built e\u0301te\u0301 👩\u200d🚀 in 1904."


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        ([{"start": 0, "end": 4, "label": "P", "more": 1}], FIELDS),
        ([[0, 4, "P"]], FIELDS),
        ([(0, 4, "P")], FIELDS),
        (
            [{"start_offset": 0, "end_offset": 4, "label": "P"}],
            Fields("start_offset", "end_offset", "label"),
        ),  # doccano
        ([{"start": 0, "end": 4, "text": "Anna", "labels": ["P"]}], Fields("start", "end", "labels")),  # Label Studio
    ],
)
def test_the_forms_of_annotation_tools(value, fields):
    assert parsed_spans(value, "entities", fields) == [Span(0, 4, "P")]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("P", "has 'P' in column 'entities'; expected a list of spans, \\[\\] where there is none"),
        (
            [5],
            "has the span 5 in column 'entities'; expected an object with 'start', 'end', 'label', or \\[start, end, label\\]",
        ),
        ([[0, 4]], "expected an object"),
        ([{"start": 0, "end": 4}], "without 'label'; expected .* Name its field with span_label \\(--span-label\\)"),
        ([{"begin": 0, "end": 4, "label": "P"}], "without 'start'; .*--span-start"),
        ([[0.0, 4, "P"]], "whose bound is 0.0; expected whole numbers"),
        ([["0", 4, "P"]], "whose bound is '0'"),
        ([[True, 4, "P"]], "whose bound is True"),
        ([[0, 4, ""]], "whose label is ''; expected a text of at most 200 characters"),
        ([[0, 4, None]], "whose label is None"),
        ([[0, 4, ["P", "Q"]]], "whose label is \\['P', 'Q'\\]"),
        ([[0, 4, "x" * 201]], "expected a text of at most 200"),
        ([[0, 4, "a\nb"]], "expected a text that can be printed on one line"),
    ],
)
def test_what_is_no_span_is_refused(value, problem):
    with pytest.raises(BadValueError, match=problem):
        parsed_spans(value, "entities", FIELDS)


@pytest.mark.parametrize(
    ("spans", "problem"),
    [
        (
            [(-1, 4)],
            "has the span -1 to 4 \\('P'\\), which is outside its text of 34 characters; expected 0 <= start < end <= 34",
        ),
        ([(30, 99)], "outside its text"),
        ([(30, 35)], "The text has that many UTF-16 code units, as JavaScript does: are places counted in these?"),
        ([(30, 40)], "The text has that many bytes"),
        ([(4, 4)], "has the span 4 to 4 \\('P'\\), which is empty; expected start < end"),
        ([(5, 4)], "is empty"),
        ([(4, 5)], "covers no visible text"),
        ([(17, 20)], "whose start 17 is inside a character: U\\+0301 belongs to"),
        ([(16, 20), (0, 4)], "whose end 20 is inside a character"),
        ([(24, 25)], "whose start 24 is inside a character: U\\+1F680"),
        ([(22, 23)], "whose end 23 is inside a character: U\\+200D"),
        ([(0, 9), (5, 9)], "has the span 0 to 9, 'Anna Kern' \\('P'\\) and, overlapping it, 5 to 9, 'Kern' \\('P'\\)"),
        ([(0, 9), (0, 9)], "has the span 0 to 9, 'Anna Kern' \\('P'\\) twice; expected spans that do not overlap"),
    ],
)
def test_places_that_cannot_be_meant_are_refused(spans, problem):
    with pytest.raises(BadValueError, match=problem):
        checked_spans(TEXT, [Span(start, end, "P") for start, end in spans])


def test_spans_are_ordered_and_lose_their_blanks():
    found, trimmed, _ = checked_spans(TEXT, [Span(10, 16, "V"), Span(0, 4, "P"), Span(4, 9, "Q")])
    assert found == [Span(0, 4, "P"), Span(5, 9, "Q"), Span(10, 15, "V")] and trimmed == 2
    assert checked_spans(TEXT, [Span(16, 21, "P"), Span(22, 25, "E")])[0] == [Span(16, 21, "P"), Span(22, 25, "E")]


def test_spans_become_the_units_that_they_touch():
    starts, ends = np.array([0, 5, 10, 16, 20]), np.array([4, 9, 15, 20, 24])
    fitted = fit(
        [Span(0, 9, "P"), Span(11, 13, "V"), Span(14, 15, "V"), Span(15, 16, "V"), Span(16, 24, "X")], starts, ends
    )
    assert fitted.spans == [(0, 1, "P"), (2, 2, "V"), (3, 4, "X")]
    assert (fitted.widened, fitted.lost) == (1, 2)
    assert tags_of(fitted.spans, 5, {"P": 0, "V": 1, "X": 2}).tolist() == [1, 2, 3, 5, 6]
    assert tag_names(["P", "V"]) == ["O", "B-P", "I-P", "B-V", "I-V"]
    # A word of two spans is the first one's; the second one keeps its other words.
    assert fit([Span(0, 2, "N"), Span(2, 9, "P")], starts, ends) == ([(0, 0, "N"), (1, 1, "P")], 2, 0)
    assert fit([], starts, ends) == ([], 0, 0)
    assert fit([Span(0, 1, "P")], starts[:0], ends[:0]) == ([], 0, 1)


def test_spans_that_share_a_character_are_found():
    others = [Span(0, 4, "P"), Span(5, 9, "Q"), Span(9, 12, "R")]
    for start in range(13):
        for end in range(start + 1, 14):
            span = Span(start, end, "P")
            assert overlapping(span, others) == [each for each in others if each.start < end and start < each.end]


SMILE = "😀 Anna lives in Berlin, said Anna."


@pytest.mark.parametrize(
    ("start", "end", "own", "problem"),
    [
        (
            3,
            7,
            "Anna",
            "'nna ' .*whose own text is 'Anna'; expected the same. Places seem to count UTF-16 code units, as JavaScript does",
        ),
        (5, 9, "Anna", "Places seem to count bytes"),
        (2, 5, "Anna", "'Ann' .* Is end the place of the last character\\? It is one past it here"),
        (2, 6, "Berlin", "'Anna' .* whose own text is 'Berlin'; expected the same. Correct its places"),
    ],
)
def test_the_text_that_a_span_says_it_has_is_compared(start, end, own, problem):
    value = [{"start": start, "end": end, "label": "P", "text": own}]
    with pytest.raises(BadValueError, match=problem):
        read_spans(SMILE, value, "entities", FIELDS)


def test_spans_with_their_own_text_are_taken_where_it_is_theirs_and_those_inside_words_are_counted():
    value = [
        {"start": 2, "end": 7, "label": "P", "text": "Anna"},
        [16, 19, "L"],
        {"start": 29, "end": 33, "label": "P"},
    ]
    found = read_spans(SMILE, value, "entities", FIELDS)
    assert (found.trimmed, found.inside_words) == (1, 1)
    assert [SMILE[span.start : span.end] for span in found.spans] == ["Anna", "Ber", "Anna"]
