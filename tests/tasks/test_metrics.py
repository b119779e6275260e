"""Metrics against hand-worked cases, scikit-learn and SciPy, and an independent re-statement of the SQuAD scripts."""

import collections
import random
import re
import string

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigbird.tasks import metrics

# ------------------------------------------------------------------------------------------------------ GLUE


def test_hand_worked_classification():
    gold = np.array([1, 1, 1, 0, 0, 0, 0, 0])
    predicted = np.array([1, 1, 0, 1, 0, 0, 0, 0])
    assert metrics.accuracy(gold, predicted) == 0.75
    assert metrics.f1(gold, predicted) == pytest.approx(2 / 3)  # precision 2/3, recall 2/3
    assert metrics.matthews_corrcoef(gold, predicted) == pytest.approx((2 * 4 - 1 * 1) / (3 * 3 * 5 * 5) ** 0.5)
    assert metrics.confusion(gold, predicted, 2).tolist() == [[4, 1], [1, 2]]


def test_hand_worked_correlations():
    gold, predicted = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 4.0])
    assert metrics.pearson(gold, predicted) == pytest.approx(0.8)
    assert metrics.spearman(gold, predicted) == pytest.approx(0.8)
    assert metrics.spearman(gold, np.exp(gold)) == pytest.approx(1.0)
    assert metrics.pearson(gold, -3 * gold) == pytest.approx(-1.0)


def test_constant_answers_score_zero_not_nan():
    gold, constant = np.array([0, 1, 1]), np.array([1, 1, 1])
    assert metrics.matthews_corrcoef(gold, constant) == 0.0
    assert metrics.pearson(gold, constant) == 0.0
    assert metrics.spearman(gold, constant) == 0.0
    assert metrics.f1(np.array([0, 0]), np.array([0, 0])) == 0.0


@pytest.mark.parametrize("num_classes", [2, 3])
def test_classification_agrees_with_scikit_learn(num_classes):
    from sklearn import metrics as reference

    for seed in range(20):
        rng = np.random.default_rng(seed)
        gold = rng.integers(0, num_classes, 50)
        predicted = np.where(rng.random(50) < 0.6, gold, rng.integers(0, num_classes, 50))
        assert metrics.accuracy(gold, predicted) == pytest.approx(reference.accuracy_score(gold, predicted))
        matthews = reference.matthews_corrcoef(gold, predicted)
        assert metrics.matthews_corrcoef(gold, predicted) == pytest.approx(matthews)
        counts = reference.confusion_matrix(gold, predicted, labels=range(num_classes))
        assert (metrics.confusion(gold, predicted, num_classes) == counts).all()
        if num_classes == 2:
            assert metrics.f1(gold, predicted) == pytest.approx(reference.f1_score(gold, predicted))


def test_correlations_agree_with_scipy_also_with_ties():
    from scipy import stats

    for seed in range(20):
        rng = np.random.default_rng(seed)
        gold = rng.integers(0, 11, 40) / 2
        predicted = np.round(gold + rng.normal(0, 1, 40), 1)
        assert metrics.pearson(gold, predicted) == pytest.approx(stats.pearsonr(gold, predicted)[0])
        assert metrics.spearman(gold, predicted) == pytest.approx(stats.spearmanr(gold, predicted)[0])


# ----------------------------------------------------------------------------------------------------- SQuAD


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("The  Quick, brown fox!", "quick brown fox"),
        ("a an the", ""),
        ("theatre and Anna", "theatre and anna"),
        ("U.S.A.", "usa"),
        ("well-known", "wellknown"),
        ("the-end", "theend"),  # punctuation goes before articles do
        ("“quoted” – dash", "“quoted” – dash"),  # only ASCII punctuation goes
        ("tab\tand\nline\u00a0break", "tab and line break"),
        ("ÉCOLE", "école"),
    ],
)
def test_normalisation(text, normalized):
    assert metrics.normalize_answer(text) == normalized


def test_exact_match_and_f1_are_the_best_over_the_gold_answers():
    answers = ["Denver Broncos", "The Denver Broncos of Colorado"]
    assert metrics.answer_scores("the denver broncos.", answers, version_2=False) == (1.0, 1.0)
    exact, f1 = metrics.answer_scores("Broncos of Colorado", answers, version_2=False)
    assert exact == 0.0
    assert f1 == pytest.approx(2 * 1.0 * 0.75 / 1.75)
    assert metrics.answer_scores("Carolina", answers, version_2=False) == (0.0, 0.0)
    # A word counts as often as it stands in both.
    assert metrics.answer_scores("no no no", ["no no"], version_2=False)[1] == pytest.approx(0.8)


