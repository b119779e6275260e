"""Documents with spans are checked like tables: the task is told by options and names, splits are those of training."""

import json
from io import BytesIO

import numpy as np
import pytest

from bigbird.tasks.raw_input import Inputs
from bigbird.tasks.records import BadRecords
from bigbird.tasks.table_rows import SPLITS
from bigbird.tasks.token_labels.checking import rows_to_check
from bigbird.tasks.token_labels.dataset import read_table
from bigbird_components import raw_files
from bigbird_components.check.check import check
from tests.components.check.test_check import counts, finding, sentence


def documents(count=120):
    """Texts without an equal, each with a span at its beginning and some with a second one."""
    found = []
    for number in range(count):
        text = sentence(number)
        spans = [{"start": 0, "end": text.index(" "), "label": ("P", "T")[number % 2]}]
        if number % 3 == 0:
            spans.append({"start": text.rindex(" ") + 1, "end": len(text), "label": "END"})
        found.append({"text": text, "entities": spans, "source": f"{number}.txt"})
    return found


def written(folder, rows, name="documents.jsonl"):
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_documents_without_faults_have_no_findings(tmp_path):
    manifest = check(written(tmp_path, documents()), section={"spans": "entities"})
    assert (manifest.task, manifest.rows, manifest.kind) == ("token_labels", 120, "multi")
    assert counts(manifest) == {}
    assert {label: sum(each.values()) for label, each in manifest.labels.items()} == {"END": 40, "P": 60, "T": 60}
    assert manifest.other_columns == ["source"]


def test_faults_of_documents_and_their_spans_are_found(tmp_path):
    rows = documents()
    rows[3]["entities"][0]["end"] = 10_000  # outside the text
    rows[5]["entities"].append(dict(rows[5]["entities"][0]))  # twice
    rows[7]["entities"] = "P"
    rows[8]["entities"] = None
    rows[10]["text"] = ""
    rows[20] = rows[21] | {"source": "copy.txt"}
    rows[30]["text"] += " cafÃ©"
    rows[30]["entities"] = rows[30]["entities"][:1]
    manifest = check(written(tmp_path, rows), section={"spans": "entities"})
    assert counts(manifest) == {
        "bad-label": 3,
        "missing-label": 1,
        "empty-text": 1,
        "duplicate": 1,
        "mojibake": 1,
    }
    assert [each.place for each in finding(manifest, "bad-label").examples] == [
        f"documents.jsonl:{line}" for line in (4, 6, 8)
    ]


def test_columns_of_tokens_are_told_by_the_name_of_the_file(tmp_path):
    lines = []
    for number in range(120):
        first, *rest = sentence(number).split()
        lines += [f"{first} B-P", *(f"{word} O" for word in rest), ""]
    path = tmp_path / "train.conll"
    path.write_text("\n".join([*lines, "lost", ""]), encoding="utf-8")
    manifest = check(str(path))
    assert (manifest.task, manifest.rows, manifest.other_columns) == ("token_labels", 120, [])
    assert counts(manifest) == {"unreadable": 1}
    assert "(line 1561)" in finding(manifest, "unreadable").examples[0].told


def test_files_of_two_forms_are_checked_together(tmp_path):
    lines = []
    for number in range(200, 230):
        first, *rest = sentence(number).split()
        lines += [f"{first} B-P", *(f"{word} O" for word in rest), ""]
    (tmp_path / "test.conll").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "more.conll").write_text("\n".join(lines).replace("birch", "oak"), encoding="utf-8")
    files = {"train_file": written(tmp_path, documents()), "test_file": str(tmp_path / "test.conll")}
    manifest = check(**files)
    assert (manifest.task, manifest.rows, counts(manifest)) == ("token_labels", 150, {})
    # Columns of tokens have no ids: two documents that begin at the same line are not one.
    files["train_file"] = str(tmp_path / "more.conll")
    assert not {"id-leak", "repeated-id"} & set(counts(check(**files, section={"id": "name"})))


def test_a_format_tells_the_task_where_the_name_does_not(tmp_path):
    path = tmp_path / "eng.train"
    path.write_text("\n\n".join(f"{word} B-P" for word in sentence(1, 40).split()), encoding="utf-8")
    assert check(str(path), section={"format": "conll"}).task == "token_labels"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda rows: [row | {"entities": []} for row in rows], "has a span"),
        (
            lambda rows: [row | {"entities": row["entities"][: n % 2] or None} for n, row in enumerate(rows)],
            "some test documents",
        ),
        (
            lambda rows: [row | {"entities": [[0, 3, f"L{n}"]]} for n, row in enumerate(rows)],
            "more than 100 different labels",
        ),
    ],
)
def test_what_training_refuses_as_a_whole_is_found(tmp_path, monkeypatch, change, told):
    from bigbird.tasks.token_labels import checking

    monkeypatch.setattr(checking, "MOST_LABELS", 100)
    files = {"train_file": written(tmp_path, documents())}
    split = "test_file" if "test" in told else "train_file"
    files[split] = written(
        tmp_path, change([row | {"text": f"{row['text']} {split}"} for row in documents()]), "more.jsonl"
    )
    manifest = check(**files, section={"spans": "entities"})
    assert told in finding(manifest, "refused").told


@pytest.mark.parametrize("group", [None, "source"])
def test_splits_are_those_that_training_cuts(tmp_path, group):
    rows = documents(200)
    for number, row in enumerate(rows):
        row["source"] = f"{number // 3}.txt"
    section = {"spans": "entities", "group": group, "validation_fraction": 0.2, "test_fraction": 0.1, "seed": 7}
    inputs = Inputs(written(tmp_path, rows), {}, section)
    found = rows_to_check(inputs, raw_files)
    lines = [row.line for row in found.read(lambda *_: pytest.fail("unreadable"))]
    reading = read_table(inputs, raw_files, BytesIO(), BadRecords(), lambda _: None, lambda *_: None)
    expected = {json.loads(line)["line"]: split for split, line, _ in reading.lines()}
    splits = np.array(SPLITS)[found.outcome().splits]
    assert dict(zip(lines, splits.tolist(), strict=True)) == expected
    assert set(expected.values()) == set(SPLITS)
