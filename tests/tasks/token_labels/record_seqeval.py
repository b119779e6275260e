"""Records what seqeval measures on generated tag sequences: `python tests/tasks/token_labels/record_seqeval.py`, with seqeval 1.2.2 installed."""

import json
import math
import random
from pathlib import Path

from seqeval.metrics.v1 import precision_recall_fscore_support
from seqeval.scheme import IOB2

FILE = Path(__file__).with_name("seqeval.json")
LABELS = "ABC"
SEQUENCES = 500


def tags(rng, size):
    """A valid sequence of BIO tags."""
    found = []
    while len(found) < size:
        if rng.random() < 0.4:
            label = rng.choice(LABELS)
            found += [f"B-{label}", *[f"I-{label}"] * rng.choice([0, 0, 1, 2, 4])]
        else:
            found.append("O")
    return found[:size]


def changed(rng, right):
    """Another valid sequence that has much of the first one."""
    found = list(right)
    for _ in range(rng.randint(0, 4)):
        at = rng.randrange(len(found))
        end = min(len(found), at + rng.randint(1, 4))
        found[at:end] = tags(rng, end - at)
    for at, tag in enumerate(found):  # an I that nothing begins
        if tag[0] == "I" and (at == 0 or found[at - 1][1:] != tag[1:]):
            found[at] = f"B{tag[1:]}"
    return found


def measure(right, found, average):
    """Precision, recall and F1; 0 where seqeval has NaN, as there is no label to take the mean over."""
    scores = precision_recall_fscore_support(right, found, scheme=IOB2, average=average, zero_division=0)[:3]
    return [0.0 if math.isnan(score) else float(score) for score in scores]


def main():
    rng, recorded = random.Random(25), []
    for _ in range(SEQUENCES):
        right = tags(rng, rng.randint(1, 40))
        found = changed(rng, right)
        measured = {average: measure([right], [found], average) for average in ("micro", "macro")}
        recorded.append({"right": " ".join(right), "found": " ".join(found), **measured})
    right, found = ([each[name].split() for each in recorded] for name in ("right", "found"))
    together = {average: measure(right, found, average) for average in ("micro", "macro")}
    each = precision_recall_fscore_support(right, found, scheme=IOB2, average=None, zero_division=0)
    together["labels"] = {label: [float(values[i]) for values in each] for i, label in enumerate(LABELS)}
    lines = ",\n".join(json.dumps(each) for each in recorded)
    FILE.write_text(f'{{"sequences": [\n{lines}\n],\n"together": {json.dumps(together)}}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
