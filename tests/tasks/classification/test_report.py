"""The report's sections say the numbers of the results, and stay readable with many and with odd labels."""

import html
import re

import numpy as np
import pytest

from bigbird.tasks.classification.decisions import Decisions
from bigbird.tasks.classification.encoding import MOST_WINDOWS, Layout, lay_out
from bigbird.tasks.classification.report import MISTAKES, MOST_ROWS, document_lengths, report_sections
from tests.tasks.classification.outcomes import outcome

pytestmark = pytest.mark.filterwarnings("error")

WINDOWS = Layout(max_length=64, long_documents="windows", window_stride=40)


def sections(results, tokens):
    """Heading -> section, checked to hold no markup but ours."""
    found = report_sections(results, tokens)
    page = "\n".join(found)
    assert "<script" not in page
    return {html.unescape(re.search(r"<h2>(.*?)</h2>", each)[1]): each for each in found}


def tables(section):
    """Each table's rows of cells; figures are left out."""
    section = re.sub(r"<svg.*?</svg>", "", section, flags=re.DOTALL)
    found = []
    for table in re.findall(r"<table>(.*?)</table>", section, flags=re.DOTALL):
        rows = re.findall(r"<tr>(.*?)</tr>", table, flags=re.DOTALL)
        found.append([[html.unescape(cell) for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row)] for row in rows])
    return found


def test_the_report_on_one_label_has_its_sections_and_figures():
    labels = ("a", "b", "<script>alert(1)</script>")
    results, tokens = outcome("single", 300, labels, decided=True)
    found = sections(results, tokens)
    assert list(found) == [
        "Right and answered labels", "Most frequent mistakes", "By label", "Precision and recall", "Accuracy by length",
        "How far to trust the probabilities", "From outputs to answers", "Mistakes",
    ]  # fmt: skip
    ((_, *rows),) = tables(found["By label"])
    assert [row[0] for row in rows] == list(labels)
    for i, row in enumerate(rows):
        right, answered = results.gold == i, results.predicted == i
        hits = (right & answered).sum()
        values = [hits / answered.sum(), hits / right.sum(), 2 * hits / (right.sum() + answered.sum())]
        assert row[1:] == [str(right.sum()), str(answered.sum()), *(f"{value:.4f}" for value in values)]
    ((_, *worst),) = tables(found["Most frequent mistakes"])
    wrong = (results.predicted != results.gold).sum()
    assert sum(int(row[2]) for row in worst) == wrong
    short = results.gold[:13] == results.predicted[:13]  # of 20 to 32 tokens
    assert f">{short.mean():.3f}</text>" in found["Accuracy by length"]
    assert "512 tokens are read" in found["Accuracy by length"]


def test_mistakes_are_the_surest_ones_with_the_texts_beginning_and_end():
    results, tokens = outcome("single", 300)
    section = sections(results, tokens)["Mistakes"]
    wrong = np.flatnonzero(results.predicted != results.gold)
    surest = wrong[np.argsort(-results.probabilities.max(axis=1)[wrong], kind="stable")][:MISTAKES]
    names = re.findall(r"<dt>document</dt><dd>(.*?), ([\d,]+) tokens read</dd>", section)
    assert names == [(f"table.csv:{i + 2}", f"{20 + i:,}") for i in surest]
    assert f"{len(wrong)} of 300 documents are answered wrongly" in section
    first = int(surest[0])
    assert f"document {first} begins" in section and f"and ends {first}" in section
    assert f"with probability {results.probabilities[first].max():.3f}; right is" in section
    assert "characters …]" in section


def test_decisions_before_and_after():
    labels = ("common", "rare\tone", "never")
    results, tokens = outcome("multi", 300, labels)
    results.gold[:, 1] = np.arange(300) < 5
    from bigbird.tasks.classification.decisions import fit_several_labels

    decided = results.with_decisions(fit_several_labels(results.gold, results.logits, labels))
    section = sections(decided, tokens)["From outputs to answers"]
    chosen, compared, kept = tables(section)
    assert [row[0] for row in chosen] == ["chosen", "temperature", "thresholds"]
    assert chosen[1][1] == f"{decided.chosen.temperature:.4g}"
    assert chosen[2][2:] == [
        "micro F1",
        f"{decided.chosen.thresholds_choice.before:.4f}",
        f"{decided.chosen.thresholds_choice.after:.4f}",
        "300",
    ]
    values = {row[0]: row[1:] for row in compared[1:]}
    for name, words in (("micro_f1", "micro F1"), ("log_loss", "log loss (lower is better)")):
        assert values[words] == [f"{each.metrics.values[name]:.4f}" for each in (results, decided)]
    assert kept[1:] == [["rare one", "5 examples with it; a threshold needs 10 or more"]]
    assert "Nothing was chosen" in sections(results, tokens)["From outputs to answers"]


