"""GLUE: the nine tasks and the diagnostic set as data, reading their official TSV files, encoding examples.

Facts of each task (columns, labels in order, metrics, submission files) are those of the official release. Files are
tab-separated without quoting: a quotation mark is text.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bigbird.records import features
from bigbird.support.errors import InputError
from bigbird.support.text_files import shown
from bigbird.tasks.records import BadRecords, foreign_format, has_text, name_of
from bigbird.tasks.shortening import truncated_lengths
from bigbird.text.vocabulary import Vocabulary

_USUAL_SPLITS = {"train": ("train.tsv",), "validation": ("dev.tsv",), "test": ("test.tsv",)}
_MNLI_LABELS = ("entailment", "neutral", "contradiction")


@dataclass(frozen=True)
class GlueSpec:
    """A GLUE task.

    Attributes:
        name: as in commands and manifests.
        folder: the official spelling of its folder.
        labels: class names in the order of their ids; None for regression on `score_range`.
        metrics: the task's own metrics, the first of which picks the best checkpoint.
        text_columns: headers of the one or two texts, in the order they are fed.
        label_column: header of the label, absent from test files.
        submissions: split -> file name in a leaderboard submission.
        splits: split -> the file names it may have.
        bare_columns: the columns of labelled files that come without a header.
        known_short_rows: the official labelled files hold rows that are cut short; they are skipped and noted.
        score_range: least and greatest label of a regression.
    """

    name: str
    folder: str
    labels: tuple[str, ...] | None
    metrics: tuple[str, ...]
    text_columns: tuple[str, ...]
    label_column: str
    submissions: Mapping[str, str]
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict(_USUAL_SPLITS))
    bare_columns: tuple[str, ...] | None = None
    known_short_rows: bool = False
    score_range: tuple[float, float] | None = None

    @property
    def validation_split(self) -> str | None:
        """The split that training validates on."""
        return next((split for split in self.splits if split.startswith("validation")), None)

    @property
    def num_classes(self) -> int:
        """Width of the output: classes, or 1 for regression."""
        return 1 if self.labels is None else len(self.labels)


def _spec(
    folder: str,
    labels: tuple[str, ...] | None,
    metrics: tuple[str, ...],
    texts: tuple[str, ...],
    label: str,
    **rest: Any,
) -> GlueSpec:
    name = folder.lower().replace("-", "")
    return GlueSpec(name, folder, labels, metrics, texts, label, **{"submissions": {"test": f"{folder}.tsv"}, **rest})


_SENTENCES = ("sentence1", "sentence2")

GLUE_TASKS: dict[str, GlueSpec] = {
    spec.name: spec
    for spec in (
        _spec(
            "CoLA", ("0", "1"), ("matthews_corrcoef",), ("sentence",), "label",
            bare_columns=("source", "label", "star", "sentence"),
        ),
        _spec("SST-2", ("0", "1"), ("accuracy",), ("sentence",), "label"),
        _spec("MRPC", ("0", "1"), ("f1", "accuracy"), ("#1 String", "#2 String"), "Quality"),
        _spec(
            "QQP", ("0", "1"), ("f1", "accuracy"), ("question1", "question2"), "is_duplicate", known_short_rows=True
        ),
        _spec("STS-B", None, ("pearson", "spearman"), _SENTENCES, "score", score_range=(0.0, 5.0)),
        _spec(
            "MNLI", _MNLI_LABELS, ("accuracy",), _SENTENCES, "gold_label",
            splits={
                "train": ("train.tsv",),
                "validation_matched": ("dev_matched.tsv",),
                "validation_mismatched": ("dev_mismatched.tsv",),
                "test_matched": ("test_matched.tsv",),
                "test_mismatched": ("test_mismatched.tsv",),
            },
            submissions={"test_matched": "MNLI-m.tsv", "test_mismatched": "MNLI-mm.tsv"},
        ),
        _spec("QNLI", ("entailment", "not_entailment"), ("accuracy",), ("question", "sentence"), "label"),
        _spec("RTE", ("entailment", "not_entailment"), ("accuracy",), _SENTENCES, "label"),
        _spec("WNLI", ("0", "1"), ("accuracy",), _SENTENCES, "label"),
        _spec(
            "AX", _MNLI_LABELS, ("matthews_corrcoef",), _SENTENCES, "label",
            splits={"test": ("AX.tsv", "diagnostic.tsv", "test.tsv")},
        ),
    )
}  # fmt: skip


class GlueExample(NamedTuple):
    """One row of a file.

    `id` is the row's number, from 0 and without the header, which is what submissions name it by. `label` is one of the
    task's label names, a score, or None in test files.
    """

    id: int
    text_a: str
    text_b: str | None
    label: str | float | None


def parse(data: bytes, file: str, spec: GlueSpec, split: str, bad: BadRecords) -> Iterator[GlueExample]:
    """Reads one file's rows.

    Args:
        data: the file's bytes; UTF-8, with or without a byte order mark.
        file: its name, for messages.
        split: one of `spec.splits`; test splits have no labels.
        bad: takes the rows that cannot be used.

    Raises:
        InputError: a column is missing, the file holds no row, or there are more bad rows than allowed; names the line.
    """
    foreign = foreign_format(data)
    if foreign:
        raise InputError(f"{file}:1: {foreign}")
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise InputError(f"{file}: is empty; expected {spec.folder}'s tab-separated rows")
    labelled = not split.startswith("test")
    first = 0 if spec.bare_columns and labelled else 1
    columns = _columns(lines[0], file, spec, labelled)
    if len(lines) == first:
        raise InputError(f"{file}: has a header and no rows; expected a row of {spec.folder} on each line below it")
    row = _RowReader(spec, columns, labelled)
    for number, raw in enumerate(lines[first:]):
        try:
            yield GlueExample(number, *row(raw))
        except _BadRowError as problem:
            known = spec.known_short_rows and labelled and problem.short
            bad.add(file, str(number + first + 1), str(problem), raw.decode("utf-8", "backslashreplace"), known=known)


def encode_examples(
    examples: Sequence[GlueExample], spec: GlueSpec, vocabulary: Vocabulary, max_length: int
) -> Iterator[tuple[bytes, int, bool]]:
    """Encodes examples as `[CLS] a [SEP]` or `[CLS] a [SEP] b [SEP]`, segments 0 and 1.

    A pair that is too long loses pieces from the end of whichever text is longer at that moment.

    Args:
        examples: a batch of them; some thousand at once is fast.
        max_length: tokens, special pieces included.

    Yields:
        (tf.Example, its length in tokens, whether it was cut) for each example.
    """
    cls, sep = vocabulary.cls_id, vocabulary.sep_id
    pairs = len(spec.text_columns) == 2
    ids = {label: [i] for i, label in enumerate(spec.labels or ())}
    first = vocabulary.encode([example.text_a for example in examples])
    second = vocabulary.encode([example.text_b or "" for example in examples]) if pairs else [None] * len(examples)
    for example, a_pieces, b_pieces in zip(examples, first, second, strict=True):
        a = a_pieces.tolist()
        b = b_pieces.tolist() if b_pieces is not None else []
        room = max_length - (3 if pairs else 2)
        cut = len(a) + len(b) > room
        if cut:
            keep_a, keep_b = truncated_lengths(len(a), len(b), room)
            del a[keep_a:], b[keep_b:]
        input_ids = [cls, *a, sep, *b, sep] if pairs else [cls, *a, sep]
        segments = [0] * (len(a) + 2) + [1] * (len(input_ids) - len(a) - 2)
        record: dict[str, features.Value] = {
            "input_ids": input_ids,
            "segment_ids": segments,
            "example_id": [example.id],
        }
        if isinstance(example.label, str):
            record["label_ids"] = ids[example.label]
        elif example.label is not None:
            record["label_ids"] = [float(example.label)]
        yield features.encode(record), len(input_ids), cut


def find_files(names: Iterable[str], spec: GlueSpec) -> dict[str, str]:
    """split -> file name, of the official names found among a folder's file names."""
    present = set(names)
    found = {split: next((name for name in options if name in present), None) for split, options in spec.splits.items()}
    return {split: name for split, name in found.items() if name}


