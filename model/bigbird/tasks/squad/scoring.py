"""From the scores of windows' tokens to answers, and their metrics."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bigbird.manifests import DatasetManifest
from bigbird.scoring import least_records, read_examples, read_split
from bigbird.support.errors import InputError
from bigbird.tasks import metrics as metric
from bigbird.tasks.evaluation import Collector, Evaluation
from bigbird.tasks.squad.config import SquadTask
from bigbird.tasks.squad.decoding import PredictedAnswer, RankedSpans, WindowOffsets, decode, window_spans
from bigbird.tasks.squad.examples import METRICS

OTHER_NAMES = {"final_f1": ("f1",), "final_exact_match": ("exact_match",), "exact": ("exact_match",)}  # recipes' names
VERSION_2_METRICS = (
    *(f"{kind}_{name}" for kind in ("HasAns", "NoAns") for name in ("exact", "f1", "total")),
    *(f"best_{name}{end}" for name in ("exact", "f1") for end in ("", "_thresh")),
)
"""Further metrics where a question may have no answer; the first six as far as there are such questions."""


@dataclass(frozen=True)
class ScoredQuestion:
    """A question, its gold answers (text, first character) and its context, which is `pieces` tokens long."""

    id: str
    text: str
    title: str
    context: str
    answers: tuple[tuple[str, int], ...]
    is_impossible: bool
    pieces: int

    @property
    def gold(self) -> list[str]:
        return [text for text, _ in self.answers]


@dataclass(frozen=True)
class SquadResults:
    """Every question's outcome, in the split's order; `scores` are (exact match, F1), None without gold answers."""

    questions: list[ScoredQuestion]
    answers: list[PredictedAnswer]
    scores: list[tuple[float, float]] | None
    version_2: bool


class SpanCollector(Collector):
    """Keeps each window's best spans."""

    def __init__(self, task: SquadTask, manifest: DatasetManifest, folder: Path, split: str):
        self.task, self.version_2 = task, bool(manifest["version_2"])
        self.metric_names = (*METRICS, *(VERSION_2_METRICS if self.version_2 else ()), *OTHER_NAMES)
        self.windows: dict[int, WindowOffsets] = {}
        self.of_question: dict[str, list[int]] = defaultdict(list)
        for record in read_split(folder, manifest, split):
            unique_id = int(record["unique_ids"][0])
            self.windows[unique_id] = WindowOffsets(
                record["offset_starts"].astype(np.int32),
                record["offset_ends"].astype(np.int32),
                record["max_context"].astype(bool),
            )
            self.of_question[record["example_id"].decode()].append(unique_id)
        for unique_ids in self.of_question.values():
            unique_ids.sort()  # the order of the windows, whatever the order of the files
        self.questions = [question for line in read_examples(folder, split) for question in self._questions(line)]
        self.labelled = any(question.answers or question.is_impossible for question in self.questions)
        self.reset()

    def _questions(self, line: dict[str, Any]) -> Iterator[ScoredQuestion]:
        """A paragraph's questions, those with at least one window."""
        for entry in line["questions"]:
            windows = [self.windows[i] for i in self.of_question.get(entry["id"], ())]
            if windows:
                pieces = int(sum(window.max_context.sum() for window in windows))
                answers = tuple((answer["text"], answer["answer_start"]) for answer in entry["answers"])
                yield ScoredQuestion(
                    entry["id"],
                    entry["question"],
                    line["title"],
                    line["context"],
                    answers,
                    entry["is_impossible"],
                    pieces,
                )

    def reset(self) -> None:
        self.spans: dict[int, RankedSpans] = {}

    @property
    def least_records(self) -> int:
        return least_records(self.windows, (self.of_question[question.id] for question in self.questions))

    @property
    def missing(self) -> int:
        return sum(not self._whole(question) for question in self.questions)

    def _whole(self, question: ScoredQuestion) -> bool:
        return all(i in self.spans for i in self.of_question[question.id])

    def add(self, ids: np.ndarray, outputs: dict[str, np.ndarray], label_ids: np.ndarray | None) -> None:
        """Takes start_logits and end_logits, float32[B, L], of the records int64[B]."""
        del label_ids  # answers are the dataset's
        limits = {"n_best_size": self.task.n_best_size, "max_answer_length": self.task.max_answer_length}
        for i, start, end in zip(ids.tolist(), outputs["start_logits"], outputs["end_logits"], strict=True):
            if i not in self.windows:
                raise InputError(f"record {i} is not among the split's records; are the dataset's files of one run?")
            self.spans[i] = window_spans(start, end, self.windows[i], **limits)

    def result(self) -> Evaluation:
        questions = [question for question in self.questions if self._whole(question)]
        if not questions:
            raise InputError("nothing to score: no question was evaluated with all its windows")
        answers = [self._answer(question) for question in questions]
        if not self.labelled:
            results = SquadResults(questions, answers, None, self.version_2)
            return Evaluation({}, METRICS[0], {}, "", results, OTHER_NAMES)
        scores = self._scores(questions, [answer.text for answer in answers])
        measured = self._metrics(questions, scores)
        if self.version_2:
            measured |= self._thresholds(questions, answers)
        text, baseline = self._baseline(questions)
        results = SquadResults(questions, answers, scores, self.version_2)
        return Evaluation(measured, METRICS[0], baseline, text, results, OTHER_NAMES)

    def _answer(self, question: ScoredQuestion) -> PredictedAnswer:
        return decode(
            question.context,
            [(self.windows[i], self.spans[i]) for i in self.of_question[question.id]],
            n_best_size=self.task.n_best_size,
            version_2=self.version_2,
            null_score_diff_threshold=self.task.null_score_diff_threshold,
        )

    def _scores(self, questions: list[ScoredQuestion], texts: list[str]) -> list[tuple[float, float]]:
        """(exact match, F1) of each question's text."""
        predictions = {question.id: text for question, text in zip(questions, texts, strict=True)}
        golds = {question.id: question.gold for question in questions}
        scores = metric.squad_scores(predictions, golds, version_2=self.version_2)
        return [scores[question.id] for question in questions]

    def _metrics(self, questions: list[ScoredQuestion], scores: list[tuple[float, float]]) -> dict[str, float]:
        by_id = {question.id: score for question, score in zip(questions, scores, strict=True)}
        if not self.version_2:
            return metric.squad_metrics(by_id)
        return metric.squad_v2_metrics(by_id, {question.id: bool(question.answers) for question in questions})

    def _thresholds(self, questions: list[ScoredQuestion], answers: list[PredictedAnswer]) -> dict[str, float]:
        """The best that any null threshold would have given, over each question's best text."""
        pairs = list(zip(questions, answers, strict=True))
        odds = {question.id: answer.null_odds for question, answer in pairs}
        answerable = {question.id: bool(question.answers) for question in questions}
        answered = {question.id: bool(answer.best_text) for question, answer in pairs}
        found: dict[str, float] = {}
        all_scores = self._scores(questions, [answer.best_text for answer in answers])
        for position, name in enumerate(("exact", "f1")):
            scores = {question.id: score[position] for question, score in zip(questions, all_scores, strict=True)}
            found[f"best_{name}"], found[f"best_{name}_thresh"] = metric.best_threshold(
                scores, odds, answerable, answered
            )
        return found

    def _baseline(self, questions: list[ScoredQuestion]) -> tuple[str, dict[str, float]]:
        """The better of no answer and the most common gold answer, in words, and its metrics."""
        counts = Counter(text for question in questions for text in dict.fromkeys(question.gold))
        constants = ["", *(text for text, _ in counts.most_common(1))]
        tried = {text: self._metrics(questions, self._scores(questions, [text] * len(questions))) for text in constants}
        best = max(tried, key=lambda text: tried[text][METRICS[0]])
        return f"always “{best}”" if best else "always no answer", tried[best]


def score_answers(
    questions: Sequence[dict[str, Any]], outputs: Mapping[str, np.ndarray], name: str, *, version_2: bool
) -> float:
    """A metric from an exported model's answers.

    Args:
        questions: with their gold answers.
        outputs: the exported model's, a row for each of N: `answer`, bytes[N].
        name: the metric.
        version_2: whether a question may have no answer.
    """
    texts = [value.decode("utf-8") for value in outputs["answer"]]
    predictions = {question["id"]: text for question, text in zip(questions, texts, strict=True)}
    golds = {question["id"]: [answer["text"] for answer in question["answers"]] for question in questions}
    return metric.squad_metrics(metric.squad_scores(predictions, golds, version_2=version_2))[name]
