"""From outputs to predictions and metrics, on small hand-made dataset folders."""

import json

import numpy as np
import pytest

from bigbird.config import load_experiment
from bigbird.records import features
from bigbird.scoring import Scorer, default_metric
from bigbird.support.errors import InputError, TrainingDiverged
from bigbird.tasks import squad
from bigbird.tasks.classification.glue import GLUE_TASKS
from bigbird.tasks.classification.glue.scoring import GlueResults
from bigbird.tasks.squad.scoring import SquadResults
from tests import manifests


def _glue_task(**task):
    return load_experiment("bigbird/glue", overrides=[{"task": task}]).task


def _squad_task(**task):
    return load_experiment("bigbird/squad", overrides=[{"task": task}]).task


def _glue_folder(folder, name, labels):
    """A folder of examples only, which is all that scoring GLUE reads."""
    spec = GLUE_TASKS[name]
    lines = [{"id": i, "text_a": f"text {i}", "text_b": None, "label": label} for i, label in enumerate(labels)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "validation.examples.jsonl").write_text(text, encoding="utf-8")
    return manifests.dataset(task=name, labels=list(spec.labels) if spec.labels else None, metrics=list(spec.metrics))


def _glue_results(evaluation):
    assert isinstance(evaluation.results, GlueResults)
    return evaluation.results


def _one_hot(classes, width=2):
    return np.eye(width, dtype=np.float32)[classes]


def test_classification_is_scored_against_the_folder_whatever_the_order(tmp_path):
    manifest = _glue_folder(tmp_path, "mrpc", ["1", "1", "0", "1"])
    scorer = Scorer(_glue_task(), manifest, tmp_path, "validation")
    scorer.add(np.array([3, 0]), {"logits": _one_hot([0, 1])})
    assert scorer.missing == 2
    scorer.add(np.array([2, 1]), {"logits": _one_hot([1, 1])})
    evaluation = scorer.result()
    assert scorer.missing == 0
    assert evaluation.primary == "f1"
    assert evaluation.metrics == {"f1": pytest.approx(2 * 2 / (3 + 3)), "accuracy": 0.5}
    assert (evaluation.baseline_answer, evaluation.baseline["accuracy"]) == ("always “1”", 0.75)
    assert _glue_results(evaluation).ids.tolist() == [0, 1, 2, 3]
    assert _glue_results(evaluation).predicted.tolist() == [1, 1, 1, 0]
    assert _glue_results(evaluation).texts[2] == ("text 2", None)


def test_rows_of_weight_zero_do_not_count(tmp_path):
    manifest = _glue_folder(tmp_path, "sst2", ["0", "1"])
    scorer = Scorer(_glue_task(), manifest, tmp_path, "validation")
    scorer.add(np.array([0, 1, 0]), {"logits": _one_hot([0, 1, 1])}, np.array([1.0, 1.0, 0.0]))
    assert scorer.result().metrics == {"accuracy": 1.0}


def test_regression_and_its_baseline(tmp_path):
    manifest = _glue_folder(tmp_path, "stsb", [1.0, 2.0, 3.0, 4.0])
    scorer = Scorer(_glue_task(), manifest, tmp_path, "validation")
    scorer.add(np.arange(4), {"logits": np.array([[1.0], [3.0], [2.0], [4.0]], np.float32)})
    evaluation = scorer.result()
    assert evaluation.metrics == {"pearson": pytest.approx(0.8), "spearman": pytest.approx(0.8)}
    assert evaluation.metric("pearson_spearman_corr") == pytest.approx(0.8)
    assert (evaluation.baseline_answer, evaluation.baseline["pearson"]) == ("always the mean, 2.50", 0.0)


def test_a_split_without_labels_gives_predictions_and_no_metrics(tmp_path):
    manifest = _glue_folder(tmp_path, "rte", [None, None])
    scorer = Scorer(_glue_task(), manifest, tmp_path, "validation")
    scorer.add(np.arange(2), {"logits": _one_hot([1, 0])})
    evaluation = scorer.result()
    assert (evaluation.metrics, evaluation.baseline) == ({}, {})
    assert _glue_results(evaluation).predicted.tolist() == [1, 0]
    with pytest.raises(InputError, match="no labels"):
        evaluation.metric("accuracy")


def test_bare_records_are_scored_by_the_labels_of_the_batch():
    scorer = Scorer(_glue_task(metric_type="matthews_corrcoef"), None, None, "validation")
    scorer.add(np.arange(4), {"logits": _one_hot([0, 1, 1, 0])}, label_ids=np.array([0, 1, 1, 0]))
    evaluation = scorer.result()
    assert evaluation.metrics == {"matthews_corrcoef": 1.0}
    assert evaluation.baseline == {"matthews_corrcoef": 0.0}


def test_reset_forgets(tmp_path):
    manifest = _glue_folder(tmp_path, "sst2", ["0"])
    scorer = Scorer(_glue_task(), manifest, tmp_path, "validation")
    scorer.add(np.array([0]), {"logits": _one_hot([1])})
    scorer.reset()
    with pytest.raises(InputError, match="nothing to score"):
        scorer.result()


