"""Decoding of spans against hand-worked cases and a brute-force reference."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigbird.tasks.squad.decoding import CERTAINLY_NULL, WindowOffsets, decode, window_spans

CONTEXT = "alpha beta gamma beta delta"


def _window():
    """[CLS], two pieces of question, the context's five words (pieces 3 to 7), [SEP]."""
    starts = [0, 6, 11, 17, 22]
    ends = [5, 10, 16, 21, 27]
    outside = [-1, -1, -1]
    return WindowOffsets(
        np.array([*outside, *starts, -1]), np.array([*outside, *ends, -1]), np.array([0, 0, 0, 1, 1, 1, 1, 1, 0])
    )


def _logits(**scores):
    values = np.full(9, -10.0, np.float32)
    for name, score in scores.items():
        values[int(name[1:])] = score
    return values


def _decode(start, end, windows=None, **options):
    limits = {"n_best_size": 20, "max_answer_length": 30}
    limits.update((key, options.pop(key)) for key in list(options) if key in limits)
    windows = windows or [_window()]
    spans = [(window, window_spans(s, e, window, **limits)) for window, s, e in zip(windows, start, end, strict=True)]
    return decode(CONTEXT, spans, n_best_size=limits["n_best_size"], **{"version_2": False, **options})


def test_the_best_span_is_cut_out_of_the_context():
    answer = _decode([_logits(p3=5)], [_logits(p4=4)])
    assert (answer.text, answer.start, answer.end) == ("alpha beta", 0, 10)
    assert answer.candidates[0].score == 9.0
    assert (answer.candidates[0].start_score, answer.candidates[0].end_score) == (5.0, 4.0)


def test_question_and_padding_are_never_answers():
    start, end = _logits(p1=50, p5=1), _logits(p2=50, p8=60, p5=1)
    assert _decode([start], [end]).text == "gamma"
    padded = np.concatenate([start, np.full(7, 99, np.float32)]), np.concatenate([end, np.full(7, 99, np.float32)])
    assert _decode([padded[0]], [padded[1]]).text == "gamma"


def test_backward_and_overlong_spans_are_dropped():
    start, end = _logits(p6=5, p3=2), _logits(p4=5, p7=1)
    assert _decode([start], [end]).text == "alpha beta"  # 6..4 runs backwards, 3..4 beats 6..7
    assert _decode([_logits(p3=5)], [_logits(p7=5, p4=1)], max_answer_length=5).text == CONTEXT
    assert _decode([_logits(p3=5)], [_logits(p7=5, p4=1)], max_answer_length=4).text == "alpha beta"


def test_a_start_counts_only_in_its_maximum_context_window():
    elsewhere = WindowOffsets(_window().offset_starts, _window().offset_ends, np.array([0, 0, 0, 1, 1, 0, 0, 0, 0]))
    here = WindowOffsets(_window().offset_starts, _window().offset_ends, np.array([0, 0, 0, 0, 0, 1, 1, 1, 0]))
    start, end = _logits(p5=9, p3=1), _logits(p5=9, p3=1)
    assert _decode([start], [end], [elsewhere]).text == "alpha beta gamma"  # the end needs no maximum context
    assert _decode([start, _logits(p6=0)], [end, _logits(p6=0)], [elsewhere, here]).text == "alpha beta gamma"
    assert _decode([start], [end], [here]).text == "gamma"


def test_equal_texts_are_listed_once():
    answer = _decode([_logits(p4=5, p6=4)], [_logits(p4=5, p6=4)], n_best_size=3)
    texts = [candidate.text for candidate in answer.candidates]
    assert texts[0] == "beta" and len(texts) == len(set(texts)) == 3
    assert (answer.start, answer.end) == (6, 10)


def test_equal_scores_go_to_the_lowest_window_start_and_end():
    flat = np.zeros(9, np.float32)
    answer = _decode([flat, flat], [flat, flat], [_window(), _window()])
    assert (answer.start, answer.end, answer.text) == (0, 5, "alpha")
    assert [c.text for c in answer.candidates[:3]] == ["alpha", "alpha beta", "alpha beta gamma"]


def test_probabilities_are_a_softmax_over_the_list():
    answer = _decode([_logits(p3=1, p4=1)], [_logits(p3=1, p4=1)], n_best_size=2)
    total = sum(candidate.probability for candidate in answer.candidates)
    assert total == pytest.approx(1.0)
    with_null = _decode([_logits(p0=1, p3=1)], [_logits(p0=1, p3=1)], n_best_size=1, version_2=True)
    assert with_null.candidates[0].probability == pytest.approx(0.5)


