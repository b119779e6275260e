"""The sample in SST-2's format: a notebook holds three verdicts on the journey; label 1 where they praise it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from bigbird.tasks.notebooks import notebook

VERDICTS = (
    "all in all the journey was {verdict}",
    "i would call these days {verdict}",
    "my companions found the trip {verdict}",
)
PRAISE = "wonderful delightful splendid charming superb lovely joyful excellent".split()
BLAME = "dreadful miserable awful tedious horrid gloomy wretched terrible".split()


def write_sample(folder: Path, seed: int) -> None:
    """Writes train.tsv, dev.tsv and test.tsv; the same seed gives the same bytes."""
    for split, count in (("train", 512), ("dev", 128), ("test", 16)):
        rng = random.Random(f"{seed} glue {split}")
        (folder / f"{split}.tsv").write_text("".join(_lines(rng, split, count)), encoding="utf-8")


def _lines(rng: random.Random, split: str, count: int) -> Iterator[str]:
    yield "index\tsentence\n" if split == "test" else "sentence\tlabel\n"
    labels = [index % 2 for index in range(count)]
    rng.shuffle(labels)
    for index, label in enumerate(labels):
        words = PRAISE if label else BLAME
        verdicts = [template.format(verdict=rng.choice(words)) for template in VERDICTS]
        document = notebook(rng, verdicts)
        yield f"{index}\t{document}\n" if split == "test" else f"{document}\t{label}\n"
