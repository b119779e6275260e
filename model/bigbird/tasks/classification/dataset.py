"""From a user's tables to checked examples in splits.

The tables are read once. Texts go to a scratch file as the JSON that they will be; in memory stays what the plan of the
splits needs: of a record 17 bytes, 33 with an id and a group column: hash of its texts 8, line 4, label 4 (of several
labels 8, and 4 for each; a number 8), split 1, id 8, group 8. The plan takes some 150 more while it is made. Then the
scratch file's lines are given to their splits.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import blake2b
from itertools import pairwise, starmap
from typing import BinaryIO

import numpy as np

from bigbird.support.errors import InputError
from bigbird.support.text_files import escaped, shown
from bigbird.tasks.classification.data_section import TableData
from bigbird.tasks.classification.labels import UNLABELLED, BadLabelError, Label, LabelColumn, is_number
from bigbird.tasks.classification.notices import contradiction, label_notices, shared_texts, with_several_labels
from bigbird.tasks.classification.rows import Row, read_rows
from bigbird.tasks.records import BadRecords, as_json
from bigbird.tasks.tables import splits as cutting
from bigbird.tasks.tables.files import LOCAL, Table, Tables, TableStorage, described, find_splits
from bigbird.tasks.tables.problems import Mistakes, Notice, listed, quoted_name

_SPLITS = ("train", "validation", "test")  # by the numbers that `splits.cut` gives
_HELD_BYTES = 1 << 16  # of lines that are written together; a document may be long
_LEFT_OUT = 3  # the number of records that are in no split


class _Part:
    """The records of one split's files, in the order of reading."""

    def __init__(self, split: str, tables: list[Table]):
        self.split, self.tables = split, tables
        self.texts, self.ids, self.groups = bytearray(), bytearray(), bytearray()  # hashes of 8 bytes
        self.lines = array("I")
        self.starts: list[int] = []  # the first record of each table
        self.assigned = np.zeros(0, np.uint8)

    def __len__(self) -> int:
        return len(self.lines)

    def hashes(self) -> np.ndarray:
        """Of the texts, uint64[records]."""
        return np.frombuffer(self.texts, "<u8")

    def place(self, record: int) -> str:
        """File and line of a record."""
        table = int(np.searchsorted(self.starts, record, side="right")) - 1
        return self.tables[table].place(self.lines[record])


