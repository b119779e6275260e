"""What simple models reach on the same examples: a constant answer, and TF-IDF with a linear model.

A long-document model is worth its price where it beats words that are counted; and reading whole texts is worth it where
whole texts beat their first 512 words, which is what shorter models read. So TF-IDF is measured on both.

Fitted on training texts, measured on the evaluated ones, with the metrics of the model.

Shapes: M training texts, N evaluated texts, C labels.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from bigbird.tasks.classification.metrics import (
    Metrics,
    number_metrics,
    one_label_metrics,
    quiet,
    several_labels_metrics,
)

FIRST_WORDS = 512

# Training texts beyond these are left out, drawn at random, so that a baseline takes seconds and not hours.
MOST_TEXTS = 20_000
MOST_CHARACTERS = 50_000_000

# A word, or one character of a script that is written without spaces: kana, ideographs, Thai, Lao, Khmer, Burmese.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+"
_MOST_TERMS = 100_000
_MANY_TEXTS = 1_000  # from which on a term must be in two of them

Cut = Callable[[str], str]


@dataclass(frozen=True)
class Baseline:
    """One baseline's result.

    Attributes:
        name: constant, tfidf or tfidf_first_512.
        description: what it is, in words.
        metrics: on the evaluated texts, as the model's.
        predicted: probabilities float64[N, C], or numbers float64[N].
        thresholds: float64[C] from which on a label is given; None where there is one label or a number.
        seconds: to fit and to predict.
    """

    name: str
    description: str
    metrics: Metrics
    predicted: np.ndarray
    thresholds: np.ndarray | None
    seconds: float


@dataclass(frozen=True)
class Baselines:
    """The baselines that could be had.

    Attributes:
        measured: the constant answer first.
        unavailable: why others are absent, by name.
    """

    measured: tuple[Baseline, ...]
    unavailable: dict[str, str]


def first_words(text: str, most: int = FIRST_WORDS) -> str:
    """A text up to the end of its 512th word; in scripts without spaces every character counts as a word."""
    last = next(islice(re.finditer(_WORD, text), most - 1, None), None)
    return text if last is None else text[: last.end()]


def one_label_baselines(
    training_texts: Sequence[str],
    training_gold: np.ndarray,
    texts: Sequence[str],
    gold: np.ndarray,
    labels: Sequence[str],
    *,
    cut: Cut = first_words,
    seed: int = 0,
) -> Baselines:
    """Baselines of texts with one label each: the most frequent label, and logistic regression on TF-IDF.

    Args:
        training_texts: M texts; two texts of an example are joined by the caller.
        training_gold: int64[M] label indices.
        texts: N texts.
        gold: int64[N].
        labels: the C names.
        cut: gives a text's beginning, as much of it as a short model reads.
        seed: of the training texts that are drawn where there are too many.

    Raises:
        ValueError: there is no text, or lengths do not fit.
    """
    training_gold = np.asarray(training_gold)

    def measure(probabilities: np.ndarray, _: np.ndarray | None) -> Metrics:
        return one_label_metrics(gold, probabilities, labels)

    frequencies = np.bincount(training_gold, minlength=len(labels)) / max(1, len(training_gold))
    best = int(frequencies.argmax())

    def constant() -> tuple[np.ndarray, str, None]:
        answer = (
            f"always “{labels[best]}”, the most frequent label in training; probabilities are the frequencies there"
        )
        return np.tile(frequencies, (len(texts), 1)), answer, None

    def fit(terms: Any, answers: np.ndarray, evaluated: Any) -> np.ndarray:
        from sklearn.linear_model import LogisticRegression

        if len(np.unique(answers)) < 2:
            raise _UnavailableError("all training texts have one label")
        model = LogisticRegression(C=10.0, max_iter=200, tol=1e-3).fit(terms, answers)
        probabilities = np.zeros((len(texts), len(labels)))
        probabilities[:, model.classes_] = model.predict_proba(evaluated)
        return probabilities

    texts_and_gold = _Data(training_texts, training_gold, texts, seed)
    return _baselines(texts_and_gold, gold, cut, constant, fit, "logistic regression", measure, None)


def several_labels_baselines(
    training_texts: Sequence[str],
    training_gold: np.ndarray,
    texts: Sequence[str],
    gold: np.ndarray,
    labels: Sequence[str],
    *,
    cut: Cut = first_words,
    seed: int = 0,
) -> Baselines:
    """Baselines of texts with any number of labels each: the most frequent set, and a logistic regression for each label.

    The regressions are fitted by stochastic gradient descent, which takes seconds for a hundred labels. Labels are given
    from a probability of 0.5 on. A label that no training text has, or that all have, is always answered so.

    Args:
        training_texts: M texts; two texts of an example are joined by the caller.
        training_gold: bool[M, C].
        texts: N texts.
        gold: bool[N, C].
        labels: the C names.
        cut: gives a text's beginning, as much of it as a short model reads.
        seed: of the gradient descent, and of the training texts that are drawn where there are too many.

    Raises:
        ValueError: there is no text, or lengths do not fit.
    """
    training_gold = np.asarray(training_gold, bool)

    def measure(probabilities: np.ndarray, thresholds: np.ndarray) -> Metrics:
        return several_labels_metrics(gold, probabilities, thresholds, labels)

    def constant() -> tuple[np.ndarray, str, np.ndarray]:
        sets, counts = np.unique(training_gold, axis=0, return_counts=True)
        answer = sets[counts.argmax()]
        names = ", ".join(f"“{label}”" for label, given in zip(labels, answer, strict=True) if given) or "no label"
        frequencies = training_gold.mean(axis=0)
        return (
            np.tile(frequencies, (len(texts), 1)),
            f"always {names}, the most frequent set in training; probabilities are the frequencies there",
            # Thresholds that give that set. A label outside of it has a frequency below 1.
            np.where(answer, frequencies, 1.0),
        )

    def fit(terms: Any, answers: np.ndarray, evaluated: Any) -> np.ndarray:
        from sklearn.linear_model import SGDClassifier

        probabilities = np.empty((len(texts), len(labels)))
        for i in range(len(labels)):
            applies = answers[:, i]
            if applies.all() or not applies.any():
                probabilities[:, i] = float(applies[0])
                continue
            model = SGDClassifier(loss="log_loss", alpha=1e-5, max_iter=30, random_state=seed)
            probabilities[:, i] = model.fit(terms, applies).predict_proba(evaluated)[:, 1]
        return probabilities

    texts_and_gold = _Data(training_texts, training_gold, texts, seed)
    name = "logistic regression for each label"
    return _baselines(texts_and_gold, gold, cut, constant, fit, name, measure, np.full(len(labels), 0.5))


def number_baselines(
    training_texts: Sequence[str],
    training_gold: np.ndarray,
    texts: Sequence[str],
    gold: np.ndarray,
    *,
    cut: Cut = first_words,
    seed: int = 0,
) -> Baselines:
    """Baselines of texts with a number each: the mean, and ridge regression on TF-IDF.

    Args:
        training_texts: M texts; two texts of an example are joined by the caller.
        training_gold: float64[M].
        texts: N texts.
        gold: float64[N].
        cut: gives a text's beginning, as much of it as a short model reads.
        seed: of the training texts that are drawn where there are too many.

    Raises:
        ValueError: there is no text, or lengths do not fit.
    """
    training_gold = np.asarray(training_gold, np.float64)

    def measure(predicted: np.ndarray, _: np.ndarray | None) -> Metrics:
        return number_metrics(gold, predicted)

    def constant() -> tuple[np.ndarray, str, None]:
        mean = float(training_gold.mean())
        return np.full(len(texts), mean), f"always {mean:.4g}, the mean in training", None

    def fit(terms: Any, answers: np.ndarray, evaluated: Any) -> np.ndarray:
        from sklearn.linear_model import Ridge

        return np.asarray(Ridge(alpha=1.0).fit(terms, answers).predict(evaluated))

    texts_and_gold = _Data(training_texts, training_gold, texts, seed)
    return _baselines(texts_and_gold, gold, cut, constant, fit, "ridge regression", measure, None)


# ------------------------------------------------------------------------------------------------------ helpers


class _UnavailableError(Exception):
    """A baseline cannot be had; the message is the reason."""


@dataclass(frozen=True)
class _Data:
    training_texts: Sequence[str]
    training_gold: np.ndarray
    texts: Sequence[str]
    seed: int


def _baselines(
    data: _Data,
    gold: np.ndarray,
    cut: Cut,
    constant: Callable[[], tuple[np.ndarray, str, np.ndarray | None]],
    fit: Callable[[Any, np.ndarray, Any], np.ndarray],
    model: str,
    measure: Callable[[np.ndarray, Any], Metrics],
    thresholds: np.ndarray | None,
) -> Baselines:
    """The constant answer, and `fit` on the terms of whole and of cut texts."""
    for texts, answers, which in (
        (data.training_texts, data.training_gold, "training"),
        (data.texts, gold, "evaluated"),
    ):
        if not len(texts) or len(texts) != len(answers):
            raise ValueError(f"{len(texts)} {which} texts with {len(answers)} answers")
    measured, unavailable = [], {}
    started = time.monotonic()
    predicted, answer, limits = constant()
    seconds = time.monotonic() - started
    measured.append(Baseline("constant", answer, measure(predicted, limits), predicted, limits, seconds))
    rows = _drawn(data)
    fitted_on = f"{len(rows):,} training texts" + (
        f", drawn at random from {len(data.training_texts):,}" * (len(rows) < len(data.training_texts))
    )
    for name, what, shorten in (
        ("tfidf", "whole texts", str),
        (f"tfidf_first_{FIRST_WORDS}", f"the first {FIRST_WORDS} words or tokens", cut),
    ):
        started = time.monotonic()
        try:
            with quiet():
                terms, evaluated = _terms(
                    [shorten(data.training_texts[i]) for i in rows], [shorten(text) for text in data.texts]
                )
                predicted = fit(terms, data.training_gold[rows], evaluated)
        except _UnavailableError as reason:
            unavailable[name] = str(reason)
            continue
        seconds = time.monotonic() - started
        description = f"TF-IDF of {what}, {model}; {fitted_on}"
        measured.append(Baseline(name, description, measure(predicted, thresholds), predicted, thresholds, seconds))
    return Baselines(tuple(measured), unavailable)


def _drawn(data: _Data) -> np.ndarray:
    """Rows int64 of the training texts that are used, in order: at most `MOST_TEXTS` of `MOST_CHARACTERS` in all."""
    rows = np.random.default_rng(data.seed).permutation(len(data.training_texts))[:MOST_TEXTS]
    sizes = np.cumsum([len(data.training_texts[i]) for i in rows])
    return np.sort(rows[: max(1, int(np.searchsorted(sizes, MOST_CHARACTERS, side="right")))])


def _terms(training_texts: list[str], texts: list[str]) -> tuple[Any, Any]:
    """TF-IDF of both, sparse float64[M, terms] and float64[N, terms]."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    least = 2 if len(training_texts) >= _MANY_TEXTS else 1
    vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=least, max_features=_MOST_TERMS, token_pattern=_WORD)
    if not any(re.search(_WORD, text) for text in training_texts):
        raise _UnavailableError("the training texts have no words")
    try:
        return vectorizer.fit_transform(training_texts), vectorizer.transform(texts)
    except ValueError:  # no word is in two texts
        vectorizer.set_params(min_df=1)
        return vectorizer.fit_transform(training_texts), vectorizer.transform(texts)
