"""Long documents for the embedded samples, made by a seeded generator.

Each is a traveller's notebook of 1,000 to 2,000 tokens. What decides the answer is a few words at a random place in it,
so a model has to reach the whole document: cut after 512 tokens, most of the evidence is gone.
"""

from __future__ import annotations

import random

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


def notebook(rng: random.Random, evidence: list[str], most_words: int = 1800) -> str:
    """Filler of a random length with the evidence sentences put in at random places."""
    words_wanted, sentences, words = rng.randint(1000, most_words), [], 0
    while words < words_wanted:
        sentence = rng.choice(FILLER).format(**{slot: rng.choice(choices) for slot, choices in SLOTS.items()})
        sentences.append(sentence)
        words += len(sentence.split()) + 1
    for sentence in evidence:
        sentences.insert(rng.randrange(len(sentences) + 1), sentence)
    return " . ".join(sentences) + " ."