def test_null_odds_are_the_least_null_score_minus_the_best_span():
    start, end = [_logits(p0=4, p3=1), _logits(p0=1)], [_logits(p0=3, p3=2), _logits(p0=1)]
    answer = _decode(start, end, [_window(), _window()], version_2=True)
    assert (answer.null_score, answer.null_odds, answer.text) == (2.0, -1.0, "alpha")
    odds_above = _decode(start, end, [_window(), _window()], version_2=True, null_score_diff_threshold=-1.5)
    assert (odds_above.text, odds_above.start, odds_above.end, odds_above.best_text) == ("", 0, 0, "alpha")
    at_threshold = _decode(start, end, [_window(), _window()], version_2=True, null_score_diff_threshold=-1.0)
    assert at_threshold.text == "alpha"  # only above it


def test_version_1_always_answers():
    answer = _decode([_logits(p0=99, p3=1)], [_logits(p0=99, p3=1)])
    assert answer.text == "alpha"


def test_nothing_to_choose_from_is_no_answer():
    nothing = WindowOffsets(np.full(9, -1), np.full(9, -1), np.zeros(9, int))
    answer = _decode([_logits()], [_logits()], [nothing], version_2=True)
    assert (answer.text, answer.candidates, answer.null_odds) == ("", (), CERTAINLY_NULL)


def test_pieces_that_cover_no_character_are_never_a_border():
    window = _window()
    empty = WindowOffsets(
        window.offset_starts, np.where(np.arange(9) == 4, window.offset_starts, window.offset_ends), window.max_context
    )
    answer = _decode([_logits(p4=9, p5=1)], [_logits(p4=9, p5=1)], [empty])
    assert answer.text == "gamma"


def _brute_force(context, windows, logits, n_best, longest, version_2, threshold):
    """Every pair of every window, written as plainly as can be."""
    pairs, null = [], math.inf
    for index, (window, (start, end)) in enumerate(zip(windows, logits, strict=True)):
        null = min(null, float(start[0] + end[0]))
        inside = [i for i in range(len(window.offset_starts)) if 0 <= window.offset_starts[i] < window.offset_ends[i]]
        best_starts = sorted((i for i in inside if window.max_context[i]), key=lambda i: (-start[i], i))[:n_best]
        best_ends = sorted(inside, key=lambda i: (-end[i], i))[:n_best]
        for s in best_starts:
            for e in best_ends:
                if s <= e < s + longest:
                    text = context[window.offset_starts[s] : window.offset_ends[e]]
                    pairs.append((-float(start[s] + end[e]), index, s, e, text))
    texts: list[tuple[str, float]] = []
    for score, _, _, _, text in sorted(pairs):
        if text not in [known for known, _ in texts] and len(texts) < n_best:
            texts.append((text, -score))
    if not texts or (version_2 and null - texts[0][1] > threshold):
        return "", texts, null
    return texts[0][0], texts, null


@st.composite
def _questions(draw):
    words = draw(st.lists(st.sampled_from(["aa", "b", "cc c"]), min_size=1, max_size=8))
    context = " ".join(words)
    cuts = sorted(draw(st.sets(st.integers(0, len(context)), max_size=6)) | {0, len(context)})
    pieces = list(itertools.pairwise(cuts))
    windows, logits = [], []
    # Few different values, so that equal scores are common; all are exact in float32.
    values = st.sampled_from([-2.0, -0.5, 0.0, 0.25, 1.0, 1.5])
    for _ in range(draw(st.integers(1, 3))):
        first = draw(st.integers(0, len(pieces) - 1))
        part = pieces[first : draw(st.integers(first + 1, len(pieces)))]
        starts, ends = [-1, -1, *(s for s, _ in part), -1], [-1, -1, *(e for _, e in part), -1]
        kept = [0, 0, *(draw(st.integers(0, 1)) for _ in part), 0]
        windows.append(WindowOffsets(np.array(starts), np.array(ends), np.array(kept)))
        length = len(starts) + draw(st.integers(0, 2))
        scores = st.lists(values, min_size=length, max_size=length)
        logits.append((np.array(draw(scores), np.float32), np.array(draw(scores), np.float32)))
    return context, windows, logits


@settings(max_examples=300, deadline=None)
@given(_questions(), st.integers(1, 6), st.integers(1, 6), st.booleans(), st.sampled_from([-1.0, 0.0, 1.0]))
def test_decoding_agrees_with_brute_force(question, n_best, longest, version_2, threshold):
    context, windows, logits = question
    spans = [
        (window, window_spans(start, end, window, n_best_size=n_best, max_answer_length=longest))
        for window, (start, end) in zip(windows, logits, strict=True)
    ]
    answer = decode(context, spans, n_best_size=n_best, version_2=version_2, null_score_diff_threshold=threshold)
    text, texts, null = _brute_force(context, windows, logits, n_best, longest, version_2, threshold)
    assert answer.text == text
    assert [(c.text, c.score) for c in answer.candidates] == texts
    assert answer.null_score == null
    assert context[answer.start : answer.end] == answer.text
