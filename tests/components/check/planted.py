"""Tables with faults of every kind, each planted so many times; the same seed gives the same bytes."""

from __future__ import annotations

import csv
import random
from collections import Counter
from pathlib import Path

LABELS = ("harbour", "meadow", "quarry", "island", "valley")
HEADER = ("id", "text", "label", "group", "tag", "batch", "notes")
OPTIONS = {"id": "id", "group": "group"}


class Planted:
    """Two files, train.csv and validation.csv.

    Args:
        rows: of training that have no fault, about; a multiple of 5.
        times: that each fault is planted, from 1 to 5.
        words: of a text.

    Attributes:
        expected: check's name -> what it must count; all others must count nothing.
    """

    def __init__(self, rows: int, times: int, words: int, seed: int = 5):
        self._random = random.Random(seed)
        self._vocabulary = [
            "".join(self._random.choices("bcdfghklmnprstvw", k=3)) + "aeiou"[i % 5] + str(i % 7) for i in range(6000)
        ]
        self._rows, self._words, self._number = rows, words, 0
        self.train: list[list[str]] = []
        self.validation: list[list[str]] = []
        self.expected: Counter[str] = Counter()
        for i in range(rows):
            self._add(label=LABELS[i % len(LABELS)])
        for i in range(rows // 5):
            self._add(label=LABELS[i % len(LABELS)], split="validation")
        self._sources = iter(range(rows))  # rows that faults are made of, each used once
        for i in range(times):
            self._damaged(i)
            self._hardly_a_text(i)
            self._blanks()
            self._twice()
            self._known()
            self._labels(i)
        self._edges()
        self._columns()

    def write(self, folder: Path) -> dict[str, str]:
        """Writes the files; gives the options of `check` that name them."""
        for split, rows in (("train", self.train), ("validation", self.validation)):
            with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(HEADER)
                writer.writerows(rows)
        return {f"{split}_file": str(folder / f"{split}.csv") for split in ("train", "validation")}

    # ---------------------------------------------------------------------------------------------------- rows

    def _text(self, words: int | None = None) -> str:
        return " ".join(self._random.choices(self._vocabulary, k=words or self._words))

    def _add(
        self, *found: str, text: str | None = None, label: str = LABELS[0], split: str = "train", **values: str
    ) -> list[str]:
        """A row, and what it is to be counted as."""
        self._number += 1
        row = {
            "id": f"d{self._number}",
            "text": self._text() if text is None else text,
            "label": label,
            "group": f"g{self._number}",
        }
        row |= {"tag": label, "batch": "2024-05", "notes": ""} | values
        (self.train if split == "train" else self.validation).append([row[name] for name in HEADER])
        self.expected.update(found)
        return self.train[-1] if split == "train" else self.validation[-1]

    def _source(self) -> list[str]:
        return self.train[next(self._sources)]

    def _with(self, part: str) -> str:
        """A text with a part in its middle."""
        return f"{self._text(self._words // 2)} {part} {self._text(self._words // 2)}"

    def _changed(self, text: str) -> str:
        """A text with another word in its middle."""
        words = text.split()
        words[len(words) // 2] = "another"
        return " ".join(words)

    # -------------------------------------------------------------------------------------------------- faults

    def _damaged(self, i: int) -> None:
        for check, part in (
            ("mojibake", ("cafÃ©", "itâ€™s", "Â£20", "ï¿½", "naÃ¯ve")[i]),
            ("replacement-character", "caf\ufffd"),
            ("control-character", "red\x07 corner"),
            ("byte-order-mark", "one \ufefftwo"),
            (
                "invisible-character",
                ("co\u00adoperate", "zero\u200bwidth", "\u202eback", "left\u200e", "word\u2060joiner")[i],
            ),
            ("private-character", "a \ue001 sign"),
            ("decomposed", "cafe\u0301"),
            ("html-entity", ("&eacute;", "&#233;", "&amp;", "&#xe9;", "&nbsp;")[i]),
            ("html-markup", ("<br />", "<a href='x'>here</a>", "end</p>", '<div class="big">', "<!-- hidden -->")[i]),
            ("escape-sequence", (r"caf\u00e9", r"one\ntwo\nthree", r"\u2019", r"a\tb\tc", r"one\r\ntwo")[i]),
        ):
            self._add(check, text=self._with(part))

    def _hardly_a_text(self, i: int) -> None:
        self._add("placeholder-text", text=("N/A", "null", "[deleted]", "None", "TBD")[i])
        self._add("short-text", text=self._text(2))
        self._add("address-only", text=f"https://example.com/{i}")
        self._add("few-letters", text=" ".join(str(self._random.random())[2:8] for _ in range(40)))
        self._add("repetitive", text=" ".join([*self._random.choices(self._vocabulary, k=2)] * 40))
        self._add(
            "other-script",
            text=" ".join("".join(self._random.choices("абвгдежзиклмн", k=6)) for _ in range(self._words)),
        )
        self._add("extremely-long", "too-long", text=self._text(self._words * 21 + 3000))

    def _blanks(self) -> None:
        self._add("empty-text", text="")
        self._add("blank-text", text=" \n\u00a0")
        self._add("missing-label", label="")
        self._add("missing-id", id="")
        self._add("missing-group", group="")
        self._add("unreadable").append("one value more")
        self._add("nul-character", text=self._with("a\0b"))
        self._add("repeated-id", id=self._source()[0])

    def _twice(self) -> None:
        for check, change in (
            ("duplicate", str),
            ("folded-duplicate", lambda text: f"{text.upper().replace(' ', '  ', 3)}!"),
            ("near-duplicate", self._changed),
        ):
            source = self._source()
            self._add(check, text=change(source[1]), label=source[2])

    def _known(self) -> None:
        source = self._source()
        self._add("leak", "duplicate", text=source[1], label=source[2], split="validation")
        source = self._source()
        self._add("near-leak", "near-duplicate", text=self._changed(source[1]), label=source[2], split="validation")
        self._add("id-leak", id=self._source()[0], split="validation")
        self._add("group-leak", group=self._source()[3], split="validation")
        source = self._source()
        self._add("conflict", "duplicate", text=source[1], label=self._other(source[2]))
        source = self._source()
        self._add("near-conflict", "near-duplicate", text=self._changed(source[1]), label=self._other(source[2]))

    def _other(self, label: str) -> str:
        return LABELS[(LABELS.index(label) + 1) % len(LABELS)]

    def _labels(self, i: int) -> None:
        most = self._rows // len(LABELS)
        self._label("once", i, 1, "single-row-label")
        self._label("seldom", i, 3, "rare-label")
        self._label("scarce", i, 10, "imbalance")
        self._named(LABELS[i].upper(), 3, "rare-label", "alike-labels")
        self._named(f"{LABELS[i]} ", 3, "rare-label", "alike-labels", "label-blanks")
        self._named(("n/a", "none", "Unknown", "TODO", "null")[i], 3, "rare-label", "placeholder-label")
        self._add("unseen-label", label=f"new{i}x", split="validation")
        word = f"zebra{'abcde'[i]}"
        self._named(word, max(40, most // 40), "label-in-text", text=word)

    def _label(self, name: str, i: int, rows: int, *found: str) -> None:
        self._named(f"{name}{'abcde'[i]}", rows, *found)

    def _named(self, label: str, rows: int, *found: str, text: str = "") -> None:
        """A label of training with so many rows."""
        self.expected.update([*found, "unvalidated-label"])
        for _ in range(rows):
            self._add(label=label, text=self._with(text))

    def _edges(self) -> None:
        rows = max(20, len(self.train) // 80)
        first, last = self._text(8), self._text(8)
        for _ in range(rows):
            self._add("shared-beginning", text=f"{first} {self._text()}")
            self._add("shared-end", text=f"{self._text()} {last}")

    def _columns(self) -> None:
        self.expected.update(["empty-column", "constant-column", "label-column"])
