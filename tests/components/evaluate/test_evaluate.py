"""The evaluate stage from folders to folder, with models of random weights."""

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

from bigbird.records import features
from bigbird.support.artifacts import read_json
from bigbird.support.errors import InputError
from bigbird.tasks import metrics
from bigbird_components.evaluate.__main__ import main
from bigbird_components.evaluate.evaluate import choose_split, evaluate
from tests import manifests

BUCKETS = (16, 32, 64)


def _rows(path):
    header, *lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    return [dict(zip(header, line, strict=True)) for line in lines]


def _alone(model, folder, manifest, split):
    """Every record through the model by itself, padded to its bucket: id -> (record, outputs)."""
    from keras import ops

    results = {}
    for name in manifest["splits"][split]["files"]:
        for data in features.read_records(folder / name):
            record = features.decode(data)
            tokens = len(record["input_ids"])
            length = next(bucket for bucket in BUCKETS if bucket >= tokens)

            def padded(values, length=length):
                return ops.convert_to_tensor(np.pad(values, (0, length - len(values)))[None], "int32")

            inputs = {
                "input_word_ids": padded(record["input_ids"]),
                "input_mask": padded(np.ones(tokens)),
                "input_type_ids": padded(record["segment_ids"]),
            }
            outputs = {key: value.numpy()[0] for key, value in model(inputs).items()}
            key = "unique_ids" if "unique_ids" in record else "example_id"
            results[int(record[key][0])] = (record, outputs)
    return results


def test_classification_gives_what_the_model_gives_for_each_example_alone(tmp_path, glue_dataset, untrained_model):
    dataset = glue_dataset(tmp_path / "dataset", "rte", {"validation": 18})
    model = untrained_model(tmp_path / "model", dataset)
    manifest = evaluate(str(tmp_path / "model"), str(tmp_path / "dataset"), str(tmp_path / "evaluation"))
    rows = _rows(tmp_path / "evaluation/predictions.tsv")
    alone = _alone(model, tmp_path / "dataset", dataset, "validation")
    assert [int(row["id"]) for row in rows] == list(range(18))
    for row in rows:
        logits = alone[int(row["id"])][1]["logits"]
        assert row["prediction"] == ("entailment", "not_entailment")[int(logits.argmax())]
        softmax = np.exp(logits) / np.exp(logits).sum()
        assert float(row["p(entailment)"]) == pytest.approx(softmax[0], abs=2e-6)
    accuracy = np.mean([row["prediction"] == row["label"] for row in rows])
    assert manifest["metrics"] == {"accuracy": pytest.approx(accuracy)}
    majority = max(np.mean([row["label"] == label for row in rows]) for label in ("entailment", "not_entailment"))
    assert manifest["baseline"]["value"] == pytest.approx(majority)
    assert manifest["primary"] == {"name": "accuracy", "value": pytest.approx(accuracy)}
    assert sum(map(sum, manifest["confusion"]["counts"])) == 18
    assert (manifest["checkpoint"], manifest["split"], manifest["files"]) == (7, "validation", ["predictions.tsv"])
    assert manifest == json.loads((tmp_path / "evaluation/metrics.json").read_text(encoding="utf-8"))
    assert "always “" in (tmp_path / "evaluation/report.html").read_text(encoding="utf-8")


def test_a_split_without_labels_gives_the_submission_and_no_metrics(tmp_path, glue_dataset, untrained_model):
    dataset = glue_dataset(tmp_path / "dataset", "mnli", {"validation_matched": 5, "test_mismatched": 6})
    untrained_model(tmp_path / "model", dataset)
    output = tmp_path / "evaluation"
    manifest = evaluate(str(tmp_path / "model"), str(tmp_path / "dataset"), str(output), split="test_mismatched")
    assert (manifest["labelled"], manifest["metrics"], manifest["primary"], manifest["baseline"]) == (
        False,
        {},
        None,
        None,
    )
    assert manifest["files"] == ["predictions.tsv", "MNLI-mm.tsv"]
    submission = _rows(output / "MNLI-mm.tsv")
    assert [list(row) for row in submission] == [["index", "prediction"]] * 6
    assert [row["index"] for row in submission] == list("012345")
    assert {row["prediction"] for row in submission} <= {"entailment", "neutral", "contradiction"}
    assert "has no labels" in (output / "report.html").read_text(encoding="utf-8")


