"""A small raw input for each task family, and how its task is preprocessed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

WORDS = "the old red mill stands by a river and birds fly over green fields while rain falls softly again".split()


def _sentence(rng: random.Random, most: int = 24) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(3, most)))


def classification(folder: Path, rng: random.Random) -> tuple[str, dict[str, Any]]:
    lines = [{"body": _sentence(rng, 60), "verdict": rng.choice(["good", "bad", "odd"])} for _ in range(60)]
    (folder / "table.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    section = {"text": ["body"], "label": "verdict", "validation_fraction": 0.3, "test_fraction": 0.1}
    return "classification", {"input": str(folder / "table.jsonl"), "section": section, "long_documents": "windows"}


def glue(folder: Path, rng: random.Random) -> tuple[str, dict[str, Any]]:
    for split, rows in (("train", 40), ("dev", 20)):
        lines = [f"{_sentence(rng)}\t{number % 2}\n" for number in range(rows)]
        (folder / f"{split}.tsv").write_text("sentence\tlabel\n" + "".join(lines))
    tests = [f"{number}\t{_sentence(rng)}\n" for number in range(5)]
    (folder / "test.tsv").write_text("index\tsentence\n" + "".join(tests))
    return "sst2", {"input": str(folder)}


def squad(folder: Path, rng: random.Random) -> tuple[str, dict[str, Any]]:
    for split, paragraphs in (("train", 10), ("dev", 5)):
        made = []
        for number in range(paragraphs):
            name = rng.choice(WORDS)
            context = f"{_sentence(rng, 40)} builder {name} {_sentence(rng, 40)}"
            answer = {"text": name, "answer_start": context.index(f"builder {name}") + len("builder ")}
            questions = [
                {
                    "id": f"{split}{number}",
                    "question": "who is the builder ?",
                    "answers": [answer],
                    "is_impossible": False,
                }
            ]
            questions.append(
                {"id": f"{split}{number}-", "question": "who is the king ?", "answers": [], "is_impossible": True}
            )
            made.append({"context": context, "qas": questions})
        data = {"version": "v2.0", "data": [{"title": "t", "paragraphs": made}]}
        (folder / f"{split}-v2.0.json").write_text(json.dumps(data))
    return "squad_v2", {"input": str(folder), "doc_stride": 16, "query_length": 12}


def triviaqa(folder: Path, rng: random.Random) -> tuple[str, dict[str, Any]]:
    (folder / "qa").mkdir()
    (folder / "evidence" / "wikipedia").mkdir(parents=True)
    for split, questions in (("train", 12), ("dev", 6)):
        entries = []
        for number in range(questions):
            name, file = rng.choice(WORDS), f"{split}{number}.txt"
            (folder / "evidence" / "wikipedia" / file).write_text(
                f"{_sentence(rng, 60)} builder {name} {_sentence(rng, 60)}"
            )
            answer = {"Value": name.title(), "Aliases": [name.upper()], "NormalizedAliases": [name]}
            pages = [{"Filename": file, "Title": "A page"}]
            entries.append(
                {"QuestionId": file, "Question": "who is the builder", "Answer": answer, "EntityPages": pages}
            )
        tree = {"Data": entries, "Domain": "Wikipedia", "Split": split, "VerifiedEval": False, "Version": 1.0}
        (folder / "qa" / f"wikipedia-{split}.json").write_text(json.dumps(tree))
    return "triviaqa_wikipedia", {"input": str(folder), "doc_stride": 20, "query_length": 12}


def pretraining(folder: Path, rng: random.Random) -> tuple[str, dict[str, Any]]:
    for split, documents in (("train", 30), ("validation", 10)):
        (folder / f"{split}.txt").write_text("\n\n".join(_sentence(rng, 60) for _ in range(documents)))
    return "pretraining", {"input": str(folder)}


def token_labels(folder: Path, rng: random.Random) -> tuple[str, dict[str, Any]]:
    lines = []
    for number in range(40):
        words, spans, text = rng.choices(WORDS, k=rng.randint(3, 60)), [], ""
        for word in words:
            text += " " if text else ""
            if word in ("river", "red"):
                spans.append({"from": len(text), "to": len(text) + len(word), "is": word.upper()})
            text += word
        lines.append({"body": text, "marks": spans, "name": f"d{number}"})
    (folder / "documents.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    section = {
        "text": "body", "spans": "marks", "span_start": "from", "span_end": "to", "span_label": "is", "id": "name",
        "validation_fraction": 0.3, "test_fraction": 0.1,
    }  # fmt: skip
    return "token_labels", {"input": str(folder / "documents.jsonl"), "section": section}


SMALL_INPUTS: dict[str, Callable[[Path, random.Random], tuple[str, dict[str, Any]]]] = {
    function.__name__: function for function in (classification, glue, squad, triviaqa, pretraining, token_labels)
}
"""Family -> function that writes raw files into a folder and gives the task and the preprocessing stage's arguments."""
