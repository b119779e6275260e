"""The report's sections on the documents of a split: by label, by length, how sure the model was, its mistakes.

N: documents. C: labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bigbird.reports import report
from bigbird.support.text_files import amount
from bigbird.tasks.classification import plots
from bigbird.tasks.classification.decisions import DEFAULT_THRESHOLD, LEAST_EXAMPLES
from bigbird.tasks.classification.encoding import MOST_WINDOWS
from bigbird.tasks.classification.metrics import LOWER_IS_BETTER, label_set_metrics
from bigbird.tasks.classification.plots import as_html, short_label
from bigbird.tasks.classification.predictions import answer
from bigbird.tasks.classification.scoring import METRICS, ClassificationResults

MISTAKES = 12
MOST_ROWS = 60  # of a table with a row for each label
MOST_NAMES = 10  # of labels in one line
LABEL_COLUMNS = 60  # of a label's name in a table
EXCERPT = 350  # characters of a text's beginning, and of its end


def report_sections(results: ClassificationResults, tokens: Mapping[int, int]) -> list[report.Html]:
    """What went right and wrong, document by document.

    Args:
        results: the outcome of every document; without gold labels only what was answered is shown.
        tokens: record id -> its tokens.
    """
    lengths = document_lengths(results, tokens)
    if results.gold is None:
        return [_answers(results)]
    return [section for section in _SECTIONS[results.kind](results, results.gold, lengths) if section]


def document_lengths(results: ClassificationResults, tokens: Mapping[int, int]) -> np.ndarray:
    """Tokens of each document that were read, special pieces included: int64[N].

    A document in windows ends where its last window ends: that window's start, which follows from its number and the
    stride, and its tokens. Windows overlap, so that their sum would be too much.

    Args:
        results: of the documents.
        tokens: record id -> its tokens.
    """
    last: dict[int, tuple[int, int]] = {}
    for record, length in tokens.items():
        document, window = divmod(record, MOST_WINDOWS)
        last[document] = max(last.get(document, (0, 0)), (window, length))
    layout = results.layout
    stride = min(layout.window_stride, layout.max_length - 2) if layout else 0
    return np.array([last[i][0] * stride + last[i][1] for i in results.ids.tolist()])


# ------------------------------------------------------------------------------------------------- one label


def _single(results: ClassificationResults, gold: np.ndarray, lengths: np.ndarray) -> list[report.Html]:
    right = results.predicted == gold
    confusions = plots.worst_confusions(gold, results.predicted, [_label(name) for name in results.labels])
    some = len(results.labels) > plots.MOST_LABELS
    return [
        report.section(
            "Right and answered labels",
            as_html(
                plots.confusion_matrix(gold, results.predicted, results.labels),
                "Rows are the right labels, columns the answers; a darker cell is a larger share of its row."
                + " Rare labels are joined in the last row and column." * some,
            ),
        ),
        report.section("Most frequent mistakes", plots.confusions_table(confusions)) if confusions else report.Html(""),
        _by_label(results, gold[:, None] == np.arange(len(results.labels))),
        _curves(results, gold[:, None] == np.arange(len(results.labels))),
        _by_length(results, lengths, "Accuracy", lambda rows: float(right[rows].mean()), 1.0),
        _reliability(
            results.probabilities.max(axis=1),
            right,
            "Documents by the probability of the answered label. A well calibrated model is right as often as it is confident: "
            "its bars end at the dashed line.",
        ),
        _decisions(results),
        _single_mistakes(results, gold, lengths),
    ]


def _single_mistakes(results: ClassificationResults, gold: np.ndarray, lengths: np.ndarray) -> report.Html:
    confidence = results.probabilities.max(axis=1)
    wrong = np.flatnonzero(results.predicted != gold)
    told = {
        i: f"{_label(results.labels[results.predicted[i]])}, with probability {confidence[i]:.3f}; right is "
        f"{_label(results.labels[gold[i]])}, with probability {results.probabilities[i, gold[i]]:.3f}"
        for i in wrong[np.argsort(-confidence[wrong], kind="stable")][:MISTAKES].tolist()
    }
    return _records(results, lengths, told, "Mistakes", len(wrong), "are answered wrongly", "the model was surest of")


# ------------------------------------------------------------------------------------------------ several labels


def _multi(results: ClassificationResults, gold: np.ndarray, lengths: np.ndarray) -> list[report.Html]:
    predicted = results.predicted

    def micro_f1(rows: np.ndarray) -> float | None:
        return label_set_metrics(gold[rows], predicted[rows])[0].get("micro_f1")

    return [
        _by_label(results, gold),
        _curves(results, gold),
        _by_length(results, lengths, "Micro F1", micro_f1, 1.0),
        _reliability(
            results.probabilities.ravel(),
            gold.ravel(),
            "Decisions (a document and a label) by the label's probability. Of a well calibrated model a label of probability 0.7 is "
            "right in 7 of 10 documents: its bars end at the dashed line.",
        ),
        _decisions(results),
        _multi_mistakes(results, gold, lengths),
    ]


def _multi_mistakes(results: ClassificationResults, gold: np.ndarray, lengths: np.ndarray) -> report.Html:
    """How sure a wrong decision was is how far the probability is from the threshold, of what it could be."""
    thresholds, given = results.decisions.threshold_array(), results.probabilities
    room = np.where(results.predicted, 1 - thresholds, thresholds)
    sure = np.where(results.predicted != gold, np.abs(given - thresholds) / np.maximum(room, 1e-9), -1.0)
    wrong = np.flatnonzero((results.predicted != gold).any(axis=1))
    worst = wrong[np.argsort(-sure[wrong].max(axis=1), kind="stable")][:MISTAKES].tolist()
    told = {}
    for i in worst:
        j = int(sure[i].argmax())
        verdict = "given and not right" if results.predicted[i, j] else "not given and right"
        told[i] = (
            f"{_names(answer(results, results.predicted, i))}; right is {_names(answer(results, gold, i))}. The surest mistake: "
            f"“{_label(results.labels[j])}” is {verdict}, with probability {given[i, j]:.3f} at a threshold of {thresholds[j]:.3f}"
        )
    return _records(
        results, lengths, told, "Mistakes", len(wrong), "have a label too much or too little", "the model was surest of"
    )


# ---------------------------------------------------------------------------------------------------- numbers


def _number(results: ClassificationResults, gold: np.ndarray, lengths: np.ndarray) -> list[report.Html]:
    errors = np.abs(results.predicted - gold)
    told = {
        i: f"{results.predicted[i]:,.6g}; right is {gold[i]:,.6g}, the error {errors[i]:,.6g}"
        for i in np.argsort(-errors, kind="stable")[:MISTAKES].tolist()
        if errors[i]
    }
    return [
        report.section(
            "Answers against the right numbers",
            as_html(
                plots.predicted_against_gold(gold, results.predicted),
                "On the dashed line the answer is exactly right. At the right, how much too high or too low it is.",
            ),
        ),
        _by_length(results, lengths, "Mean absolute error", lambda rows: float(errors[rows].mean()), None),
        _records(
            results,
            lengths,
            told,
            "Largest errors",
            int((errors > 0).sum()),
            "are not exact",
            "with the largest errors",
        ),
    ]


_SECTIONS = {"single": _single, "multi": _multi, "number": _number}


# ----------------------------------------------------------------------------------------------------- parts


def _by_label(results: ClassificationResults, gold: np.ndarray) -> report.Html:
    """Precision, recall and F1 of each label, the most frequent first; gold is bool[N, C]."""
    several = results.kind == "multi"
    answers = results.predicted if several else results.predicted[:, None] == np.arange(len(results.labels))
    support, given = gold.sum(axis=0), answers.sum(axis=0)
    thresholds = results.decisions.threshold_array()
    rows: list[list[Any]] = []
    for i in np.argsort(-support, kind="stable")[:MOST_ROWS].tolist():
        found = results.metrics.per_label[results.labels[i]]
        row = [
            _label(results.labels[i]),
            int(support[i]),
            int(given[i]),
            found.get("precision"),
            found.get("recall"),
            found.get("f1"),
        ]
        rows.append([*row, float(thresholds[i])] if several else row)
    counts = (
        f"A document has {gold.sum(axis=1).mean():.2f} labels on average, and is given {answers.sum(axis=1).mean():.2f}; "
        f"{int((~answers.any(axis=1)).sum()):,} of {len(answers):,} are given none."
    )
    header = ["label", "documents", "given", "precision", "recall", "F1", *(["threshold"] if several else [])]
    return report.section(
        "By label",
        report.caption(f"The most frequent labels first. A dash: not defined for these documents. {counts * several}"),
        report.table(header, rows),
        _more(len(results.labels), "; metrics.json has all of them under per_label"),
    )


def _curves(results: ClassificationResults, gold: np.ndarray) -> report.Html:
    if not gold.any():
        return report.Html("")
    figure = plots.precision_recall_curves(gold, results.probabilities, results.labels)
    some = f" The {plots.MOST_CURVES - 1} most frequent labels." if len(results.labels) > plots.MOST_CURVES else ""
    return report.section(
        "Precision and recall",
        as_html(figure, f"What other thresholds would give: each point of a curve is one.{some}"),
    )


def _by_length(
    results: ClassificationResults, lengths: np.ndarray, name: str, score: Any, highest: float | None
) -> report.Html:
    layout = results.layout
    cut = layout is not None and layout.long_documents != "windows"
    how = (
        f" Of longer documents {layout.max_length:,} tokens are read: they are among those of that length."
        if layout and cut
        else " Of a document in windows the length is where its last window ends."
    )
    figure = plots.metric_by_length(lengths, score, name[0].lower() + name[1:], highest=highest)
    note = f"Documents by the tokens that are read of them, special pieces included.{how} Pale: fewer than {plots.FEW}."
    return report.section(f"{name} by length", as_html(figure, note))


def _reliability(confidence: np.ndarray, right: np.ndarray, what: str) -> report.Html:
    figure = plots.reliability_diagram(confidence, right)
    return report.section(
        "How far to trust the probabilities", as_html(figure, f"{what} Pale bars: fewer than {plots.FEW}.")
    )


def _decisions(results: ClassificationResults) -> report.Html:
    """What was chosen after training, and the metrics without and with it."""
    chosen = results.chosen
    heading = "From outputs to answers"
    thresholds = " and a threshold of 0.5 for each label" * (results.kind == "multi")
    if chosen is None:
        text = f"Nothing was chosen after training: temperature 1{thresholds}."
        why = f"task.decisions.fit says never, or the validation split has fewer than {LEAST_EXAMPLES} documents."
        return report.section(heading, text, report.caption(f"That is so where {why}"))
    choices = [("temperature", f"{chosen.temperature:.4g}", chosen.temperature_choice)]
    if results.kind == "multi":
        free = [
            value
            for label, value in zip(chosen.labels, chosen.threshold_array().tolist(), strict=True)
            if label not in (chosen.kept or {})
        ]
        told = (
            f"{min(free):.3f} to {max(free):.3f} for {len(free):,} of {len(chosen.labels):,} labels" if free else "none"
        )
        choices.append(("thresholds", told, chosen.thresholds_choice))
    rows = [
        [name, value, _plain(choice.metric), choice.before, choice.after, choice.examples]
        for name, value, choice in choices
        if choice is not None
    ]
    before, after = results.with_decisions(None).metrics.values, results.metrics.values
    compared = [
        [_plain(name), before.get(name), after.get(name)]
        for name in METRICS[results.kind]
        if name in before or name in after
    ]
    bound = (
        "The temperature is the lowest or highest that is tried: on the validation split no answer was wrong, or none was better than "
        "chance."
    )
    return report.section(
        heading,
        "A temperature divides the outputs before they become probabilities; it changes how sure the model is. "
        + "A label is given where its probability reaches its threshold. " * (results.kind == "multi")
        + f"{'Both were' if results.kind == 'multi' else 'It was'} chosen after training on the validation split, where it looks a "
        "little better than elsewhere.",
        report.table(["chosen", "value", "for", "before", "after", "documents"], rows),
        bound if chosen.at_a_bound else "",
        report.table(
            ["metric on this split", f"temperature 1{', thresholds 0.5' * (results.kind == 'multi')}", "as chosen"],
            compared,
        ),
        _kept(chosen.kept or {}),
    )


def _kept(kept: Mapping[str, str]) -> report.Html:
    if not kept:
        return report.Html("")
    intro = f"{len(kept):,} labels keep the threshold {DEFAULT_THRESHOLD}, as the validation split says too little about them:"
    rows = [[_label(label), reason] for label, reason in list(kept.items())[:MOST_ROWS]]
    table = report.table(["label", "why"], rows)
    return report.join(report.paragraph(intro), table, _more(len(kept)))


def _records(
    results: ClassificationResults,
    lengths: np.ndarray,
    told: Mapping[int, str],
    heading: str,
    count: int,
    what: str,
    which: str,
) -> report.Html:
    """Single documents: their texts, what was answered, what they are called."""
    if not told:
        return report.section(heading, "None: every document was answered rightly.")
    records = [
        report.record([*_texts(results, i), ("answered", text), ("document", _place(results, i, int(lengths[i])))])
        for i, text in told.items()
    ]
    note = f"{count:,} of {len(results.names):,} documents {what}; these are the {len(told)} {which}."
    return report.section(heading, report.caption(note), *records)


def _place(results: ClassificationResults, i: int, length: int) -> str:
    """A document's name, and its file and line where they are not the name."""
    name = short_label(results.names[i], LABEL_COLUMNS)
    place = ""
    if results.places:
        file, line = results.places[i]
        file = file.rpartition("/")[2]
        place = "" if results.names[i].endswith(f"{file}:{line}") else f", {short_label(file, LABEL_COLUMNS)}:{line}"
    return f"{name}{place}, {length:,} tokens read"


