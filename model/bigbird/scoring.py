"""From a model's outputs, batch by batch, to predictions and metrics: training's validation and the evaluate stage.

    scorer = Scorer(task, manifest, folder, "validation")
    for batch in batches:
        scorer.add(batch["record_id"], outputs, batch["weight"])
    evaluation = scorer.result()

Shapes: B batch, C classes, L padded tokens, N examples.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bigbird import features
from bigbird.artifacts import check_files, inside
from bigbird.config import GlueTask, PretrainingTask, SquadTask, Task, TriviaQATask
from bigbird.errors import InputError, TrainingDiverged
from bigbird.tasks import families, triviaqa
from bigbird.tasks import metrics as metric
from bigbird.tasks.pretraining import METRICS as PRETRAINING_METRICS
from bigbird.tasks.squad_decoding import Answer, Candidate, Spans, Window, decode, window_spans
from bigbird.text_files import read_json_lines

# Names that recipes may use for a metric, besides its own.
ALIASES = {"cls_accuracy": "accuracy", "final_f1": "f1", "final_exact_match": "exact_match", "exact": "exact_match"}
METRIC_TYPES = {"pearson_spearman_corr": ("pearson", "spearman")}
SQUAD_METRICS = ("f1", "exact_match")


def default_metric(task: str | Task) -> str:
    """The metric that decides where none is named: of a task by name ("cola"), or of a task's configuration."""
    if isinstance(task, str):
        return families.metrics(task)[0]
    if isinstance(task, GlueTask):
        return METRIC_TYPES.get(task.metric_type, (task.metric_type,))[0]
    if isinstance(task, TriviaQATask):
        return triviaqa.METRICS[0]
    return PRETRAINING_METRICS[0] if isinstance(task, PretrainingTask) else SQUAD_METRICS[0]


# ------------------------------------------------------------------------------------------------- results


@dataclass(frozen=True)
class GlueResults:
    """Every example's outcome, in the split's order.

    Attributes:
        ids: int64[N] example ids.
        texts: (text_a, text_b or None) of each example; empty where no dataset folder was given.
        labels: class names by index, None for regression.
        gold: int64[N] classes or float32[N], None where the split has no labels.
        logits: float32[N, C].
    """

    ids: np.ndarray
    texts: list[tuple[str, str | None]]
    labels: tuple[str, ...] | None
    gold: np.ndarray | None
    logits: np.ndarray

    @cached_property
    def predicted(self) -> np.ndarray:
        """int64[N] classes, or float32[N] for regression."""
        return self.logits[:, 0] if self.logits.shape[1] == 1 else self.logits.argmax(axis=1)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """float64[N, C], the softmax of the logits; meaningless for regression."""
        shifted = self.logits.astype(np.float64) - self.logits.max(axis=1, keepdims=True)
        return np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class Question:
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

    questions: list[Question]
    answers: list[Answer]
    scores: list[tuple[float, float]] | None
    version_2: bool


@dataclass(frozen=True)
class PretrainingResults:
    """How many records were scored, and how many masked tokens in them."""

    records: int
    predictions: int


@dataclass(frozen=True)
class Evaluation:
    """What `Scorer.result` gives.

    Attributes:
        metrics: fractions of 1 by name; empty where the split has no labels.
        primary: the name of the metric that counts.
        baseline: the same metrics for the best constant answer.
        baseline_answer: what that answer is, in words.
        results: the outcome of every example.
    """

    metrics: dict[str, float]
    primary: str
    baseline: dict[str, float]
    baseline_answer: str
    results: GlueResults | SquadResults | PretrainingResults

    @property
    def answers(self) -> GlueResults | SquadResults:
        """The outcome of every example, where examples have answers: not in pre-training."""
        if isinstance(self.results, PretrainingResults):
            raise TypeError("pre-training has no answers")
        return self.results

    def metric(self, name: str) -> float:
        """A metric by its own name or a recipe's (`cls_accuracy`, `final_f1`, `pearson_spearman_corr`).

        Raises:
            InputError: there is no such metric; lists those there are.
        """
        if name in METRIC_TYPES and self.metrics.keys() >= set(METRIC_TYPES[name]):
            return float(np.mean([self.metrics[part] for part in METRIC_TYPES[name]]))
        key = ALIASES.get(name, name)
        if key not in self.metrics:
            known = ", ".join(self.metrics) or "none, as the split has no labels"
            raise InputError(f"metric {name!r} is not one of this task's; it has {known}")
        return self.metrics[key]