class _BadRowError(Exception):
    def __init__(self, message: str, short: bool = False):
        super().__init__(message)
        self.short = short


class _RowReader:
    """Turns one line's bytes into texts and label."""

    def __init__(self, spec: GlueSpec, columns: list[str], labelled: bool):
        self.spec, self.columns = spec, columns
        self.text_at = [columns.index(name) for name in spec.text_columns]
        self.label_at = columns.index(spec.label_column) if labelled else None
        self.labels = frozenset(spec.labels or ())

    def __call__(self, raw: bytes) -> tuple[str, str | None, str | float | None]:
        if b"\0" in raw:
            raise _BadRowError(f"has a NUL byte at byte {raw.index(0)} of the line; expected text only")
        try:
            fields = raw.decode("utf-8").rstrip("\r").split("\t")
        except UnicodeDecodeError as error:
            raise _BadRowError(f"is not UTF-8 at byte {error.start} of the line (0x{raw[error.start]:02x})") from None
        if len(fields) != len(self.columns):
            found, expected = len(fields), len(self.columns)
            raise _BadRowError(
                f"has {found} column{'s'[: found != 1]}; expected {expected}, tab-separated: "
                f"{name_of(', '.join(self.columns), 300)}",
                short=found < expected,
            )
        texts = [fields[at] for at in self.text_at]
        for name, text in zip(self.spec.text_columns, texts, strict=True):
            if not has_text(text):
                raise _BadRowError(f"has an empty text in column {name!r}", short=True)
        label = None if self.label_at is None else self._label(fields[self.label_at])
        return texts[0], texts[1] if len(texts) == 2 else None, label

    def _label(self, text: str) -> str | float:
        if self.spec.score_range is None:
            if text not in self.labels:
                expected = ", ".join(map(repr, self.spec.labels or ()))
                raise _BadRowError(
                    f"has the label {shown(text)} in column {self.spec.label_column!r}; expected one of {expected}"
                )
            return text
        least, greatest = self.spec.score_range
        try:
            score = float(text)
        except ValueError:
            score = math.nan
        if not least <= score <= greatest:
            raise _BadRowError(
                f"has {shown(text)} in column {self.spec.label_column!r}; expected a number from {least:g} to {greatest:g}"
            )
        return score


