"""The report's marks and predictions.jsonl."""

import json
import re

from bigbird.tasks.token_labels.predictions import write_predictions
from bigbird.tasks.token_labels.report import report_sections
from bigbird.tasks.token_labels.scoring import LabelledDocument, SpanResults
from bigbird.tasks.token_labels.spans import Span

TEXT = "Anna <b>Kern</b> built the mill & left in 1904."


def results(gold, found):
    document = LabelledDocument("d1", "a.jsonl", 3, TEXT, gold, found, (0.5,) * len(found), 12, (0,))
    return SpanResults([document], ("A", "B"))


GOLD = (Span(0, 4, "A"), Span(8, 12, "A"), Span(27, 31, "B"), Span(42, 46, "B"))
FOUND = (Span(0, 4, "A"), Span(8, 16, "A"), Span(27, 31, "A"), Span(34, 38, "B"))


def test_right_wrong_and_missed_differ_by_sign_and_underline_and_nothing_of_a_text_is_markup():
    labels, kinds, lengths, texts = report_sections(results(GOLD, FOUND), {0: 14})
    assert "<b>" not in re.sub(r"<b>[\d,.]+</b>", "", texts) and "&lt;b&gt;" in texts and "mill &amp; left" not in texts
    plain = re.sub(r"<[^>]+>", "", texts)
    assert "✓A Anna" in plain and "✗A" in plain and "○B 1904" in plain
    assert "1 right, 3 wrong, 3 missed" in plain
    for underline in ("solid", "wavy", "dotted"):
        assert f"underline {underline}" in texts
    # A wrong span over a missed one.
    assert "○A ✗A Kern" in plain
    assert "<td>A</td>" in labels and "0.3333" in labels
    kinds = re.sub(r"<[^>]+>", " ", kinds)
    for name, count in (
        ("right", 1),
        ("other label", 1),
        ("other start or end", 1),
        ("not found", 1),
        ("found where there is none", 1),
    ):
        assert re.search(rf"(?<!\w ){name}\s+{count}\b", kinds), (name, kinds)
    assert "1 documents, 4 spans" in re.sub(r"<[^>]+>", "", lengths)


def test_without_what_is_right_the_spans_are_shown(tmp_path):
    (only,) = report_sections(results(None, FOUND), {})
    assert "▸A" in re.sub(r"<[^>]+>", "", only) and "missed" not in only
    assert write_predictions(tmp_path, results(None, FOUND[:1])) == ["predictions.jsonl"]
    record = json.loads((tmp_path / "predictions.jsonl").read_text())
    span = {"start": 0, "end": 4, "label": "A", "text": "Anna", "score": 0.5}
    assert record == {"id": "d1", "file": "a.jsonl", "line": 3, "spans": [span]}
    write_predictions(tmp_path, results(GOLD[:1], FOUND[:1]))
    assert json.loads((tmp_path / "predictions.jsonl").read_text())["right"] == [[0, 4, "A"]]
