"""Files of predictions: per example for people, and as the GLUE benchmark takes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bigbird.tasks.classification.glue.examples import GlueSpec
from bigbird.tasks.classification.glue.scoring import GlueResults


def write_predictions(folder: Path, results: GlueResults, spec: GlueSpec, split: str) -> list[str]:
    """Writes predictions.tsv, and the submission file where the benchmark takes this split.

    Args:
        folder: where to.
        results: the outcome of every example.
        spec: the task.
        split: the split that was evaluated.

    Returns:
        The names of the files.
    """
    names = _answers(results)
    gold = _gold_names(results)
    header = ["id", "prediction", *(["label"] if gold else []), *(f"p({label})" for label in results.labels or ())]
    lines = []
    for i, example_id in enumerate(results.ids):
        cells = [str(example_id), names[i], *([gold[i]] if gold else [])]
        if results.labels:
            cells += [f"{probability:.6f}" for probability in results.probabilities[i]]
        lines.append(cells)
    _write_tsv(folder / "predictions.tsv", header, lines)
    if split not in spec.submissions:
        return ["predictions.tsv"]
    submission = spec.submissions[split]
    _write_tsv(
        folder / submission,
        ["index", "prediction"],
        [[str(i), name] for i, name in zip(results.ids, names, strict=True)],
    )
    return ["predictions.tsv", submission]


def _answers(results: GlueResults) -> list[str]:
    """Predictions as the benchmark spells them: labels by name, scores clipped to 0-5 with three decimals."""
    if results.labels is None:
        return [f"{score:.3f}" for score in np.clip(results.predicted, 0.0, 5.0)]
    return [results.labels[index] for index in results.predicted]


def _gold_names(results: GlueResults) -> list[str]:
    if results.gold is None:
        return []
    return [f"{gold:g}" if results.labels is None else results.labels[gold] for gold in results.gold]


def _write_tsv(path: Path, header: list[str], lines: list[list[str]]) -> None:
    path.write_text("".join("\t".join(cells) + "\n" for cells in [header, *lines]), encoding="utf-8")
