"""The sample in SQuAD v1.1's format.

A notebook states one fact of each kind (who designed the arch, what colour the gate is, ...); each question asks for one
of them.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from bigbird.tasks.notebooks import notebook

_COLOURS = "amber crimson emerald indigo ivory scarlet turquoise violet".split()
_NAMES = [f"{a} {b}" for a in ("anna", "boris", "clara", "david", "edith") for b in ("kern", "lund", "moss", "noble")]
_NUMBERS = [f"{tens} {unit}" for tens in ("twenty", "thirty", "forty") for unit in ("two", "four", "six", "eight")]
# (the fact as the notebook states it, the question, possible answers); the kinds share no answers.
FACTS: tuple[tuple[str, str, list[str]], ...] = (
    ("the old gate is painted {}", "what colour is the old gate ?", _COLOURS),
    ("the stone arch was designed by {}", "who designed the stone arch ?", _NAMES),
    ("there are {} steps up to the lighthouse", "how many steps lead up to the lighthouse ?", _NUMBERS),
    ("the statue is made of {}", "what is the statue made of ?", "bronze copper granite iron marble oak silver tin".split()),
    ("the festival is held in {}", "when is the festival held ?", "january march april may june august october".split()),
    ("the governor keeps a {} as a pet", "which pet does the governor keep ?", "falcon fox goat heron lizard monkey otter parrot".split()),
    ("the orchestra plays only the {}", "which instrument does the orchestra play ?", "cello drum flute guitar harp oboe trumpet violin".split()),
    ("supper is always {} soup", "which soup is served for supper ?", "barley bean cabbage carrot lentil onion pea pumpkin".split()),
)  # fmt: skip


def write_sample(folder: Path, seed: int) -> None:
    """Writes train-v1.1.json and dev-v1.1.json; the same seed gives the same bytes."""
    for split, count in (("train", 640), ("dev", 20)):
        rng = random.Random(f"{seed} squad {split}")
        articles = [_article(rng, f"{split}-{index}") for index in range(count)]
        text = json.dumps({"version": "1.1", "data": articles}, indent=1)
        (folder / f"{split}-v1.1.json").write_text(text + "\n", encoding="utf-8")


def _article(rng: random.Random, name: str) -> dict[str, Any]:
    """One notebook of 1,000 to 1,500 words with its questions: one window of 1,536 tokens holds it."""
    answers = [rng.choice(choices) for _, _, choices in FACTS]
    sentences = [fact.format(answer) for (fact, _, _), answer in zip(FACTS, answers, strict=True)]
    context = notebook(rng, sentences, most_words=1400)
    questions = [
        {
            "id": f"{name}-{number}",
            "question": question,
            "answers": [{"text": answer, "answer_start": context.index(sentence) + sentence.index(answer)}],
        }
        for number, ((_, question, _), answer, sentence) in enumerate(zip(FACTS, answers, sentences, strict=True))
    ]
    return {"title": name, "paragraphs": [{"context": context, "qas": questions}]}
