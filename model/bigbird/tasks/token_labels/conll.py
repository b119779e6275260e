"""Reads columns of tokens and tags, as CoNLL's shared tasks have them, as texts with spans.

A line is a token: columns separated by blanks (or by the data section's delimiter), the same number on each line, of which one is the token and one
its tag. A blank line ends a sentence. Where a file begins with a -DOCSTART- line, each such line begins a document; otherwise
`sentences_per_document` sentences are one. Tokens of a sentence are joined by a space, sentences of a document by a line feed, and spans have
their places in that text.

Tags are O, or a prefix, a hyphen and a label. One rule reads all usual schemes: B, S and U begin a span; I, E and L go on with a span of
their label, or begin one where there is none; E, S, L and U end it. Which scheme a file has is told.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from bigbird.support.errors import InputError
from bigbird.support.text_files import amount, shown
from bigbird.tasks.records import BadRecords, has_text
from bigbird.tasks.tables.files import Table, TableStorage
from bigbird.tasks.tables.problems import quoted_name
from bigbird.tasks.tables.text_formats import read_lines
from bigbird.tasks.token_labels.data_section import SpanData
from bigbird.tasks.token_labels.spans import LONGEST_LABEL, Span

_DOCUMENT = "-DOCSTART-"
_BLANKS = " \t\r\n"  # other blanks may be part of a token
_COLUMNS = re.compile("[ \t]+")
_BEGINS, _ENDS, _GOES_ON = "BSU", "ESLU", "IEL"
_SCHEMES = {
    "": "no tag but O",
    "I": "IO",
    "B": "BIO",
    "BI": "BIO",
    "BEIS": "IOBES",
    "BILU": "BILOU",
}


@dataclass
class TagScheme:
    """What was seen of the tags of some files.

    Attributes:
        prefixes: how often each is there.
        first: where each was first.
        loose: tags that go on with a span where there is none to go on with, of a scheme in which B begins all spans.
        loose_at: the first of these.
        neighbours: spans that B begins directly after one of the same label.
    """

    prefixes: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    loose: int = 0
    loose_at: str = ""
    neighbours: int = 0

    def name(self) -> str:
        """The scheme's name.

        Raises:
            InputError: the prefixes are of no one scheme.
        """
        found = "".join(sorted(self.prefixes))
        name = _SCHEMES.get(found)
        if name is None:
            inner = [known for known in ("BEIS", "BILU") if set(found) <= set(known)]
            if not inner:
                places = ", ".join(f"{prefix}- at {self.first[prefix]}" for prefix in sorted(self.prefixes))
                raise InputError(
                    f"tags have the prefixes {places}, which are of no one scheme; expected IO (I), BIO (B, I), IOBES (B, I, E, S) or "
                    "BILOU (B, I, L, U). Write them alike, or name the tag's column with tag_column (--tag-column)"
                )
            name = _SCHEMES[inner[0]]
        if found == "BI" and self.loose and self.prefixes["B"] == self.neighbours:
            return "IOB1"
        return name

    def told(self) -> str:
        """A sentence on what the tags are."""
        name, irregular = self.name(), ""
        if self.loose and name not in ("IO", "IOB1"):
            irregular = f"; {amount(self.loose, 'tag')} without the span that {'it continues' if self.loose == 1 else 'they continue'}, read as its beginning (first: {self.loose_at})"
        return f"tags are {name}{irregular}"


def read_conll(
    table: Table, section: SpanData, scheme: TagScheme, bad: BadRecords, storage: TableStorage
) -> Iterator[tuple[int, str, list[Span] | None]]:
    """Reads a file as a stream.

    Args:
        table: the file.
        section: columns, delimiter, what a document is.
        scheme: notes what the tags are.
        bad: takes documents with a line that cannot be read.
        storage: where the file is.

    Yields:
        (line that a document begins on, its text, its spans).

    Raises:
        InputError: the file cannot be read.
    """
    document = _Document(table, section, scheme)
    by_marks: bool | None = None
    sentences = 0
    for number, line in enumerate(read_lines(table, section, storage), 1):
        line = line.lstrip("\ufeff")  # of a file that was put behind another one
        blank = not line.strip(_BLANKS)
        if blank or line.startswith(_DOCUMENT):
            if not blank and by_marks is False:
                raise InputError(
                    f"{table.place(number)}: is {_DOCUMENT}, and the file does not begin with such a line; expected one before each "
                    "document. Write one into the first line"
                )
            by_marks = by_marks if blank else True
            sentences += document.end_sentence()
            if not blank or (not by_marks and sentences >= section.sentences_per_document):
                yield from document.taken(bad)
                sentences = 0
            continue
        by_marks = bool(by_marks)
        document.add(number, line)
    document.end_sentence()
    yield from document.taken(bad)


class _Document:
    """A document while its lines are read."""

    def __init__(self, table: Table, section: SpanData, scheme: TagScheme):
        self._table, self._section, self._scheme = table, section, scheme
        self._width, self._width_line = 0, 0  # columns of the file's first token, and its line
        self._clear()

    def _clear(self) -> None:
        self._line = 0
        self._problem = ""
        self._parts: list[str] = []
        self._length = 0
        self._spans: list[Span] = []
        self._open = False  # whether the last span may go on
        self._before = ""  # the label of the token before
        self._fresh = True  # whether a sentence begins
        self._seen: list[str] = []

    def add(self, number: int, line: str) -> None:
        """Takes a token."""
        self._line = self._line or number
        line = line.strip(_BLANKS)
        columns = _COLUMNS.split(line) if self._section.delimiter is None else line.split(self._section.delimiter)
        self._seen.append(f"{line}\n")
        token, tag, problem = self._columns(columns)
        if not problem and len(columns) != self._width:
            if self._width:
                problem = self._other_width(columns, line)
            else:
                self._width, self._width_line = len(columns), number
        if problem:
            if line.startswith("#"):
                problem = (
                    f"{problem}. Lines of comments are not read: leave out those that begin with # and are no token"
                )
            self._problem = self._problem or f"{problem} (line {number})"
            self._fresh = False
            return
        if self._parts:
            self._parts.append("\n" if self._fresh else " ")
            self._length += 1
        if self._fresh:
            self._open, self._before = False, ""
        self._fresh = False
        start, end = self._length, self._length + len(token)
        self._parts.append(token)
        self._length = end
        self._tag(number, tag, start, end)

    def _other_width(self, columns: list[str], line: str) -> str:
        """What is wrong with a line that has more or fewer columns than the first."""
        hint = ""
        if self._section.delimiter is None and "\t" in line:
            hint = " Is a tab between the columns, and a blank in a token? Set delimiter to a tab (--delimiter)"
        return f"has {amount(len(columns), 'column')}, and line {self._width_line} has {self._width}; expected as many on each line.{hint}"

    def _columns(self, columns: list[str]) -> tuple[str, str, str]:
        """A line's token and tag, or what is wrong with it."""
        found = []
        for key in ("token_column", "tag_column"):
            at = getattr(self._section, key)
            if abs(at) > len(columns) or (len(columns) < 2):
                return (
                    "",
                    "",
                    (
                        f"has {amount(len(columns), 'column')}, and {key} is {at}; expected a token and its tag with "
                        f"{'blanks' if self._section.delimiter is None else repr(self._section.delimiter)} between. Name the column with {key} "
                        f"(--{key.replace('_', '-')}), what separates columns with delimiter (--delimiter)"
                    ),
                )
            found.append(at - 1 if at > 0 else at + len(columns))
        if found[0] == found[1]:
            return (
                "",
                "",
                "has its token and its tag in the same column; expected two. Name them with token_column (--token-column) and tag_column (--tag-column)",
            )
        token, tag = (columns[at] for at in found)
        prefix, hyphen, label = tag.partition("-")
        if tag != "O" and (not hyphen or prefix not in _BEGINS + _GOES_ON or len(prefix) != 1 or not label):
            return (
                "",
                "",
                (
                    f"has the tag {shown(tag, 60)}; expected O, or a label behind B-, I-, E-, S-, L- or U-, as B-NAME. Name the tag's column "
                    "with tag_column (--tag-column), what separates columns with delimiter (--delimiter)"
                ),
            )
        if len(label) > LONGEST_LABEL or not label.isprintable():
            return (
                "",
                "",
                f"has a tag whose label is {shown(label, 60)}; expected one of at most {LONGEST_LABEL} characters that can be printed",
            )
        if not has_text(token) or "\0" in token:
            return "", "", f"has the token {shown(token, 60)}; expected text"
        return token, tag, ""

    def _tag(self, number: int, tag: str, start: int, end: int) -> None:
        prefix, _, label = tag.partition("-")
        if tag == "O":
            self._open, self._before = False, ""
            return
        scheme = self._scheme
        if prefix not in scheme.first:
            scheme.first[prefix] = self._table.place(number)
        scheme.prefixes[prefix] += 1
        goes_on = prefix in _GOES_ON and self._open and self._spans[-1].label == label
        if goes_on:
            self._spans[-1] = self._spans[-1]._replace(end=end)
        else:
            self._spans.append(Span(start, end, label))
            scheme.neighbours += prefix == "B" and self._before == label
            if prefix in _GOES_ON:
                scheme.loose += 1
                scheme.loose_at = scheme.loose_at or self._table.place(number)
        self._open, self._before = prefix not in _ENDS, label

    def end_sentence(self) -> int:
        """Ends a sentence; gives how many that were, 0 or 1."""
        ended = not self._fresh
        self._fresh = True
        return ended

    def taken(self, bad: BadRecords) -> Iterator[tuple[int, str, list[Span] | None]]:
        """The document, where there is one and it can be used."""
        if self._problem:
            bad.add(
                quoted_name(self._table.path),
                str(self._line),
                f"the document that begins here {self._problem}",
                "".join(self._seen),
            )
        elif self._parts:
            yield self._line, "".join(self._parts), self._spans
        self._clear()
