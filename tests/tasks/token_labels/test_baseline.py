"""The training set's own spans, found again."""

from bigbird.tasks.token_labels.baseline import SpanDictionary
from bigbird.tasks.token_labels.spans import Span


def spans(text, *named):
    return {"text_a": text, "spans": [[text.index(part), text.index(part) + len(part), label] for part, label in named]}


def test_the_longest_span_that_stands_there_is_taken_with_its_usual_label():
    dictionary = SpanDictionary(
        [
            spans("New York Times wrote of New Delhi", ("New York Times", "ORG"), ("New Delhi", "LOC")),
            spans("New York is far", ("New York", "LOC")),
            spans("Kern left", ("Kern", "PER")),
            spans("Kern left", ("Kern", "ORG")),
            spans("Kern left", ("Kern", "PER")),
            {"text_a": "none", "spans": []},
        ]
    )
    text = "In New\nYork the New York Times met Kern, not Kernel or New."
    found = dictionary.find(text)
    assert [(text[start:end], label) for start, end, label in found] == [
        ("New\nYork", "LOC"), ("New York Times", "ORG"), ("Kern", "PER"),
    ]  # fmt: skip
    assert found[0] == Span(3, 11, "LOC")
    assert dictionary.find("New York") == [Span(0, 8, "LOC")]  # no longer one fits
    assert dictionary.find("") == dictionary.find("...") == []


def test_scripts_without_spaces():
    dictionary = SpanDictionary([spans("安娜在巴黎", ("巴黎", "LOC"))])
    assert dictionary.find("我在巴黎和巴") == [Span(2, 4, "LOC")]
