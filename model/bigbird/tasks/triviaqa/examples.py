"""TriviaQA, from Wikipedia and from the web: reading the official JSON and its evidence, windows, answers everywhere.

Nobody marked the answers in the documents: every place that reads like an alias of the answer counts as one (distant
supervision). Records are `question <sep_0> window <empty>`, segments 0 and 1; a window without an answer points at its
<empty>. Layout, matching and decoding are those of the Model Garden's `projects/triviaqa`, but that windows are cut at
pieces and not at sentences.

T: pieces of a document.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypedDict

import numpy as np

from bigbird.records import features
from bigbird.support.errors import InputError
from bigbird.support.text_files import shown
from bigbird.tasks.records import BadRecords, as_json, has_text, load_json, name_of, text_problem
from bigbird.tasks.squad import WINDOWS_PER_QUESTION, WindowOptions, window_spans
from bigbird.text.vocabulary import Pieces, Vocabulary

TRIVIAQA_TASKS = {"triviaqa_wikipedia": "Wikipedia", "triviaqa_web": "Web"}
"""Task name -> the Domain of its files."""

METRICS = ("exact_match", "f1")

_FILES = {"train": "{}-train.json", "validation": "{}-dev.json", "test": "{}-test-without-answers.json"}

# Where a document's text lies below the evidence folder, by the list that names it.
_EVIDENCE = {"EntityPages": "wikipedia", "SearchResults": "web"}


class Document(TypedDict):
    """A question with one document, as each line of `examples.jsonl` holds it.

    `key` is what a prediction answers to: the question's id, and on the web `id--document`. `aliases` are the
    normalised right answers and `forms` what they are looked for as; both empty in a test file.
    """

    id: str
    key: str
    question: str
    title: str
    context: str
    aliases: list[str]
    forms: list[str]


# ------------------------------------------------------------------------------------------------------ reading


def file_names(task: str) -> dict[str, tuple[str, ...]]:
    """split -> the official name."""
    return {split: (pattern.format(TRIVIAQA_TASKS[task].lower()),) for split, pattern in _FILES.items()}


def find_files(names: Sequence[str], task: str) -> dict[str, str]:
    """split -> file name, of the official names found among the names of the folder `qa`."""
    return {split: name for split, (name,) in file_names(task).items() if name in names}


def parse(
    data: bytes, file: str, task: str, read: Callable[[str], bytes | None], bad: BadRecords, *, answers: bool = True
) -> Iterator[Document]:
    """Reads one file and the documents it names.

    Args:
        data: the file's bytes, JSON in UTF-8.
        file: its name, for messages.
        task: a key of `TRIVIAQA_TASKS`.
        read: gives the bytes of a document by its path below the evidence folder, None where there is none; an
            `InputError` of it says why the document may not be read, and makes it a bad record.
        bad: takes questions and documents that cannot be used.
        answers: whether questions must have answers (all but test files).

    Raises:
        InputError: the file is no TriviaQA JSON or of the other domain, or there are more bad records than allowed.
    """
    tree = load_json(data, file, "TriviaQA's")
    if not isinstance(tree, dict) or not isinstance(tree.get("Data"), list):
        raise InputError(f"{file}: has no list 'Data'; expected TriviaQA's JSON, with Data[].Question")
    domain = TRIVIAQA_TASKS[task]
    if tree.get("Domain", domain) != domain:
        raise InputError(f"{file}: is of the domain {shown(tree['Domain'])}; task {task} expects {domain!r}")
    seen: set[str] = set()
    for number, entry in enumerate(tree["Data"]):
        where = f"Data[{number}]"
        try:
            question, aliases, forms = _question(entry, answers)
        except _BadQuestionError as problem:
            bad.add(file, where, str(problem), as_json(entry))
            continue
        for source, folder in _EVIDENCE.items():
            for page in entry.get(source) or []:
                try:
                    name, title = _page(page)
                    identifier = f"{question['id']}--{name}"
                    context = _context(name, folder, read, seen, identifier)
                except _BadQuestionError as problem:
                    place = f"question {name_of(question['id'], 80)} ({where}.{source})"
                    bad.add(file, place, str(problem), as_json(page))
                    continue
                seen.add(identifier)
                key = question["id"] if domain == "Wikipedia" else identifier
                yield {
                    "id": identifier,
                    "key": key,
                    "question": question["text"],
                    "title": title,
                    "context": context,
                    "aliases": aliases,
                    "forms": forms,
                }
    if not tree["Data"]:
        raise InputError(f"{file}: holds no question; expected TriviaQA's Data[].Question")


class _BadQuestionError(Exception):
    pass


def _question(entry: Any, answers: bool) -> tuple[dict[str, str], list[str], list[str]]:
    if not isinstance(entry, dict):
        raise _BadQuestionError(f"is {type(entry).__name__}; expected an object with Question, QuestionId and Answer")
    for key in ("QuestionId", "Question"):
        _check_text(entry.get(key), key, may_be_empty=True)
        if not has_text(entry[key]):
            raise _BadQuestionError(f"has no {key}; expected text")
    pages = [page for source in _EVIDENCE for page in _list(entry, source)]
    if not pages:
        raise _BadQuestionError(f"names no document; expected a list {' or '.join(_EVIDENCE)}")
    question = {"id": entry["QuestionId"], "text": entry["Question"]}
    answer = entry.get("Answer")
    if not answers:
        return question, [], []
    if not isinstance(answer, dict) or answer.get("NormalizedAliases") is None:
        raise _BadQuestionError("has no Answer with NormalizedAliases; expected them in all but test files")
    aliases = _texts(answer, "NormalizedAliases")
    aliases += [normalize_answer(text) for text in _texts(answer, "HumanAnswers")]
    if not aliases:
        raise _BadQuestionError("has an Answer without NormalizedAliases; expected one or more")
    value = answer.get("Value")
    if value is not None:
        _check_text(value, "Value", may_be_empty=True)
    spellings = [value or "", *_texts(answer, "Aliases")]
    return question, aliases, sorted((_forms(spellings) | set(aliases)) - {""})


def _page(page: Any) -> tuple[str, str]:
    """The file's name and the title of an entry of a list of documents."""
    if not isinstance(page, dict):
        raise _BadQuestionError(f"has a document that is {shown(page)}; expected an object with Filename")
    for key in ("Filename", "Title"):
        if key == "Filename" or page.get(key) is not None:
            _check_text(page.get(key), key, may_be_empty=key == "Title")
    return page["Filename"], page.get("Title") or ""