def test_a_model_of_mnli_also_answers_ax(tmp_path, glue_dataset, untrained_model):
    untrained_model(tmp_path / "model", glue_dataset(tmp_path / "mnli", "mnli", {"validation_matched": 2}))
    glue_dataset(tmp_path / "ax", "ax", {"test": 3})
    manifest = evaluate(str(tmp_path / "model"), str(tmp_path / "ax"), str(tmp_path / "evaluation"))
    assert (manifest["task"], manifest["files"]) == ("ax", ["predictions.tsv", "AX.tsv"])


def test_regression_scores_are_clipped_in_the_submission(tmp_path, glue_dataset, untrained_model):
    dataset = glue_dataset(tmp_path / "dataset", "stsb", {"validation": 12, "test": 6})
    model = untrained_model(tmp_path / "model", dataset)
    manifest = evaluate(str(tmp_path / "model"), str(tmp_path / "dataset"), str(tmp_path / "evaluation"))
    assert list(manifest["metrics"]) == ["pearson", "spearman"]
    assert manifest["baseline"]["value"] == 0.0
    evaluate(str(tmp_path / "model"), str(tmp_path / "dataset"), str(tmp_path / "test"), split="test")
    alone = _alone(model, tmp_path / "dataset", dataset, "test")
    for row in _rows(tmp_path / "test/STS-B.tsv"):
        expected = np.clip(alone[int(row["index"])][1]["logits"][0], 0, 5)
        assert float(row["prediction"]) == pytest.approx(expected, abs=6e-4)


@pytest.mark.slow
@pytest.mark.parametrize("version_2", [False, True])
def test_squad_gives_the_best_span_over_all_windows(tmp_path, squad_dataset, untrained_model, version_2):
    dataset = squad_dataset(tmp_path / "dataset", version_2, 4)
    model = untrained_model(tmp_path / "model", dataset)
    output = tmp_path / "evaluation"
    manifest = evaluate(str(tmp_path / "model"), str(tmp_path / "dataset"), str(output))
    predictions = json.loads((output / "predictions.json").read_text(encoding="utf-8"))
    lines = [json.loads(line) for line in (tmp_path / "dataset/validation.examples.jsonl").read_text().splitlines()]
    contexts = {entry["id"]: line["context"] for line in lines for entry in line["questions"]}
    best: dict[str, tuple[float, float, str]] = {}
    for _, (record, outputs) in sorted(_alone(model, tmp_path / "dataset", dataset, "validation").items()):
        question = record["example_id"].decode()
        start, end = outputs["start_logits"], outputs["end_logits"]
        score, null, _ = best.get(question, (-np.inf, np.inf, ""))
        null = min(null, start[0] + end[0])
        text = best.get(question, (0, 0, ""))[2]
        begins, ends = record["offset_starts"], record["offset_ends"]
        for s in np.flatnonzero((begins >= 0) & (record["max_context"] == 1) & (ends > begins)).tolist():
            for e in range(s, min(s + 30, len(begins))):
                if ends[e] > begins[e] >= 0 and start[s] + end[e] > score + 1e-6:
                    score, text = start[s] + end[e], contexts[question][begins[s] : ends[e]]
        best[question] = (score, null, text)
    assert len(predictions) == 12
    for question, (score, null, text) in best.items():
        assert predictions[question] == ("" if version_2 and null - score > 0 else text)
    gold = {entry["id"]: [a["text"] for a in entry["answers"]] for line in lines for entry in line["questions"]}
    scores = [metrics.answer_scores(predictions[key], gold[key], version_2=version_2) for key in gold]
    assert manifest["metrics"]["f1"] == pytest.approx(np.mean(scores, axis=0)[1])
    assert manifest["files"] == ["predictions.json", "nbest.json", *(["null_odds.json"] if version_2 else [])]
    nbest = json.loads((output / "nbest.json").read_text(encoding="utf-8"))
    for key, candidates in nbest.items():
        assert all(contexts[key][c["start"] : c["end"]] == c["text"] for c in candidates)
        if not version_2:
            assert candidates[0]["text"] == predictions[key]
    if version_2:
        odds = json.loads((output / "null_odds.json").read_text(encoding="utf-8"))
        assert {key: value > 0 for key, value in odds.items()} == {key: text == "" for key, text in predictions.items()}
        assert manifest["metrics"]["best_f1"] >= manifest["metrics"]["f1"]