# -------------------------------------------------------------------------------------------------- scorer


class Scorer:
    """Collects a model's outputs over a split.

    Args:
        task: the task's configuration: decoding limits, or the metric where there is no manifest.
        manifest: of the dataset; None for bare GLUE records, whose labels `add` is then given.
        folder: the dataset folder, None for bare records.
        split: a split of the manifest.

    Raises:
        InputError: the dataset lacks what scoring needs; names the file and line.
    """

    def __init__(self, task: Task, manifest: dict[str, Any] | None, folder: str | Path | None, split: str):
        if manifest is not None and folder is not None and not isinstance(task, PretrainingTask):
            check_files(folder, "dataset", manifest, [f"{split}.examples.jsonl"])
        self._collector: _GlueCollector | _SquadCollector | _TriviaQACollector | _PretrainingCollector
        if isinstance(task, (SquadTask, TriviaQATask)):
            if manifest is None or folder is None:
                raise InputError(
                    "questions are scored against texts and answers: give a dataset folder, not bare TFRecords"
                )
            if isinstance(task, SquadTask):
                self._collector = _SquadCollector(task, manifest, Path(folder), split)
            else:
                self._collector = _TriviaQACollector(task, manifest, Path(folder), split)
        elif isinstance(task, GlueTask):
            self._collector = _GlueCollector(task, manifest, None if folder is None else Path(folder), split)
        elif isinstance(task, PretrainingTask):
            self._collector = _PretrainingCollector()
        else:
            raise TypeError(f"no scoring for {type(task).__name__}")

    def add(
        self,
        record_ids: np.ndarray,
        outputs: Mapping[str, np.ndarray],
        weight: np.ndarray | None = None,
        label_ids: np.ndarray | None = None,
    ) -> None:
        """Takes one batch.

        Args:
            record_ids: int64[B].
            outputs: the model's: logits float32[B, C], or start_logits and end_logits float32[B, L], or what
                `heads.summarize` gives.
            weight: float32[B]; rows of weight 0 only fill the batch and are left out. Default all count.
            label_ids: [B] gold labels of bare GLUE records; a dataset folder has its own.

        Raises:
            TrainingDiverged: an output is NaN or infinite; names the records.
        """
        rows = np.flatnonzero(np.ones(len(record_ids)) if weight is None else np.asarray(weight))
        ids = np.asarray(record_ids)[rows]
        values = {name: np.asarray(value, np.float32)[rows] for name, value in outputs.items()}
        for name, value in values.items():
            broken = ids[~np.isfinite(value.reshape(len(ids), -1)).all(axis=1)]
            if len(broken):
                raise TrainingDiverged(f"the model's {name} are not finite for records {broken[:8].tolist()}")
        self._collector.add(ids, values, None if label_ids is None else np.asarray(label_ids)[rows])

    def reset(self) -> None:
        """Forgets what was added, so that the same split can be scored again."""
        self._collector.reset()

    @property
    def missing(self) -> int:
        """Examples or questions of the split that are not scored yet, wholly or in part."""
        return self._collector.missing

    @property
    def least_records(self) -> int:
        """The split's first records of which so many hold a question whole, with all its windows."""
        return self._collector.least_records

    def result(self) -> Evaluation:
        """Predictions and metrics over the examples that were added whole.

        Raises:
            InputError: there are none.
        """
        return self._collector.result()