def _context(name: str, folder: str, read: Callable[[str], bytes | None], seen: set[str], identifier: str) -> str:
    parts = name.replace("\\", "/").split("/")
    if not parts[0] or ".." in parts or "\0" in name:
        raise _BadQuestionError(f"names the document {shown(name)}; expected a path below the evidence folder")
    if identifier in seen:
        raise _BadQuestionError(f"names the document {shown(name)} a second time")
    place = f"evidence/{folder}/{name_of(name)}"
    try:
        content = read(f"{folder}/{name}")
    except InputError as problem:
        raise _BadQuestionError(f"names the document {place}, which {problem}") from None
    if content is None:
        raise _BadQuestionError(f"names the document {place}, which is not there")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _BadQuestionError(f"names {place}, which is not UTF-8 at byte {error.start}") from None
    if not has_text(text):
        raise _BadQuestionError(f"names {place}, which holds no text")
    return text


def _check_text(value: Any, what: str, *, may_be_empty: bool = False) -> None:
    problem = text_problem(value, what, may_be_empty=may_be_empty)
    if problem:
        raise _BadQuestionError(problem)


def _list(entry: dict[str, Any], key: str) -> list[Any]:
    """The list under a key; empty where there is none."""
    found = entry.get(key)
    if found is not None and not isinstance(found, list):
        raise _BadQuestionError(f"has {key} of type {type(found).__name__}; expected a list")
    return found or []


def _texts(answer: dict[str, Any], key: str) -> list[str]:
    """The list of texts under a key; empty where there is none."""
    found = _list(answer, key)
    for number, text in enumerate(found):
        _check_text(text, f"{key}[{number}]", may_be_empty=True)
    return found


# ------------------------------------------------------------------------------------------------------ answers

_QUOTES = "‘’´`"
_PUNCTUATION = frozenset(string.punctuation + _QUOTES)
_ARTICLES = re.compile(r"\b(a|an|the)\b")
# Punctuation that an alias may keep when it is looked for.
_KEPT = ("", ",.", "-", ",.-", string.punctuation)


def normalize_answer(text: str) -> str:
    """As the official `triviaqa_evaluation.py`: lower case, punctuation and articles to spaces, no surplus space."""
    plain = "".join(" " if character in _PUNCTUATION else character for character in text.replace("_", " ").lower())
    return " ".join(_ARTICLES.sub(" ", plain).split())


def _forms(aliases: Sequence[str]) -> set[str]:
    """The spellings under which aliases are looked for: without punctuation, and with some or all of it."""
    forms = set()
    for alias in aliases:
        lowered = alias.replace("_", " ").lower()
        for kept in _KEPT:
            plain = "".join(
                character if character not in _PUNCTUATION or character in kept else " " for character in lowered
            )
            forms.add(" ".join(plain.split()))
    return forms


@lru_cache(maxsize=4096)
def _pattern(form: str) -> re.Pattern[str]:
    return re.compile(re.escape(form).replace(r"\ ", "[ -]"), re.IGNORECASE)


def find_answers(context: str, forms: Sequence[str], pieces: Pieces) -> list[tuple[int, int]]:
    """Every run of pieces that reads like one of the forms, as (first, last) piece, ascending, each once.

    A match inside a longer word is none: the pieces that cover it must, normalised, be one of the forms too.
    """
    found, known = set(), set(forms)
    for form in forms:
        for match in _pattern(form).finditer(context):
            first = int(np.searchsorted(pieces.ends, match.start(), side="right"))
            last = int(np.searchsorted(pieces.starts, match.end(), side="left")) - 1
            if first <= last and normalize_answer(context[pieces.starts[first] : pieces.ends[last]]) in known:
                found.add((first, last))
    return sorted(found)