def test_empty_sides_are_zero_in_version_1_and_equality_in_version_2():
    assert metrics.answer_scores("the", ["a"], version_2=False) == (1.0, 0.0)
    assert metrics.answer_scores("", ["x"], version_2=True) == (0.0, 0.0)
    assert metrics.answer_scores("", [], version_2=True) == (1.0, 1.0)
    assert metrics.answer_scores("x", [], version_2=True) == (0.0, 0.0)
    assert metrics.answer_scores("The", ["!"], version_2=True) == (1.0, 1.0)  # gold that is nothing is no gold


def test_version_2_splits_by_answerable():
    scores = {"a": (1.0, 1.0), "b": (0.0, 0.5), "c": (1.0, 1.0), "d": (0.0, 0.0)}
    answerable = {"a": True, "b": True, "c": False, "d": False}
    assert metrics.squad_v2_metrics(scores, answerable) == {
        "exact_match": 0.5,
        "f1": 0.625,
        "HasAns_exact": 0.5,
        "HasAns_f1": 0.75,
        "HasAns_total": 2.0,
        "NoAns_exact": 0.5,
        "NoAns_f1": 0.5,
        "NoAns_total": 2.0,
    }
    only = metrics.squad_v2_metrics({"a": (1.0, 1.0)}, answerable)
    assert "NoAns_exact" not in only


def test_best_threshold_hand_worked():
    # In the order of the odds: +1 (1 answered right), -1 (d answered wrongly), +0.5, then -1 again.
    odds = {"a": -3.0, "d": -1.0, "b": 0.5, "c": 2.0}
    answerable = {"a": True, "b": True, "c": False, "d": False}
    answered = dict.fromkeys(odds, True)
    scores = {"a": 1.0, "b": 0.5, "c": 0.0, "d": 0.0}
    assert metrics.best_threshold(scores, odds, answerable, answered) == (0.75, -3.0)
    scores["b"] = 1.5  # worth going on for
    assert metrics.best_threshold(scores, odds, answerable, answered) == (0.875, 0.5)
    nothing = {"a": 0.0, "b": 0.0, "c": 0.0, "d": 0.0}
    assert metrics.best_threshold(nothing, odds, answerable, answered) == (0.5, 0.0)


class _Official:
    """The scripts' rules written down a second time, by brute force."""

    @staticmethod
    def normalize(text):
        text = "".join(character for character in text.lower() if character not in set(string.punctuation))
        return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())

    @classmethod
    def f1(cls, prediction, gold, version_2):
        predicted, wanted = cls.normalize(prediction).split(), cls.normalize(gold).split()
        same = sum((collections.Counter(predicted) & collections.Counter(wanted)).values())
        if version_2 and (len(predicted) == 0 or len(wanted) == 0):
            return int(predicted == wanted)
        if same == 0:
            return 0
        precision, recall = same / len(predicted), same / len(wanted)
        return 2 * precision * recall / (precision + recall)

    @classmethod
    def score(cls, prediction, golds, version_2):
        if version_2:
            golds = [gold for gold in golds if cls.normalize(gold)]
            if not golds:
                golds = [""]
        exact = max(int(cls.normalize(prediction) == cls.normalize(gold)) for gold in golds)
        return exact, max(cls.f1(prediction, gold, version_2) for gold in golds)

    @staticmethod
    def best(scores, odds, answerable, predictions):
        """Tries every threshold in turn instead of one running sum."""
        ordered = sorted(odds, key=lambda key: odds[key])
        best, where = float(sum(not answerable[key] for key in ordered)), 0.0
        for count in range(1, len(ordered) + 1):
            total = sum(
                scores[key]
                if answerable[key] and place < count
                else float(not answerable[key] and not (place < count and predictions[key]))
                for place, key in enumerate(ordered)
            )
            if total > best + 1e-12:
                best, where = total, odds[ordered[count - 1]]
        return best / len(ordered), where

    @classmethod
    def evaluate(cls, answers, predictions, odds, version_2):
        """A whole prediction file, as the scripts' main functions take it; fractions of 1."""
        if not version_2:
            scores = [
                cls.score(predictions[key], golds, False) if key in predictions else (0, 0)
                for key, golds in answers.items()
            ]
            return {name: sum(pair[i] for pair in scores) / len(scores) for i, name in enumerate(("exact_match", "f1"))}
        scores = {key: cls.score(predictions[key], golds, True) for key, golds in answers.items() if key in predictions}
        result = {}
        for prefix, keys in (
            ("", list(scores)),
            ("HasAns", [key for key in scores if answers[key]]),
            ("NoAns", [key for key in scores if not answers[key]]),
        ):
            if keys:
                exact, f1 = (sum(scores[key][i] for key in keys) / len(keys) for i in (0, 1))
                names = (f"{prefix}_exact", f"{prefix}_f1") if prefix else ("exact_match", "f1")
                result |= dict(zip(names, (exact, f1), strict=True)) | (
                    {f"{prefix}_total": len(keys)} if prefix else {}
                )
        answerable = {key: bool(answers[key]) for key in scores}
        for i, name in ((0, "exact"), (1, "f1")):
            values = {key: score[i] for key, score in scores.items()}
            kept = {key: odds[key] for key in scores}
            best = cls.best(values, kept, answerable, predictions)
            result |= dict(zip((f"best_{name}", f"best_{name}_thresh"), best, strict=True))
        return result