def test_the_report_on_several_labels_has_thresholds_and_the_surest_mistakes():
    results, tokens = outcome("multi", 300, ("a", "b", "c"), decided=True)
    found = sections(results, tokens)
    ((header, *rows),) = tables(found["By label"])
    assert header[-1] == "threshold"
    assert [float(row[-1]) for row in rows] == pytest.approx(results.decisions.threshold_array().tolist(), abs=6e-5)
    assert f"has {results.gold.sum(axis=1).mean():.2f} labels on average" in found["By label"]
    wrong = (results.predicted != results.gold).any(axis=1)
    assert f"{wrong.sum()} of 300 documents have a label too much or too little" in found["Mistakes"]
    sure = re.findall(r"with probability ([\d.]+) at a threshold of ([\d.]+)", found["Mistakes"])
    distances = [
        (float(p) - float(t)) / (1 - float(t)) if float(p) >= float(t) else (float(t) - float(p)) / float(t)
        for p, t in sure
    ]
    assert len(distances) == min(MISTAKES, wrong.sum())
    assert distances == pytest.approx(sorted(distances, reverse=True), abs=0.01)


def test_the_report_on_numbers_has_its_sections_and_the_largest_errors():
    results, tokens = outcome("number", 200)
    found = sections(results, tokens)
    assert list(found) == ["Answers against the right numbers", "Mean absolute error by length", "Largest errors"]
    errors = np.abs(results.predicted - results.gold)
    assert f">{errors[:13].mean():.3f}</text>" in found["Mean absolute error by length"]
    shown = [float(error) for error in re.findall(r"the error ([\d.]+)</dd>", found["Largest errors"])]
    assert shown == pytest.approx(np.sort(errors)[::-1][:MISTAKES].tolist(), rel=1e-5)


def test_without_right_labels_it_says_what_was_answered():
    results, tokens = outcome("multi", 100, known=False)
    (section,) = report_sections(results, tokens)
    counts = results.predicted.sum(axis=0)
    assert re.findall(r'<td class="number">(\d+)</td>', section) == [str(count) for count in sorted(counts)[::-1]]
    (section,) = report_sections(*outcome("number", 99, known=False))
    numbers = outcome("number", 99, known=False)[0].predicted
    assert f"{np.median(numbers):,.4f}" in section


@pytest.mark.parametrize("kind", ["single", "multi"])
def test_more_labels_than_a_table_shows(kind):
    names = tuple(f"label {i:03} " + "of a long name, also_without_any_blank_" * 8 for i in range(115))
    results, tokens = outcome(kind, 600, names)
    found = sections(results, tokens)
    (rows, *_) = tables(found["By label"])
    assert len(rows) == 1 + MOST_ROWS
    assert f"and {115 - MOST_ROWS} more labels" in found["By label"]
    support = [int(row[1]) for row in rows[1:]]
    assert support == sorted(support, reverse=True)
    assert all(len(row[0]) <= 60 and "…" in row[0] for row in rows[1:])
    assert sum(map(len, found.values())) < 400_000


def test_all_right_has_no_mistakes():
    results, tokens = outcome("single", 50)
    results.logits[:] = 9 * np.eye(2)[results.gold]
    found = sections(results, tokens)
    assert "None: every document" in found["Mistakes"]
    assert "Most frequent mistakes" not in found


def test_a_temperature_at_its_bound_is_told():
    results, tokens = outcome("single", 150, decided=True)
    at_bound = results.with_decisions(Decisions("softmax", results.labels, 0.05))
    assert "lowest or highest that is tried" in sections(at_bound, tokens)["From outputs to answers"]
    assert "lowest or highest that is tried" not in sections(results, tokens)["From outputs to answers"]


@pytest.mark.parametrize("pieces", [1, 62, 63, 101, 102, 103, 500])
def test_a_documents_length_is_where_its_last_window_ends(pieces):
    results, _ = outcome("single", 3, layout=WINDOWS)
    records = lay_out(list(range(pieces)), None, WINDOWS, 1, 2)
    tokens = {MOST_WINDOWS * 1 + at: len(record.ids) for at, record in enumerate(records)}
    tokens |= {0: 10, 2 * MOST_WINDOWS: 64}
    assert document_lengths(results, tokens).tolist() == [10, pieces + 2, 64]
