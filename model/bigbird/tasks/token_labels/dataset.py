"""From a user's files to checked documents with spans, in splits.

The files are read once. Texts and spans go to a scratch file as the JSON that they will be; in memory stays what the plan of the splits
needs: of a document some 40 bytes, and 8 for each of its labels.
"""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from bigbird.support.errors import InputError
from bigbird.support.text_files import amount, escaped, shown
from bigbird.tasks.raw_input import Inputs, Reading, Storage
from bigbird.tasks.records import BadRecords
from bigbird.tasks.tables import splits as cutting
from bigbird.tasks.tables.columns import Columns
from bigbird.tasks.tables.files import Table, Tables, TableStorage, described, find_splits, table_storage
from bigbird.tasks.tables.problems import Mistakes, Notice, listed, quoted_name
from bigbird.tasks.tables.reading import read_records
from bigbird.tasks.tables.section import SPLITS, section_of
from bigbird.tasks.tables.values import BadValueError, checked_text, name_value
from bigbird.tasks.token_labels.conll import TagScheme, read_conll
from bigbird.tasks.token_labels.data_section import SpanData
from bigbird.tasks.token_labels.metrics import METRICS
from bigbird.tasks.token_labels.spans import Span, read_spans

MOST_LABELS = 1000
"""Different labels; each makes the model's output two numbers wider for every token."""

_TOLD_AFTER = 1000  # documents
_MANY_INSIDE = 0.25  # of the spans; places that are counted otherwise fall anywhere, correct ones seldom inside words
_MOST_FEW = 1  # documents; a label in no more of them teaches little


class Document(NamedTuple):
    """A document.

    Attributes:
        line: that it begins on; of Parquet the number of the row.
        text: as it stands.
        spans: in the order of the text; None where the file has none.
        name: its name in the id column; None without one.
        group: the value of the group column; None without one.
    """

    line: int
    text: str
    spans: list[Span] | None
    name: str | None
    group: str | None


class _Part:
    """The documents of one split's files."""

    def __init__(self, split: str, tables: list[Table]):
        self.split, self.tables = split, tables
        self.units, self.names = array("Q"), array("Q")  # hashes: of what stays together, of ids
        self.lines, self.of_table = array("I"), array("I")
        self.codes, self.rows = array("q"), array("q")  # the labels of documents, each once
        self.unlabelled = bytearray()
        self.spans = self.trimmed = self.inside_words = 0

    def place(self, document: int) -> str:
        """File and line."""
        return self.tables[self.of_table[document]].place(self.lines[document])