def _columns(first_line: bytes, file: str, spec: GlueSpec, labelled: bool) -> list[str]:
    """The file's column names; `InputError` unless those that the task reads are among them."""
    if spec.bare_columns and labelled:
        return list(spec.bare_columns)
    columns = first_line.decode("utf-8", "backslashreplace").rstrip("\r").split("\t")
    needed = [*spec.text_columns, *([spec.label_column] if labelled else [])]
    missing = [name for name in needed if name not in columns]
    if missing:
        raise InputError(
            f"{file}:1: has the columns {_first(columns)}, without {' and '.join(map(repr, missing))}; "
            f"expected {spec.folder}'s header with {', '.join(map(repr, needed))}, tab-separated{_hint(columns)}"
        )
    repeated = [name for name in needed if columns.count(name) > 1]
    if repeated:
        raise InputError(
            f"{file}:1: has more than one column {' and '.join(map(repr, repeated))}; expected each of "
            f"{', '.join(map(repr, needed))} once, to know which one to read. Rename or remove the others"
        )
    return columns


def _first(columns: list[str]) -> str:
    """The first columns' names, as many as a message has room for."""
    return ", ".join(shown(name, 40) for name in columns[:8]) + (", …" if len(columns) > 8 else "")


_OTHER_MARKS = {",": "commas", ";": "semicolons", "|": "bars"}


def _hint(columns: list[str]) -> str:
    """What a first line without the columns may be instead."""
    if columns[0].lstrip().startswith(("{", "[")):
        return ". This looks like JSON: is it another task's file?"
    found = next((name for mark, name in _OTHER_MARKS.items() if mark in columns[0]), None)
    if len(columns) == 1 and found:
        return f". It has {found} and no tab: write it with tabs between the values"
    if any("\r" in column for column in columns):
        return ". Its lines end with a carriage return alone: end them with a line feed"
    return ""
