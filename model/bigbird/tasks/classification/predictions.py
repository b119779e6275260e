r"""Files of predictions: a table for spreadsheets and shells, and one JSON object a document for programs.

predictions.tsv has a line for each document: its id, the prediction, the right label where it is known, and for each
label its probability, `p(label)`; without these columns where there are more than `MOST_COLUMNS` labels. It is read by
splitting lines at line feeds and cells at tabs:

    one label, ids, names of columns   a tab, line feed, carriage return or backslash in it is written as \t, \n, \r or \\
    several labels                     a JSON list of texts, such as ["corn", "wheat"]; [] where there is none
    a number                           as few digits as give the same number back

predictions.jsonl has the same with file and line of the document. Where there are more than `MOST_LISTED` labels it has the
probabilities of the likeliest ones, and of those that are predicted or right. Probabilities have six decimals in both, so
that a document takes 9 bytes a label in the table, and about 20 and the label's name in the other file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bigbird.manifests import EvaluationManifest
from bigbird.support.errors import InputError
from bigbird.support.text_files import read_json_lines
from bigbird.tasks.classification.scoring import ClassificationResults
from bigbird.tasks.table_rows import Answer, Answers

MOST_COLUMNS = 1000
MOST_LISTED = 20

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def write_predictions(folder: Path, results: ClassificationResults) -> list[str]:
    """Writes predictions.tsv and predictions.jsonl.

    Args:
        folder: where to.
        results: the outcome of every document.

    Returns:
        The names of the files.
    """
    columns = results.labels if results.kind != "number" and len(results.labels) <= MOST_COLUMNS else ()
    known = ["label"] if results.gold is not None else []
    with (folder / "predictions.tsv").open("w", encoding="utf-8", newline="") as file:
        header = ["id", "prediction", *known, *(f"p({label})" for label in columns)]
        file.write("\t".join(name.translate(_ESCAPES) for name in header) + "\n")
        for i, name in enumerate(results.names):
            cells = [name.translate(_ESCAPES), _cell(answer(results, results.predicted, i))]
            cells += [_cell(answer(results, results.gold, i))] if results.gold is not None else []
            cells += [f"{probability:.6f}" for probability in results.probabilities[i]] if columns else []
            file.write("\t".join(cells) + "\n")
    with (folder / "predictions.jsonl").open("w", encoding="utf-8", newline="") as file:
        file.writelines(f"{json.dumps(record, ensure_ascii=False)}\n" for record in _records(results))
    return ["predictions.tsv", "predictions.jsonl"]


def answer(results: ClassificationResults, answers: np.ndarray, i: int) -> str | list[str] | float:
    """One document's answer by name.

    Args:
        results: of all documents.
        answers: its `predicted`, or its `gold`: int64[N] labels, bool[N, C] or float64[N] numbers.
        i: the document's place in them.

    Returns:
        A label, a list of labels or a number.
    """
    if results.kind == "number":
        return float(answers[i])
    if results.kind == "single":
        return results.labels[answers[i]]
    return [results.labels[j] for j in np.flatnonzero(answers[i])]


def _cell(value: str | list[str] | float) -> str:
    return value.translate(_ESCAPES) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _records(results: ClassificationResults) -> Iterator[dict[str, Any]]:
    """The objects of predictions.jsonl."""
    for i, name in enumerate(results.names):
        record: dict[str, Any] = {"id": name}
        if results.places:
            record["file"], record["line"] = results.places[i]
        record["prediction"] = answer(results, results.predicted, i)
        if results.gold is not None:
            record["label"] = answer(results, results.gold, i)
        if results.kind != "number":
            row = results.probabilities[i]
            record["probabilities"] = {results.labels[j]: round(float(row[j]), 6) for j in _listed(results, i)}
        yield record


def _listed(results: ClassificationResults, i: int) -> list[int]:
    """The labels of one document whose probabilities are told, the likeliest first."""
    likeliest = np.argsort(-results.probabilities[i], kind="stable").tolist()
    if len(likeliest) <= MOST_LISTED:
        return likeliest
    told = set(likeliest[:MOST_LISTED])
    for answers in (results.predicted, results.gold):
        if answers is not None:
            told |= set(np.flatnonzero(answers[i]).tolist()) if results.kind == "multi" else {int(answers[i])}
    return [j for j in likeliest if j in told]


def answers(folder: Path) -> Answers:
    """As `AnsweringFamily.answers`."""
    manifest = EvaluationManifest.read(folder)
    file = folder / "predictions.jsonl"
    if "kind" not in manifest or manifest["kind"] == "number" or not manifest.labelled:
        raise InputError(f"{folder}: its split has no labels, or numbers; expected an evaluation of labelled documents")
    manifest.check_files(folder, [file.name])
    labels = tuple(manifest["labels"])
    return Answers(manifest["kind"], labels, partial(_read_answers, file))


def _read_answers(file: Path) -> Iterator[Answer]:
    for _, record in read_json_lines(file, "predictions of an evaluation"):
        label = record["label"]
        yield Answer(
            record.get("file", ""),
            record.get("line", 0),
            record["id"],
            tuple(label) if isinstance(label, list) else (label,),
            record["probabilities"],
        )
