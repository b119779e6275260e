"""Baselines on made texts, of which the right answers are known."""

import numpy as np
import pytest
from sklearn import metrics as sk

from bigbird.tasks.classification import baselines

pytestmark = pytest.mark.filterwarnings("error")
CLUES = ("football", "election", "銀行")
LABELS = ("sport", "politics", "money")
FILLER = "the of and to in a"


def one_label_texts(examples, clue_after=0):
    """Texts whose label shows in one word, which stands after so many others; the middle label is the most frequent."""
    gold = np.array([1 if i % 4 == 3 else i % 4 for i in range(examples)])
    filler = (f"{FILLER} " * (clue_after // 6 + 1)).split()[:clue_after]
    return [" ".join([*filler, CLUES[label], FILLER]) for label in gold], gold


def by_name(found):
    return {each.name: each for each in found.measured}


def test_one_label_shows_in_a_word():
    training, training_gold = one_label_texts(80)
    texts, gold = one_label_texts(41)
    found = baselines.one_label_baselines(training, training_gold, texts, gold, LABELS)
    assert [each.name for each in found.measured] == ["constant", "tfidf", "tfidf_first_512"]
    constant, tfidf, first = found.measured
    assert constant.metrics.values["accuracy"] == pytest.approx(20 / 41)
    assert constant.metrics.values["log_loss"] == pytest.approx(-(20 * np.log(0.5) + 21 * np.log(0.25)) / 41)
    assert constant.metrics.undefined["matthews_corrcoef"] == "the prediction is the same for every example"
    assert constant.description.startswith("always “politics”")
    for each in (tfidf, first):
        assert each.metrics.values["accuracy"] == 1.0
        assert each.metrics.values["macro_roc_auc"] == 1.0
        assert each.predicted.sum(axis=1) == pytest.approx(np.ones(41))
        assert each.seconds > 0
    assert found.unavailable == {}


def test_what_stands_after_512_words_is_seen_in_whole_texts_only():
    training, training_gold = one_label_texts(80, clue_after=600)
    texts, gold = one_label_texts(40, clue_after=600)
    found = by_name(baselines.one_label_baselines(training, training_gold, texts, gold, LABELS))
    assert found["tfidf"].metrics.values["accuracy"] == 1.0
    assert found["tfidf_first_512"].metrics.values["accuracy"] == found["constant"].metrics.values["accuracy"] == 0.5


def test_the_callers_own_cut():
    training, training_gold = one_label_texts(80, clue_after=3)
    texts, gold = one_label_texts(40, clue_after=3)
    calls = {"cut": lambda text: " ".join(text.split()[:3])}
    found = by_name(baselines.one_label_baselines(training, training_gold, texts, gold, LABELS, **calls))
    assert found["tfidf"].metrics.values["accuracy"] == 1.0
    assert found["tfidf_first_512"].metrics.values["accuracy"] == 0.5


def test_a_label_that_training_lacks_is_never_answered():
    training, training_gold = one_label_texts(80)
    keep = np.flatnonzero(training_gold != 2)
    texts, gold = one_label_texts(40)
    found = by_name(
        baselines.one_label_baselines([training[i] for i in keep], training_gold[keep], texts, gold, LABELS)
    )
    assert (found["tfidf"].predicted[:, 2] == 0).all()
    assert found["tfidf"].metrics.values["accuracy"] == pytest.approx(30 / 40)


def several_labels_texts(examples):
    """Every set of three labels in turn, that of the second one alone more often; each shows in a word."""
    sets = [(0, 1, 0), (1, 1, 0), (0, 0, 1), (1, 0, 1), (0, 1, 0), (0, 0, 0)]
    gold = np.array([sets[i % len(sets)] for i in range(examples)], bool)
    return [" ".join([FILLER, *(c for c, has in zip(CLUES, row, strict=True) if has)]) for row in gold], gold


def test_of_several_labels_one_baseline_answers_the_most_frequent_set_and_one_learns_from_words():
    training, training_gold = several_labels_texts(120)
    texts, gold = several_labels_texts(60)
    found = by_name(baselines.several_labels_baselines(training, training_gold, texts, gold, LABELS))
    constant = found["constant"]
    answered = constant.predicted >= constant.thresholds
    assert (answered == [False, True, False]).all()
    assert constant.metrics.values["subset_accuracy"] == pytest.approx(2 / 6)
    assert constant.metrics.values["micro_f1"] == pytest.approx(sk.f1_score(gold, answered, average="micro"))
    assert constant.predicted[0] == pytest.approx([2 / 6, 3 / 6, 2 / 6])
    assert constant.description.startswith("always “politics”, the most frequent set")
    for name in ("tfidf", "tfidf_first_512"):
        assert found[name].metrics.values["subset_accuracy"] == 1.0
        assert found[name].thresholds.tolist() == [0.5] * 3


def test_labels_that_none_or_all_have_in_training_are_answered_so():
    training, training_gold = several_labels_texts(120)
    texts, gold = several_labels_texts(60)
    training_gold[:, 0], training_gold[:, 2] = False, True
    found = by_name(baselines.several_labels_baselines(training, training_gold, texts, gold, LABELS))
    assert (found["tfidf"].predicted[:, [0, 2]] == [0.0, 1.0]).all()
    assert (found["constant"].predicted[0] >= found["constant"].thresholds).tolist() == [False, False, True]
    assert found["tfidf"].metrics.per_label["politics"]["f1"] == 1.0


def test_of_numbers_one_baseline_answers_the_mean_and_one_learns_from_words():
    training, training_labels = one_label_texts(80)
    texts, labels = one_label_texts(40)
    numbers = np.array([10.0, 20.0, 60.0])
    found = by_name(baselines.number_baselines(training, numbers[training_labels], texts, numbers[labels]))
    constant = found["constant"].metrics
    assert found["constant"].predicted == pytest.approx(np.full(40, 27.5))
    assert constant.values["mean_absolute_error"] == pytest.approx((17.5 + 2 * 7.5 + 32.5) / 4)
    assert constant.values["r2"] == pytest.approx(0.0)
    assert constant.undefined["pearson"] == "the predicted numbers are all the same"
    assert found["tfidf"].metrics.values["r2"] > 0.99
    assert found["tfidf"].metrics.values["spearman"] == pytest.approx(1.0)


def test_what_cannot_be_had_says_why():
    texts, gold = one_label_texts(8)
    found = baselines.one_label_baselines(texts, np.ones(8, int), texts, gold, LABELS)
    assert [each.name for each in found.measured] == ["constant"]
    assert found.unavailable["tfidf"] == "all training texts have one label"
    found = baselines.one_label_baselines(["…", "!"], np.array([0, 1]), texts, gold, LABELS)
    assert found.unavailable["tfidf_first_512"] == "the training texts have no words"
    found = baselines.number_baselines(["a"], np.array([1.0]), ["", "a"], np.array([1.0, 2.0]))
    assert len(found.measured) == 3


@pytest.mark.parametrize(("texts", "answers"), [([], []), (["a"], [0, 1])])
def test_lengths_that_do_not_fit(texts, answers):
    with pytest.raises(ValueError, match=rf"{len(texts)} training texts with {len(answers)} answers"):
        baselines.one_label_baselines(texts, np.array(answers, int), ["a"], np.array([0]), LABELS)


def test_too_many_training_texts_are_drawn_from_and_it_is_told(monkeypatch):
    training, training_gold = one_label_texts(80)
    texts, gold = one_label_texts(40)
    monkeypatch.setattr(baselines, "MOST_TEXTS", 30)
    found = by_name(baselines.one_label_baselines(training, training_gold, texts, gold, LABELS))
    assert found["tfidf"].description.endswith("logistic regression; 30 training texts, drawn at random from 80")
    monkeypatch.setattr(baselines, "MOST_CHARACTERS", 1)
    data = baselines._Data(training, training_gold, texts, 0)
    assert len(baselines._drawn(data)) == 1
    monkeypatch.setattr(baselines, "MOST_CHARACTERS", sum(map(len, training)))
    monkeypatch.setattr(baselines, "MOST_TEXTS", 1000)
    assert baselines._drawn(data).tolist() == list(range(80))


def test_the_same_seed_gives_the_same_result():
    training, training_gold = several_labels_texts(120)
    first, again = (
        by_name(baselines.several_labels_baselines(training, training_gold, training, training_gold, LABELS))
        for _ in range(2)
    )
    assert (first["tfidf"].predicted == again["tfidf"].predicted).all()


def test_words_that_are_in_one_text_only_are_used_where_there_are_no_others():
    texts = [f"word{i}" for i in range(1000)]
    terms, evaluated = baselines._terms(texts, texts[:3])
    assert terms.shape == (1000, 1000)
    assert evaluated.nnz == 3


@pytest.mark.parametrize(
    ("text", "most", "expected"),
    [
        ("one two, three four", 2, "one two"),
        ("one two", 5, "one two"),
        ("one two", 2, "one two"),
        ("銀行は東京", 3, "銀行は"),
        ("a銀b", 2, "a銀"),
        ("", 2, ""),
        ("Straße número слово", 2, "Straße número"),
    ],
)
def test_first_words(text, most, expected):
    assert baselines.first_words(text, most) == expected
