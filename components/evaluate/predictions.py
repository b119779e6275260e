"""Files of predictions: per example for people, and in the formats that GLUE and SQuAD take."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from bigbird.scoring import GlueResults, SquadResults
from bigbird.tasks.glue import GlueSpec


def write_glue(folder: Path, results: GlueResults, spec: GlueSpec, split: str) -> list[str]:
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


def write_squad(folder: Path, results: SquadResults) -> list[str]:
    """Writes predictions.json as the official scripts read it, nbest.json, and null_odds.json for version 2.

    Returns:
        The names of the files.
    """
    by_id = [(question.id, answer) for question, answer in zip(results.questions, results.answers, strict=True)]
    files = {
        "predictions.json": {key: answer.text for key, answer in by_id},
        "nbest.json": {key: [asdict(candidate) for candidate in answer.candidates] for key, answer in by_id},
    }
    if results.version_2:
        files["null_odds.json"] = {key: answer.null_odds for key, answer in by_id}
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return list(files)
