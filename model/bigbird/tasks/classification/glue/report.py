"""The report's sections on a classification or regression task.

N: examples. C: classes.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np

from bigbird.reports import report
from bigbird.tasks.classification.glue.scoring import GlueResults
from bigbird.tasks.metrics import confusion

MISTAKES = 12
LENGTHS = (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)


def report_sections(results: GlueResults, tokens: Mapping[int, int]) -> list[report.Html]:
    """What went right and wrong, example by example.

    Args:
        results: the outcome of every example; with gold labels, or only what was answered is shown.
        tokens: example id -> length in tokens.
    """
    lengths = np.array([tokens[int(i)] for i in results.ids])
    if results.labels is None:
        return _regression(results, lengths)
    if results.gold is None:
        counts = np.bincount(results.predicted, minlength=len(results.labels))
        rows = [(name, float(count), f"{count:,}") for name, count in zip(results.labels, counts, strict=True)]
        return [report.section("What the model answered", report.bars(rows))]
    right = (results.predicted == results.gold).astype(float)
    return [
        _confusion(results.gold, results.predicted, results.labels),
        _by_length(right, lengths, "Accuracy by length", "accuracy"),
        _confidence(results.probabilities.max(axis=1), right),
        _mistakes(results, results.gold, results.labels, lengths),
    ]


def _confusion(gold: np.ndarray, predicted: np.ndarray, labels: tuple[str, ...]) -> report.Html:
    counts = confusion(gold, predicted, len(labels))
    hits, occurrences, answers = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    rows = []
    for i, label in enumerate(labels):
        precision = hits[i] / answers[i] if answers[i] else None
        recall = hits[i] / occurrences[i] if occurrences[i] else None
        rows.append([label, int(occurrences[i]), int(answers[i]), precision, recall])
    return report.section(
        "By label",
        report.caption(
            "Rows are the right labels, columns the model's answers; a darker cell is a larger share of its row."
        ),
        report.matrix(labels, labels, counts.tolist(), corner="right ↓ answered →"),
        report.table(["label", "examples", "answered", "precision", "recall"], rows),
    )


def _by_length(values: np.ndarray, lengths: np.ndarray, heading: str, what: str) -> report.Html:
    """Bars of the mean of `values` float[N] in each range of `lengths` int[N]."""
    rows, least = [], 1
    for most in LENGTHS:
        chosen = values[(lengths >= least) & (lengths <= most)]
        if len(chosen):
            rows.append((f"{least}–{most} tokens", float(chosen.mean()), f"{chosen.mean():.3f}  of {len(chosen):,}"))
        least = most + 1
    return report.section(heading, report.bars(rows, largest=1.0 if what == "accuracy" else None))


def _confidence(confidence: np.ndarray, right: np.ndarray) -> report.Html:
    """How often the model is right when it says it is so sure. float[N], float[N]."""
    rows = []
    edges = [0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0]
    for low, high in itertools.pairwise(edges):
        chosen = (confidence > low) & (confidence <= high)
        if chosen.any():
            rows.append([f"{low:.2f} – {high:.2f}", int(chosen.sum()), confidence[chosen].mean(), right[chosen].mean()])
    return report.section(
        "How far to trust the probabilities",
        report.caption(
            "A well calibrated model is right as often as it is confident: the last two columns would be equal."
        ),
        report.table(["confidence", "examples", "mean confidence", "accuracy"], rows),
    )


def _mistakes(results: GlueResults, gold: np.ndarray, labels: tuple[str, ...], lengths: np.ndarray) -> report.Html:
    """The wrong answers that the model was surest of."""
    confidence = results.probabilities.max(axis=1)
    wrong = np.flatnonzero(results.predicted != gold)
    if not len(wrong):
        return report.section("Mistakes", "None: every example was answered rightly.")
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:MISTAKES]
    records = [
        report.record(
            [
                *_texts(results, i),
                (
                    "answered",
                    f"{labels[results.predicted[i]]}, with probability {confidence[i]:.3f}; right is {labels[gold[i]]}",
                ),
                ("example", f"{results.ids[i]}, {lengths[i]:,} tokens"),
            ]
        )
        for i in worst
    ]
    shown = f"{len(wrong):,} of {len(results.ids):,} examples are wrong; these are the {len(worst)} the model was surest of."
    return report.section("Mistakes", report.caption(shown), *records)


def _regression(results: GlueResults, lengths: np.ndarray) -> list[report.Html]:
    if results.gold is None:
        return []
    errors = np.abs(results.predicted - results.gold)
    records = [
        report.record(
            [*_texts(results, i), ("answered", f"{results.predicted[i]:.2f}; right is {results.gold[i]:.2f}")]
        )
        for i in np.argsort(-errors, kind="stable")[:MISTAKES]
    ]
    return [
        report.section("Answers against the right scores", _scatter(results.gold, results.predicted)),
        _by_length(errors, lengths, "Mean absolute error by length", "error"),
        report.section("Largest errors", *records),
    ]


def _scatter(gold: np.ndarray, predicted: np.ndarray) -> report.Html:
    from matplotlib.figure import Figure

    chart = Figure(figsize=(5.5, 4.2))
    axes = chart.subplots()
    axes.scatter(gold, predicted, s=9, alpha=0.35, color="#2463a6", linewidths=0)
    low, high = float(min(gold.min(), predicted.min())), float(max(gold.max(), predicted.max()))
    axes.plot([low, high], [low, high], color="#5b6675", linewidth=1, linestyle="--")
    axes.set_xlabel("right score")
    axes.set_ylabel("model's answer")
    axes.spines[["top", "right"]].set_visible(False)
    return report.figure(chart, description="One point per example; on the dashed line the answer is exactly right.")


def _texts(results: GlueResults, i: int) -> list[tuple[str, str]]:
    if not results.texts:
        return []
    first, second = results.texts[i]
    shown = (
        [("text", _shorten(first))] if second is None else [("first", _shorten(first)), ("second", _shorten(second))]
    )
    return list(shown)


def _shorten(text: str, most: int = 700) -> str:
    """A long text's beginning and end."""
    if len(text) <= most:
        return text
    return f"{text[: most // 2].rstrip()} […] {text[-most // 2 :].lstrip()}"
