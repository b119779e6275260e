"""Charts: they are valid SVG, labels of any kind are text in it, and they show the counts that they should."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from bigbird.tasks.classification import plots
from bigbird.tasks.classification.plots import confusions, curves, label_text

pytestmark = pytest.mark.filterwarnings("error")
LABELS = (
    "<script>alert(1)</script>",
    "$x$ & _y",
    "_under",
    "スポーツ",
    "a\nb\x00c\u202e",
    "a very long label " * 300,
    "",
)


def texts_of(figure, description="What it shows"):
    """The texts in a figure's SVG, which is parsed as a page has it."""
    html = plots.as_html(figure, description)
    assert "<script" not in html
    root = ET.fromstring(html)
    assert root.tag == "figure"
    (svg,) = (child for child in root if child.tag.endswith("svg"))
    assert root.find("figcaption").text == description
    assert plots.as_html(figure, description) == html
    return [text.text for text in svg.iter("{http://www.w3.org/2000/svg}text")]


def one_label(labels, examples=400, seed=0):
    rng = np.random.default_rng(seed)
    gold = rng.integers(0, labels, examples)
    return gold, np.where(rng.random(examples) < 0.7, gold, rng.integers(0, labels, examples))


def test_a_confusion_matrix_has_every_count_and_label():
    gold, predicted = np.array([0] * 12345 + [1] * 7), np.array([0] * 12000 + [1] * 352)
    shown = texts_of(plots.confusion_matrix(gold, predicted, ["no", "yes"]))
    assert {"12,000", "345", "7"} <= set(shown)
    assert "0" not in shown
    assert shown.count("no") == shown.count("yes") == 2  # at its row and its column
    assert {"right label", "answered"} <= set(shown)


def test_labels_of_any_kind_stay_text():
    shown = texts_of(plots.confusion_matrix(*one_label(len(LABELS)), LABELS))
    for label in (*LABELS[:4], "a b\ufffdc\ufffd", "(blank)"):
        assert shown.count(label) == 2, label
    (long,) = {text for text in shown if text.startswith("a very long")}
    assert len(long) <= 26
    assert "…" in long


def test_many_labels_are_the_most_frequent_ones_and_the_others_together():
    rng = np.random.default_rng(0)
    gold = np.repeat(np.arange(40), np.arange(1, 41))  # label i has i + 1 examples
    predicted = np.where(rng.random(len(gold)) < 0.9, gold, 0)
    counts, names = confusions._confusion_counts(gold, predicted, [f"label {i}" for i in range(40)])
    assert names == [*(f"label {i}" for i in range(16, 40)), "16 others"]
    assert counts.shape == (25, 25)
    assert counts.sum() == len(gold)
    assert counts[24].sum() == sum(range(1, 17))
    assert counts[:24].sum(axis=1).tolist() == list(range(17, 41))
    shown = texts_of(plots.confusion_matrix(gold, predicted, [f"label {i}" for i in range(40)]))
    assert shown.count("16 others") == 2
    assert "label 15" not in shown


def test_the_worst_confusions():
    gold = np.array([0, 0, 0, 0, 1, 1, 1, 2])
    predicted = np.array([1, 1, 1, 0, 0, 1, 2, 2])
    found = plots.worst_confusions(gold, predicted, ["a", "b", "<c>"])
    assert [(each.right, each.answered, each.count) for each in found] == [
        ("a", "b", 3),
        ("b", "a", 1),
        ("b", "<c>", 1),
    ]
    assert [each.share for each in found] == pytest.approx([3 / 4, 1 / 3, 1 / 3])
    assert len(plots.worst_confusions(gold, predicted, ["a", "b", "c"], most=1)) == 1
    assert plots.worst_confusions(gold, gold, ["a", "b", "c"]) == []
    table = plots.confusions_table(found)
    assert "<td>&lt;c&gt;</td>" in table
    assert "0.7500" in table


def test_precision_recall_curves():
    rng = np.random.default_rng(0)
    gold = rng.random((300, len(LABELS))) < np.linspace(0.6, 0.1, len(LABELS))
    gold[:, 2] = False
    scores = np.clip(rng.random(gold.shape) * 0.6 + 0.4 * gold, 0, 1)
    scores[:, 0] = gold[:, 0]
    shown = texts_of(plots.precision_recall_curves(gold, scores, LABELS))
    assert "<script>alert(1)</script>  1.000" in shown
    assert not any(text.startswith("_under") for text in shown)  # no example has it
    named = [text for text in shown if re.search(r"  [01]\.\d{3}$", text)]
    assert len(named) == 6
    many = texts_of(plots.precision_recall_curves(np.tile(gold, 3), np.tile(scores, 3), [f"l{i}" for i in range(21)]))
    assert len([text for text in many if re.search(r"  [01]\.\d{3}$", text)]) == plots.MOST_CURVES
    assert any(text.startswith("all labels together") for text in many)


def test_a_curve_ends_at_full_recall_and_is_short():
    rng = np.random.default_rng(0)
    gold = rng.random(20_000) < 0.3
    recall, precision, average = curves._curve(gold, rng.random(20_000))
    assert len(recall) <= 300
    assert (recall[0], recall[-1], precision[-1]) == (1.0, 0.0, 1.0)
    assert average == pytest.approx(0.3, abs=0.02)


def test_a_reliability_diagram_has_the_counts():
    confidence = np.array([0.99] * 31 + [0.55] * 17 + [0.0])
    shown = texts_of(plots.reliability_diagram(confidence, np.arange(49) % 3 > 0))
    assert {"31", "17", "1", "accuracy", "predicted confidence"} <= set(shown)


def test_a_metric_by_length():
    lengths = np.array([1, 32, 33, 600, 700, 20_000])
    right = np.array([1.0, 0.0, 1.0, 1.0, 1.0, 0.0])
    figure = plots.metric_by_length(
        lengths, lambda chosen: float(right[chosen].mean()) if len(chosen) > 1 else None, "<b>accuracy", highest=1.0
    )
    shown = texts_of(figure)
    assert {"1–32", "33–64", "513–1,024", "over 16,384", "2 texts", "1 texts", "<b>accuracy"} <= set(shown)
    assert {"0.500", "1.000"} <= set(shown)
    assert shown.count("not defined") == 2


def test_numbers_as_points_or_where_there_are_many_as_cells():
    rng = np.random.default_rng(0)
    for examples, picture in ((1, False), (plots.MOST_POINTS, False), (plots.MOST_POINTS + 1, True)):
        gold = rng.normal(size=examples)
        figure = plots.predicted_against_gold(gold, gold + rng.normal(size=examples))
        assert {"gold number", "predicted", "predicted − gold"} <= set(texts_of(figure))
        html = plots.as_html(figure)
        assert ("<image" in html) == picture
        assert len(html) < 900_000
    texts_of(plots.predicted_against_gold(np.full(5000, 2.0), np.full(5000, 2.0)))


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0"),
        (9999, "9999"),
        (10_000, "10k"),
        (999_499, "999k"),
        (999_500, "1.0M"),
        (3_140_000, "3.1M"),
        (12e6, "12M"),
    ],
)
def test_counts_in_four_characters(count, expected):
    assert label_text.short_number(int(count)) == expected


def test_a_label_loses_its_middle_by_columns():
    assert plots.short_label("x" * 26) == "x" * 26
    assert plots.short_label("a" * 20 + "z" * 20) == "a" * 17 + "…" + "z" * 8
    assert plots.short_label("語" * 30) == "語" * 8 + "…" + "語" * 4
    assert plots.short_label("a" * 20_000 + "end").endswith("…aaaaaend")
