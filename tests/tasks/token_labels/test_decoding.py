"""From tags' scores to spans: always whole, never overlapping."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from bigbird.tasks.token_labels.decoding import Transitions, best_tags, decode
from bigbird.tasks.token_labels.serving import _decode
from bigbird.tasks.token_labels.spans import tag_names

TAGS = tag_names(["A", "B"])


def scores(tags, strength=4.0):
    logits = np.zeros((len(tags), len(TAGS)), np.float32)
    logits[np.arange(len(tags)), [TAGS.index(tag) for tag in tags]] = strength
    return logits


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("O O", []),
        ("B-A I-A O B-B", [(0, 1, 0), (3, 3, 1)]),
        ("B-A B-A I-A", [(0, 0, 0), (1, 2, 0)]),
        ("I-A I-A I-A O O", [(0, 2, 0)]),  # nothing begins them, so the first unit does
    ],
)
def test_spans_of_tags(tags, spans):
    assert [span[:3] for span in decode(scores(tags.split()))] == spans
    assert decode(np.zeros((0, 5), np.float32)) == []


def test_the_score_is_the_mean_probability_of_the_label():
    logits = scores(["B-A", "I-A"])
    logits[1] = [0, 0, 2, 0, 0]
    (span,) = decode(logits)
    each = [(np.exp(s) + 1) / (np.exp(s) + 4) for s in (4.0, 2.0)]
    assert span.score == pytest.approx(np.mean(each), abs=1e-12)


def total(tags, logs, t):
    """The score of a sequence of tags."""
    score, before = 0.0, 0
    for tag, row in zip(tags, logs, strict=True):
        if tag and tag % 2 == 0 and before not in (tag, tag - 1):
            return -np.inf
        if before == 0:
            step = t.outside_begin if tag else t.outside_outside
        elif tag % 2:
            step = t.inside_begin
        else:
            step = t.inside_inside if tag else t.inside_outside
        score, before = score + row[tag] + step, tag
    return score


def test_no_other_allowed_sequence_scores_better():
    rng = np.random.default_rng(3)
    for weight in (0.0, 1.0):
        transitions = Transitions.weighted(Transitions.counted(100, 30, 10, 2)._asdict(), weight)
        for _ in range(20):
            logs = np.log(rng.dirichlet(np.ones(5), size=5))

            best = max(itertools.product(range(5), repeat=5), key=lambda tags: total(tags, logs, transitions))
            assert total(best_tags(logs, transitions), logs, transitions) == pytest.approx(
                total(best, logs, transitions), abs=1e-9
            )


def test_transitions_are_logs_of_how_much_likelier_a_tag_is():
    found = Transitions.counted(1000, 200, 50, 10)
    assert found.outside_begin == pytest.approx(np.log((40.5 / 801) / (50.5 / 1001.5)))
    assert found.inside_inside == pytest.approx(np.log((150.5 / 201.5) / (150.5 / 1001.5)))
    assert found.inside_begin == pytest.approx(np.log((10.5 / 201.5) / (50.5 / 1001.5)))
    assert all(
        np.isfinite(Transitions.counted(*counts)).all()
        for counts in ((0, 0, 0, 0), (5, 5, 5, 4), (5, 0, 0, 0), (1, 1, 1, 0))
    )
    assert Transitions.weighted({"inside_inside": 2.0}, 0.5) == (0, 0, 1.0, 0, 0)


def test_the_graph_decodes_all_texts_alike():
    rng = np.random.default_rng(2)
    for sizes in ([0, 1, 7, 0, 30, 200, 3], [0, 0], [1]):
        logits = [rng.normal(size=(size, 5)).astype(np.float32) * 2 for size in sizes]
        text = np.repeat(np.arange(len(sizes)), sizes)
        for transitions in (Transitions(), Transitions.counted(1000, 200, 50, 10)):
            joined = tf.constant(np.concatenate(logits), tf.float32)
            first, last, label, score = (
                each.numpy()
                for each in _decode(joined, tf.constant(text, tf.int64), tf.constant(len(sizes), tf.int64), transitions)
            )
            begin = np.cumsum(sizes) - sizes
            for number, each in enumerate(logits):
                mine = text[first] == number
                expected = decode(each, transitions)
                found = zip(first[mine] - begin[number], last[mine] - begin[number], label[mine], strict=True)
                assert [tuple(map(int, span)) for span in found] == [span[:3] for span in expected]
                assert score[mine] == pytest.approx([span.score for span in expected], abs=1e-6)
