"""From the scores of windows' tokens to one answer for all documents of a question, and the metrics."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bigbird.manifests import DatasetManifest
from bigbird.scoring import least_records, read_examples, read_split
from bigbird.support.errors import InputError
from bigbird.tasks import metrics as metric
from bigbird.tasks.evaluation import Collector, Evaluation
from bigbird.tasks.squad.decoding import Candidate, PredictedAnswer
from bigbird.tasks.squad.scoring import OTHER_NAMES, ScoredQuestion, SquadResults
from bigbird.tasks.triviaqa import examples
from bigbird.tasks.triviaqa.config import TriviaQATask
from bigbird.tasks.triviaqa.examples import METRICS


class DocumentCollector(Collector):
    """Of all windows of all documents that a key has, the best span answers."""

    metric_names = (*METRICS, *OTHER_NAMES)

    def __init__(self, task: TriviaQATask, manifest: DatasetManifest, folder: Path, split: str):
        self.task = task
        self.offsets: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self.windows: dict[str, list[int]] = defaultdict(list)
        for record in read_split(folder, manifest, split, needed=("example_id", "offset_starts", "offset_ends")):
            unique_id = int(record["unique_ids"][0])
            self.offsets[unique_id] = record["offset_starts"].astype(np.int32), record["offset_ends"].astype(np.int32)
            self.windows[record["example_id"].decode()].append(unique_id)
        self.documents = [line for line in read_examples(folder, split) if line["id"] in self.windows]
        self.reset()

    def reset(self) -> None:
        self.spans: dict[int, tuple[int, int, float] | None] = {}

    @property
    def least_records(self) -> int:
        return least_records(self.offsets, (self.windows[document["id"]] for document in self.documents))

    @property
    def missing(self) -> int:
        return sum(not self._whole(document["id"]) for document in self.documents)

    def _whole(self, identifier: str) -> bool:
        return all(i in self.spans for i in self.windows[identifier])

    def add(self, ids: np.ndarray, outputs: dict[str, np.ndarray], label_ids: np.ndarray | None) -> None:
        """Takes start_logits and end_logits, float32[B, L], of the records int64[B]."""
        del label_ids
        limits = {"top_k": self.task.top_k, "max_width": self.task.max_answer_width}
        for i, start, end in zip(ids.tolist(), outputs["start_logits"], outputs["end_logits"], strict=True):
            if i not in self.offsets:
                raise InputError(f"record {i} is not among the split's records; are the dataset's files of one run?")
            self.spans[i] = examples.best_span(start, end, len(self.offsets[i][0]), **limits)

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
            results = SquadResults(questions, answers, None, False)
            return Evaluation({}, METRICS[0], {}, "", results, OTHER_NAMES)
        predictions = {question.id: answer.text for question, answer in pairs if answer.text}
        scores = examples.scores(predictions, golds)
        common = Counter(alias for aliases in golds.values() for alias in dict.fromkeys(aliases)).most_common(1)[0][0]
        baseline = examples.scores(dict.fromkeys(golds, common), golds)
        results = SquadResults(questions, answers, [scores[question.id] for question in questions], False)
        measured, constant = metric.squad_metrics(scores), metric.squad_metrics(baseline)
        return Evaluation(measured, METRICS[0], constant, f"always “{common}”", results, OTHER_NAMES)

    def _answer(self, key: str, documents: list[dict[str, Any]]) -> tuple[ScoredQuestion, PredictedAnswer]:
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
        question = ScoredQuestion(
            key, document["question"], document["title"], document["context"], tuple(aliases), False, pieces
        )
        if span is None:
            return question, PredictedAnswer("", 0, 0, 0.0, 0.0, ())
        start, end = int(self.offsets[i][0][span[0]]), int(self.offsets[i][1][span[1]])
        text = document["context"][start:end]
        return question, PredictedAnswer(
            text, start, end, 0.0, 0.0, (Candidate(text, start, end, 0.0, 0.0, score, 1.0),)
        )


def score_answers(documents: Sequence[dict[str, Any]], outputs: Mapping[str, np.ndarray], name: str) -> float:
    """A metric from an exported model's answers.

    Of all documents that a key has, the one with the best span answers, the first of equals.

    Args:
        documents: with their keys and aliases.
        outputs: the exported model's, a row for each of N: `answer`, bytes[N]; `score`, float32[N].
        name: the metric.
    """
    best: dict[str, tuple[float, str]] = defaultdict(lambda: (-np.inf, ""))
    texts = [value.decode("utf-8") for value in outputs["answer"]]
    for document, score, text in zip(documents, outputs["score"].tolist(), texts, strict=True):
        if score > best[document["key"]][0]:
            best[document["key"]] = score, text
    predictions = {key: text for key, (_, text) in best.items() if text}
    golds = {document["key"]: document["aliases"] for document in reversed(documents)}
    return metric.squad_metrics(examples.scores(predictions, golds))[name]