class _GlueCollector:
    least_records = 1

    def __init__(self, task: GlueTask, manifest: dict[str, Any] | None, folder: Path | None, split: str):
        self.examples: dict[int, dict[str, Any]] | None = None
        self.labels: tuple[str, ...] | None = None
        if manifest is None or folder is None:
            self.names: Sequence[str] = METRIC_TYPES.get(task.metric_type, (task.metric_type,))
        else:
            self.names = manifest["metrics"]
            self.labels = tuple(manifest["labels"]) if manifest["labels"] else None
            self.examples = {line["id"]: line for line in read_examples(folder, split)}
        self.reset()

    def reset(self) -> None:
        self.logits: dict[int, np.ndarray] = {}
        self.given: dict[int, float] = {}

    @property
    def missing(self) -> int:
        return 0 if self.examples is None else len(self.examples) - len(self.logits)

    def add(self, ids: np.ndarray, outputs: dict[str, np.ndarray], label_ids: np.ndarray | None) -> None:
        if self.examples is not None and (unknown := [int(i) for i in ids if int(i) not in self.examples]):
            raise InputError(
                f"records {unknown[:8]} are not among the split's examples; are the dataset's files of one run?"
            )
        self.logits.update(zip(ids.tolist(), outputs["logits"], strict=True))
        if label_ids is not None:
            self.given.update(zip(ids.tolist(), label_ids.tolist(), strict=True))

    def result(self) -> Evaluation:
        ids = list(self.logits) if self.examples is None else [i for i in self.examples if i in self.logits]
        if not ids:
            raise InputError("nothing to score: no example was evaluated")
        logits = np.stack([self.logits[i] for i in ids])
        texts = [(self.examples[i]["text_a"], self.examples[i].get("text_b")) for i in ids] if self.examples else []
        results = GlueResults(np.array(ids), texts, self.labels, self._gold(ids, logits.shape[1] == 1), logits)
        if results.gold is None:
            return Evaluation({}, self.names[0], {}, "", results)
        scored = {name: metric.GLUE_METRICS[name](results.gold, results.predicted) for name in self.names}
        answer, baseline = self._baseline(results.gold, logits.shape[1])
        return Evaluation(scored, self.names[0], baseline, answer, results)

    def _gold(self, ids: list[int], regression: bool) -> np.ndarray | None:
        """Gold labels, or None where one or more are not known."""
        if self.examples is None:
            values: list[Any] = [self.given.get(i) for i in ids]
        else:
            values = [self.examples[i].get("label") for i in ids]
            if self.labels is not None:
                values = [None if value is None else self.labels.index(value) for value in values]
        if any(value is None for value in values):
            return None
        return np.array(values, np.float32 if regression else np.int64)

    def _baseline(self, gold: np.ndarray, num_classes: int) -> tuple[str, dict[str, float]]:
        """The best constant answer by the primary metric, in words, and its metrics."""
        mean = float(gold.mean())
        constants = [mean] if num_classes == 1 else range(num_classes)
        tried = {
            value: {name: metric.GLUE_METRICS[name](gold, np.full_like(gold, value)) for name in self.names}
            for value in constants
        }
        best = max(tried, key=lambda value: (tried[value][self.names[0]], np.sum(gold == value)))
        if num_classes == 1:
            return f"always the mean, {mean:.2f}", tried[best]
        return f"always “{self.labels[int(best)] if self.labels else int(best)}”", tried[best]


