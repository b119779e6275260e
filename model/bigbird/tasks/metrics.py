"""Metrics of GLUE and SQuAD in NumPy. All are fractions of 1; the official SQuAD scripts print 100 times as much.

GLUE's are what scikit-learn and SciPy compute, with one difference: a correlation that is undefined because one side
is constant is 0.0, not NaN, so that it can be compared and written as JSON.
SQuAD's are those of the official `evaluate-v1.1.py` and `evaluate-v2.0.py`, their quirks included.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

# ----------------------------------------------------------------------------------------------------- GLUE


def accuracy(gold: np.ndarray, predicted: np.ndarray) -> float:
    """Share of equal labels; `gold` and `predicted` are int[N] class indices."""
    return float(np.mean(gold == predicted))


def f1(gold: np.ndarray, predicted: np.ndarray) -> float:
    """F1 of class 1; 0.0 where class 1 neither occurs nor is predicted. int[N], int[N]."""
    true_positives = int(np.sum((gold == 1) & (predicted == 1)))
    occurrences = int(np.sum(gold == 1) + np.sum(predicted == 1))
    return 2 * true_positives / occurrences if occurrences else 0.0


def matthews_corrcoef(gold: np.ndarray, predicted: np.ndarray) -> float:
    """Matthews' correlation, for any number of classes (Gorodkin's R_K); 0.0 where undefined. int[N], int[N]."""
    counts = confusion(gold, predicted, int(max(gold.max(), predicted.max())) + 1).astype(np.float64)
    gold_counts, predicted_counts, total = counts.sum(axis=1), counts.sum(axis=0), counts.sum()
    covariance = np.trace(counts) * total - gold_counts @ predicted_counts
    spread = (total**2 - gold_counts @ gold_counts) * (total**2 - predicted_counts @ predicted_counts)
    return float(covariance / np.sqrt(spread)) if spread > 0 else 0.0


def pearson(gold: np.ndarray, predicted: np.ndarray) -> float:
    """Pearson's correlation; 0.0 where one side is constant. float[N], float[N]."""
    gold, predicted = np.asarray(gold, np.float64), np.asarray(predicted, np.float64)
    if np.ptp(gold) == 0 or np.ptp(predicted) == 0:
        return 0.0
    gold, predicted = gold - gold.mean(), predicted - predicted.mean()
    correlation = gold @ predicted / (np.linalg.norm(gold) * np.linalg.norm(predicted))
    return float(np.clip(correlation, -1.0, 1.0))


def spearman(gold: np.ndarray, predicted: np.ndarray) -> float:
    """Spearman's rank correlation, ties sharing their mean rank; 0.0 where one side is constant. float[N], float[N]."""
    return pearson(_ranks(gold), _ranks(predicted))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, equal values sharing the mean of theirs; float64[N]."""
    _, groups, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)  # highest rank of each group
    return (last - (counts - 1) / 2)[groups]


def confusion(gold: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts int64[num_classes, num_classes] of (gold, predicted)."""
    flat = np.asarray(gold, np.int64) * num_classes + np.asarray(predicted, np.int64)
    return np.bincount(flat, minlength=num_classes**2).reshape(num_classes, num_classes)


GLUE_METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "accuracy": accuracy,
    "f1": f1,
    "matthews_corrcoef": matthews_corrcoef,
    "pearson": pearson,
    "spearman": spearman,
}

# ---------------------------------------------------------------------------------------------------- SQuAD

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize_answer(text: str) -> str:
    """Lower-cases, drops ASCII punctuation, then articles, then surplus whitespace."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def answer_scores(prediction: str, answers: Sequence[str], *, version_2: bool) -> tuple[float, float]:
    """Exact match and F1 of one prediction: the best over the gold answers.

    Args:
        prediction: the answer's text; "" is "no answer".
        answers: gold texts. In version 2 those that normalise to nothing are ignored, and none left means that ""
            is the right answer; in version 1.1 they count as they are.
        version_2: F1 against an empty side is equality; in version 1.1 it is 0.
    """
    if version_2:
        answers = [answer for answer in answers if normalize_answer(answer)] or [""]
    predicted = normalize_answer(prediction)
    golds = [normalize_answer(answer) for answer in answers]
    exact = float(predicted in golds)
    return exact, max((_token_f1(predicted.split(), gold.split(), version_2) for gold in golds), default=0.0)


def _token_f1(predicted: list[str], gold: list[str], version_2: bool) -> float:
    """F1 over the two bags of words."""
    if version_2 and not (predicted and gold):
        return float(predicted == gold)
    common = (Counter(predicted) & Counter(gold)).total()
    if common == 0:
        return 0.0
    precision, recall = common / len(predicted), common / len(gold)
    return 2 * precision * recall / (precision + recall)


def squad_scores(
    predictions: Mapping[str, str], answers: Mapping[str, Sequence[str]], *, version_2: bool
) -> dict[str, tuple[float, float]]:
    """Exact match and F1 of every question, as the official scripts take a file of predictions.

    Args:
        predictions: question id -> text; those of unknown ids are ignored.
        answers: question id -> gold texts. A question without prediction scores 0 in version 1.1 and is left out in 2.0.
        version_2: as in `answer_scores`.
    """
    scores = {
        key: answer_scores(predictions[key], golds, version_2=version_2)
        for key, golds in answers.items()
        if key in predictions
    }
    return scores if version_2 else {key: scores.get(key, (0.0, 0.0)) for key in answers}


def squad_metrics(scores: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """Version 1.1: means over the questions of what `answer_scores` gave."""
    exact, token_f1 = np.mean(list(scores.values()), axis=0)
    return {"exact_match": float(exact), "f1": float(token_f1)}


def squad_v2_metrics(scores: Mapping[str, tuple[float, float]], answerable: Mapping[str, bool]) -> dict[str, float]:
    """Version 2.0: means over all questions and over those with and without an answer.

    Args:
        scores: question id -> (exact match, F1) from `answer_scores`.
        answerable: question id -> whether it has any gold answer.
    """
    result = squad_metrics(scores)
    for prefix, kind in (("HasAns", True), ("NoAns", False)):
        some = {key: value for key, value in scores.items() if answerable[key] == kind}
        if some:
            of_kind = squad_metrics(some)
            result |= {f"{prefix}_exact": of_kind["exact_match"], f"{prefix}_f1": of_kind["f1"]}
            result[f"{prefix}_total"] = float(len(some))
    return result


def best_threshold(
    scores: Mapping[str, float],
    null_odds: Mapping[str, float],
    answerable: Mapping[str, bool],
    answered: Mapping[str, bool],
) -> tuple[float, float]:
    """The best mean score over all thresholds on the null odds, and that threshold.

    A question is answered where its null odds are at most the threshold. As in the official script the search starts
    from answering nothing, with threshold 0.0, and goes through the questions in the order of their odds.

    Args:
        scores: question id -> exact match or F1 of the answer it would be given.
        null_odds: question id -> null score minus the best answer's score.
        answerable: question id -> whether it has any gold answer.
        answered: question id -> whether the answer it would be given is not empty.
    """
    current = best = float(sum(not answerable[key] for key in scores))
    threshold = 0.0
    for key in sorted(scores, key=lambda key: null_odds[key]):
        current += scores[key] if answerable[key] else -float(answered[key])
        if current > best:
            best, threshold = current, null_odds[key]
    return best / len(scores), threshold
