"""From start and end scores to answers, in NumPy. The exported model does the same in its graph.

The rules, for one question whose context is cut into windows:
1. A piece is a candidate if it belongs to the paragraph and covers at least one character. It can be a start only in
   its maximum-context window, an end in every window.
2. Per window, the `n_best_size` best starts and as many best ends among the candidates are paired; pairs that run
   backwards or are longer than `max_answer_length` pieces are dropped. A pair's score is start + end, in float32.
3. All windows' pairs are ranked by score; equal scores by window, then start, then end, the lowest first. Only the
   first of equal texts is kept, and `n_best_size` texts in all.
4. The null score is the least, over windows, of the score of [CLS] as start and end. In version 2 the answer is ""
   if null score - best score is above the threshold.

L: pieces of a window, padding included or not. P: pairs kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Null odds of a question that has no candidate at all: above any threshold, and still a number in JSON.
CERTAINLY_NULL = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class WindowOffsets:
    """What decoding needs to know of a window; all arrays are [pieces], unpadded.

    Attributes:
        offset_starts, offset_ends: int; characters of the context that a piece covers, -1 outside the paragraph.
        max_context: bool; whether this is the piece's maximum-context window.
    """

    offset_starts: np.ndarray
    offset_ends: np.ndarray
    max_context: np.ndarray


@dataclass(frozen=True)
class RankedSpans:
    """A window's pairs, best first, and its null score.

    Attributes:
        starts, ends: int64[P]; pieces, the end included.
        start_scores, end_scores: float32[P].
        null_score: score of [CLS] as start and end.
    """

    starts: np.ndarray
    ends: np.ndarray
    start_scores: np.ndarray
    end_scores: np.ndarray
    null_score: float


@dataclass(frozen=True)
class Candidate:
    """One text of an n-best list; `start` and `end` are characters of the context, the end excluded."""

    text: str
    start: int
    end: int
    start_score: float
    end_score: float
    score: float
    probability: float


@dataclass(frozen=True)
class PredictedAnswer:
    """A question's answer.

    Attributes:
        text: the answer; "" is "no answer".
        start, end: characters of the context, the end excluded; 0, 0 for "".
        null_odds: null score minus the best candidate's score.
        null_score: see the module's rule 4.
        candidates: n-best, best first, never "" itself; probabilities are a softmax over them (and over the null
            answer in version 2).
    """

    text: str
    start: int
    end: int
    null_odds: float
    null_score: float
    candidates: tuple[Candidate, ...]

    @property
    def best_text(self) -> str:
        """The best text whatever the null score; "" only where nothing is a candidate."""
        return self.candidates[0].text if self.candidates else ""


def window_spans(
    start_logits: np.ndarray, end_logits: np.ndarray, window: WindowOffsets, *, n_best_size: int, max_answer_length: int
) -> RankedSpans:
    """The pairs of one window: rules 1 and 2.

    Args:
        start_logits, end_logits: float32[L], L at least the window's pieces.
        window: its offsets.
        n_best_size: starts and ends to pair.
        max_answer_length: pieces.
    """
    pieces = len(window.offset_starts)
    start_logits, end_logits = (np.asarray(logits, np.float32)[:pieces] for logits in (start_logits, end_logits))
    covering = (window.offset_starts >= 0) & (window.offset_ends > window.offset_starts)
    starts = _best(start_logits, covering & (np.asarray(window.max_context) == 1), n_best_size)[:, None]
    ends = _best(end_logits, covering, n_best_size)[None, :]
    kept = (starts <= ends) & (ends - starts < max_answer_length)  # (starts, ends)
    starts, ends = (np.broadcast_to(pieces, kept.shape)[kept] for pieces in (starts, ends))  # (P,)
    scores = start_logits[starts] + end_logits[ends]
    order = np.lexsort((ends, starts, -scores))
    starts, ends = starts[order], ends[order]
    return RankedSpans(starts, ends, start_logits[starts], end_logits[ends], float(start_logits[0] + end_logits[0]))


def _best(logits: np.ndarray, allowed: np.ndarray, count: int) -> np.ndarray:
    """The `count` highest of the allowed positions; equal ones from the lowest. int64[<= count]."""
    positions = np.flatnonzero(allowed)
    return positions[np.argsort(-logits[positions], kind="stable")[:count]]


def decode(
    context: str,
    windows: Sequence[tuple[WindowOffsets, RankedSpans]],
    *,
    n_best_size: int,
    version_2: bool,
    null_score_diff_threshold: float = 0.0,
) -> PredictedAnswer:
    """The answer to one question: rules 3 and 4.

    Args:
        context: the text that the windows' offsets point into.
        windows: every window of the question, in order, with its spans.
        n_best_size: texts to keep.
        version_2: whether "" may be the answer.
        null_score_diff_threshold: answer "" where the null odds are above it.
    """
    null_score = min(spans.null_score for _, spans in windows)
    best = _distinct(context, windows, n_best_size)
    scores = np.array([start + end for *_, start, end in best], np.float32).astype(np.float64)
    everything = np.append(scores, null_score) if version_2 else scores
    probabilities = _softmax(everything)[: len(best)]
    candidates = tuple(
        Candidate(text, start, end, float(start_score), float(end_score), float(score), float(probability))
        for (text, start, end, start_score, end_score), score, probability in zip(
            best, scores, probabilities, strict=True
        )
    )
    null_odds = null_score - candidates[0].score if candidates else CERTAINLY_NULL
    if not candidates or (version_2 and null_odds > null_score_diff_threshold):
        return PredictedAnswer("", 0, 0, null_odds, null_score, candidates)
    return PredictedAnswer(
        candidates[0].text, candidates[0].start, candidates[0].end, null_odds, null_score, candidates
    )


def _distinct(
    context: str, windows: Sequence[tuple[WindowOffsets, RankedSpans]], count: int
) -> list[tuple[str, int, int, np.float32, np.float32]]:
    """The `count` best (text, start character, end character, start score, end score) with different texts."""
    begins = np.concatenate([window.offset_starts[spans.starts] for window, spans in windows])
    stops = np.concatenate([window.offset_ends[spans.ends] for window, spans in windows])
    start_scores = np.concatenate([spans.start_scores for _, spans in windows])
    end_scores = np.concatenate([spans.end_scores for _, spans in windows])
    # Windows, and the pairs within each, already stand in order, so a stable sort settles equal scores as rule 3 does.
    order = np.argsort(-(start_scores + end_scores), kind="stable")
    found: dict[str, tuple[str, int, int, np.float32, np.float32]] = {}
    for i in order:
        text = context[begins[i] : stops[i]]
        found.setdefault(text, (text, int(begins[i]), int(stops[i]), start_scores[i], end_scores[i]))
        if len(found) == count:
            break
    return list(found.values())


def _softmax(scores: np.ndarray) -> np.ndarray:
    if not len(scores):
        return scores
    weights = np.exp(scores - scores.max())
    return weights / weights.sum()