def test_outputs_that_are_not_finite_stop_the_run_and_name_the_records(tmp_path):
    manifest = _glue_folder(tmp_path, "sst2", ["0", "1"])
    scorer = Scorer(_glue_task(), manifest, tmp_path, "validation")
    with pytest.raises(TrainingDiverged, match=r"logits are not finite for records \[1\]"):
        scorer.add(np.array([0, 1]), {"logits": np.array([[0, 1], [np.nan, 0]], np.float32)})


def test_records_of_another_run_are_refused(tmp_path):
    manifest = _glue_folder(tmp_path, "sst2", ["0"])
    scorer = Scorer(_glue_task(), manifest, tmp_path, "validation")
    with pytest.raises(InputError, match=r"records \[7\] are not among"):
        scorer.add(np.array([7]), {"logits": _one_hot([1])})


def test_a_broken_examples_file_is_named_with_its_line(tmp_path):
    manifest = _glue_folder(tmp_path, "sst2", ["0"])
    with (tmp_path / "validation.examples.jsonl").open("a") as lines:
        lines.write('{"id": 1, "te')
    with pytest.raises(InputError, match=r"validation\.examples\.jsonl:2: not valid JSON"):
        Scorer(_glue_task(), manifest, tmp_path, "validation")
    with pytest.raises(InputError, match=r"train\.examples\.jsonl: no such file"):
        Scorer(_glue_task(), manifest, tmp_path, "train")


# ----------------------------------------------------------------------------------------------------- SQuAD

CONTEXT = "red green blue white black"
QUESTIONS: tuple[tuple[str, list[tuple[str, int]]], ...] = (
    ("q1", [("green", 4), ("green blue", 4)]),
    ("q2", [("black", 21)]),
    ("q3", []),
)


