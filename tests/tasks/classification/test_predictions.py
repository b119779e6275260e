"""Files of predictions hold what the results hold, whatever characters labels and ids have."""

import dataclasses
import json
import re

import numpy as np
import pytest

from bigbird.tasks.classification.predictions import MOST_COLUMNS, MOST_LISTED, write_predictions
from tests.tasks.classification.outcomes import outcome

ODD = ("plain", "a\ttab", "two\nlines\r", 'a "quotation"', "back\\slash\\t", "a|b", "語,;", "NEL\x85 LS\u2028")
_UNDO = {"\\t": "\t", "\\n": "\n", "\\r": "\r", "\\\\": "\\"}


def read(folder):
    """(header, rows) of the table, read as the module says; and the objects."""
    text = (folder / "predictions.tsv").read_bytes().decode()
    lines = [line.split("\t") for line in text.removesuffix("\n").split("\n")]
    assert {len(line) for line in lines} == {len(lines[0])}
    objects = (folder / "predictions.jsonl").read_bytes().decode().removesuffix("\n").split("\n")
    return lines[0], lines[1:], [json.loads(line) for line in objects]


def undone(cell):
    return re.sub(r"\\[tnr\\]", lambda found: _UNDO[found[0]], cell)


def test_one_label_by_name_with_all_probabilities(tmp_path):
    results, _ = outcome("single", 60, ODD, decided=False)
    results.names[3] = "an\tid\nof two lines"
    assert write_predictions(tmp_path, results) == ["predictions.tsv", "predictions.jsonl"]
    header, rows, objects = read(tmp_path)
    assert list(map(undone, header)) == ["id", "prediction", "label", *(f"p({label})" for label in ODD)]
    assert [undone(row[0]) for row in rows] == [each["id"] for each in objects] == results.names
    for i, (row, found) in enumerate(zip(rows, objects, strict=True)):
        assert undone(row[1]) == found["prediction"] == ODD[results.logits[i].argmax()]
        assert undone(row[2]) == found["label"] == ODD[results.gold[i]]
        assert list(map(float, row[3:])) == pytest.approx(results.probabilities[i].tolist(), abs=6e-7)
        assert found["probabilities"] == {
            label: pytest.approx(results.probabilities[i, j], abs=6e-7) for j, label in enumerate(ODD)
        }
        assert list(found["probabilities"].values()) == sorted(found["probabilities"].values(), reverse=True)
        assert (found["file"], found["line"]) == ("data/table.csv", i + 2)


def test_several_labels_are_a_list(tmp_path):
    results, _ = outcome("multi", 120, ODD, decided=True)
    write_predictions(tmp_path, results)
    _, rows, objects = read(tmp_path)
    for i, (row, found) in enumerate(zip(rows, objects, strict=True)):
        answered = [label for j, label in enumerate(ODD) if results.predicted[i, j]]
        right = [label for j, label in enumerate(ODD) if results.gold[i, j]]
        assert json.loads(row[1]) == found["prediction"] == answered
        assert json.loads(row[2]) == found["label"] == right
    assert any(found["label"] == [] for found in objects)
    assert any(len(found["label"]) > 1 for found in objects)


def test_numbers_come_back_exactly(tmp_path):
    results, _ = outcome("number", 50)
    write_predictions(tmp_path, results)
    header, rows, objects = read(tmp_path)
    assert header == ["id", "prediction", "label"]
    assert [float(row[1]) for row in rows] == [each["prediction"] for each in objects] == results.predicted.tolist()
    assert [float(row[2]) for row in rows] == results.gold.tolist()
    assert set(objects[0]) == {"id", "file", "line", "prediction", "label"}


def test_without_right_labels_there_is_no_such_column(tmp_path):
    results, _ = outcome("single", 20, known=False)
    write_predictions(tmp_path, dataclasses.replace(results, places=[]))
    header, _, objects = read(tmp_path)
    assert header == ["id", "prediction", "p(no)", "p(yes)"]
    assert set(objects[0]) == {"id", "prediction", "probabilities"}


def test_many_labels_leave_out_what_is_unlikely(tmp_path):
    labels = tuple(f"label {i}" for i in range(MOST_COLUMNS + 1))
    results, _ = outcome("single", 30, labels)
    results.gold[0] = int(results.logits[0].argmin())  # right, and the least likely
    write_predictions(tmp_path, results)
    header, _, objects = read(tmp_path)
    assert header == ["id", "prediction", "label"]
    for i, found in enumerate(objects):
        likeliest = np.argsort(-results.probabilities[i], kind="stable")[:MOST_LISTED]
        assert set(found["probabilities"]) == {*(labels[j] for j in likeliest), found["label"]}
    assert len(objects[0]["probabilities"]) == MOST_LISTED + 1