class SpanDataset:
    """Files that were read once and checked.

    Args:
        section: the configuration.
        files: of each split.
        bad: takes the documents that are skipped.
        storage: where the files are.
        scratch: an empty file to write and read.
        told: is given a line about each scheme of tags.
        progress: is given a split and its documents so far.

    Attributes:
        labels: sorted.
        splits: that there are.
        labelled: those of them whose documents have spans.
        notices: what the user should know.

    Raises:
        InputError: the data cannot be used; names the place, what was found, what was expected and the remedy.
    """

    def __init__(
        self,
        section: SpanData,
        files: dict[str, Tables],
        bad: BadRecords,
        storage: TableStorage,
        scratch: BinaryIO,
        told: Callable[[str], None],
        progress: Callable[[str, int], None],
    ):
        self._section, self._storage, self._scratch = section, storage, scratch
        self._codes: dict[str, int] = {}
        self._first: list[str] = []  # where each label was first
        names = Counter(
            quoted_name(table.path).rpartition("/")[2] for found in files.values() for table in found.tables
        )
        self._short_names = all(count == 1 for count in names.values())
        mistakes, scheme = Mistakes(bad.limit - bad.counted), TagScheme()
        self._parts = [_Part(split, found.tables) for split, found in files.items()]
        for part in self._parts:
            self._read(part, scheme, mistakes, progress)
        mistakes.check(good=sum(len(part.lines) for part in self._parts))
        for found in mistakes.rejected:
            bad.add(found["file"], found["where"], found["problem"], found["record"])
        for part in self._parts:
            _check_not_empty(part)
            self._check_names(part)
        if scheme.prefixes:
            told(scheme.told())
        self._check_labelled()
        self._assigned = [self._cut(part, set(files)) for part in self._parts]
        numbers = np.bincount(np.concatenate(self._assigned), minlength=len(SPLITS))
        self.splits = [split for split, count in zip(SPLITS, numbers, strict=True) if count]
        whole = {part.split for part in self._parts if not any(part.unlabelled)}
        cut = set(self.splits) - {part.split for part in self._parts}
        self.labelled = (whole | cut) & set(self.splits)
        self.labels: list[str] = []
        self.notices: list[Notice] = []
        self._count()

    def lines(self) -> Iterator[tuple[str, bytes, bool]]:
        """(split, line, whether it has spans) of each document, in the files' order.

        A line is a JSON object: id (the number in its split), name, file, line, text_a, spans ([[start, end, label], ...] or null).
        """
        numbers = [0] * len(SPLITS)
        self._scratch.seek(0)
        for part, assigned in zip(self._parts, self._assigned, strict=True):
            for split, unlabelled, rest in zip(assigned.tobytes(), part.unlabelled, self._scratch, strict=False):
                yield SPLITS[split], b'{"id": %d, %b' % (numbers[split], rest), not unlabelled
                numbers[split] += 1

    # ------------------------------------------------------------------------------------------ reading

    def _read(self, part: _Part, scheme: TagScheme, mistakes: Mistakes, progress: Callable[[str, int], None]) -> None:
        for number, table in enumerate(part.tables):
            path = escaped(table.path)
            file = path.rpartition("/")[2] if self._short_names else path
            for document in self._documents(part, table, scheme, mistakes):
                at = len(part.lines)
                part.of_table.append(number)
                part.lines.append(document.line)
                part.units.append(hash_of(document.text if document.group is None else document.group))
                if document.name is not None:
                    part.names.append(hash_of(document.name))
                part.unlabelled.append(document.spans is None)
                for label in dict.fromkeys(span.label for span in document.spans or ()):
                    part.codes.append(self._code(label, table, document.line))
                    part.rows.append(at)
                record = {
                    "name": document.name or f"{file}:{document.line}",
                    "file": path,
                    "line": document.line,
                    "text_a": document.text,
                    "spans": document.spans,
                }
                self._scratch.write(json.dumps(record, ensure_ascii=False)[1:].encode() + b"\n")
                if not len(part.lines) % _TOLD_AFTER:
                    progress(part.split, len(part.lines))

    def _documents(self, part: _Part, table: Table, scheme: TagScheme, bad: BadRecords) -> Iterator[Document]:
        """The documents of a file that can be used."""
        for line, text, spans, name, group, record in self._raw(part, table, scheme, bad):
            try:
                text = checked_text(text, self._section.text)
                if spans is None and part.split != "test":
                    raise BadValueError(
                        f"has nothing in column {shown(self._section.spans, 60)}; expected a list of spans, [] where there is none"
                    )
                found = None
                if spans is not None:
                    read = read_spans(text, spans, self._section.spans, self._section.fields)
                    found = read.spans
                    part.spans += len(found)
                    part.trimmed += read.trimmed
                    part.inside_words += read.inside_words
                yield Document(
                    line,
                    text,
                    found,
                    None if self._section.id is None or name is None else name_value(name, self._section.id, "id"),
                    None if self._section.group is None else name_value(group, self._section.group, "group"),
                )
            except BadValueError as problem:
                bad.add(quoted_name(table.path), table.where(line), str(problem), _as_json(record))

    def _raw(self, part: _Part, table: Table, scheme: TagScheme, bad: BadRecords) -> Iterator[tuple[Any, ...]]:
        """(line, text, spans, id, group, record) as the file has them."""
        section = self._section
        if table.format == "conll":
            for line, text, spans in read_conll(table, section, scheme, bad, self._storage):
                yield line, text, spans, None, text, {"text": text[:1000]}
            return
        keys = {section.text: "text", section.spans: "spans"}
        for key in ("id", "group"):
            if name := getattr(section, key):
                keys.setdefault(name, key)
        may_lack = frozenset({section.spans}) if part.split == "test" else frozenset()
        columns = Columns(keys, optional=may_lack, objects=frozenset({section.spans}))
        at = {name: number for number, name in enumerate(keys)}
        for line, values in read_records(table, section, columns, bad, self._storage):
            name, group = (values[at[key]] if key else None for key in (section.id, section.group))
            record = dict(zip(keys, values, strict=True))
            if isinstance(record[section.text], str):
                record[section.text] = record[section.text][:1000]
            yield line, values[0], values[1], "" if name is None else name, group, record

    def _code(self, label: str, table: Table, line: int) -> int:
        code = self._codes.setdefault(label, len(self._codes))
        if code == len(self._first):
            if code >= MOST_LABELS:
                raise InputError(
                    f"{table.place(line)}: there are more than {MOST_LABELS:,} different labels, such as {listed(self._codes, 3)}; expected "
                    "labels that many spans share. Name the label's field with span_label (--span-label)"
                )
            self._first.append(table.place(line))
        return code

    def _check_names(self, part: _Part) -> None:
        hashes = np.frombuffer(part.names, np.uint64)
        order = np.argsort(hashes, kind="stable")
        again = np.flatnonzero(hashes[order][1:] == hashes[order][:-1])
        if len(again):
            at = again[np.argmin(order[again + 1])]
            first, second = (part.place(int(order[each])) for each in (at, at + 1))
            raise InputError(
                f"{second}: has the same id in column {shown(self._section.id, 60)} as the document at {first}; expected another id for each. "
                "Correct it, or leave id (--id) out: documents are then named by file and line"
            )

    def _check_labelled(self) -> None:
        for part in self._parts:
            lack = np.frombuffer(part.unlabelled, np.uint8)
            if lack.any() and not lack.all():
                raise InputError(
                    f"{part.place(int(np.flatnonzero(lack)[0]))}: has no spans in column {shown(self._section.spans, 60)}, like {int(lack.sum()):,} of "
                    f"{len(lack):,} documents of the {part.split} split; expected a list of spans in all of them, [] where there is none, or in none"
                )

    # ------------------------------------------------------------------------------------------ splits

    def _cut(self, part: _Part, named: set[str]) -> np.ndarray:
        """The split of each document, uint8 [documents]."""
        if part.split != "train":
            return np.full(len(part.lines), SPLITS.index(part.split), np.uint8)
        fractions = tuple(
            0.0 if split in named else getattr(self._section, f"{split}_fraction") for split in SPLITS[1:]
        )
        codes = label_places(list(self._codes))[np.frombuffer(part.codes, np.int64)]
        rows = np.frombuffer(part.rows, np.int64)
        found = cutting.cut(
            np.frombuffer(part.units, np.uint64), codes, rows, (fractions[0], fractions[1]), self._section.seed
        )
        for split, fraction in zip(SPLITS[1:], fractions, strict=True):
            if fraction and not (found == SPLITS.index(split)).any():
                raise InputError(
                    f"{quoted_name(part.tables[0].path)}: has too few documents ({len(found):,}) to cut {split} from, as each label needs one to train "
                    f"on; expected more. Name the {split} split's files with {split} (--{split}-file), or set {split}_fraction "
                    f"(--{split}-fraction) to 0"
                )
        return found

    def _count(self) -> None:
        """Labels of the training split, and what is odd about them."""
        documents = np.zeros((len(SPLITS), len(self._codes)), np.int64)
        for part, assigned in zip(self._parts, self._assigned, strict=True):
            rows, codes = np.frombuffer(part.rows, np.int64), np.frombuffer(part.codes, np.int64)
            np.add.at(documents, (assigned[rows], codes), 1)
        names = list(self._codes)
        trained = [name for name, count in zip(names, documents[cutting.TRAIN], strict=True) if count]
        self.labels = sorted(trained)
        first = self._parts[0]
        if not self.labels:
            raise InputError(
                f"{quoted_name(first.tables[0].path)}: no document of the training split has a span; expected some. "
                f"{self._section.where_spans_are(first.tables[0].format)}"
            )
        for split in (cutting.VALIDATION, cutting.TEST):
            unseen = [
                code for code in range(len(names)) if documents[split, code] and not documents[cutting.TRAIN, code]
            ]
            if unseen:
                raise InputError(
                    f"{self._first[unseen[0]]}: has the label {shown(names[unseen[0]])}, which is in {documents[split, unseen[0]]:,} {SPLITS[split]} "
                    f"document{'s'[: int(documents[split, unseen[0]] != 1)]} and in none of training; training has {listed(self.labels)}. Correct it, or add "
                    "training documents with it"
                )
        if "validation" in self.labelled and not documents[cutting.VALIDATION].any():
            raise InputError(
                "no document of the validation split has a span, so nothing shows how well they are found; expected some. Set a larger "
                "validation_fraction (--validation-fraction), or name another file (--validation-file)"
            )
        total = documents.sum(axis=0)
        few = sorted(name for name, count in zip(names, total, strict=True) if count <= _MOST_FEW)
        if few:
            self._notice(
                f"{amount(len(few), 'label')} in one document only: {listed(few)}",
                len(few),
                "add documents, or join such labels to others: one document teaches little",
            )
        absent = sorted(name for name, count in zip(names, documents[cutting.VALIDATION], strict=True) if not count)
        if absent and "validation" in self.labelled and absent != few:
            self._notice(
                f"{amount(len(absent), 'label')} of training without a validation document: {listed(absent)}",
                len(absent),
                "add documents, or set a larger validation_fraction (--validation-fraction), to see how well they are learnt",
            )
        if trimmed := sum(part.trimmed for part in self._parts):
            self._notice(
                f"{amount(trimmed, 'span')} with blanks at an end, which are no part of what is learnt",
                trimmed,
                "leave the blanks out, if spans are compared with your own",
            )

        spans, inside = sum(part.spans for part in self._parts), sum(part.inside_words for part in self._parts)
        if inside > _MANY_INSIDE * spans:
            self._notice(
                f"{inside:,} of {amount(spans, 'span')} begin or end inside a word",
                inside,
                "look whether their places count characters, and whether `end` is one past the last one",
            )

    def _notice(self, message: str, count: int, remedy: str) -> None:
        self.notices.append(Notice(message, count, remedy))