class TableDataset:
    """A table that was read once and checked; made by `read_dataset`.

    Attributes:
        section: the configuration.
        kind: single, multi or number.
        kind_told: how the kind was inferred and how to set it; empty where it was given.
        labels: sorted, numbers by value; none where the kind is number.
        files: split -> its files; those of "train" are also what other splits are cut from.
        sizes: split -> its records, of the splits that there are.
        label_counts: split -> label -> records that have it.
        labelled: the splits whose records have labels.
        notices: what the user should know.
    """

    def __init__(
        self,
        section: TableData,
        files: dict[str, Tables],
        bad: BadRecords,
        storage: TableStorage,
        scratch: BinaryIO,
        progress: Callable[[str, int], None] | None,
    ):
        self.section, self.files, self._storage, self._scratch = section, files, storage, scratch
        self.kind = ""
        self.kind_told = ""
        self.labels: list[str] = []
        self.sizes: dict[str, int] = {}
        self.label_counts: dict[str, dict[str, int]] = {}
        self.labelled: set[str] = set()
        self.notices: list[Notice] = []
        self._parts = [_Part(split, tables.tables) for split, tables in files.items()]
        self._column = LabelColumn(section, files)
        names = Counter(quoted_name(table.path).rpartition("/")[2] for part in self._parts for table in part.tables)
        self._short_names = all(count == 1 for count in names.values())

        mistakes = Mistakes(bad.limit - bad.counted)
        for part in self._parts:
            self._read(part, mistakes, progress)
        mistakes.check(good=sum(map(len, self._parts)))
        for found in mistakes.rejected:
            bad.add(found["file"], found["where"], found["problem"], found["record"])
        self.kind_told = self._column.resolve()
        self.kind = self._column.kind
        for part in self._parts:
            self._check_ids(part)
            self._check_unlabelled(part)
        self._plan()
        self.notices += self._drop_duplicates()
        self._count()
        if self.kind != "number":
            self.notices += label_notices(self.kind, self.label_counts)
        self.notices += self._contradictions()

    def lines(self) -> Iterator[tuple[str, bytes, bool]]:
        """The checked examples, in the files' order.

        Yields:
            (split, line, whether it has a label) of each record that is in a split. A line is a JSON object and a line end:
            id (the number in its split), name (the id column's value, or file and line), file, line, text_a, text_b (null
            where there is none), label (a label, a list of them in the labels' order, a number, or null).
        """
        numbers = [0] * len(_SPLITS)
        self._scratch.seek(0)
        for part in self._parts:
            # Numbers of Python are read faster than numpy's.
            for split, label, start in zip(
                part.assigned.tobytes(), self._label_texts(part), self._scratch, strict=False
            ):
                if split == _LEFT_OUT:
                    continue
                yield _SPLITS[split], b'{"id": %d, %b%b}\n' % (numbers[split], start[:-1], label), label != b"null"
                numbers[split] += 1

    def number_scale(self) -> tuple[float, float]:
        """Mean and standard deviation of the training split's numbers."""
        values = np.frombuffer(self._column.splits["train"].numbers)[self._parts[0].assigned == cutting.TRAIN]
        return float(values.mean()), float(values.std())

    def _label_texts(self, part: _Part) -> Iterator[bytes]:
        """The labels of a split's records as JSON."""
        kept = self._column.splits[part.split]
        if self.kind == "number":
            return (b"null" if math.isnan(number) else repr(number).encode() for number in kept.numbers)
        from orjson import dumps

        texts = [dumps(name) for name in self._column.names()]
        if self.kind == "single":
            texts.append(b"null")  # of UNLABELLED, the last
            return map(texts.__getitem__, kept.codes)
        place = {code: at for at, code in enumerate(label_order(self._column.names()))}

        def several(start: int, end: int) -> bytes:
            codes = kept.codes[start:end]
            if UNLABELLED in codes:
                return b"null"
            return b"[%b]" % b", ".join(texts[code] for code in sorted(codes, key=place.__getitem__))

        return starmap(several, pairwise([0, *kept.ends]))

    def _checked_rows(self, part: _Part, bad: BadRecords) -> Iterator[tuple[Row, Label]]:
        may_lack = part.split == "test"
        parse = self._column.parse
        for row in read_rows(part.tables, self.section, bad, self._storage, label_may_lack=may_lack):
            try:
                label = parse(row.label, row.table, row.line, may_lack=may_lack)
            except BadLabelError as problem:
                record = as_json({"text": row.text_a[:1000], "label": shown(row.label)})
                bad.add(quoted_name(row.table.path), row.table.where(row.line), str(problem), record)
                continue
            yield row, label

    # ------------------------------------------------------------------------------------------ reading

    def _read(self, part: _Part, mistakes: Mistakes, progress: Callable[[str, int], None] | None) -> None:
        """Checks a split's records and keeps what the plan needs of them."""
        # The bytes that `json` gives with ensure_ascii=False, in half the time. Only the preprocessing stage has it installed.
        from orjson import dumps

        texts, lines = part.texts, part.lines
        add, split, table = self._column.add, part.split, None
        held: list[bytes] = []
        size = 0
        named, file = b"", b""
        for row, label in self._checked_rows(part, mistakes):
            if row.table is not table:
                table = row.table
                part.starts += [len(part)] * (part.tables.index(table) + 1 - len(part.starts))
                path = escaped(table.path)
                named = dumps(path.rpartition("/")[2] if self._short_names else path).removesuffix(b'"')
                file = dumps(path)
            add(split, label, table, row.line)
            text_a, text_b = dumps(row.text_a), b"null" if row.text_b is None else dumps(row.text_b)
            name = b'%b:%d"' % (named, row.line) if row.id is None else dumps(row.id)
            held.append(
                b'"name": %b, "file": %b, "line": %d, "text_a": %b, "text_b": %b, "label": \n'
                % (name, file, row.line, text_a, text_b)
            )
            size += len(held[-1])
            texts += text_hash(row.text_a, row.text_b)
            lines.append(row.line)
            if row.id is not None:
                part.ids += value_hash(row.id)
            if row.group is not None:
                part.groups += value_hash(row.group)
            if size >= _HELD_BYTES:
                self._scratch.write(b"".join(held))
                held, size = [], 0
            if progress and not len(lines) % 10_000:
                progress(split, len(lines))
        self._scratch.write(b"".join(held))
        part.starts += [len(part)] * (len(part.tables) - len(part.starts))
        if not len(part) and mistakes.counted <= mistakes.limit:
            what = "every record was rejected" if mistakes.counted else "has a header and no records, or nothing"
            raise InputError(
                f"{quoted_name(part.tables[0].path)}: {what}; expected records of the {split} split"
                f"{f' in it or the {len(part.tables) - 1:,} files after it' if len(part.tables) > 1 else ''}"
            )

    def _check_ids(self, part: _Part) -> None:
        pair = _first_repeated(np.frombuffer(part.ids, "<u8"))
        if pair:
            first, again = map(part.place, pair)
            raise InputError(
                f"{again}: has the same id in column {shown(self.section.id, 60)} as the record at {first}; expected another id for "
                "each record. Correct it, or leave id (--id) out: records are then named by file and line"
            )

    def _check_unlabelled(self, part: _Part) -> None:
        """Test records have labels all or none."""
        lack = self._lacking(part.split)
        if lack.any() and not lack.all():
            raise InputError(
                f"{part.place(int(np.flatnonzero(lack)[0]))}: has no label in column {shown(self.section.label, 60)}, like "
                f"{int(lack.sum()):,} of {len(lack):,} records of the {part.split} split; expected a label in all of them or in none"
            )
        if not lack.all():
            self.labelled.add(part.split)

    def _lacking(self, split: str) -> np.ndarray:
        """Which records of a split's files have no label. Bool [records]."""
        kept = self._column.splits[split]
        if self.kind == "number":
            return np.isnan(np.frombuffer(kept.numbers))
        codes, rows = self._pairs(split)
        lack = np.zeros(self._records(split), bool)
        lack[rows[codes < 0]] = True
        return lack

    def _records(self, split: str) -> int:
        return next(len(part) for part in self._parts if part.split == split)

    def _pairs(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """(code, record) of each label of a split's files. int32 and int64 [pairs]."""
        kept = self._column.splits[split]
        codes = np.frombuffer(kept.codes, np.int32)
        if self.kind != "multi":
            return codes, np.arange(len(codes))
        ends = np.frombuffer(kept.ends, np.int64)
        return codes, np.repeat(np.arange(len(ends)), ends - np.append(np.zeros(1, np.int64), ends[:-1]))

    def _plan(self) -> None:
        """Assigns every record to a split."""
        names = self._column.names()
        order = label_order(names)
        place = np.empty(len(names) + 1, np.int64)  # code -> the label's place among the sorted ones
        place[order] = np.arange(len(names))
        place[-1] = -1  # no label
        missing = [split for split in ("validation", "test") if split not in self.files]
        for part in self._parts:
            part.assigned = np.full(len(part), _SPLITS.index(part.split), np.uint8)
            if part.split != "train" or not missing:
                continue
            fractions = tuple(
                getattr(self.section, f"{split}_fraction") if split in missing else 0.0 for split in _SPLITS[1:]
            )
            if self.kind == "number":
                codes = cutting.quantile_bins(np.frombuffer(self._column.splits["train"].numbers))
                rows = np.arange(len(codes))
            else:
                codes, rows = self._pairs("train")
                codes = place[codes]
            units = np.frombuffer(part.groups, "<u8") if part.groups else part.hashes()
            part.assigned = cutting.cut(units, codes, rows, (fractions[0], fractions[1]), self.section.seed)
            for split, fraction in zip(_SPLITS[1:], fractions, strict=True):
                if fraction and not (part.assigned == _SPLITS.index(split)).any():
                    kept = "groups stay together" if part.groups else "equal texts stay together"
                    raise InputError(
                        f"{quoted_name(part.tables[0].path)}: has too few records ({len(part):,}) to cut {split} from, as each "
                        f"label needs one to train on and {kept}; expected more. Name the {split} split's files with {split} (--{split}-file), or set "
                        f"{split}_fraction (--{split}-fraction) to 0"
                    )
            self.labelled |= {split for split in missing if (part.assigned == _SPLITS.index(split)).any()}

    def _drop_duplicates(self) -> list[Notice]:
        """Tells of texts that are in training and elsewhere; leaves them out of training where that is asked for."""
        train = self._parts[0]
        held_out = [
            part.hashes()[(part.assigned == cutting.VALIDATION) | (part.assigned == cutting.TEST)]
            for part in self._parts
        ]
        shared = (train.assigned == cutting.TRAIN) & np.isin(train.hashes(), np.concatenate(held_out))
        count = int(shared.sum())
        if not count:
            return []
        first = train.place(int(np.flatnonzero(shared)[0]))
        if self.section.drop_duplicates:
            train.assigned[shared] = _LEFT_OUT
        return [shared_texts(count, first, dropped=self.section.drop_duplicates)]

    def _count(self) -> None:
        """Sizes, labels of the training split, and how many of each; refuses labels that training does not have."""
        found = np.concatenate([part.assigned for part in self._parts])
        numbers = np.bincount(found, minlength=_LEFT_OUT + 1)
        self.sizes = {split: int(numbers[at]) for at, split in enumerate(_SPLITS) if numbers[at]}
        if "train" not in self.sizes:
            raise InputError(
                "no record is left to train on, as validation or test has all of the training texts too; leave drop_duplicates (--drop-duplicates) out"
            )
        if self.kind == "number":
            values = np.frombuffer(self._column.splits["train"].numbers)[self._parts[0].assigned == cutting.TRAIN]
            if values.min() == values.max():
                raise InputError(
                    f"column {shown(self.section.label, 60)} has the number {values[0]:g} in all training records; expected different ones"
                )
            return
        names = self._column.names()
        counts = np.zeros((len(_SPLITS) + 1, len(names)), np.int64)
        for part in self._parts:
            codes, rows = self._pairs(part.split)
            has = codes >= 0
            np.add.at(counts, (part.assigned[rows[has]], codes[has]), 1)
        order = [code for code in label_order(names) if counts[cutting.TRAIN, code]]
        self.labels = [names[code] for code in order]
        self._check_labels(names, counts)
        for at, split in enumerate(_SPLITS):
            if split in self.labelled:
                self.label_counts[split] = {names[code]: int(counts[at, code]) for code in order}

    def _check_labels(self, names: list[str], counts: np.ndarray) -> None:
        column = shown(self.section.label, 60)
        for at in (cutting.VALIDATION, cutting.TEST):
            unseen = [code for code in range(len(names)) if counts[at, code] and not counts[cutting.TRAIN, code]]
            if unseen:
                code, split = unseen[0], _SPLITS[at]
                others = f" (as are {len(unseen) - 1:,} more labels)" if len(unseen) > 1 else ""
                raise InputError(
                    f"{self._column.first_place(code)}: has the label {shown(names[code])} in column {column}, which is in "
                    f"{counts[at, code]:,} {split} record{'s'[: int(counts[at, code] != 1)]} and in none of training{others}; training has "
                    f"{listed(self.labels)}. Correct it, or add training records with it"
                )
        if len(self.labels) < (2 if self.kind == "single" else 1):
            found = f"only the label {shown(self.labels[0])}" if self.labels else "no label"
            raise InputError(
                f"{quoted_name(self._parts[0].tables[0].path)}: column {column} has {found} in the training split; expected "
                f"{'two or more different labels' if self.kind == 'single' else 'a label in some of the records'}. Is it the label's column? Another one is named with label (--label)"
            )

    # ------------------------------------------------------------------------------------------ notices

    def _contradictions(self) -> list[Notice]:
        """Tells of equal texts with different labels."""
        texts, labels = [], []
        for part in self._parts:
            has = ~self._lacking(part.split)
            texts.append(part.hashes()[has])
            labels.append(self._label_hashes(part.split)[has])
        hashes = with_several_labels(np.concatenate(texts), np.concatenate(labels))
        return [contradiction(len(hashes), self._first_with(hashes))] if len(hashes) else []

    def _first_with(self, hashes: np.ndarray) -> str:
        """The place of the first record whose text is one of some."""
        for part in self._parts:
            at = np.flatnonzero(np.isin(part.hashes(), hashes))
            if len(at):
                return part.place(int(at[0]))
        raise KeyError(hashes)

    def _label_hashes(self, split: str) -> np.ndarray:
        """A number for each record's label or set of labels, the same for the same. uint64 [records]."""
        kept = self._column.splits[split]
        if self.kind == "number":
            return np.frombuffer(kept.numbers).view(np.uint64)
        codes = np.frombuffer(kept.codes, np.int32).astype(np.uint64)
        if self.kind == "single":
            return codes
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(cutting.mixed(codes), dtype=np.uint64)])
        ends = np.frombuffer(kept.ends, np.int64)
        return sums[ends] - sums[np.concatenate([[0], ends[:-1]]).astype(np.int64)]