def _squad_folder(folder, version_2, asked=None):
    """One context of five words in two windows of three words; [CLS], one piece of question, [SEP] before them."""
    starts, ends = [0, 4, 10, 15, 21], [3, 9, 14, 20, 26]
    spans = [(0, 3), (2, 5)]
    best = [[1, 1, 1], [0, 1, 1]]
    asked = asked or (QUESTIONS if version_2 else QUESTIONS[:2])
    with (folder / "validation-00000-of-00001.tfrecord").open("wb") as file:
        for number, (identifier, _) in enumerate(asked):
            for window, (first, last) in reversed(list(enumerate(spans))):  # out of order on purpose
                record = {
                    "unique_ids": [number * squad.WINDOWS_PER_QUESTION + window],
                    "example_id": identifier.encode(),
                    "offset_starts": [-1, -1, -1, *starts[first:last], -1],
                    "offset_ends": [-1, -1, -1, *ends[first:last], -1],
                    "max_context": [0, 0, 0, *best[window], 0],
                }
                file.write(features.frame(features.encode(record)))
    entries = [
        {
            "id": identifier,
            "question": f"{identifier}?",
            "answers": [{"text": text, "answer_start": start} for text, start in answers],
            "is_impossible": not answers,
        }
        for identifier, answers in asked
    ]
    line = {"title": "Colours", "context": CONTEXT, "questions": entries}
    (folder / "validation.examples.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    name = "validation-00000-of-00001.tfrecord"
    task = "squad_v2" if version_2 else "squad_v1"
    return manifests.dataset(task=task, version_2=version_2, splits={"validation": {"files": [name]}})


def _scores(**positions):
    """[1, L] logits, L padded beyond the record's 7 pieces: p4=5 is a score of 5 at piece 4."""
    values = np.zeros((1, 16), np.float32)
    for name, score in positions.items():
        values[0, int(name[1:])] = score
    return values


def _squad_results(evaluation):
    assert isinstance(evaluation.results, SquadResults)
    return evaluation.results


def _add(scorer, question, window, start, end):
    outputs = {"start_logits": start, "end_logits": end}
    scorer.add(np.array([question * squad.WINDOWS_PER_QUESTION + window]), outputs)


def test_squad_answers_come_from_all_windows(tmp_path):
    scorer = Scorer(_squad_task(), _squad_folder(tmp_path, version_2=False), tmp_path, "validation")
    _add(scorer, 0, 0, _scores(p4=5), _scores(p5=5))  # "green blue"
    _add(scorer, 1, 1, _scores(p5=4), _scores(p5=4))  # "black" in the second window
    assert scorer.missing == 2
    _add(scorer, 1, 0, _scores(p3=3), _scores(p3=3))  # "red" in the first
    partial = scorer.result()  # of q1 one window is missing still
    assert [question.id for question in _squad_results(partial).questions] == ["q2"]
    _add(scorer, 0, 1, _scores(), _scores())
    evaluation = scorer.result()
    assert [answer.text for answer in _squad_results(evaluation).answers] == ["green blue", "black"]
    assert evaluation.metrics == {"exact_match": 1.0, "f1": 1.0}
    assert evaluation.metric("final_f1") == 1.0
    assert [question.pieces for question in _squad_results(evaluation).questions] == [5, 5]
    # The most common gold answer, "green", is half of the words of "green blue" and right for q1 by itself.
    assert (evaluation.baseline_answer, evaluation.baseline) == ("always “green”", {"exact_match": 0.5, "f1": 0.5})


def _evaluate_version_2(scorer):
    for question in range(3):
        for window in range(2):
            _add(scorer, question, window, _scores(p0=4), _scores(p0=4))
    _add(scorer, 0, 0, _scores(p0=4, p4=5), _scores(p0=4, p4=5))  # null odds -2: answered, "green"
    _add(scorer, 1, 1, _scores(p0=4, p5=3), _scores(p0=4, p5=3))  # null odds 2: not answered, but "black" is right
    return scorer.result()


def test_squad_version_2_knows_no_answer(tmp_path):
    manifest = _squad_folder(tmp_path, version_2=True)
    evaluation = _evaluate_version_2(Scorer(_squad_task(), manifest, tmp_path, "validation"))
    assert [answer.text for answer in _squad_results(evaluation).answers] == ["green", "", ""]
    assert [answer.null_odds for answer in _squad_results(evaluation).answers] == [-2.0, 2.0, 8.0]
    expected = {
        "exact_match": pytest.approx(2 / 3),
        "f1": pytest.approx(2 / 3),
        "HasAns_exact": 0.5,
        "HasAns_f1": 0.5,
        "HasAns_total": 2.0,
        "NoAns_exact": 1.0,
        "NoAns_f1": 1.0,
        "NoAns_total": 1.0,
        "best_exact": 1.0,
        "best_exact_thresh": 2.0,
        "best_f1": 1.0,
        "best_f1_thresh": 2.0,
    }
    assert evaluation.metrics == expected
    assert evaluation.baseline["f1"] == pytest.approx(1 / 3)
    answer_more = Scorer(_squad_task(null_score_diff_threshold=2.0), manifest, tmp_path, "validation")
    answers = _squad_results(_evaluate_version_2(answer_more)).answers
    assert [answer.text for answer in answers] == ["green", "black", ""]


@pytest.mark.parametrize(
    ("asked", "kind", "other", "baseline"),
    [((("q3", []),), "NoAns", "HasAns", "always no answer"), (QUESTIONS[1:2], "HasAns", "NoAns", "always “black”")],
)
def test_squad_version_2_with_one_kind_of_question_has_that_kinds_metrics(tmp_path, asked, kind, other, baseline):
    manifest = _squad_folder(tmp_path, version_2=True, asked=asked)
    scorer = Scorer(_squad_task(), manifest, tmp_path, "validation")
    for window in range(2):
        _add(scorer, 0, window, _scores(p0=4), _scores(p0=4))  # no answer
    evaluation = scorer.result()
    right = float(kind == "NoAns")
    assert evaluation.metrics[f"{kind}_total"] == 1.0
    assert evaluation.metrics["f1"] == evaluation.metrics[f"{kind}_f1"] == right
    assert not [name for name in evaluation.metrics if name.startswith(other)]
    assert (evaluation.baseline_answer, evaluation.baseline["f1"]) == (baseline, 1.0)
    json.dumps(evaluation.metrics, allow_nan=False)


def test_how_many_records_hold_one_question_whole(tmp_path):
    manifest = _squad_folder(tmp_path, version_2=False)
    assert Scorer(_squad_task(), manifest, tmp_path, "validation").least_records == 2
    file = tmp_path / manifest["splits"]["validation"]["files"][0]
    records = list(features.read_records(file))  # q1's two windows, then q2's
    file.write_bytes(b"".join(features.frame(records[i]) for i in (0, 2, 3, 1)))
    assert Scorer(_squad_task(), manifest, tmp_path, "validation").least_records == 3
    manifest = _glue_folder(tmp_path, "rte", [None])
    assert Scorer(_glue_task(), manifest, tmp_path, "validation").least_records == 1


def test_squad_needs_the_offsets_of_an_evaluation_split(tmp_path):
    manifest = _squad_folder(tmp_path, version_2=False)
    file = tmp_path / manifest["splits"]["validation"]["files"][0]
    file.write_bytes(features.frame(features.encode({"unique_ids": [0], "example_id": b"q1"})))
    with pytest.raises(InputError, match=r"record 1 lacks max_context, offset_ends, offset_starts"):
        Scorer(_squad_task(), manifest, tmp_path, "validation")
    with pytest.raises(InputError, match="no split 'test'; it has validation"):
        Scorer(_squad_task(), manifest, tmp_path, "test")


def test_default_metrics():
    assert default_metric(_glue_task(metric_type="pearson_spearman_corr")) == "pearson"
    assert default_metric(_squad_task()) == "f1"