_WORDS = st.lists(st.sampled_from(["the", "a", "An", "cat", "Cat.", "dog", "!", "É", "-", "dog's"]), max_size=5)
_TEXTS = _WORDS.map(" ".join)


@settings(max_examples=200, deadline=None)
@given(_TEXTS, st.lists(_TEXTS, min_size=1, max_size=3), st.booleans())
def test_answer_scores_agree_with_a_second_statement_of_the_rules(prediction, answers, version_2):
    expected = _Official.score(prediction, answers, version_2)
    assert metrics.answer_scores(prediction, answers, version_2=version_2) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(10))
def test_best_threshold_agrees_with_trying_every_one(seed):
    rng = random.Random(seed)
    keys = [f"q{i}" for i in range(30)]
    answerable = {key: rng.random() < 0.6 for key in keys}
    predictions = {key: rng.choice(["", "x"]) for key in keys}
    scores = {key: rng.choice([0.0, 0.25, 1.0]) for key in keys}
    odds = {key: rng.uniform(-5, 5) for key in keys}
    answered = {key: bool(predictions[key]) for key in keys}
    assert metrics.best_threshold(scores, odds, answerable, answered) == pytest.approx(
        _Official.best(scores, odds, answerable, predictions)
    )


_PARTS = [
    "the", "a", "An", "THE", "theatre", "cat", "Cat.", "dog's", "don't", "!", "-", "--", "U.S.", "42", "3.14", "É", "e\u0301", "ß",
    "İstanbul", "Σίσυφος", "中文", "\u200b", "\u00a0", "\t", "“q”", "’s", "€", "\U0001f600", "a_b", "an-a", "",
]  # fmt: skip


def _text(rng):
    return rng.choice([" ", "  ", "", "\n"]).join(rng.choices(_PARTS, k=rng.randint(0, 6)))


@pytest.mark.parametrize("version_2", [False, True])
def test_a_thousand_prediction_files_agree_with_the_official_definitions(version_2):
    """Unicode, articles, punctuation, empty answers, missing and surplus predictions."""
    rng, kinds = random.Random(version_2), collections.Counter()
    for _ in range(1000):
        keys = [f"q{i}" for i in range(rng.randint(1, 12))]
        answers = {key: [_text(rng) for _ in range(rng.randint(not version_2, 3))] for key in keys}
        predictions = {
            key: rng.choice([*answers[key], _text(rng), ""]) for key in keys if rng.random() < 0.9 or key == keys[0]
        }
        odds = {key: rng.choice([rng.uniform(-5, 5), 0.0]) for key in keys}
        kinds.update(missing=len(keys) - len(predictions), empty=sum(not text for text in predictions.values()))
        expected = _Official.evaluate(answers, predictions, odds, version_2)
        scores = metrics.squad_scores(predictions | {"unknown": "x"}, answers, version_2=version_2)
        if version_2:
            answerable = {key: bool(golds) for key, golds in answers.items()}
            found = metrics.squad_v2_metrics(scores, answerable)
            answered = {key: bool(text) for key, text in predictions.items()}
            for i, name in enumerate(("exact", "f1")):
                values = {key: score[i] for key, score in scores.items()}
                best = metrics.best_threshold(values, odds, answerable, answered)
                found |= dict(zip((f"best_{name}", f"best_{name}_thresh"), best, strict=True))
        else:
            found = metrics.squad_metrics(scores)
        assert found == pytest.approx(expected, abs=1e-12), (answers, predictions)
    assert kinds["missing"] > 300 and kinds["empty"] > 300
