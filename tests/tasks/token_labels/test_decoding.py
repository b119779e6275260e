"""From tags' scores to spans: always whole, never overlapping."""

import numpy as np
import pytest

from bigbird.tasks.token_labels.decoding import decode
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
        ("I-A I-A O I-B", [(0, 1, 0), (3, 3, 1)]),  # nothing begins them
        ("B-A I-B I-B", [(0, 2, 1)]),  # one span, of the label that most of it has
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


def test_the_graph_decodes_all_texts_alike():
    rng = np.random.default_rng(2)
    sizes = [0, 1, 7, 0, 30, 200, 3]
    logits = [rng.normal(size=(size, 5)).astype(np.float32) * 2 for size in sizes]
    text = np.repeat(np.arange(len(sizes)), sizes)
    first, last, label, score = (each.numpy() for each in _decode(np.concatenate(logits), text))
    begin = np.cumsum(sizes) - sizes
    for number, each in enumerate(logits):
        mine = text[first] == number
        expected = decode(each)
        found = zip(first[mine] - begin[number], last[mine] - begin[number], label[mine], strict=True)
        assert [tuple(map(int, span)) for span in found] == [span[:3] for span in expected]
        assert score[mine] == pytest.approx([span.score for span in expected], abs=1e-6)
