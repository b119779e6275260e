"""SQuAD v1.1 and v2.0: reading the official JSON, cutting contexts into windows, labelling them by position.

Each context is cut into pieces once for all its questions; SentencePiece says where in the text each piece lies, so
an answer's pieces are found by its character positions and nothing is searched for.

Letters: T pieces of a context, W windows, L tokens of one record.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np

from bigbird.records import features
from bigbird.support.errors import InputError
from bigbird.support.text_files import shown
from bigbird.tasks.records import BadRecords, as_json, has_text, load_json, name_of, text_problem
from bigbird.text.vocabulary import Pieces, Vocabulary

SQUAD_TASKS = {"squad_v1": False, "squad_v2": True}
"""Task name -> whether a question may have no answer (SQuAD v2.0)."""

METRICS = ("f1", "exact_match")

# How the names of a split's files begin.
_BEGINNINGS = {"train": "train", "validation": "dev", "test": "test"}

# unique_ids is the question's number times this, plus the window's number.
WINDOWS_PER_QUESTION = 100_000


class GoldAnswer(TypedDict):
    text: str
    answer_start: int


class Question(TypedDict):
    """`answers` is empty where there is none, or where the file has no answers (a test file)."""

    id: str
    question: str
    answers: list[GoldAnswer]
    is_impossible: bool


class Paragraph(TypedDict):
    """A context with its questions, as each line of `examples.jsonl` holds it."""

    title: str
    context: str
    questions: list[Question]


@dataclass(frozen=True)
class WindowOptions:
    """How contexts are cut; all in tokens.

    Attributes:
        max_length: a record's most tokens.
        doc_stride: from one window's start to the next (not their overlap).
        query_length: a question's most tokens; the rest of it is left out.
    """

    max_length: int = 1024
    doc_stride: int = 128
    query_length: int = 64

    def __post_init__(self) -> None:
        if min(self.max_length, self.doc_stride, self.query_length) < 1:
            raise InputError(f"max_length, doc_stride and query_length must be at least 1; found {self}")
        if self.max_length < self.query_length + 4:
            raise InputError(
                f"max_length {self.max_length} leaves no room for a context beside query_length {self.query_length} and "
                f"3 special tokens; expected at least {self.query_length + 4}"
            )


# ------------------------------------------------------------------------------------------------------ reading


def file_names(version_2: bool) -> dict[str, tuple[str, ...]]:
    """split -> the official name, and a plain one."""
    version = "2.0" if version_2 else "1.1"
    return {split: (f"{start}-v{version}.json", f"{start}.json") for split, start in _BEGINNINGS.items()}


def find_files(names: Iterable[str], version_2: bool) -> dict[str, str]:
    """split -> file name, of the names found among a folder's file names.

    The official name comes first. Without it the only one that is plain or begins as the version's do is taken; of
    several none, as nothing tells which is meant.
    """
    present = sorted(names)
    found: dict[str, str] = {}
    for split, (official, plain) in file_names(version_2).items():
        pattern = rf"{_BEGINNINGS[split]}-v{'2' if version_2 else '1'}.*\.json"
        alike = [name for name in present if name == plain or re.fullmatch(pattern, name)]
        if official in present:
            found[split] = official
        elif len(alike) == 1:
            found[split] = alike[0]
    return found


def parse(data: bytes, file: str, version_2: bool, bad: BadRecords, *, answers: bool = True) -> Iterator[Paragraph]:
    """Reads one file.

    Args:
        data: the file's bytes, JSON in UTF-8.
        file: its name, for messages.
        version_2: whether questions without an answer are allowed.
        bad: takes questions and contexts that cannot be used.
        answers: whether every question must have its answers, or be marked impossible (all but test files).

    Yields:
        Paragraphs with at least one question, in the file's order.

    Raises:
        InputError: the file is no SQuAD JSON, or there are more bad records than allowed; names the place or the id.
    """
    tree = load_json(data, file, "SQuAD's")
    if not isinstance(tree, dict):
        raise InputError(f"{file}: holds a JSON {type(tree).__name__}; expected SQuAD's object with data")
    if problem := _list_problem(tree, "data"):
        raise InputError(f"{file}: {problem}")
    seen: set[str] = set()
    records = 0  # questions, and paragraphs and articles that none can be read from
    for where, title, paragraph, problem in _raw_paragraphs(tree["data"]):
        if problem:
            records += 1
            bad.add(file, where, problem, as_json(paragraph))
            continue
        questions: list[Question] = []
        for number, raw in enumerate(paragraph["qas"]):
            records += 1
            place = f"{where}.qas[{number}]"
            try:
                question = _question(raw, paragraph["context"], version_2, answers, seen)
            except _BadQuestionError as error:
                identifier = raw.get("id") if isinstance(raw, dict) else None
                place = f"question {name_of(identifier)} ({place})" if isinstance(identifier, str) else place
                bad.add(file, place, str(error), as_json(raw))
                continue
            questions.append(question)
        if questions:
            yield {"title": title, "context": paragraph["context"], "questions": questions}
    if not records:
        raise InputError(f"{file}: holds no question; expected SQuAD's data[].paragraphs[].qas[]")


def _raw_paragraphs(articles: list[Any]) -> Iterator[tuple[str, str, Any, str]]:
    """(where, title, paragraph, problem) of each paragraph; problem is empty where it has a context and a list qas.

    An article without usable paragraphs is given in the place of a paragraph.
    """
    for i, article in enumerate(articles):
        where = f"data[{i}]"
        problem = _list_problem(article, "paragraphs")
        title = article.get("title") if not problem else None
        if title is not None:
            problem = text_problem(title, "title", may_be_empty=True)
        if problem:
            yield where, "", article, problem
            continue
        for j, paragraph in enumerate(article["paragraphs"]):
            yield f"{where}.paragraphs[{j}]", title or "", paragraph, _paragraph_problem(paragraph)


def _paragraph_problem(paragraph: Any) -> str:
    if not isinstance(paragraph, dict):
        return f"is {type(paragraph).__name__}; expected an object with context and qas"
    return text_problem(paragraph.get("context"), "context") or _list_problem(paragraph, "qas")


def _list_problem(tree: Any, key: str) -> str:
    """Why there is no list under a key; nothing where there is one."""
    if not isinstance(tree, dict):
        found = type(tree).__name__
    elif key not in tree:
        found = f"the keys {', '.join(shown(key, 30) for key in list(tree)[:8])}" if tree else "no keys"
    elif isinstance(tree[key], list):
        return ""
    else:
        found = f"{key!r} of type {type(tree[key]).__name__}"
    return f"has {found}; expected the list {key!r}, as in SQuAD's data[].paragraphs[].qas[]"


class _BadQuestionError(Exception):
    pass


def _question(raw: Any, context: str, version_2: bool, expect_answers: bool, seen: set[str]) -> Question:
    """Checks one question; `_BadQuestionError` says what is wrong with it."""
    if not isinstance(raw, dict):
        raise _BadQuestionError(f"is {type(raw).__name__}; expected an object with id, question and answers")
    for key in ("id", "question"):
        problem = text_problem(raw.get(key), key)
        if problem:
            raise _BadQuestionError(problem)
    if raw["id"] in seen:
        raise _BadQuestionError("has the id of an earlier question; expected ids to differ")
    seen.add(raw["id"])
    answers = raw.get("answers")
    answers = [] if answers is None else answers
    if not isinstance(answers, list):
        raise _BadQuestionError(f"has answers of type {type(answers).__name__}; expected a list")
    impossible = raw.get("is_impossible")
    if impossible is None:
        impossible = version_2 and expect_answers and not answers
    if not isinstance(impossible, bool):
        raise _BadQuestionError(f"has is_impossible {shown(impossible)}; expected true or false")
    if impossible and not version_2:
        raise _BadQuestionError("is marked is_impossible, which SQuAD v1.1 does not know; expected --task squad_v2")
    if impossible and answers:
        raise _BadQuestionError("is marked is_impossible and has answers; expected one or the other")
    if expect_answers and not answers and not impossible:
        expected = (
            "answers, or is_impossible: true" if version_2 else "answers (questions without are for --task squad_v2)"
        )
        raise _BadQuestionError(f"has no answers; expected {expected}")
    return {
        "id": raw["id"],
        "question": raw["question"],
        "answers": [_answer(answer, context) for answer in answers],
        "is_impossible": impossible,
    }


def _answer(raw: Any, context: str) -> GoldAnswer:
    text, start = (raw.get("text"), raw.get("answer_start")) if isinstance(raw, dict) else (None, None)
    if not isinstance(text, str) or not isinstance(start, int) or isinstance(start, bool):
        raise _BadQuestionError(
            f"has the answer {shown(raw)}; expected text and answer_start, a position in the context"
        )
    if not has_text(text):
        raise _BadQuestionError("has an empty answer text; expected text from the context")
    if start < 0 or not context.startswith(text, start):
        place = context.find(text)
        found = f"that text stands at {place}" if place >= 0 else "that text is nowhere in its context"
        there = context[max(0, start) : max(0, start) + len(text)]
        raise _BadQuestionError(
            f"has the answer {shown(text)} at answer_start {shown(start)}, where its context has {shown(there)}; {found}"
        )
    return {"text": text, "answer_start": start}


# ------------------------------------------------------------------------------------------------------ windows


@dataclass
class QuestionWindow:
    """One record.

    Attributes:
        features: what `features.encode` takes.
        length: its tokens.
        first: whether it is its question's first window.
        question_cut: whether the question was longer than query_length.
        answer: None for an unanswered question; else whether this window holds the answer.
        exact: the answer's pieces give back exactly its text, not more.
    """

    features: dict[str, features.Value]
    length: int
    first: bool
    question_cut: bool
    answer: bool | None
    exact: bool


def encode_paragraphs(
    paragraphs: Sequence[Paragraph],
    vocabulary: Vocabulary,
    options: WindowOptions,
    *,
    first_question: int = 0,
    labelled: bool = True,
    evaluation: bool = False,
) -> Iterator[QuestionWindow]:
    """Cuts paragraphs into records `[CLS] question [SEP] window [SEP]`, segments 0 and 1.

    Args:
        paragraphs: a batch of them; some hundred at once is fast.
        first_question: number of the first question in its file, from 0; unique_ids follow from it.
        labelled: adds start_positions, end_positions and is_impossible, from the first answer.
        evaluation: adds what decoding needs: example_id, offset_starts, offset_ends, max_context.

    Yields:
        Windows in the order of paragraphs, questions and positions.

    Raises:
        InputError: a context has 100,000 windows or more.
    """
    contexts = vocabulary.encode_with_offsets([paragraph["context"] for paragraph in paragraphs])
    texts = [question["question"] for paragraph in paragraphs for question in paragraph["questions"]]
    queries = iter(vocabulary.encode(texts))
    number = first_question
    for paragraph, pieces in zip(paragraphs, contexts, strict=True):
        cutter = _Cutter(pieces, vocabulary, options, evaluation)
        for question in paragraph["questions"]:
            span = cutter.answer_span(question) if labelled else None
            yield from cutter.windows(question, next(queries).tolist(), number, span)
            number += 1


class _Cutter:
    """Makes the windows of one context; what depends on the window alone is computed once for all questions."""

    def __init__(self, pieces: Pieces, vocabulary: Vocabulary, options: WindowOptions, evaluation: bool):
        self.ids, self.starts, self.ends = (array.tolist() for array in pieces)
        self.vocabulary, self.options, self.evaluation = vocabulary, options, evaluation
        self._plans: dict[int, tuple[list[tuple[int, int]], list[list[int]]]] = {}

    def windows(
        self, question: Question, query: list[int], number: int, span: tuple[int, int, bool] | None
    ) -> Iterator[QuestionWindow]:
        """The windows of one question; `span` is its answer's first and last piece (-1, -1 without), None unlabelled."""
        cut = len(query) > self.options.query_length
        head = [self.vocabulary.cls_id, *query[: self.options.query_length], self.vocabulary.sep_id]
        plan, best = self._plan(self.options.max_length - len(head) - 1)
        if len(plan) >= WINDOWS_PER_QUESTION:
            raise InputError(
                f"question {name_of(question['id'])}: its context has {len(plan):,} windows; raise doc_stride"
            )
        outside, identifier = [-1] * len(head), question["id"].encode()
        for index, (start, end) in enumerate(plan):
            size = end - start
            length = len(head) + size + 1
            record: dict[str, features.Value] = {
                "unique_ids": [number * WINDOWS_PER_QUESTION + index],
                "input_ids": [*head, *self.ids[start:end], self.vocabulary.sep_id],
                "segment_ids": [0] * len(head) + [1] * (size + 1),
                "paragraph_mask": [0] * len(head) + [1] * size + [0],
            }
            inside = None
            if span is not None:
                inside = span[0] >= start and span[1] < end and span[0] >= 0
                shift = len(head) - start
                record["start_positions"] = [span[0] + shift if inside else 0]
                record["end_positions"] = [span[1] + shift if inside else 0]
                record["is_impossible"] = [0 if inside else 1]
            if self.evaluation:
                record["example_id"] = identifier
                record["offset_starts"] = [*outside, *self.starts[start:end], -1]
                record["offset_ends"] = [*outside, *self.ends[start:end], -1]
                record["max_context"] = [0] * len(head) + best[index] + [0]
            answered = inside if span is not None and span[0] >= 0 else None
            yield QuestionWindow(record, length, index == 0, cut, answered, span is not None and span[2])

    def answer_span(self, question: Question) -> tuple[int, int, bool]:
        """First and last piece of the first answer, and whether they hold exactly its text; (-1, -1, False) without one."""
        if not question["answers"]:
            return -1, -1, False
        answer = question["answers"][0]
        text = answer["text"]
        start = answer["answer_start"] + has_text(text).start()  # type: ignore[union-attr]
        end = answer["answer_start"] + len(text) - has_text(text[::-1]).start()  # type: ignore[union-attr]
        first = bisect_right(self.ends, start)  # the first piece that ends after the start
        last = bisect_left(self.starts, end) - 1  # the last that starts before the end
        if first > last:
            raise InputError(
                f"question {name_of(question['id'])}: no piece of the vocabulary covers its answer {shown(text)}"
            )
        return first, last, self.starts[first] == start and self.ends[last] == end

    def _plan(self, room: int) -> tuple[list[tuple[int, int]], list[list[int]]]:
        """Windows of at most `room` pieces, and where each is its pieces' best."""
        if room not in self._plans:
            spans = window_spans(len(self.ids), room, self.options.doc_stride)
            best = max_context(spans, len(self.ids)) if self.evaluation else []
            self._plans[room] = spans, [row.tolist() for row in best]
        return self._plans[room]


def window_spans(total: int, room: int, stride: int) -> list[tuple[int, int]]:
    """Windows over `total` pieces as (start, end): `room` pieces each, `stride` from start to start, the last to the end.

    A stride above the room becomes the room, so that no piece is passed over.
    """
    spans, start = [], 0
    while True:
        end = min(start + room, total)
        spans.append((start, end))
        if end == total:
            return spans
        start += min(room, stride)


def max_context(spans: Sequence[tuple[int, int]], total: int) -> list[np.ndarray]:
    """For each window, int64[its pieces]: 1 where no other window shows a piece with more context.

    A piece's score in a window is the lesser of the pieces before and after it there, plus a hundredth of the window's
    length; the earliest of equal windows wins (as in the BERT and Model Garden SQuAD code).
    """
    best_score = np.full(total, -1.0)
    best_window = np.zeros(total, np.int64)
    for index, (start, end) in enumerate(spans):
        left = np.arange(end - start)
        score = np.minimum(left, left[::-1]) + 0.01 * (end - start)
        better = score > best_score[start:end]
        best_score[start:end][better] = score[better]
        best_window[start:end][better] = index
    return [(best_window[start:end] == index).astype(np.int64) for index, (start, end) in enumerate(spans)]