def read_dataset(
    section: TableData,
    bad: BadRecords,
    scratch: BinaryIO,
    storage: TableStorage = LOCAL,
    told: Callable[[str], None] | None = None,
    progress: Callable[[str, int], None] | None = None,
) -> TableDataset:
    """Reads a user's tables once: checks every record, discovers kind and labels, plans the splits.

    Args:
        section: files, columns, splits.
        bad: takes the records that are skipped, up to its limit.
        scratch: an empty file to write and read; takes what the checked texts take. It must stay open while lines are read.
        storage: where the files are.
        told: is given a line for each file that is read, before it is.
        progress: is given the split and its records so far, every 10,000.

    Raises:
        InputError: the data cannot be used; the message names the place, what was found, what was expected and the remedy.
    """
    files = find_splits(section, storage)
    if told:
        for line in described(files, section):
            told(line)
    return TableDataset(section, files, bad, storage, scratch, progress)


def value_hash(text: str) -> bytes:
    """64 bits of a text, the same on every machine."""
    return blake2b(text.encode(), digest_size=8).digest()


def text_hash(text_a: str, text_b: str | None) -> bytes:
    """64 bits of a record's text or pair; records of equal ones stay in one split."""
    if text_b is None:
        return blake2b(text_a.encode(), digest_size=8).digest()
    return value_hash(f"{text_a}\0{text_b}")  # no text has a NUL, so that no two pairs are alike


def label_order(names: list[str]) -> list[int]:
    """Codes in the order of their labels: numbers by value, other labels as texts."""
    if all(map(is_number, names)):
        return sorted(range(len(names)), key=lambda code: (float(names[code]), names[code]))
    return sorted(range(len(names)), key=names.__getitem__)


def _first_repeated(hashes: np.ndarray) -> tuple[int, int] | None:
    """The first record whose hash an earlier one has, after that one."""
    order = np.argsort(hashes, kind="stable")
    again = np.flatnonzero(hashes[order][1:] == hashes[order][:-1])
    if not len(again):
        return None
    at = again[np.argmin(order[again + 1])]
    return int(order[at]), int(order[at + 1])