def test_a_dataset_of_another_task_or_vocabulary_is_refused(tmp_path, vocabulary, glue_dataset, untrained_model):
    from bigbird.text.sentence_piece import train_vocabulary
    from bigbird.text.vocabulary import Vocabulary

    untrained_model(tmp_path / "model", glue_dataset(tmp_path / "rte", "rte", {"validation": 2}))
    glue_dataset(tmp_path / "sst2", "sst2", {"validation": 2})
    with pytest.raises(InputError, match=r"is a dataset of task 'sst2', but .* is a model for 'rte'"):
        evaluate(str(tmp_path / "model"), str(tmp_path / "sst2"), str(tmp_path / "out"))
    other = Vocabulary(train_vocabulary(["one two three four five six"] * 5, 60))
    glue_dataset(tmp_path / "other", "rte", {"validation": 2}, other)
    with pytest.raises(
        InputError, match=f"another vocabulary .*sha256 {other.sha256}.*preprocess again with --vocabulary"
    ):
        evaluate(str(tmp_path / "model"), str(tmp_path / "other"), str(tmp_path / "out"))
    with pytest.raises(InputError, match="expected a dataset folder, but it is a model folder"):
        evaluate(str(tmp_path / "model"), str(tmp_path / "model"), str(tmp_path / "out"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "other", "rte", "sst2"]


def test_records_that_are_missing_leave_no_output(tmp_path, glue_dataset, untrained_model):
    dataset = glue_dataset(tmp_path / "dataset", "rte", {"validation": 4})
    untrained_model(tmp_path / "model", dataset)
    file = tmp_path / "dataset" / dataset["splits"]["validation"]["files"][0]
    records = list(features.read_records(file))
    file.write_bytes(b"".join(map(features.frame, records[:-1])))
    with pytest.raises(InputError, match="split 'validation' has 3 records; its manifest says 4"):
        evaluate(str(tmp_path / "model"), str(tmp_path / "dataset"), str(tmp_path / "out"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset", "model"]


def test_the_split_is_the_validation_split_unless_said():
    def manifest(*splits):
        return manifests.dataset(splits={name: {} for name in splits})

    assert choose_split("d", manifest("train", "validation", "test"), None) == "validation"
    mnli = manifest("train", "validation_matched", "validation_mismatched", "test_matched")
    assert choose_split("d", mnli, None) == "validation_matched"
    assert choose_split("d", mnli, "validation_mismatched") == "validation_mismatched"
    assert choose_split("d", manifest("test"), None) == "test"
    with pytest.raises(InputError, match="no validation split"):
        choose_split("d", manifest("train"), None)
    with pytest.raises(InputError, match="no split 'train' to evaluate; it has validation"):
        choose_split("d", manifest("train", "validation"), "train")


def test_the_command_prints_the_metric_beside_the_baseline(tmp_path, glue_dataset, untrained_model):
    untrained_model(tmp_path / "model", glue_dataset(tmp_path / "dataset", "cola", {"validation": 6}))
    folders = ["--model", str(tmp_path / "model"), "--dataset", str(tmp_path / "dataset")]
    arguments = [*folders, "--output", str(tmp_path / "out")]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "matthews_corrcoef" in result.stdout and "always “" in result.stdout
    assert f"report: {tmp_path}/out/report.html" in result.stdout
    again = CliRunner().invoke(main, arguments)
    assert again.exit_code == 2
    assert again.stderr.startswith("error: ") and "--overwrite" in again.stderr
    assert CliRunner().invoke(main, [*arguments, "--overwrite", "--precision", "bfloat16"]).exit_code == 0
    assert read_json(tmp_path / "out/metrics.json", "metrics")["precision"] == "bfloat16"


def test_a_model_is_evaluated_in_the_precision_that_is_asked_for(tmp_path, glue_dataset, untrained_model):
    untrained_model(tmp_path / "model", glue_dataset(tmp_path / "dataset", "cola", {"validation": 6}))
    found = {}
    for asked, expected in ((None, "float32"), ("float32", "float32"), ("bfloat16", "bfloat16")):
        given = [str(tmp_path / name) for name in ("model", "dataset", f"in_{asked}")]
        manifest = evaluate(*given, precision=asked)
        assert manifest["precision"] == expected
        page = (tmp_path / f"in_{asked}/report.html").read_text(encoding="utf-8")
        assert f"<td>computed in</td><td>{expected}</td>" in re.sub(r"<td [^>]*>", "<td>", page)
        rows = _rows(tmp_path / f"in_{asked}/predictions.tsv")
        name = next(name for name in rows[0] if name.startswith("p("))
        found[asked] = np.array([float(row[name]) for row in rows])
    assert np.array_equal(found[None], found["float32"])
    difference = np.abs(found["float32"] - found["bfloat16"]).max()
    assert 1e-5 < difference < 0.05  # 8 bits of significand


def test_help_shows_an_example():
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0 and "Examples:\n  bigbird evaluate" in result.output
