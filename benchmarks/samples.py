"""Texts for the benchmarks, as many as they need: real ones varied word by word, or made-up ones where none are given.

`BIGBIRD_DATA` names a folder with `gpt2.model`, `squad/train-v1.1.json` and `glue/SST-2/train.tsv`; parts of the official
files will do. A copy of a text has every third word replaced by another of the same source, so that no two are alike
and their lengths stay as they are in the original.
"""

from __future__ import annotations

import csv
import json
import random
from dataclasses import dataclass
from pathlib import Path

REPLACED = 1 / 3  # of a copy's words
_SYLLABLES = "ba ce di fo gu ha je ki lo mu na pe ri so tu va we xi yo zu st er an in or".split()


@dataclass(frozen=True)
class Source:
    """Texts to vary.

    Attributes:
        origin: what they are, for a row's detail.
        vocabulary: a SentencePiece model.
        paragraphs: each with its questions.
        sentences: short texts.
    """

    origin: str
    vocabulary: bytes
    paragraphs: list[tuple[str, list[str]]]
    sentences: list[str]


def load(folder: str | None) -> Source:
    """The source in a folder, or a made-up one without."""
    return _made() if folder is None else _real(Path(folder))


def _real(folder: Path) -> Source:
    for name in ("gpt2.model", "squad/train-v1.1.json", "glue/SST-2/train.tsv"):
        if not (folder / name).is_file():
            raise SystemExit(
                f"error: {folder / name}: no such file; see benchmarks/samples.py for what BIGBIRD_DATA holds"
            )
    tree = json.loads((folder / "squad" / "train-v1.1.json").read_bytes())
    paragraphs = [
        (paragraph["context"], [asked["question"] for asked in paragraph["qas"]])
        for article in tree["data"]
        for paragraph in article["paragraphs"]
    ]
    rows = (folder / "glue" / "SST-2" / "train.tsv").read_text(encoding="utf-8").splitlines()[1:]
    sentences = [row.split("\t")[0] for row in rows]
    return Source("real texts, varied", (folder / "gpt2.model").read_bytes(), paragraphs, sentences)


def _made() -> Source:
    """Words of one to four syllables, the n-th as frequent as 1/n; lengths as in SQuAD and SST-2."""
    from bigbird.text.sentence_piece import train_vocabulary

    rng = random.Random(0)
    words = sorted({"".join(rng.choices(_SYLLABLES, k=rng.randint(1, 4))) for _ in range(8000)})
    rng.shuffle(words)
    weights = [1 / (rank + 1) for rank in range(len(words))]

    def text(least: int, most: int) -> str:
        return " ".join(rng.choices(words, weights, k=rng.randint(least, most))) + "."

    paragraphs = [(text(60, 180), [text(7, 15) for _ in range(5)]) for _ in range(300)]
    sentences = [text(2, 17) for _ in range(5000)]
    vocabulary = train_vocabulary([context for context, _ in paragraphs] + sentences, 8000)
    return Source("made-up texts", vocabulary, paragraphs, sentences)


class Variation:
    """Varied copies of texts; the same seed gives the same ones."""

    def __init__(self, texts: list[str], seed: int):
        self._rng = random.Random(seed)
        self._words = [word for text in texts for word in text.split()]

    def __call__(self, text: str) -> list[str]:
        """The words of a copy."""
        rng, known = self._rng, self._words
        return [known[int(rng.random() * len(known))] if rng.random() < REPLACED else word for word in text.split()]


def write_squad(source: Source, file: Path, questions: int, paragraphs: int, seed: int) -> None:
    """A SQuAD v1.1 file of so many questions, spread evenly over so many paragraphs in articles of 40."""
    vary = Variation([context for context, _ in source.paragraphs], seed)
    rng = random.Random(seed)
    listed = []
    for number in range(paragraphs):
        context, asked = source.paragraphs[number % len(source.paragraphs)]
        words = vary(context)
        count = (number + 1) * questions // paragraphs - number * questions // paragraphs
        qas = []
        for i in range(count):
            first = rng.randrange(len(words))
            answer = " ".join(words[first : first + rng.randint(1, 4)])
            start = sum(map(len, words[:first])) + first
            question = " ".join(vary(asked[i % len(asked)]))
            qas.append(
                {
                    "id": f"{seed:08x}{number:08x}{i:08x}",
                    "question": question,
                    "answers": [{"answer_start": start, "text": answer}],
                }
            )
        listed.append({"context": " ".join(words), "qas": qas})
    data = [{"title": f"Article {at}", "paragraphs": listed[at : at + 40]} for at in range(0, paragraphs, 40)]
    file.write_text(json.dumps({"version": "1.1", "data": data}), encoding="utf-8")


def write_sst2(source: Source, file: Path, rows: int, seed: int) -> None:
    """An SST-2 file of so many rows."""
    vary = Variation(source.sentences, seed)
    texts = (" ".join(vary(source.sentences[i % len(source.sentences)])) for i in range(rows))
    lines = (f"{text}\t{i % 2}\n" for i, text in enumerate(texts))
    file.write_text("sentence\tlabel\n" + "".join(lines), encoding="utf-8")


def write_tables(source: Source, folder: Path, records: int, files: int, seed: int = 1) -> None:
    """CSV files with the columns text, a paragraph, and label, one of two; the records are dealt out to them in turn."""
    vary = Variation([context for context, _ in source.paragraphs], seed)
    texts = (" ".join(vary(source.paragraphs[i % len(source.paragraphs)][0])) for i in range(records))
    rows = [(text, "ab"[i % 2]) for i, text in enumerate(texts)]
    for number in range(files):
        with (folder / f"{number}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label"])
            writer.writerows(rows[number::files])


def documents(source: Source, count: int, words: int, seed: int = 0) -> list[str]:
    """Texts of about so many words each, made of paragraphs one after the other."""
    vary = Variation([context for context, _ in source.paragraphs], seed)
    made, number = [], 0
    for _ in range(count):
        text: list[str] = []
        while len(text) < words:
            text += vary(source.paragraphs[number % len(source.paragraphs)][0])
            number += 1
        made.append(" ".join(text[:words]))
    return made
