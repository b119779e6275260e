"""The embedded sample: long documents made by a seeded generator, in the formats of GLUE and SQuAD.

Each document is a traveller's notebook of 1,000 to 2,000 tokens. What decides the answer is a few words at a random
place in it, so a model has to reach the whole document: cut after 512 tokens, most of the evidence is gone.

- glue: SST-2's format. A notebook holds three verdicts on the journey; label 1 where they praise it.
- squad: SQuAD v1.1's format. A notebook states one fact of each kind (who built the bridge, what colour the gate
  is, ...); each question asks for one of them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

# Sentences that say nothing of interest; every {slot} is filled from the lists below.
FILLER = (
    "the road to {place} follows the {water} for an hour",
    "we met a {person} who carried {goods} to the {building}",
    "on {day} the {person} sold {goods} near the {building}",
    "the {building} of {place} stands between the {water} and the market",
    "a {person} from {place} told us about the {water}",
    "rain fell on {place} and the {person} closed the {building}",
    "they keep {goods} in the {building} until {day}",
    "the boat crossed the {water} before {day}",
    "past the {building} the path turns towards {place}",
    "every {day} the {person} counts the {goods}",
)
SLOTS = {
    "place": "alder brook cairn dunmore elham farrow glen harrow inver jorvik keld lorne".split(),
    "water": "river canal lake stream harbour ford".split(),
    "person": "miller smith baker sailor teacher farmer guard clerk".split(),
    "goods": "apples barrels candles flour linen paper ropes salt tools wool".split(),
    "building": "mill inn chapel tower barn school bridge library".split(),
    "day": "monday tuesday wednesday thursday friday saturday sunday".split(),
}
VERDICTS = (
    "all in all the journey was {verdict}",
    "i would call these days {verdict}",
    "my companions found the trip {verdict}",
)
PRAISE = "wonderful delightful splendid charming superb lovely joyful excellent".split()
BLAME = "dreadful miserable awful tedious horrid gloomy wretched terrible".split()

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


def write_sample(kind: Literal["glue", "squad"], folder: str | Path, seed: int = 0) -> Path:
    """Writes the sample's files; the same seed gives the same bytes.

    Args:
        kind: "glue" writes train.tsv, dev.tsv, test.tsv; "squad" writes train-v1.1.json, dev-v1.1.json.
        folder: made if missing.
        seed: of the generator.

    Returns:
        The folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "glue":
        for split, count in (("train", 512), ("dev", 128), ("test", 16)):
            rng = random.Random(f"{seed} {kind} {split}")
            (folder / f"{split}.tsv").write_text("".join(_glue_lines(rng, split, count)), encoding="utf-8")
    else:
        for split, count in (("train", 640), ("dev", 20)):
            rng = random.Random(f"{seed} {kind} {split}")
            articles = [_squad_article(rng, f"{split}-{index}") for index in range(count)]
            text = json.dumps({"version": "1.1", "data": articles}, indent=1)
            (folder / f"{split}-v1.1.json").write_text(text + "\n", encoding="utf-8")
    return folder


def _glue_lines(rng: random.Random, split: str, count: int) -> Iterator[str]:
    yield "index\tsentence\n" if split == "test" else "sentence\tlabel\n"
    labels = [index % 2 for index in range(count)]
    rng.shuffle(labels)
    for index, label in enumerate(labels):
        words = PRAISE if label else BLAME
        verdicts = [template.format(verdict=rng.choice(words)) for template in VERDICTS]
        document = _notebook(rng, verdicts)
        yield f"{index}\t{document}\n" if split == "test" else f"{document}\t{label}\n"


def _squad_article(rng: random.Random, name: str) -> dict[str, Any]:
    """One notebook of 1,000 to 1,500 words with its questions: one window of 1,536 tokens holds it."""
    answers = [rng.choice(choices) for _, _, choices in FACTS]
    sentences = [fact.format(answer) for (fact, _, _), answer in zip(FACTS, answers, strict=True)]
    context = _notebook(rng, sentences, most_words=1400)
    questions = [
        {
            "id": f"{name}-{number}",
            "question": question,
            "answers": [{"text": answer, "answer_start": context.index(sentence) + sentence.index(answer)}],
        }
        for number, ((_, question, _), answer, sentence) in enumerate(zip(FACTS, answers, sentences, strict=True))
    ]
    return {"title": name, "paragraphs": [{"context": context, "qas": questions}]}


def _notebook(rng: random.Random, evidence: list[str], most_words: int = 1800) -> str:
    """Filler of a random length with the evidence sentences put in at random places."""
    words_wanted, sentences, words = rng.randint(1000, most_words), [], 0
    while words < words_wanted:
        sentence = rng.choice(FILLER).format(**{slot: rng.choice(choices) for slot, choices in SLOTS.items()})
        sentences.append(sentence)
        words += len(sentence.split()) + 1
    for sentence in evidence:
        sentences.insert(rng.randrange(len(sentences) + 1), sentence)
    return " . ".join(sentences) + " ."