def read_table(
    inputs: Inputs,
    storage: Storage,
    scratch: BinaryIO,
    bad: BadRecords,
    told: Callable[[str], None],
    progress: Callable[[str, int], None],
) -> Reading:
    """As `TaskFamily.read_table`."""
    section = section_of(inputs, SpanData)
    files = find_splits(section, table_storage(storage))
    for line in described(files, section):
        told(line)
    found = SpanDataset(section, files, bad, table_storage(storage), scratch, told, progress)
    notices = [(notice.message, notice.remedy) for notice in found.notices]
    facts = {"notices": [message for message, _ in notices]}
    return Reading(found.splits, found.labelled, found.labels, METRICS, facts, notices, found.lines)


def _check_not_empty(part: _Part) -> None:
    if not part.lines:
        raise InputError(
            f"{quoted_name(part.tables[0].path)}: holds no document of the {part.split} split; expected some"
        )


def _as_json(record: dict[str, Any]) -> str:
    """A record as `rejected.jsonl` keeps it; values of Parquet that JSON does not know as texts."""
    try:
        return json.dumps(record, default=str)
    except RecursionError:
        return shown(record)


def label_places(labels: Sequence[str]) -> np.ndarray:
    """The place of each label among the sorted ones. int64 [labels]."""
    places = np.empty(len(labels), np.int64)
    places[sorted(range(len(labels)), key=labels.__getitem__)] = np.arange(len(labels))
    return places


def hash_of(text: str) -> int:
    """64 bits of a text, the same on every machine."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")