def _texts(results: ClassificationResults, i: int) -> list[tuple[str, str]]:
    if not results.texts:
        return []
    first, second = results.texts[i]
    if second is None:
        return [("text", _excerpt(first))]
    return [("first", _excerpt(first)), ("second", _excerpt(second))]


def _excerpt(text: str) -> str:
    """A long text's beginning and end."""
    if len(text) <= 2 * EXCERPT:
        return text
    left_out = len(text) - 2 * EXCERPT
    return f"{text[:EXCERPT].rstrip()} [… {left_out:,} characters …] {text[-EXCERPT:].lstrip()}"


def _answers(results: ClassificationResults) -> report.Html:
    """What was answered where nothing is known to be right."""
    heading = "What the model answered"
    if results.kind == "number":
        names = ("smallest", "a quarter is below", "half is below", "three quarters are below", "largest")
        values = np.quantile(results.predicted, [0, 0.25, 0.5, 0.75, 1])
        return report.section(heading, report.table(["", "number"], list(zip(names, values.tolist(), strict=True))))
    several = results.kind == "multi"
    counts = results.predicted.sum(axis=0) if several else np.bincount(results.predicted, minlength=len(results.labels))
    order = np.argsort(-counts, kind="stable")[:MOST_ROWS].tolist()
    rows = [(short_label(results.labels[i], 40), float(counts[i]), f"{counts[i]:,}") for i in order]
    note = "Documents by label; one may have several." if several else "Documents by label."
    return report.section(heading, report.caption(note), report.bars(rows), _more(len(results.labels)))


def _more(labels: int, behind: str = "") -> report.Html:
    """How many labels a table leaves out."""
    more = labels - MOST_ROWS
    return report.caption(f"and {amount(more, 'more label')}{behind}") if more > 0 else report.Html("")


def _label(name: str) -> str:
    return short_label(name, LABEL_COLUMNS)


def _names(labels: str | Sequence[str] | float) -> str:
    """A document's labels in one line."""
    assert isinstance(labels, list)  # noqa: S101 - of documents with several labels
    more = f" and {len(labels) - MOST_NAMES} more" if len(labels) > MOST_NAMES else ""
    return ", ".join(map(_label, labels[:MOST_NAMES])) + more if labels else "no label"


def _plain(name: str) -> str:
    """`log_loss` -> `log loss (lower is better)`."""
    return name.replace("_", " ").replace("f1", "F1").replace("corrcoef", "correlation") + " (lower is better)" * (
        name in LOWER_IS_BETTER
    )