def answer_scores(prediction: str, aliases: Sequence[str]) -> tuple[float, float]:
    """Exact match and F1, the best over the right answers (already normalised)."""
    predicted = normalize_answer(prediction)
    golds = [normalize_answer(alias) for alias in aliases]
    return float(predicted in golds), max((_token_f1(predicted.split(), gold.split()) for gold in golds), default=0.0)


def _token_f1(predicted: Sequence[str], gold: Sequence[str]) -> float:
    common = (Counter(predicted) & Counter(gold)).total()
    return 2 * common / (len(predicted) + len(gold)) if common else 0.0


def scores(predictions: Mapping[str, str], aliases: Mapping[str, Sequence[str]]) -> dict[str, tuple[float, float]]:
    """Key -> (exact match, F1); a key without a prediction has 0."""
    return {
        key: answer_scores(predictions[key], golds) if key in predictions else (0.0, 0.0)
        for key, golds in aliases.items()
    }


# ------------------------------------------------------------------------------------------------------ windows


@dataclass
class DocumentWindow:
    """One record: the document's number, and how many runs of pieces in it read like the answer."""

    document: int
    features: dict[str, features.Value]
    length: int
    first: bool
    question_cut: bool
    answers: int


def encode_documents(
    documents: Sequence[Document],
    vocabulary: Vocabulary,
    options: WindowOptions,
    *,
    first_question: int = 0,
    labelled: bool = True,
    evaluation: bool = False,
) -> Iterator[DocumentWindow]:
    """Cuts documents into records `question <sep_0> window <empty>`.

    Args:
        documents: a batch of them.
        first_question: number of the first document in its file, from 0; unique_ids follow from it.
        labelled: adds answer_starts and answer_ends.
        evaluation: adds example_id, offset_starts and offset_ends.

    Raises:
        InputError: a document has 100,000 windows or more.
    """
    contexts = vocabulary.encode_with_offsets([document["context"] for document in documents])
    queries = vocabulary.encode([document["question"] for document in documents])
    for number, (document, pieces, query) in enumerate(zip(documents, contexts, queries, strict=True), first_question):
        head = [*query.tolist()[: options.query_length], vocabulary.passage_id]
        plan = window_spans(len(pieces.ids), options.max_length - len(head) - 1, options.doc_stride)
        if len(plan) >= WINDOWS_PER_QUESTION:
            raise InputError(f"{name_of(document['id'])}: has {len(plan):,} windows; raise doc_stride")
        answers = find_answers(document["context"], document["forms"], pieces) if labelled else []
        outside = [-1] * len(head)
        for index, (start, end) in enumerate(plan):
            inside = [(first, last) for first, last in answers if first >= start and last < end]
            shift, size = len(head) - start, end - start
            record: dict[str, features.Value] = {
                "unique_ids": [number * WINDOWS_PER_QUESTION + index],
                "input_ids": [*head, *pieces.ids[start:end].tolist(), vocabulary.empty_id],
                "segment_ids": [0] * len(head) + [1] * (size + 1),
            }
            if labelled:
                record["answer_starts"] = [first + shift for first, _ in inside]
                record["answer_ends"] = [last + shift for _, last in inside]
            if evaluation:
                record["example_id"] = document["id"].encode()
                record["offset_starts"] = [*outside, *pieces.starts[start:end].tolist(), -1]
                record["offset_ends"] = [*outside, *pieces.ends[start:end].tolist(), -1]
            cut = len(query) > options.query_length
            yield DocumentWindow(number, record, len(head) + size + 1, index == 0, cut, len(inside))


# ------------------------------------------------------------------------------------------------------ decoding


def best_span(
    start_logits: np.ndarray, end_logits: np.ndarray, tokens: int, *, top_k: int, max_width: int
) -> tuple[int, int, float] | None:
    """The best span of a window, as the Model Garden's `decode_logits` finds it.

    The `top_k` best starts and ends are paired; of those with 0 <= end - start <= max_width the highest sum wins, of
    equal ones the first in the text.

    Args:
        start_logits, end_logits: float32[L], L at least `tokens`.
        tokens: of the window.

    Returns:
        (start, end, score), the end included; None where no pair fits or the best one is <empty>, the last token. One
        that ends there ends with the token before.
    """
    starts = np.argsort(-start_logits[:tokens], kind="stable")[:top_k]
    ends = np.argsort(-end_logits[:tokens], kind="stable")[:top_k]
    width = ends[None, :] - starts[:, None]
    sums = start_logits[starts][:, None] + end_logits[ends][None, :]
    sums = np.where((width >= 0) & (width <= max_width), sums, -np.inf)
    best = sums.max()
    start, end = min((int(starts[row]), int(ends[column])) for row, column in np.argwhere(sums == best))
    if not np.isfinite(best) or start == tokens - 1:
        return None
    return start, min(end, tokens - 2), float(best)