class _SquadCollector:
    def __init__(self, task: SquadTask, manifest: dict[str, Any], folder: Path, split: str):
        self.task, self.version_2 = task, bool(manifest["version_2"])
        self.windows: dict[int, Window] = {}
        self.of_question: dict[str, list[int]] = defaultdict(list)
        for record in _read_split(folder, manifest, split):
            unique_id = int(record["unique_ids"][0])
            self.windows[unique_id] = Window(
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

    def _questions(self, line: dict[str, Any]) -> Iterator[Question]:
        """A paragraph's questions, those with at least one window."""
        for entry in line["questions"]:
            windows = [self.windows[i] for i in self.of_question.get(entry["id"], ())]
            if windows:
                pieces = int(sum(window.max_context.sum() for window in windows))
                answers = tuple((answer["text"], answer["answer_start"]) for answer in entry["answers"])
                yield Question(
                    entry["id"],
                    entry["question"],
                    line["title"],
                    line["context"],
                    answers,
                    entry["is_impossible"],
                    pieces,
                )

    def reset(self) -> None:
        self.spans: dict[int, Spans] = {}

    @property
    def least_records(self) -> int:
        return _least_records(self.windows, (self.of_question[question.id] for question in self.questions))

    @property
    def missing(self) -> int:
        return sum(not self._whole(question) for question in self.questions)

    def _whole(self, question: Question) -> bool:
        return all(i in self.spans for i in self.of_question[question.id])

    def add(self, ids: np.ndarray, outputs: dict[str, np.ndarray], label_ids: np.ndarray | None) -> None:
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
            return Evaluation({}, SQUAD_METRICS[0], {}, "", SquadResults(questions, answers, None, self.version_2))
        scores = self._scores(questions, [answer.text for answer in answers])
        measured = self._metrics(questions, scores)
        if self.version_2:
            measured |= self._thresholds(questions, answers)
        text, baseline = self._baseline(questions)
        return Evaluation(
            measured, SQUAD_METRICS[0], baseline, text, SquadResults(questions, answers, scores, self.version_2)
        )

    def _answer(self, question: Question) -> Answer:
        return decode(
            question.context,
            [(self.windows[i], self.spans[i]) for i in self.of_question[question.id]],
            n_best_size=self.task.n_best_size,
            version_2=self.version_2,
            null_score_diff_threshold=self.task.null_score_diff_threshold,
        )

    def _scores(self, questions: list[Question], texts: list[str]) -> list[tuple[float, float]]:
        """(exact match, F1) of each question's text."""
        predictions = {question.id: text for question, text in zip(questions, texts, strict=True)}
        golds = {question.id: question.gold for question in questions}
        scores = metric.squad_scores(predictions, golds, version_2=self.version_2)
        return [scores[question.id] for question in questions]

    def _metrics(self, questions: list[Question], scores: list[tuple[float, float]]) -> dict[str, float]:
        by_id = {question.id: score for question, score in zip(questions, scores, strict=True)}
        if not self.version_2:
            return metric.squad_metrics(by_id)
        return metric.squad_v2_metrics(by_id, {question.id: bool(question.answers) for question in questions})

    def _thresholds(self, questions: list[Question], answers: list[Answer]) -> dict[str, float]:
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

    def _baseline(self, questions: list[Question]) -> tuple[str, dict[str, float]]:
        """The better of no answer and the most common gold answer, in words, and its metrics."""
        counts = Counter(text for question in questions for text in dict.fromkeys(question.gold))
        constants = ["", *(text for text, _ in counts.most_common(1))]
        tried = {text: self._metrics(questions, self._scores(questions, [text] * len(questions))) for text in constants}
        best = max(tried, key=lambda text: tried[text][SQUAD_METRICS[0]])
        return f"always “{best}”" if best else "always no answer", tried[best]


class _TriviaQACollector:
    """Of all windows of all documents that a key has, the best span answers."""

    def __init__(self, task: TriviaQATask, manifest: dict[str, Any], folder: Path, split: str):
        self.task = task
        self.offsets: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self.windows: dict[str, list[int]] = defaultdict(list)
        for record in _read_split(folder, manifest, split, needed=("example_id", "offset_starts", "offset_ends")):
            unique_id = int(record["unique_ids"][0])
            self.offsets[unique_id] = record["offset_starts"].astype(np.int32), record["offset_ends"].astype(np.int32)
            self.windows[record["example_id"].decode()].append(unique_id)
        self.documents = [line for line in read_examples(folder, split) if line["id"] in self.windows]
        self.reset()

    def reset(self) -> None:
        self.spans: dict[int, tuple[int, int, float] | None] = {}

    @property
    def least_records(self) -> int:
        return _least_records(self.offsets, (self.windows[document["id"]] for document in self.documents))

    @property
    def missing(self) -> int:
        return sum(not self._whole(document["id"]) for document in self.documents)

    def _whole(self, identifier: str) -> bool:
        return all(i in self.spans for i in self.windows[identifier])

    def add(self, ids: np.ndarray, outputs: dict[str, np.ndarray], label_ids: np.ndarray | None) -> None:
        del label_ids
        limits = {"top_k": self.task.top_k, "max_width": self.task.max_answer_width}
        for i, start, end in zip(ids.tolist(), outputs["start_logits"], outputs["end_logits"], strict=True):
            if i not in self.offsets:
                raise InputError(f"record {i} is not among the split's records; are the dataset's files of one run?")
            self.spans[i] = triviaqa.best_span(start, end, len(self.offsets[i][0]), **limits)

    def result(self) -> Evaluation:
        of_key: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for document in self.documents:
            if self._whole(document["id"]):
                of_key[document["key"]].append(document)
        if not of_key:
            raise InputError("nothing to score: no document was evaluated with all its windows")
        pairs = [self._answer(key, documents) for key, documents in of_key.items()]
        questions, answers = [question for question, _ in pairs], [answer for _, answer in pairs]
        golds = {key: documents[0]["aliases"] for key, documents in of_key.items()}
        if not all(golds.values()):
            return Evaluation({}, triviaqa.METRICS[0], {}, "", SquadResults(questions, answers, None, False))
        predictions = {question.id: answer.text for question, answer in pairs if answer.text}
        scores = triviaqa.scores(predictions, golds)
        common = Counter(alias for aliases in golds.values() for alias in dict.fromkeys(aliases)).most_common(1)[0][0]
        baseline = triviaqa.scores(dict.fromkeys(golds, common), golds)
        results = SquadResults(questions, answers, [scores[question.id] for question in questions], False)
        measured, constant = metric.squad_metrics(scores), metric.squad_metrics(baseline)
        return Evaluation(measured, triviaqa.METRICS[0], constant, f"always “{common}”", results)

    def _answer(self, key: str, documents: list[dict[str, Any]]) -> tuple[Question, Answer]:
        """The best span of a key's documents, and the question with the document it stands in."""
        found = [
            (span[2], -number, i, span)
            for number, document in enumerate(documents)
            for i in self.windows[document["id"]]
            if (span := self.spans[i]) is not None
        ]
        score, number, i, span = max(found, key=lambda entry: entry[:2]) if found else (0.0, 0, 0, None)
        document = documents[-number]
        aliases = [(alias, document["context"].lower().find(alias)) for alias in document["aliases"]]
        aliases.sort(key=lambda alias: alias[1] < 0)  # one that stands in the document first
        pieces = sum(len(self.offsets[i][0]) for i in self.windows[document["id"]])
        question = Question(
            key, document["question"], document["title"], document["context"], tuple(aliases), False, pieces
        )
        if span is None:
            return question, Answer("", 0, 0, 0.0, 0.0, ())
        start, end = int(self.offsets[i][0][span[0]]), int(self.offsets[i][1][span[1]])
        text = document["context"][start:end]
        return question, Answer(text, start, end, 0.0, 0.0, (Candidate(text, start, end, 0.0, 0.0, score, 1.0),))


class _PretrainingCollector:
    missing = 0  # any part of a text measures the model
    least_records = 1

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.sums: dict[int, np.ndarray] = {}

    def add(self, ids: np.ndarray, outputs: dict[str, np.ndarray], label_ids: np.ndarray | None) -> None:
        del label_ids
        names = ("masked_lm_loss", "masked_lm_correct", "masked_lm_count")
        self.sums.update(zip(ids.tolist(), np.stack([outputs[name] for name in names], axis=1), strict=True))

    def result(self) -> Evaluation:
        loss, correct, count = np.array([*self.sums.values(), [0, 0, 0]], np.float64).sum(axis=0).tolist()
        if not count:
            raise InputError("nothing to score: no token was masked")
        perplexity = float(np.exp(min(loss / count, 700.0)))
        values = dict(zip(PRETRAINING_METRICS, (correct / count, loss / count, perplexity), strict=True))
        return Evaluation(values, PRETRAINING_METRICS[0], {}, "", PretrainingResults(len(self.sums), int(count)))


# ------------------------------------------------------------------------------------------------- reading


def read_examples(folder: str | Path, split: str) -> Iterator[dict[str, Any]]:
    """The lines of a split's examples.jsonl.

    Raises:
        InputError: the file is missing or a line is not JSON.
    """
    path = inside(folder, f"{split}.examples.jsonl", f"{folder}: split {split[:100]!r}")
    if not path.exists():
        raise InputError(f"{path}: no such file; only evaluation splits have one, and {split!r} needs it to be scored")
    for _, example in read_json_lines(path, "JSON lines as preprocessing writes them; write the dataset again"):
        yield example


def _least_records(order: Iterable[int], parts: Iterable[Iterable[int]]) -> int:
    """How many records hold one of the parts whole: the records' ids in their order, and the ids of each part."""
    place = {i: number for number, i in enumerate(order, 1)}
    return min((max(place[i] for i in ids) for ids in parts), default=1)


def _read_split(
    folder: Path,
    manifest: dict[str, Any],
    split: str,
    needed: Sequence[str] = ("example_id", "offset_starts", "offset_ends", "max_context"),
) -> Iterator[dict[str, Any]]:
    """A split's records, with the features that decoding needs."""
    if split not in manifest["splits"]:
        raise InputError(f"{folder}: has no split {split!r}; it has {', '.join(manifest['splits'])}")
    names = manifest["splits"][split]["files"]
    check_files(folder, "dataset", manifest, names)
    for name in names:
        file = inside(folder, name, f"{folder}: split {split!r}")
        for number, data in enumerate(features.read_records(file), 1):
            record: dict[str, Any] = features.decode(data)
            if absent := set(needed) - record.keys():
                raise InputError(
                    f"{file}: record {number} lacks {', '.join(sorted(absent))}, which evaluation needs; "
                    "preprocess the data as an evaluation split"
                )
            yield record
